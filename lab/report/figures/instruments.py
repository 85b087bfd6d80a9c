"""The run's own instruments: lateness of the line cards and load of the machine."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import pandas as pd

from lab.fabric.buckets import LATENESS_BOUNDS_US, LATENESS_BUCKETS
from lab.report.figures.base import Figure, panels, pass_label, plain_figure, trace
from lab.report.palette import AMBER, BLUE, GREEN, MUTED, PINK, SERIES, VERMILION

_ENDS_MS = [us / 1000 for us in LATENESS_BOUNDS_US]
_BUCKETS = dict(
    zip(
        LATENESS_BUCKETS,
        (
            f"up to {_ENDS_MS[0]:g} ms",
            *(f"{low:g} to {high:g} ms" for low, high in pairwise(_ENDS_MS)),
            f"over {_ENDS_MS[-1]:g} ms",
        ),
        strict=True,
    )
)
_WHAT = {
    "machine": ("whole machine", MUTED),
    "ovs-vswitchd": ("Open vSwitch", BLUE),
    "linecards": ("line cards", VERMILION),
    "endpoints": ("endpoint processes", GREEN),
    "low-priority": ("programs at low priority", AMBER),
    "steal": ("stolen by the hypervisor", PINK),
}


def delay_figure(lateness: pd.DataFrame, what: str, passes: Sequence[tuple[str, str]]) -> Figure:
    """Share of frames by one of the emulation's own delays (real time), one bar a pass.

    Args:
        lateness: the run's lateness table.
        what: "late" or "crossing".
        passes: name and flow control of each pass.
    """
    figure = plain_figure(320)
    lateness = lateness[lateness["what"] == what]
    buckets = [bucket for bucket in _BUCKETS if bucket in lateness.columns]
    patterns = ("", "/", "x", ".")
    for index, (name, mode) in enumerate(passes):
        counted = lateness.loc[lateness["pass"] == name, buckets].sum().astype(float)
        total = counted.sum()
        if not total:
            continue
        figure.add_trace(
            trace(
                "Bar",
                x=[_BUCKETS[bucket] for bucket in buckets],
                y=(100 * counted / total).to_numpy(),
                customdata=counted.to_numpy(),
                name=pass_label(name, mode, passes),
                marker={
                    "color": SERIES[index % len(SERIES)],
                    "pattern": {"shape": patterns[index % len(patterns)]},
                },
                hovertemplate="%{x}: %{y:.3f} % (%{customdata:,.0f} frames)<extra></extra>",
            )
        )
    figure.update_layout(barmode="group")
    figure.update_yaxes(
        title_text="share of frames (%)",
        type="log",
        range=[-4, 2.1],
        tickvals=[0.001, 0.01, 0.1, 1, 10, 100],
        ticktext=["0.001", "0.01", "0.1", "1", "10", "100"],
    )
    figure.update_xaxes(title_text="lateness of a line-card tick (real time)")
    return figure


def cpu_figure(machine: pd.DataFrame, passes: Sequence[tuple[str, str]]) -> Figure:
    """Cores used over the real time of each pass."""
    figure = panels(
        1,
        max(len(passes), 1),
        320,
        shared_yaxes=True,
        horizontal_spacing=0.04,
        subplot_titles=[pass_label(name, mode, passes) for name, mode in passes],
    )
    for col, (name, _) in enumerate(passes, start=1):
        mine = machine[machine["pass"] == name]
        for what in _ordered(machine):
            rows = mine[mine["what"] == what].sort_values("t_s")
            label, colour = _WHAT.get(what, (what, AMBER))
            figure.add_trace(
                trace(
                    "Scatter",
                    x=rows["t_s"].to_numpy(),
                    y=rows["cpu"].to_numpy(),
                    name=label,
                    legendgroup=what,
                    showlegend=col == 1,
                    mode="lines",
                    line={
                        "color": colour,
                        "width": 2.4 if what == "machine" else 1.8,
                        "dash": "dash" if what == "machine" else "solid",
                    },
                    hovertemplate=f"{label}: %{{y:.2f}} cores at %{{x:.0f}} s<extra></extra>",
                ),
                row=1,
                col=col,
            )
    figure.update_yaxes(rangemode="tozero")
    figure.update_yaxes(title_text="cores used", col=1)
    figure.update_xaxes(title_text="real time in s")
    return figure


def _ordered(machine: pd.DataFrame) -> list[str]:
    seen = {str(what) for what in machine["what"]}
    return [what for what in _WHAT if what in seen] + sorted(seen - set(_WHAT))
