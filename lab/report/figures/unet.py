"""The ATM LAN: round trip and bandwidth over the message size (thesis 2.4.2, figures 2.3, 2.4)."""

from __future__ import annotations

import pandas as pd

from lab.report.figures.base import Figure, panels
from lab.report.figures.curves import Curve, Published, draw, draw_published
from lab.report.palette import BLUE, INK, SERIES, VERMILION

SINGLE_US, FIRST_US, CELL_US, CELL_BYTES = 65.0, 120.0, 6.0, 48
SINGLE_BYTES, MOST_BYTES = 40, 1024
FIBRE_MBYTE_PER_S, SATURATION_BYTES = 15.2, 800


def round_trip_figure(latencies: pd.DataFrame) -> Figure:
    """Round trip over message size (thesis figure 2.3).

    Args:
        latencies: columns group, message_bytes, mean_us, min_us, max_us.
    """
    figure = panels(1, 1, 480)
    for index, (group, own) in enumerate(latencies.groupby("group", sort=True)):
        mean = own.groupby("message_bytes").agg(
            {"mean_us": "mean", "min_us": "min", "max_us": "max"}
        )
        draw(
            figure,
            Curve(
                str(group),
                mean.index,
                mean["mean_us"],
                SERIES[index % len(SERIES)],
                "us",
                symbol=("circle", "triangle-up", "square", "diamond")[index % 4],
                low=mean["min_us"],
                high=mean["max_us"],
                names=[f"{n:,} bytes" for n in mean.index],
            ),
            row=1,
            col=1,
        )
    drawn = (
        ("unet-rtt-single-cell", "thesis: 65 us in one cell", (0, SINGLE_BYTES), 0.0),
        (
            "unet-rtt-per-cell",
            "thesis: 120 us at 48 bytes, 6 us more with each cell",
            (CELL_BYTES, MOST_BYTES),
            CELL_US,
        ),
    )
    for (claim, label, ends, slope), start, colour in zip(
        drawn, (SINGLE_US, FIRST_US), (VERMILION, INK), strict=True
    ):
        x = tuple(float(end) for end in ends)
        y = (start, start + slope * (x[1] - x[0]) / CELL_BYTES)
        draw_published(figure, Published(claim, label, colour, x, y, line=True), row=1, col=1)
    figure.update_xaxes(title_text="message size in bytes", rangemode="tozero")
    figure.update_yaxes(title_text="round trip in us", rangemode="tozero")
    return figure


def fibre_figure(streams: pd.DataFrame) -> Figure:
    """Bandwidth over message size against the fibre's limit (thesis figure 2.4).

    Args:
        streams: columns group, message_bytes, mbyte_per_s (of all streams of a group).
    """
    figure = panels(1, 1, 480)
    for index, (group, own) in enumerate(streams.groupby("group", sort=True)):
        mean = own.groupby("message_bytes")["mbyte_per_s"].mean()
        draw(
            figure,
            Curve(
                str(group),
                mean.index,
                mean,
                SERIES[index % len(SERIES)],
                "MByte/s",
                names=[f"{n:,} bytes" for n in mean.index],
            ),
            row=1,
            col=1,
        )
    most = float(streams["message_bytes"].max())
    published = (
        Published(
            "unet-peak-fiber-bandwidth",
            "thesis: peak of the fibre, 15.2",
            INK,
            (0.0, most),
            (FIBRE_MBYTE_PER_S,) * 2,
            line=True,
        ),
        Published(
            "unet-saturation-size",
            "thesis: saturated from about 800 bytes",
            BLUE,
            (float(SATURATION_BYTES),),
            (FIBRE_MBYTE_PER_S,),
            "star-open",
        ),
        Published(
            "unet-bandwidth-4k",
            "thesis: 120 Mbit/s at 4 KByte",
            VERMILION,
            (4096.0,),
            (15.0,),
            "diamond-open",
        ),
    )
    for one in published:
        draw_published(figure, one, row=1, col=1)
    figure.update_xaxes(title_text="message size in bytes", rangemode="tozero")
    figure.update_yaxes(title_text="bandwidth in MByte/s", rangemode="tozero")
    return figure
