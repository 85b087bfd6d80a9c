"""A slow host behind the fabric (thesis 4.6.2, figure 4.7)."""

from __future__ import annotations

from collections.abc import Collection

import pandas as pd

from lab.report.figures.base import Figure, flow_control_name, flow_control_order, panels
from lab.report.figures.curves import DASH, SYMBOL, Curve, Published, along, draw, draw_published
from lab.report.palette import BLUE, INK, VERMILION

MESSAGES_PER_S = 266_000.0
_STREAMS = 7
BACKGROUND = (
    Published(
        "fabric-background-alone", "thesis: background alone, 112", INK, (0.0,), (112.0,),
        "star-open",
    ),
    Published(
        "fabric-slowhost-shared", "thesis: sharing a port with the first, 107", VERMILION,
        (1.0,), (107.0,), "circle-open",
    ),
    Published(
        "fabric-slowhost-floor", "thesis: at least 110", INK,
        tuple(float(n) for n in range(2, _STREAMS + 1)), (110.0,) * (_STREAMS - 1),
        "triangle-up-open",
    ),
)  # fmt: skip


def slow_host_figure(streams: pd.DataFrame, swept: str, claims: Collection[str]) -> Figure:
    """Background above, congestion below, over the number of congestion streams.

    Args:
        streams: columns flow_control, step, value, group, stream, messages_per_s, mbyte_per_s,
            active (whether the scenario lets the stream send in the step).
        swept: group of the congestion streams.
        claims: the claims that the run tests.
    """
    modes = flow_control_order(list(streams["flow_control"]))
    figure = panels(
        2,
        max(len(modes), 1),
        720,
        shared_yaxes=True,
        horizontal_spacing=0.05,
        vertical_spacing=0.13,
        subplot_titles=[flow_control_name(mode) for mode in modes],
    )
    shown: set[str] = set()
    for col, mode in enumerate(modes, start=1):
        own = streams[(streams["flow_control"] == mode) & streams["active"]]
        for (group, stream), rows in own.groupby(["group", "stream"], sort=True):
            ordered = along(rows, [float(value) for value in rows["value"]])
            congests = str(group) == swept
            curve = Curve(
                f"{group} streams",
                ordered["x"],
                ordered["messages_per_s" if congests else "mbyte_per_s"],
                VERMILION if congests else BLUE,
                "messages/s" if congests else "MByte/s",
                DASH.get(mode, "dot"),
                SYMBOL.get(mode, "square"),
                names=[f"{value:g} streams: {stream}" for value in ordered["x"]],
                width=1.2,
            )
            row = 2 if congests else 1
            draw(figure, curve, row=row, col=col, legend=curve.name not in shown)
            shown.add(curve.name)
        if mode == "quench":
            for published in BACKGROUND:
                if published.claim in claims:
                    draw_published(figure, published, row=1, col=col)
        if "fabric-slowhost-share" in claims:
            counts = tuple(float(n) for n in range(1, _STREAMS + 1))
            share = Published(
                "fabric-slowhost-share",
                "thesis: 266,000 / streams",
                INK,
                counts,
                tuple(MESSAGES_PER_S / n for n in counts),
                line=True,
            )
            draw_published(figure, share, row=2, col=col, legend=col == 1)
    figure.update_xaxes(title_text=f"{swept} streams at work", dtick=1, tick0=0)
    figure.update_yaxes(rangemode="tozero")
    figure.update_yaxes(title_text="background stream, MByte/s", row=1, col=1)
    figure.update_yaxes(title_text=f"{swept} stream, messages/s", row=2, col=1)
    return figure
