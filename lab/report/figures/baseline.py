"""One stream alone: latency by switches on its path and by size, bandwidth by size.

Thesis 4.5, figures 4.2 to 4.4; the points and curves of the figures are lost, what the text says
of them is drawn.
"""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from lab.report.axis import size_ticks
from lab.report.figures.base import Figure, Trace, panels, trace
from lab.report.figures.curves import (
    DASH,
    SYMBOL,
    Curve,
    Published,
    draw,
    draw_published,
    mode_name,
)
from lab.report.palette import INK, MUTED, SERIES

HISTOGRAM_SIZES = (16, 1024)
BASE_LATENCY_US, HOP_US = 10.0, 1.0
MESSAGES_PER_S, FULL_MBYTE_PER_S = 266_000, 114.0
_PATHS = (1, 3, 5)


def latency_by_hops_figure(latencies: pd.DataFrame, latency: pd.DataFrame) -> Figure:
    """Mean latency over the number of switches, and how it is distributed.

    Args:
        latencies: columns message_bytes, switches, mean_us, min_us, max_us (one pass).
        latency: columns message_bytes, switches, low_ns, high_ns, messages (the same pass).
    """
    sizes = [n for n in HISTOGRAM_SIZES if (latencies["message_bytes"] == n).any()]
    sizes = sizes or sorted(set(latencies["message_bytes"]))[:2]
    figure = panels(
        1,
        1 + len(sizes),
        420,
        horizontal_spacing=0.08,
        subplot_titles=["mean (whiskers: least and most)", *(f"{n:,} bytes" for n in sizes)],
    )
    for index, n_bytes in enumerate(sizes):
        own = latencies[latencies["message_bytes"] == n_bytes]
        figure.add_trace(_by_hops(own, n_bytes, SERIES[index % len(SERIES)]), row=1, col=1)
        _histogram(figure, latency[latency["message_bytes"] == n_bytes], col=index + 2)
    draw_published(
        figure,
        Published(
            "fabric-hop-latency",
            "thesis: 10 us, 1 us more with each hop",
            INK,
            tuple(float(n) for n in _PATHS),
            tuple(BASE_LATENCY_US + HOP_US * (n - 1) for n in _PATHS),
            line=True,
        ),
        row=1,
        col=1,
    )
    figure.update_xaxes(title_text="switches on the path", tickvals=list(_PATHS), col=1)
    figure.update_yaxes(title_text="latency in us", rangemode="tozero", col=1)
    for col in range(2, 2 + len(sizes)):
        figure.update_xaxes(title_text="latency in us", col=col)
    figure.update_yaxes(title_text="share of messages (%)", col=2)
    figure.update_layout(barmode="overlay")
    return figure


def _by_hops(latencies: pd.DataFrame, n_bytes: int, colour: str) -> Trace:
    """The mean over the number of switches, with whiskers to the least and the most."""
    mean = latencies.groupby("switches").agg({"mean_us": "mean", "min_us": "min", "max_us": "max"})
    return trace(
        "Scatter",
        x=mean.index.to_numpy(dtype=float),
        y=mean["mean_us"].to_numpy(),
        error_y={
            "type": "data",
            "symmetric": False,
            "array": (mean["max_us"] - mean["mean_us"]).to_numpy(),
            "arrayminus": (mean["mean_us"] - mean["min_us"]).to_numpy(),
            "thickness": 1.2,
        },
        mode="lines+markers",
        name=f"{n_bytes:,} bytes",
        line={"color": colour, "width": 2.2},
        marker={"size": 8},
        hovertemplate=f"{n_bytes:,} bytes over %{{x:g}} switches: %{{y:.3f}} us<extra></extra>",
    )


def _histogram(figure: Figure, latency: pd.DataFrame, col: int) -> None:
    for switches, rows in latency.groupby("switches"):
        summed = rows.groupby(["low_ns", "high_ns"])["messages"].sum().reset_index()
        low, high = summed["low_ns"] / 1e3, summed["high_ns"] / 1e3
        index = _PATHS.index(int(str(switches))) if int(str(switches)) in _PATHS else 0
        figure.add_trace(
            trace(
                "Bar",
                x=((low + high) / 2).to_numpy(),
                width=(high - low).to_numpy(),
                y=(100 * summed["messages"] / summed["messages"].sum()).to_numpy(),
                name=f"{switches} switches" if int(str(switches)) > 1 else "1 switch",
                legendgroup=f"paths{switches}",
                showlegend=col == 2,
                opacity=0.75,
                marker={
                    "color": SERIES[(index + 2) % len(SERIES)],
                    "pattern": {"shape": ("", "/", "x")[index]},
                },
                hovertemplate=f"{switches} switches, %{{x:.2f}} us: %{{y:.1f}} %<extra></extra>",
            ),
            row=1,
            col=col,
        )


def latency_by_size_figure(latencies: pd.DataFrame) -> Figure:
    """Mean latency over the message size, one line for each number of switches.

    Args:
        latencies: columns flow_control, message_bytes, switches, mean_us, min_us, max_us.
    """
    figure = panels(1, 1, 440)
    paths = sorted(set(latencies["switches"].astype(int)))
    for (mode, switches), own in latencies.groupby(["flow_control", "switches"]):
        mean = own.groupby("message_bytes")["mean_us"].mean()
        words = f"{switches} switches" if int(str(switches)) > 1 else "1 switch"
        draw(
            figure,
            Curve(
                mode_name(words, str(mode)),
                mean.index,
                mean,
                SERIES[(paths.index(int(str(switches))) + 2) % len(SERIES)],
                "us",
                DASH.get(str(mode), "dot"),
                SYMBOL.get(str(mode), "square"),
                names=[f"{n:,} bytes" for n in mean.index],
            ),
            row=1,
            col=1,
        )
    draw_published(
        figure,
        Published(
            "fabric-base-latency",
            "thesis: lowest latency, 10 us",
            INK,
            (float(latencies["message_bytes"].min()),),
            (BASE_LATENCY_US,),
            "star-open",
        ),
        row=1,
        col=1,
    )
    _size_axis(figure)
    figure.update_yaxes(title_text="latency in us", type="log", dtick=1)
    return figure


def bandwidth_figure(
    streams: pd.DataFrame, labels: Sequence[str], full_mbyte_per_s: float
) -> Figure:
    """Throughput of single streams over the message size, and the two limits of the thesis.

    Args:
        streams: columns flow_control, message_bytes, label, mbyte_per_s.
        labels: the lines to be drawn.
        full_mbyte_per_s: what the configured link carries of such messages.
    """
    figure = panels(1, 2, 460, horizontal_spacing=0.09)
    for index, label in enumerate(labels):
        for mode in sorted(set(streams["flow_control"]), reverse=True):
            own = streams[(streams["label"] == label) & (streams["flow_control"] == mode)]
            mean = own.groupby("message_bytes")["mbyte_per_s"].mean()
            for col, values in ((1, mean), (2, mean * 1e6 / mean.index)):
                draw(
                    figure,
                    Curve(
                        mode_name(label, mode),
                        mean.index,
                        values,
                        SERIES[(index + 2) % len(SERIES)],
                        "MByte/s" if col == 1 else "messages/s",
                        DASH.get(mode, "dot"),
                        SYMBOL.get(mode, "square"),
                        names=[f"{n:,} bytes" for n in mean.index],
                    ),
                    row=1,
                    col=col,
                    legend=col == 1,
                )
    _draw_limits(figure)
    if full_mbyte_per_s:
        figure.add_hline(
            y=full_mbyte_per_s,
            line={"color": MUTED, "width": 1.2, "dash": "dash"},
            annotation={
                "text": f"configured link: {full_mbyte_per_s:.1f}",
                "font": {"size": 12, "color": MUTED},
            },
            annotation_position="top left",
            row=1,
            col=1,
        )
    _size_axis(figure)
    figure.update_yaxes(title_text="throughput in MByte/s", rangemode="tozero", col=1)
    figure.update_yaxes(title_text="messages/s", rangemode="tozero", col=2)
    return figure


def _draw_limits(figure: Figure) -> None:
    """The thesis's limits of one stream, as throughput and as messages a second."""
    sizes = tuple(float(2**n) for n in range(17))
    limit = tuple(min(MESSAGES_PER_S * n / 1e6, FULL_MBYTE_PER_S) for n in sizes)
    line = Published(
        "fabric-rate-vs-size",
        "thesis: 266,000 messages/s or 114 MByte/s, whichever is less",
        INK,
        sizes,
        limit,
        line=True,
    )
    draw_published(figure, line, row=1, col=1)
    rates = tuple(1e6 * top / n for top, n in zip(limit, sizes, strict=True))
    draw_published(
        figure,
        Published(line.claim, line.label, INK, sizes, rates, line=True),
        row=1,
        col=2,
        legend=False,
    )


def _size_axis(figure: Figure) -> None:
    figure.update_xaxes(title_text="message size in bytes", type="log", **size_ticks())
