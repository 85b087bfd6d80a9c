"""Preset clusters in the simulated world, for tests of membership."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from lab.stacks.checking import CheckerMaker
from lab.stacks.events import Event
from lab.stacks.mscs.membership_invariants import MEMBERSHIP_CHECKERS
from lab.stacks.plan import Action, CasePlan, Fault, FaultKind
from lab.world.world import CaseResult, run_case

ADDRESS = "10.1.0.201"


def web_group(*preferred: int) -> dict[str, Any]:
    """A group with an address, and a service that listens there."""
    return {
        "name": "web",
        "preferred": list(preferred),
        "resources": [
            {"name": "address", "type": "ip-address", "parameters": {"address": ADDRESS}},
            {
                "name": "service",
                "type": "http-service",
                "parameters": {"address": ADDRESS, "port": 80},
                "depends_on": ["address"],
            },
        ],
    }


def fault(at_s: float, kind: FaultKind, *nodes: int, **fields: Any) -> Action:
    return Action(at_s, Fault(kind, nodes=nodes, **fields))


def cut(at_s: float, one: Iterable[int], other: Iterable[int], **fields: Any) -> Action:
    return Action(at_s, Fault("cut", nodes=tuple(one), peers=tuple(other), **fields))


def run_preset(
    nodes: int,
    over_s: float,
    *actions: Action,
    checkers: Iterable[CheckerMaker] = MEMBERSHIP_CHECKERS,
    seed: int = 1,
    **options: Any,
) -> CaseResult:
    """Run a formed cluster of all nodes, and keep every event of it."""
    members = list(range(1, nodes + 1))
    plan = CasePlan(
        name="preset",
        stack="mscs",
        nodes=nodes,
        over_s=over_s,
        options={"nodes": nodes, "members": members, **options},
        actions=actions,
        seed=seed,
    )
    return run_case(plan, checkers=checkers)


def events(result: CaseResult, kind: str, phase: str | None = None) -> list[Event]:
    return [
        event
        for event in result.events
        if event.kind == kind and (phase is None or event.phase == phase)
    ]


def sent(result: CaseResult, label: str, begin_s: float = 0.0, end_s: float = 1e9) -> list[Event]:
    return [
        event
        for event in events(result, "send")
        if event.fields["label"] == label and begin_s <= event.t_s < end_s
    ]


def last_views(result: CaseResult) -> dict[int, list[int]]:
    """The members of the last view of each node that has not halted."""
    views = {event.node: event.fields["members"] for event in events(result, "view")}
    for halted in events(result, "halted"):
        views.pop(halted.node, None)
    return views
