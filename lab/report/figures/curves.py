"""Curves over the steps of a run, with a band where one curve stands for several streams."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lab.report.figures.base import FLOW_CONTROL_SHORT, Figure, Trace, see_through, trace

DASH = {"quench": "solid", "link": "dash"}
SYMBOL = {"quench": "circle", "link": "triangle-up"}


@dataclass(frozen=True)
class Curve:
    """One line; ``low`` and ``high`` may bound a band about it, ``names`` say what a point is."""

    name: str
    x: Iterable[float]
    y: Iterable[float]
    colour: str
    unit: str
    dash: str = "solid"
    symbol: str = "circle"
    low: Iterable[float] | None = None
    high: Iterable[float] | None = None
    names: Sequence[str] = field(default_factory=tuple)
    width: float = 2.4


@dataclass(frozen=True)
class Published:
    """Points or a line that the documents print; ``claim`` is where it is registered."""

    claim: str
    label: str
    colour: str
    x: tuple[float, ...]
    y: tuple[float, ...]
    symbol: str = "diamond-open"
    line: bool = False


def mode_name(name: str, mode: str) -> str:
    """A curve's name with `on` or `off` behind it."""
    return f"{name}, {FLOW_CONTROL_SHORT.get(mode, mode)}"


def draw(figure: Figure, curve: Curve, *, row: int, col: int, legend: bool = True) -> None:
    """Add a curve to one panel of a figure made by `panels`."""
    for part in _traces(curve, legend=legend):
        figure.add_trace(part, row=row, col=col)


def draw_published(
    figure: Figure, published: Published, *, row: int, col: int, legend: bool = True
) -> None:
    """Add what the documents print: hollow markers, or a dotted line."""
    figure.add_trace(_published(published, legend=legend), row=row, col=col)


def _traces(curve: Curve, *, legend: bool) -> list[Trace]:
    x, y = _numbers(curve.x), _numbers(curve.y)
    about = [str(name) for name in curve.names] or [f"{value:g}" for value in x]
    told = f"{curve.name} at %{{text}}<br>%{{y:,.4g}} {curve.unit}"
    traces: list[Trace] = []
    if curve.low is not None and curve.high is not None:
        low, high = _numbers(curve.low), _numbers(curve.high)
        told += "<br>from %{customdata[0]:,.4g} to %{customdata[1]:,.4g}"
        traces += _band(curve, x, low, high)
    traces.append(
        trace(
            "Scatter",
            x=x,
            y=y,
            text=about,
            customdata=None if not traces else np.stack([low, high], axis=1),
            name=curve.name,
            legendgroup=curve.name,
            showlegend=legend,
            mode="lines+markers",
            line={"color": curve.colour, "width": curve.width, "dash": curve.dash},
            marker={"size": 7, "symbol": curve.symbol, "color": curve.colour},
            hovertemplate=f"{told}<extra></extra>",
        )
    )
    return traces


def _band(
    curve: Curve, x: NDArray[np.float64], low: NDArray[np.float64], high: NDArray[np.float64]
) -> list[Trace]:
    edge = {
        "x": x,
        "mode": "lines",
        "line": {"width": 0},
        "hoverinfo": "skip",
        "showlegend": False,
        "legendgroup": curve.name,
    }
    filled = {"fill": "tonexty", "fillcolor": see_through(curve.colour, 0.2)}
    return [trace("Scatter", y=low, **edge), trace("Scatter", y=high, **filled, **edge)]


def _published(published: Published, *, legend: bool) -> Trace:
    look = (
        {"mode": "lines", "line": {"color": published.colour, "width": 1.8, "dash": "dot"}}
        if published.line
        else {
            "mode": "markers",
            "marker": {
                "symbol": published.symbol,
                "size": 12,
                "color": published.colour,
                "line": {"width": 2, "color": published.colour},
            },
        }
    )
    return trace(
        "Scatter",
        x=_numbers(published.x),
        y=_numbers(published.y),
        name=published.label,
        legendgroup=published.label,
        showlegend=legend,
        hovertemplate=f"{published.label}: %{{y:,.4g}}<extra>{published.claim}</extra>",
        **look,
    )


def along(table: pd.DataFrame, positions: Sequence[float]) -> pd.DataFrame:
    """The rows in the order of their positions, which become the column ``x``."""
    return table.assign(x=list(positions)).sort_values("x", kind="stable")


def _numbers(values: Iterable[float]) -> NDArray[np.float64]:
    return np.asarray(list(values), dtype=np.float64)
