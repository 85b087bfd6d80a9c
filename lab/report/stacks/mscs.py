"""Figures of the MSCS experiments: what thesis 7.1 to 7.5 showed, published beside measured.

The thesis's figures are lost; what its text says of them are the hollow marks and bands.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence

import pandas as pd

from lab.analysis.mscs.courses import completed, state_messages
from lab.analysis.mscs.failover import polls
from lab.analysis.mscs.join import first_heartbeat_wait_s
from lab.analysis.mscs.join_loaded import shares
from lab.analysis.mscs.joins import Join, grown, joins
from lab.analysis.observations import MissingDataError
from lab.analysis.stacks.observations import StackObservations
from lab.report.blocks import figure, lacking
from lab.report.figures.base import Figure, panels, plain_figure, see_through, trace
from lab.report.palette import AMBER, BLUE, GREEN, INK, PINK, SERIES, SKY, VERMILION
from lab.report.stacks.sizes import mean_line, published
from lab.report.stacks.updates import failures_figure, pace_figure

FigureOf = Callable[[StackObservations], str]
"""Draws one figure of a run, as HTML."""

_PHASES = {
    "lock": BLUE,
    "network": VERMILION,
    "petition": GREEN,
    "database": PINK,
    "unlock": AMBER,
}


def _shown(draw: Callable[[StackObservations], Figure], caption: str, what: str) -> FigureOf:
    """A figure with its caption, or a sentence where the run has nothing for it."""

    def section(run: StackObservations) -> str:
        try:
            return figure(draw(run), caption)
        except MissingDataError:
            return lacking(what, "cases")

    return section


# --- regroup ----------------------------------------------------------------------------------


def _regroup(run: StackObservations) -> Figure:
    shown = panels(1, 2, 460, subplot_titles=("state messages of a regroup", "its time, s"))
    for sweep, name, colour in (("one", "one failure", BLUE), ("two", "two failures", VERMILION)):
        chosen = run.chosen(sweep=sweep, variant="plain")
        sent: dict[int, list[float]] = {}
        took: dict[int, list[float]] = {}
        for case, nodes in zip(chosen.index, chosen["nodes"], strict=True):
            sent.setdefault(int(nodes), []).append(len(state_messages(run, str(case))))
            took.setdefault(int(nodes), []).append(
                float(completed(run, str(case))["took_s"].mean())
            )
        mean_line(shown, sent, name, colour, col=1)
        mean_line(shown, took, name, colour, col=2, legend=False)
    published(shown, 32, 10_000, "one failure, 10,000", col=1)
    published(shown, 32, 3, "3 s", col=2)
    shown.add_hrect(
        y0=30_000, y1=40_000, fillcolor=see_through(VERMILION, 0.12), line_width=0, row=1, col=1
    )
    shown.update_xaxes(title_text="nodes")
    return shown


# --- join -------------------------------------------------------------------------------------


def _join(run: StackObservations) -> Figure:
    shown = panels(1, 2, 460, subplot_titles=("a join without discovery, s", "its RPCs"))
    found: list[tuple[str, Join]] = [
        (case, join) for case in grown(run) for join in joins(run, case)
    ]
    for phase, colour in _PHASES.items():
        times: dict[int, list[float]] = {}
        for case, join in found:
            wait_s = first_heartbeat_wait_s(run, case, join) if phase == "petition" else 0.0
            times.setdefault(join.active, []).append(join.took_s[phase] - wait_s)
        mean_line(shown, times, phase, colour, col=1)
    counts: dict[int, list[float]] = {}
    for _, join in found:
        total = sum(count for phase, count in join.rpcs.items() if phase != "discovery")
        counts.setdefault(join.active, []).append(total)
    mean_line(shown, counts, "RPCs", INK, col=2)
    published(shown, 31, 227, "227 for the 32nd node", col=2)
    shown.update_xaxes(title_text="active nodes")
    return shown


# --- joins under load -------------------------------------------------------------------------


def _join_loaded(run: StackObservations) -> Figure:
    shown = plain_figure(420)
    lines = itertools.product(("moderate", "heavy"), ("plain", "progress"))
    for (load, variant), colour in zip(lines, (BLUE, SKY, VERMILION, AMBER), strict=True):
        parts = shares(run, load, variant)
        if parts:
            told = "" if variant == "plain" else ", joiner tells of its progress"
            x, y = [*parts], [part * 100 for part in parts.values()]
            line = {"color": colour, "dash": "solid" if variant == "plain" else "dash"}
            name = f"{load} load{told}"
            shown.add_trace(trace("Scatter", x=x, y=y, name=name, mode="lines+markers", line=line))
    if not shown.data:
        raise MissingDataError("no join under load came to an end")
    shown.update_xaxes(title_text="members with the joiner")
    shown.update_yaxes(title_text="first attempts that succeed, %", range=[-4, 104])
    return shown


# --- fail-over --------------------------------------------------------------------------------


def _failover(run: StackObservations) -> Figure:
    """A row for each case: who answered the client, and when nobody did."""
    spans: dict[str, list[tuple[str, float, float]]] = {}
    for case in run.names():
        for server, start_s, end_s in _answers(run, case):
            spans.setdefault(server, []).append((case, start_s, end_s))
    shown = plain_figure(max(240, 130 + 24 * len(run.names())))
    names = sorted(spans, key=lambda name: (name == NOBODY, len(name), name))
    others = [colour for colour in SERIES if colour != VERMILION]
    colours = {name: others[index % len(others)] for index, name in enumerate(names)}
    for name in names:
        shown.add_trace(
            trace(
                "Bar",
                orientation="h",
                y=[case for case, _, _ in spans[name]],
                base=[start_s for _, start_s, _ in spans[name]],
                x=[end_s - start_s for _, start_s, end_s in spans[name]],
                name=name,
                marker={"color": VERMILION if name == NOBODY else colours[name]},
                hovertemplate=f"{name} for %{{x:.1f}} s, from %{{base:.1f}} s<extra></extra>",
            )
        )
    shown.update_layout(barmode="overlay", bargap=0.35)
    shown.update_xaxes(title_text="when the client asked, virtual time in s")
    shown.update_yaxes(categoryorder="array", categoryarray=run.names(), autorange="reversed")
    return shown


NOBODY = "nobody answers"


def _answers(run: StackObservations, case: str) -> list[tuple[str, float, float]]:
    """Who answered, from when to when."""
    asked = polls(run, case)
    who = [NOBODY if pd.isna(server) else f"node {server:.0f}" for server in asked["server"]]
    changes = [index for index, name in enumerate(who) if index == 0 or name != who[index - 1]]
    edges = [float(asked["asked_s"].iloc[index]) for index in changes]
    ends = [*edges[1:], float(asked["asked_s"].iloc[-1])]
    return [(who[k], start, end) for k, start, end in zip(changes, edges, ends, strict=True)]


FIGURES: Mapping[str, Sequence[FigureOf]] = {
    "mscs-regroup": [
        _shown(
            _regroup,
            "Regroup after one and after two failures over the size of the cluster (thesis figure "
            "7.2). The band is what the thesis tells of two failures: 30,000 to 40,000 messages.",
            "regroup",
        )
    ],
    "mscs-join": [
        _shown(
            _join,
            "Joining over the number of active nodes (thesis figure 7.1): the phases after "
            "discovery, without the wait for the first heartbeat, and all RPCs.",
            "joins",
        )
    ],
    "mscs-gup": [
        _shown(
            pace_figure,
            "Global updates over the size of the cluster: latency and throughput (thesis figures "
            "7.4 and 7.5), serially and to all receivers at once.",
            "updates",
        )
    ],
    "mscs-gup-failures": [
        _shown(
            failures_figure,
            "How far an update had come when others failed, and who had it when: a row for each "
            "node, from the first at the top of its case's band.",
            "updates",
        )
    ],
    "mscs-join-loaded": [
        _shown(
            _join_loaded,
            "First attempts to join a cluster on loaded nodes, over its size (thesis 7.7.1: joins "
            "fail when phase 3 takes more than 60 s).",
            "joins under load",
        )
    ],
    "mscs-failover": [
        _shown(
            _failover,
            "Which node answers a client that keeps asking for the service, in each case.",
            "clients",
        )
    ],
}
"""By the name of the scenario."""
