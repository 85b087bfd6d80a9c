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

Points = Mapping[float, Sequence[float]]
"""Values by the number of nodes, several where a case was repeated."""
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


def _line(figure_: Figure, points: Points, name: str, colour: str, col: int) -> None:
    """The mean of each size."""
    sizes = sorted(points)
    means = [sum(points[size]) / len(points[size]) for size in sizes]
    figure_.add_trace(
        trace("Scatter", x=sizes, y=means, name=name, mode="lines+markers", line={"color": colour}),
        row=1,
        col=col,
    )


def _published(figure_: Figure, x: float, y: float, name: str, col: int) -> None:
    figure_.add_trace(
        trace(
            "Scatter",
            x=[x],
            y=[y],
            name=f"thesis: {name}",
            mode="markers",
            marker={"symbol": "circle-open", "size": 13, "color": INK, "line": {"width": 2}},
        ),
        row=1,
        col=col,
    )


# --- regroup ----------------------------------------------------------------------------------


def _regroup(run: StackObservations) -> Figure:
    shown = panels(1, 2, 460, subplot_titles=("state messages of a regroup", "its time, s"))
    for sweep, name, colour in (("one", "one failure", BLUE), ("two", "two failures", VERMILION)):
        chosen = run.chosen(sweep=sweep, variant="plain")
        sent: dict[float, list[float]] = {}
        took: dict[float, list[float]] = {}
        for case, nodes in zip(chosen.index, chosen["nodes"], strict=True):
            sent.setdefault(float(nodes), []).append(len(state_messages(run, str(case))))
            took.setdefault(float(nodes), []).append(
                float(completed(run, str(case))["took_s"].mean())
            )
        _line(shown, sent, name, colour, 1)
        _line(shown, took, f"{name}: time", colour, 2)
    _published(shown, 32, 10_000, "one failure, 10,000", 1)
    _published(shown, 32, 3, "3 s", 2)
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
        times: dict[float, list[float]] = {}
        for case, join in found:
            wait_s = first_heartbeat_wait_s(run, case, join) if phase == "petition" else 0.0
            times.setdefault(join.active, []).append(join.took_s[phase] - wait_s)
        _line(shown, times, phase, colour, 1)
    counts: dict[float, list[float]] = {}
    for _, join in found:
        total = sum(count for phase, count in join.rpcs.items() if phase != "discovery")
        counts.setdefault(join.active, []).append(total)
    _line(shown, counts, "RPCs", INK, 2)
    _published(shown, 31, 227, "227 for the 32nd node", 2)
    shown.update_xaxes(title_text="active nodes")
    return shown


# --- global updates ---------------------------------------------------------------------------


def _gup(run: StackObservations) -> Figure:
    shown = panels(1, 2, 460, subplot_titles=("an update, s", "updates a second"))
    for variant, size, colour in (
        ("plain", 50, BLUE),
        ("plain", 2048, VERMILION),
        ("concurrent", 50, GREEN),
    ):
        latency: dict[float, list[float]] = {}
        chosen = run.cases[
            (run.cases["sweep"] == "idle")
            & (run.cases["variant"] == variant)
            & (run.cases["bytes"] == size)
        ]
        for case, nodes in zip(chosen.index, chosen["nodes"], strict=True):
            events = run.events(str(case), "gup", "done")
            begun = run.events(str(case), "gup", "asked").set_index("update")["t_s"]
            took = events["t_s"] - events["update"].map(begun)
            latency.setdefault(float(nodes), []).append(float(took[events["t_s"] >= 5].mean()))
        if not latency:
            continue
        name = f"{size} bytes{'' if variant == 'plain' else ', all at once'}"
        _line(shown, latency, name, colour, 1)
        rates = {n: [1 / value for value in values] for n, values in latency.items()}
        _line(shown, rates, f"{name}: rate", colour, 2)
    _published(shown, 32, 6, "6 of 50 bytes", 2)
    _published(shown, 32, 4, "4 of 2 KBytes", 2)
    shown.update_xaxes(title_text="nodes")
    shown.update_yaxes(type="log", row=1, col=2)
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
            _gup,
            "Global updates over the size of the cluster on idle nodes: latency and throughput "
            "(thesis figures 7.4 and 7.5), serially and to all receivers at once.",
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
