"""A whole case over time: messages a second by label, and each node's views and phases."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from lab.analysis.stacks.lives import Span, phases, running, views
from lab.analysis.stacks.observations import StackObservations
from lab.report.figures.base import Figure, plain_figure, trace
from lab.report.palette import INK, MUTED, SERIES, VERMILION
from lab.report.stacks.arrows import group_of
from lab.report.stacks.moments import told_events
from lab.stacks.events import FAULT

BINS = 240
MOST_LABELS = 8
_ROW_PX = 22


def rate_figure(run: StackObservations, case: str) -> Figure:
    """Datagrams sent a second by kind, over a whole case."""
    sent = run.messages(case)
    end_s = run.ended_s(case)
    groups = sent["label"].astype("str").map(group_of)
    bin_s = end_s / BINS
    figure = plain_figure(340)
    for index, group in enumerate(groups.value_counts().index[:MOST_LABELS]):
        counts, edges = np.histogram(sent.loc[groups == group, "t_s"], BINS, (0.0, end_s))
        figure.add_trace(
            trace(
                "Scatter",
                x=edges[:-1] + bin_s / 2,
                y=counts / bin_s,
                mode="lines",
                name=str(group),
                line={"color": SERIES[index % len(SERIES)], "width": 1.6, "shape": "hvh"},
                hovertemplate=f"{group}: %{{y:,.1f}} messages/s at %{{x:.2f}} s<extra></extra>",
            )
        )
    _fault_lines(figure, run, case)
    figure.update_xaxes(title_text="virtual time in s", range=[0, end_s])
    figure.update_yaxes(title_text="messages sent per s", rangemode="tozero")
    return figure


def lives_figure(run: StackObservations, case: str) -> Figure:
    """A row for each node: while it runs, its views, and on top its phases."""
    nodes, end_s = run.planned[case].nodes, run.ended_s(case)
    figure = plain_figure(max(200, 150 + _ROW_PX * nodes))
    _bars(figure, running(run, case), "runs", MUTED, 0.10, opacity=0.35)
    seen_views = views(run, case)
    common = list(dict.fromkeys(span.what for span in seen_views))
    for index, members in enumerate(common[: len(SERIES)]):
        own = [span for span in seen_views if span.what == members]
        _bars(figure, own, f"view of {members}", SERIES[index], 0.62, opacity=0.85)
    rest = [span for span in seen_views if span.what in common[len(SERIES) :]]
    if rest:
        _bars(figure, rest, "other views", MUTED, 0.62, opacity=0.85)
    passing = phases(run, case)
    if passing:
        _bars(figure, passing, "in a phase", INK, 0.18, opacity=1.0)
    _fault_lines(figure, run, case)
    figure.update_layout(barmode="overlay")
    figure.update_xaxes(title_text="virtual time in s", range=[0, end_s])
    figure.update_yaxes(
        range=[nodes + 0.7, 0.3], title_text="node", dtick=max(1, round(nodes / 8)), tick0=1
    )
    return figure


def _bars(
    figure: Figure, spans: Sequence[Span], name: str, colour: str, width: float, *, opacity: float
) -> None:
    shown = [span for span in spans if span.end_s > span.start_s]
    figure.add_trace(
        trace(
            "Bar",
            orientation="h",
            x=[span.end_s - span.start_s for span in shown],
            base=[span.start_s for span in shown],
            y=[span.node for span in shown],
            width=width,
            name=name,
            marker={"color": colour, "opacity": opacity, "line": {"width": 0}},
            text=[span.told or span.what for span in shown],
            textposition="none",
            hovertemplate="node %{y}: %{text}<br>from %{base:.3f} s<extra></extra>",
        )
    )


def _fault_lines(figure: Figure, run: StackObservations, case: str) -> None:
    """A dashed line where something was done to nodes."""
    told = told_events(run, case)
    last_s = -math.inf
    for t_s in told.loc[told["kind"] == FAULT, "t_s"]:
        if t_s > last_s:
            figure.add_vline(x=t_s, line={"color": VERMILION, "width": 1.2, "dash": "dash"})
        last_s = t_s
