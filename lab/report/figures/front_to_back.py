"""Random streams from front to back (thesis 4.6.1, 4.7; figures 4.5, 4.6, 4.10, 4.11)."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import pandas as pd

from lab.report.axis import size_ticks
from lab.report.figures.base import (
    Figure,
    flow_control_name,
    flow_control_order,
    panels,
    plain_figure,
    trace,
)
from lab.report.figures.curves import (
    DASH,
    SYMBOL,
    Curve,
    Published,
    along,
    draw,
    draw_published,
    mode_name,
)
from lab.report.palette import BLUE, INK, MUTED, SERIES, VERMILION

FULL_MBYTE_PER_S = 112.0
COMPARED_BYTES, MEAN_LOSS = 2048, 0.27
LEFT_AT_MOST, ONSET_BYTES = 0.58, 512
_CLASS_MBYTE_PER_S = 10


def histogram_figure(streams: pd.DataFrame, n_bytes: int) -> Figure:
    """How many streams got how much, layout by layout.

    Args:
        streams: columns flow_control, group (the layout), stream, message_bytes, mbyte_per_s.
        n_bytes: the message size to be drawn.
    """
    own = streams[streams["message_bytes"] == n_bytes]
    modes = flow_control_order(list(own["flow_control"]))
    figure = panels(
        1,
        max(len(modes), 1),
        400,
        shared_yaxes=True,
        horizontal_spacing=0.04,
        subplot_titles=[flow_control_name(mode) for mode in modes],
    )
    edges = np.arange(0, FULL_MBYTE_PER_S + _CLASS_MBYTE_PER_S, _CLASS_MBYTE_PER_S)
    names = [f"{low:g}-{low + _CLASS_MBYTE_PER_S:g}" for low in edges[:-1]]
    for col, mode in enumerate(modes, start=1):
        for index, (layout, rows) in enumerate(
            own[own["flow_control"] == mode].groupby("group", sort=True)
        ):
            counted, _ = np.histogram(rows["mbyte_per_s"], bins=edges)
            figure.add_trace(
                trace(
                    "Bar",
                    x=names,
                    y=counted,
                    name=str(layout),
                    legendgroup=str(layout),
                    showlegend=col == 1,
                    marker={
                        "color": SERIES[index % len(SERIES)],
                        "pattern": {"shape": ("", "/", "x", ".")[index % 4]},
                    },
                    hovertemplate=f"{layout}: %{{y}} streams with %{{x}} MByte/s<extra></extra>",
                ),
                row=1,
                col=col,
            )
    figure.update_layout(barmode="group")
    figure.update_yaxes(title_text="streams", col=1)
    figure.update_xaxes(title_text="throughput of a stream in MByte/s", type="category")
    return figure


def totals_figure(groups: pd.DataFrame, claims: Collection[str], only: str = "") -> Figure:
    """Throughput of the whole fabric over the message size.

    Args:
        groups: what `by_group` returns; a group is a layout.
        claims: the claims that the run tests.
        only: the layout to be drawn, on against off; empty for all.
    """
    figure = panels(1, 1, 460)
    layouts = [only] if only else sorted(set(groups["group"].astype(str)))
    for index, layout in enumerate(layouts):
        for mode in flow_control_order(list(groups["flow_control"])):
            own = groups[(groups["group"] == layout) & (groups["flow_control"] == mode)]
            if own.empty:
                continue
            ordered = along(own, [float(n) for n in own["message_bytes"]])
            colour = SERIES[index % len(SERIES)]
            if only:
                colour = BLUE if mode == "quench" else VERMILION
            draw(
                figure,
                Curve(
                    mode_name(layout, mode),
                    ordered["x"],
                    ordered["total"],
                    colour,
                    "MByte/s",
                    DASH.get(mode, "dot"),
                    SYMBOL.get(mode, "square"),
                    names=list(ordered["name"]),
                ),
                row=1,
                col=1,
            )
    if only:
        _published_totals(figure, groups[groups["group"] == only], claims)
    figure.update_xaxes(title_text="message size in bytes", type="log", **size_ticks())
    figure.update_yaxes(title_text="all streams together, MByte/s", rangemode="tozero")
    return figure


def _published_totals(figure: Figure, groups: pd.DataFrame, claims: Collection[str]) -> None:
    on = groups[groups["flow_control"] == "quench"]
    if "fabric-off-ftb-total" in claims and not on.empty:
        most = on.sort_values("message_bytes").iloc[-1]
        draw_published(
            figure,
            Published(
                "fabric-off-ftb-total",
                "thesis: off, 58 % of on at the largest size",
                VERMILION,
                (float(most["message_bytes"]),),
                (LEFT_AT_MOST * float(most["total"]),),
                "star-open",
            ),
            row=1,
            col=1,
        )
    if "fabric-off-ftb-onset" in claims:
        figure.add_vline(
            x=ONSET_BYTES,
            line={"color": MUTED, "width": 1.5, "dash": "dot"},
        )
        figure.add_annotation(
            x=float(np.log10(ONSET_BYTES)),  # on a logarithmic axis Plotly wants the exponent
            y=0.04,
            yref="y domain",
            text="thesis: loss noticeable from 512 bytes on",
            showarrow=False,
            xanchor="left",
            xshift=6,
            font={"size": 12, "color": MUTED},
        )


def pairs_figure(
    streams: pd.DataFrame,
    layout: str,
    n_bytes: int,
    apart: Collection[str],
    claims: Collection[str],
) -> Figure:
    """Every stream of a layout with flow control on and off.

    Args:
        streams: columns flow_control, group, stream, message_bytes, mbyte_per_s.
        layout: the group to be drawn.
        n_bytes: the message size to be drawn.
        apart: streams that share no link with another; marked with a star.
        claims: the claims that the run tests.
    """
    own = streams[(streams["group"] == layout) & (streams["message_bytes"] == n_bytes)]
    wide = own.pivot_table(index="stream", columns="flow_control", values="mbyte_per_s")
    wide = wide.sort_values("quench" if "quench" in wide else next(iter(wide.columns)))
    names = [
        f"{str(stream).removeprefix(f'{layout}-')}{' *' if stream in apart else ''}"
        for stream in wide.index
    ]
    figure = plain_figure(440)
    for mode in flow_control_order([str(column) for column in wide.columns]):
        figure.add_trace(
            trace(
                "Bar",
                x=names,
                y=wide[mode].to_numpy(),
                name=flow_control_name(mode),
                marker={
                    "color": BLUE if mode == "quench" else VERMILION,
                    "pattern": {"shape": "" if mode == "quench" else "/"},
                },
                hovertemplate=f"%{{x}}: %{{y:.2f}} MByte/s, {flow_control_name(mode)}"
                "<extra></extra>",
            )
        )
    if "fabric-off-isolated" in claims:
        marked = [name for name in names if name.endswith("*")]
        figure.add_trace(
            trace(
                "Scatter",
                x=marked,
                y=[FULL_MBYTE_PER_S] * len(marked),
                mode="markers",
                name="thesis: shares no link, 112 on and off",
                marker={
                    "symbol": "star-open",
                    "size": 13,
                    "color": INK,
                    "line": {"width": 2, "color": INK},
                },
                hovertemplate="thesis: 112 MByte/s<extra>fabric-off-isolated</extra>",
            )
        )
    figure.update_layout(barmode="group", margin={"t": 32})
    figure.update_xaxes(title_text="source (* shares no link)", type="category", tickangle=-60)
    figure.update_yaxes(title_text="throughput in MByte/s", rangemode="tozero")
    return figure


def mean_loss(streams: pd.DataFrame, layout: str, n_bytes: int, apart: Collection[str]) -> float:
    """Mean part of its throughput that a stream loses without quench; nan if that is not known."""
    own = streams[
        (streams["group"] == layout)
        & (streams["message_bytes"] == n_bytes)
        & ~streams["stream"].isin(list(apart))
    ]
    wide = own.pivot_table(index="stream", columns="flow_control", values="mbyte_per_s")
    if not {"quench", "link"} <= set(wide.columns):
        return float("nan")
    used = wide[wide["quench"] > 0]
    return float((1 - used["link"] / used["quench"]).mean())


def streams_apart(vcs: pd.DataFrame) -> set[str]:
    """Streams that share no link with another of their group."""
    hops = vcs.sort_values(["vc", "hop"])
    links = hops.assign(to=hops.groupby("vc")["node"].shift(-1))
    links = links[links["to"].notna()]
    users = links.groupby(["group", "node", "to"])["vc"].transform("nunique")
    shared = set(links.loc[users > 1, "stream"].astype(str))
    return set(links["stream"].astype(str)) - shared
