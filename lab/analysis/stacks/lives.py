"""What each node was at over time, from its events: down, in a view, in a phase. Pure."""

from __future__ import annotations

import json
from dataclasses import dataclass

import pandas as pd

from lab.analysis.stacks.observations import StackObservations
from lab.stacks.events import FAULT, HALTED, STARTED
from lab.stacks.words import listed

VIEW = "view"
LAST_PHASES = ("done", "aborted")
"""With these a sequence of phases ends."""
_DEADLY = ("kill", "wipe")


@dataclass(frozen=True)
class Span:
    """A node was at something from a time to another."""

    node: int
    start_s: float
    end_s: float
    what: str
    told: str = ""


def running(run: StackObservations, case: str) -> list[Span]:
    """When each node's program ran."""
    ended_s = run.ended_s(case)
    events = run.of_case("events", case)
    since: dict[int, float] = {}
    found: list[Span] = []

    def end(node: int, t_s: float) -> None:
        if node in since:
            found.append(Span(node, since.pop(node), t_s, "running"))

    nodes = range(1, run.planned[case].nodes + 1)
    for event in _of_kinds(events, STARTED, HALTED, FAULT):
        if event.kind == STARTED:
            since.setdefault(event.node, event.t_s)
        elif event.kind == HALTED:
            end(event.node, event.t_s)
        elif event.phase in _DEADLY:
            for node in json.loads(event.fields).get("nodes") or nodes:
                end(int(node), event.t_s)
    for node in nodes:
        end(node, ended_s)
    return found


def views(run: StackObservations, case: str) -> list[Span]:
    """Which view each node had; ``what`` is its members, ``told`` its number and them."""
    found: list[Span] = []
    current: dict[int, Span] = {}
    stops = {(span.node, span.end_s) for span in running(run, case)}
    changes = [
        *(
            (event.t_s, 1, event.node, event)
            for event in _of_kinds(run.of_case("events", case), VIEW)
        ),
        *((t_s, 0, node, None) for node, t_s in stops),
    ]
    for t_s, _, node, event in sorted(changes, key=lambda change: change[:3]):
        if node in current:
            old = current.pop(node)
            found.append(Span(node, old.start_s, t_s, old.what, old.told))
        if event is not None:
            fields = json.loads(event.fields)
            members = [int(member) for member in fields.get("members", [])]
            told = f"view {fields.get('id', '?')}: {listed(members)}"
            current[node] = Span(node, t_s, t_s, listed(members), told)
    return sorted(found, key=lambda span: (span.start_s, span.node))


def phases(run: StackObservations, case: str) -> list[Span]:
    """Sequences of phases: of each kind of event that has a last phase, from each to the next."""
    events = run.of_case("events", case)
    ending = events.loc[events["phase"].isin(LAST_PHASES), "kind"].unique()
    found: list[Span] = []
    current: dict[tuple[int, str], tuple[float, str]] = {}
    for event in _of_kinds(events, *(str(kind) for kind in ending)):
        key = (event.node, event.kind)
        if key in current:
            start_s, phase = current.pop(key)
            found.append(Span(event.node, start_s, event.t_s, f"{event.kind} {phase}"))
        if event.phase and event.phase not in LAST_PHASES:
            current[key] = (event.t_s, event.phase)
    return found


@dataclass(frozen=True)
class _Event:
    """One row of the table of events."""

    t_s: float
    node: int
    kind: str
    phase: str
    fields: str


def _of_kinds(events: pd.DataFrame, *kinds: str) -> list[_Event]:
    chosen = events[events["kind"].isin(kinds)]
    columns = ("t_s", "node", "kind", "phase", "fields")
    rows = zip(*(chosen[column] for column in columns), strict=True)
    return [_Event(float(t), int(n), str(k), str(p), str(f)) for t, n, k, p, f in rows]
