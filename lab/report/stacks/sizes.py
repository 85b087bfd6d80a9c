"""Values over the size of a cluster: lines of means, and the thesis's own points beside them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from lab.report.figures.base import Figure, trace
from lab.report.palette import INK

Points = Mapping[int, Sequence[float]]
"""Values by the number of nodes, several where a case was repeated."""


def mean_line(
    figure: Figure, points: Points, name: str, colour: str, *, col: int, legend: bool = True
) -> None:
    """Draw the mean of each size; lines of one name come and go together, one has the legend."""
    sizes = sorted(points)
    means = [sum(points[size]) / len(points[size]) for size in sizes]
    figure.add_trace(
        trace(
            "Scatter",
            x=sizes,
            y=means,
            name=name,
            mode="lines+markers",
            line={"color": colour},
            legendgroup=name,
            showlegend=legend,
        ),
        row=1,
        col=col,
    )


def published(figure: Figure, x: float, y: float, name: str, *, col: int) -> None:
    """Draw what the thesis tells of one size, as a hollow mark."""
    figure.add_trace(
        trace(
            "Scatter",
            x=[x],
            y=[y],
            name=f"thesis: {name}",
            mode="markers",
            marker={"symbol": "circle-open", "size": 13, "color": INK, "line": {"width": 2}},
        ),
        row=1,
        col=col,
    )
