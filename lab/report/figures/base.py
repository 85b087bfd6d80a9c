"""What all figures share: the library, the font, the axes and the empty figure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from lab.report.palette import GRID, INK, MUTED

Figure: TypeAlias = Any
"""A ``plotly.graph_objects.Figure`` (the library carries no types)."""

Trace: TypeAlias = Any
"""One of Plotly's traces."""

FONT = "system-ui, -apple-system, 'Segoe UI', 'DejaVu Sans', sans-serif"
CLEAR = "rgba(0,0,0,0)"

FLOW_CONTROL_NAMES = {
    "quench": "flow control on (quench)",
    "link": "flow control off (link level only)",
}
FLOW_CONTROL_SHORT = {"quench": "on", "link": "off"}


def flow_control_name(value: str) -> str:
    """`quench` and `link` in the thesis's words."""
    return FLOW_CONTROL_NAMES.get(value, value)


def flow_control_order(values: list[str]) -> list[str]:
    """Flow control on before off, anything else after."""
    rank = {name: index for index, name in enumerate(FLOW_CONTROL_NAMES)}
    return sorted(set(values), key=lambda value: (rank.get(value, len(rank)), value))


def pass_label(name: str, mode: str, order: Sequence[tuple[str, str]]) -> str:
    """A pass by its flow control if that tells it apart, else by its name."""
    alone = [other for _, other in order].count(mode) == 1
    return flow_control_name(mode) if alone else f"pass {name}"


def trace(kind: str, **options: object) -> Trace:
    """A trace of one of Plotly's kinds: `Scatter`, `Heatmap`, `Bar`."""
    return getattr(go, kind)(**options)


def plain_figure(height: int) -> Figure:
    """A figure with one pair of axes in the house style."""
    return styled(go.Figure(), height)


def panels(rows: int, cols: int, height: int, **options: object) -> Figure:
    """A figure of several panels in the house style."""
    return styled(make_subplots(rows=rows, cols=cols, **options), height)


def styled(figure: Figure, height: int) -> Figure:
    """Put the house style on a figure."""
    figure.update_layout(
        template="none",
        height=height,
        font={"family": FONT, "size": 13, "color": INK},
        paper_bgcolor=CLEAR,
        plot_bgcolor=CLEAR,
        margin={"l": 64, "r": 24, "t": 48, "b": 96},
        hoverlabel={"font": {"family": FONT, "size": 13}},
        legend={"orientation": "h", "x": 0, "yref": "container", "y": 0, "yanchor": "bottom"},
        modebar={"bgcolor": CLEAR, "color": MUTED, "activecolor": INK},
    )
    figure.update_annotations(font={"size": 14, "color": INK})
    axis = {
        "gridcolor": GRID,
        "zeroline": False,
        "linecolor": MUTED,
        "showline": True,
        "ticks": "outside",
        "tickcolor": MUTED,
        "ticklen": 4,
        "automargin": True,
        "title": {"standoff": 8},
    }
    figure.update_xaxes(**axis)
    figure.update_yaxes(**axis)
    return figure


def see_through(colour: str, alpha: float) -> str:
    """A hex colour as `rgba(...)` for bands and fills."""
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return f"rgba({red},{green},{blue},{alpha:g})"
