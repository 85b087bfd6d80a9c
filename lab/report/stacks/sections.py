"""The sections of the page of a stack's run: each turns the run into HTML."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from pydantic import ValidationError

from lab.analysis.stacks.observations import StackObservations
from lab.report import html, info, tables
from lab.report.blocks import figure, gap, lacking
from lab.report.rundata import RunData
from lab.report.sections import Section, scorecard
from lab.report.stacks import mscs, over_nodes, overtime
from lab.report.stacks.arrows import Arrows, arrows
from lab.report.stacks.moments import close_up, is_first_start, stories, told_events, window
from lab.report.stacks.mscs import FigureOf
from lab.report.stacks.spacetime import space_time_figure
from lab.report.stacks.tables import cases_table, events_table, faults_table, instruments_table
from lab.scenarios.model import Engine
from lab.scenarios.stack_model import StackScenario
from lab.stacks.events import FAULT

FAMILIES: Mapping[str, Sequence[FigureOf]] = mscs.FIGURES
"""Figures of a family of scenarios, by the word that its names begin with."""


def observations(run: RunData) -> StackObservations | None:
    """The run as the analysis sees it; None when its scenario is not known."""
    try:
        scenario = StackScenario.model_validate(info.scenario(run))
    except ValidationError:
        return None
    engine: Engine = "simulation" if info.simulated(run) else "emulation"
    return StackObservations(scenario, run.tables, engine=engine)


def _observed(make: Callable[[StackObservations], str]) -> Callable[[RunData], str]:
    """A section that needs the run's scenario and at least one case."""

    def section(run: RunData) -> str:
        seen = observations(run)
        if seen is None:
            return gap("The manifest does not hold the whole scenario.")
        if run.table("cases").empty:
            return lacking("the cases", "cases")
        return make(seen)

    return section


def reading(run: RunData) -> str:
    """How to read the page."""
    where = (
        "All nodes ran in one process under virtual time, in a simulated world that carries out "
        "the same plan, and the same code of the protocols, as containers do."
        if info.simulated(run)
        else "Every node ran in a container of its own on real networks. All times are virtual: "
        "real times divided by the dilation."
    )
    return html.paragraph(
        f"{where} The figures are made from the nodes' own event logs. A verdict counts only if "
        "the fidelity certificate is valid. Click a name in a legend to hide what it stands for, "
        "drag over a figure to zoom, double-click to come back."
    )


@_observed
def results(run: StackObservations) -> str:
    """What the family of experiments has to show, then messages over nodes."""
    name = run.scenario.name
    family = [key for key in FAMILIES if name == key or name.startswith(f"{key}-")]
    parts = [draw(run) for draw in FAMILIES.get(max(family, key=len, default=""), ())]
    rates = over_nodes.message_rates(run)
    if rates.empty:
        return "".join(parts) + lacking("messages", "messages")
    shown, all_of_them = len(over_nodes.shown_settings(rates)), rates["setting"].nunique()
    some = f" Drawn are {shown} of {all_of_them} settings." if shown < all_of_them else ""
    return "".join(parts) + figure(
        over_nodes.message_figure(rates),
        "Datagrams sent per virtual second by all nodes together, as a mean over each case, "
        f"by the first word of their label. Both axes are logarithmic.{some}",
    )


@_observed
def space_time(run: StackObservations) -> str:
    """Who sent what to whom, around an interesting moment of some cases."""

    def draw(case: str) -> str:
        seen = window(run, case)
        drawn = arrows(run, seen)
        whole = figure(
            space_time_figure(run, seen, drawn),
            f"Case {case} around {seen.about}, {seen.start_s:.2f} to {seen.end_s:.2f} s. Each "
            "line is a node while it runs, each arrow a datagram; bands are phases that a node "
            f"was in, diamonds are views it installed, dashed lines faults.{_cut(drawn)}",
        )
        nearer = close_up(seen, drawn.rows)
        if nearer is None:
            return whole
        inside = arrows(run, nearer)
        return whole + figure(
            space_time_figure(run, nearer, inside),
            f"A close-up of {1e3 * (nearer.end_s - nearer.start_s):,.1f} ms around "
            f"{nearer.about}.{_cut(inside)}",
        )

    return _per_story(run, draw)


def _cut(drawn: Arrows) -> str:
    if not drawn.left_out:
        return ""
    told = ", ".join(f"{count:,} {group}" for group, count in drawn.left_out.items())
    return f" Of the datagrams these are not drawn, so that the others can be seen: {told}."


@_observed
def over_time(run: StackObservations) -> str:
    """Message rates, views and phases over whole cases."""

    def draw(case: str) -> str:
        rates = (
            lacking("messages", "messages")
            if run.messages(case).empty
            else figure(
                overtime.rate_figure(run, case),
                f"Case {case}: datagrams sent per virtual second by all nodes together.",
            )
        )
        return rates + figure(
            overtime.lives_figure(run, case),
            f"Case {case}: what each node was at. A bar is a view that it had installed, named by "
            "its members; the thin bar on top shows when it went through the phases of a protocol.",
        )

    return _per_story(run, draw)


def _per_story(run: StackObservations, draw: Callable[[str], str]) -> str:
    """A figure for some cases; all but the first are folded."""
    cases = stories(run)
    if not cases:
        return gap("No case was carried out to its end.")
    parts = [draw(cases[0])]
    parts += [html.folded(f"Case {case}", draw(case)) for case in cases[1:]]
    left = len(run.planned) - len(cases)
    if left:
        parts.append(
            html.paragraph(
                f"Told are {len(cases)} of {len(run.planned)} cases: of each kind the largest "
                "whose arrows can be told apart.",
                "muted",
            )
        )
    return "".join(parts)


@_observed
def faults(run: StackObservations) -> str:
    """What was done to the nodes."""
    events = run.tables["events"]
    done = events[(events["kind"] == FAULT) & ~is_first_start(events)]
    if done.empty:
        return html.paragraph("Nothing was done to the nodes in any case.")
    return faults_table(done)


def certificate(run: RunData) -> str:
    """The fidelity certificate."""
    if not run.fidelity:
        return gap("The run has no fidelity certificate.")
    return tables.fidelity_table(run.fidelity)


def details(run: RunData) -> str:
    """Cases, what nodes told, instruments, parameters."""
    parts = [tables.phases_table(run.progress)] if run.progress else []
    seen = observations(run)
    if seen is not None and not run.table("cases").empty:
        parts.append(html.folded("The cases", cases_table(seen)))
        for case in stories(seen):
            parts.append(
                html.folded(
                    f"What nodes told in case {case}", events_table(told_events(seen, case))
                )
            )
    if not run.table("instruments").empty:
        parts.append(
            html.folded("What instruments counted", instruments_table(run.table("instruments")))
        )
    if parameters := info.scenario(run):
        parts.append(html.folded("Parameters of the run", tables.parameters_table(parameters, ())))
    return "".join(parts)


STACK_SECTIONS: Sequence[Section] = (
    ("reading", "How to read this", reading),
    ("results", "Figure 1. What came out", results),
    ("scorecard", "Scorecard", scorecard),
    ("spacetime", "Figure 2. Who sent what to whom", space_time),
    ("overtime", "Figure 3. Messages, views and phases over time", over_time),
    ("faults", "Faults", faults),
    ("certificate", "Fidelity certificate", certificate),
    ("details", "The run in detail", details),
)
"""Anchor, title and content of each section, in the order of the page."""
