"""Throughput against the congestion streams' send rate (thesis figures 4.8 and 4.12).

Solid lines are flow control on, dashed lines off; hollow markers are what the thesis prints.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import pandas as pd

from lab.report.figures.base import (
    FLOW_CONTROL_SHORT,
    Figure,
    Trace,
    flow_control_name,
    flow_control_order,
    panels,
    plain_figure,
    see_through,
    trace,
)
from lab.report.palette import BLUE, GREEN, MUTED, VERMILION, group_colours

_DASH = {"quench": "solid", "link": "dash"}
_SYMBOL = {"quench": "circle", "link": "triangle-up"}


@dataclass(frozen=True)
class Published:
    """A figure printed in the thesis: the claim it belongs to and where it goes.

    `low` and `high` are equal for a single value; `rates` are the send rates at which the
    marker is drawn (fractions of the maximum), all within the range the thesis speaks of.
    """

    claim: str
    label: str
    colour: str
    symbol: str
    rates: tuple[float, ...]
    low: float
    high: float


PUBLISHED = (
    Published(
        "fabric-background-alone",
        "thesis: ports 2-8 alone, 112",
        BLUE,
        "star-open",
        (0.0,),
        112,
        112,
    ),
    Published(
        "fabric-port-contention-background",
        "thesis: ports 2-8 on, 98",
        BLUE,
        "circle-open",
        (0.2, 0.4, 0.6, 0.8, 1.0),
        98,
        98,
    ),
    Published(
        "fabric-port-contention-port1",
        "thesis: port 1 on, 91 to 105",
        VERMILION,
        "diamond-open",
        (0.3, 0.5, 0.7, 0.9),
        91,
        105,
    ),
    Published(
        "fabric-off-port1",
        "thesis: port 1 off, 105",
        VERMILION,
        "square-open",
        (0.2, 0.4, 0.6, 0.8, 1.0),
        105,
        105,
    ),
    Published(
        "fabric-off-port-15pct",
        "thesis: ports 2-8 off, 15 % of 98",
        BLUE,
        "square-open",
        (0.2, 0.4, 0.6, 0.8, 1.0),
        14.7,
        14.7,
    ),
)
PUBLISHED_STREAM = Published(
    "fabric-port-contention-stream",
    "thesis: congestion stream on, 15",
    VERMILION,
    "circle-open",
    (0.2, 0.4, 0.6, 0.8, 1.0),
    15,
    15,
)
ONSET_CLAIM, ONSET_RATE = "fabric-off-port-onset", 0.15


def port_figure(ports: pd.DataFrame, claims: Collection[str], contended_port: int = 1) -> Figure:
    """Throughput of the contended output port and of the others.

    Args:
        ports: columns flow_control, send_rate (fraction), port, mbyte_per_s.
        claims: the claims this run tests; only their published figures are drawn.
        contended_port: the port that all congestion streams leave by.
    """
    figure = plain_figure(520)
    _rate_axes(figure)
    others = ports[ports["port"] != contended_port]
    for mode in flow_control_order(list(ports["flow_control"])):
        look = _look(_span(others["port"]), mode, BLUE, "MByte/s")
        _band(figure, others[others["flow_control"] == mode], "mbyte_per_s", look)
        _line(figure, ports, mode, contended_port)
    for published in PUBLISHED:
        if published.claim in claims:
            figure.add_trace(_marker(published))
    if ONSET_CLAIM in claims:
        _onset(figure)
    figure.update_yaxes(range=[0, max(125.0, _top(ports))])
    figure.update_layout(margin={"t": 32, "b": 116})
    return figure


def stream_figure(streams: pd.DataFrame, claims: Collection[str]) -> Figure:
    """Throughput of every stream, one panel for each mode of flow control.

    Args:
        streams: columns flow_control, send_rate (fraction), stream, group, mbyte_per_s.
        claims: the claims this run tests; only their published figures are drawn.
    """
    modes = flow_control_order(list(streams["flow_control"]))
    figure = panels(
        1,
        max(len(modes), 1),
        400,
        shared_yaxes=True,
        horizontal_spacing=0.04,
        subplot_titles=[flow_control_name(mode) for mode in modes],
    )
    _rate_axes(figure)
    colours = group_colours(sorted(set(streams["group"])))
    for col, mode in enumerate(modes, start=1):
        chosen = streams[streams["flow_control"] == mode]
        shown: set[str] = set()
        for (group, stream), rows in chosen.groupby(["group", "stream"], sort=True):
            ordered = rows.sort_values("send_rate")
            figure.add_trace(
                trace(
                    "Scatter",
                    x=100 * ordered["send_rate"].to_numpy(),
                    y=ordered["mbyte_per_s"].to_numpy(),
                    mode="lines+markers",
                    name=f"{group} streams",
                    legendgroup=str(group),
                    showlegend=col == 1 and group not in shown,
                    line={"color": colours[str(group)], "width": 1.2, "dash": _DASH.get(mode)},
                    marker={"size": 4},
                    opacity=0.8,
                    hovertemplate=f"{stream}: %{{y:.2f}} MByte/s at %{{x:g}} %<extra></extra>",
                ),
                row=1,
                col=col,
            )
            shown.add(str(group))
        if mode == "quench" and PUBLISHED_STREAM.claim in claims:
            figure.add_trace(_marker(PUBLISHED_STREAM), row=1, col=col)
    figure.update_yaxes(range=[0, max(125.0, _top(streams))])
    figure.update_yaxes(title_text="", col=2)
    return figure


def load_figure(load: pd.DataFrame) -> Figure:
    """Load of the links into the switch under test.

    Args:
        load: columns flow_control, send_rate (fraction), link, busy (share of the time).
    """
    figure = plain_figure(340)
    _rate_axes(figure)
    percent = load.assign(busy=100 * load["busy"])
    for mode in flow_control_order(list(load["flow_control"])):
        look = _look("input links", mode, GREEN, "%")
        _band(figure, percent[percent["flow_control"] == mode], "busy", look)
    figure.update_yaxes(title_text="busy (% of the time)", range=[0, 105])
    return figure


def _look(name: str, mode: str, colour: str, unit: str) -> _Look:
    return _Look(
        name=f"{name}, {FLOW_CONTROL_SHORT.get(mode, mode)}",
        colour=colour,
        unit=unit,
        symbol=_SYMBOL.get(mode, "square"),
        dash=_DASH.get(mode, "dot"),
    )


def _rate_axes(figure: Figure) -> None:
    figure.update_xaxes(
        title_text="send rate of the congestion streams (% of maximum)",
        range=[-3, 103],
        tick0=0,
        dtick=10,
    )
    figure.update_yaxes(title_text="throughput in MByte/s", dtick=20)
    figure.update_layout(hovermode="closest")


@dataclass(frozen=True)
class _Look:
    """How the mean of several curves is drawn and spoken of."""

    name: str
    colour: str
    unit: str
    symbol: str
    dash: str


def _band(figure: Figure, rows: pd.DataFrame, value: str, look: _Look) -> None:
    """Mean of several ports with the space between the lowest and the highest filled."""
    if rows.empty:
        return
    by_rate = rows.groupby("send_rate")[value].agg(["mean", "min", "max"])
    x = 100 * by_rate.index.to_numpy(dtype=float)
    edge = {
        "x": x,
        "mode": "lines",
        "line": {"width": 0},
        "hoverinfo": "skip",
        "showlegend": False,
        "legendgroup": look.name,
    }
    filled = {"fill": "tonexty", "fillcolor": see_through(look.colour, 0.22)}
    figure.add_trace(trace("Scatter", y=by_rate["min"].to_numpy(), **edge))
    figure.add_trace(trace("Scatter", y=by_rate["max"].to_numpy(), **filled, **edge))
    figure.add_trace(
        trace(
            "Scatter",
            x=x,
            y=by_rate["mean"].to_numpy(),
            customdata=by_rate[["min", "max"]].to_numpy(),
            name=f"{look.name} (mean)",
            legendgroup=look.name,
            mode="lines+markers",
            line={"color": look.colour, "width": 2.5, "dash": look.dash},
            marker={"size": 7, "symbol": look.symbol},
            hovertemplate=f"{look.name} at %{{x:g}} %<br>mean %{{y:.2f}}, from "
            f"%{{customdata[0]:.2f}} to %{{customdata[1]:.2f}} {look.unit}<extra></extra>",
        )
    )


def _line(figure: Figure, ports: pd.DataFrame, mode: str, port: int) -> None:
    rows = ports[(ports["flow_control"] == mode) & (ports["port"] == port)]
    if rows.empty:
        return
    ordered = rows.sort_values("send_rate")
    short = FLOW_CONTROL_SHORT.get(mode, mode)
    figure.add_trace(
        trace(
            "Scatter",
            x=100 * ordered["send_rate"].to_numpy(),
            y=ordered["mbyte_per_s"].to_numpy(),
            name=f"port {port}, {short}",
            mode="lines+markers",
            line={"color": VERMILION, "width": 2.5, "dash": _DASH.get(mode)},
            marker={"size": 7, "symbol": _SYMBOL.get(mode, "square")},
            hovertemplate=f"port {port} {short} at %{{x:g}} %<br>%{{y:.2f}} MByte/s<extra></extra>",
        )
    )


def _marker(published: Published) -> Trace:
    middle = (published.low + published.high) / 2
    half = (published.high - published.low) / 2
    return trace(
        "Scatter",
        x=[100 * rate for rate in published.rates],
        y=[middle] * len(published.rates),
        error_y={
            "type": "constant",
            "value": half,
            "visible": half > 0,
            "color": published.colour,
            "thickness": 1.5,
            "width": 5,
        },
        name=published.label,
        mode="markers",
        marker={
            "symbol": published.symbol,
            "size": 11,
            "color": published.colour,
            "line": {"width": 2, "color": published.colour},
        },
        hovertemplate=f"{published.label} MByte/s<extra>{published.claim}</extra>",
    )


def _onset(figure: Figure) -> None:
    figure.add_vline(
        x=100 * ONSET_RATE,
        line={"color": MUTED, "width": 1.5, "dash": "dot"},
        annotation={
            "text": "dotted: thesis, off, sets in at 15 %",
            "font": {"size": 12, "color": MUTED},
            "yanchor": "top",
            "xanchor": "left",
            "y": 0.5,
            "yref": "paper",
            "xshift": 26,
        },
    )


def _span(ports: pd.Series) -> str:
    numbers = sorted({int(port) for port in ports})
    if not numbers:
        return "other ports"
    if len(numbers) == 1:
        return f"port {numbers[0]}"
    return f"ports {numbers[0]}-{numbers[-1]}"


def _top(table: pd.DataFrame) -> float:
    return 1.05 * float(table["mbyte_per_s"].max()) if not table.empty else 0.0
