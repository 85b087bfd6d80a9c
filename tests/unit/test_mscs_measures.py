"""Measures of the MSCS claims: each judges a good run well, and one that was tampered with ill."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
from msgspec.structs import replace
from stack_run import StackRunMaker

from lab.analysis.run import STACK_MEASURES
from lab.analysis.stacks.observations import StackObservations
from lab.claims.judge import judge
from lab.claims.registry import find_claim
from lab.scenarios.cases import planned_cases
from lab.scenarios.loader import load_any
from lab.scenarios.stack_model import StackScenario
from lab.stacks.events import Event
from lab.world import run_case

Events = dict[str, list[Event]]
Tamper = Callable[[Events], Events]

SMALL = {
    "mscs-heartbeat": {
        "over_s": "32",
        "sweeps": "[{name: size, nodes: [2, 4, 6], variant: [plain, multicast]},"
        " {name: phases, nodes: [8], medium: [switch, hub]}]",
    },
    "mscs-regroup": {
        "sweeps": "[{name: one, nodes: [4, 8, 12], variant: [plain, multicast],"
        " timeline: [{at_s: 10, fault: kill, nodes: -1}]},"
        " {name: two, nodes: [5, 8, 12], timeline: [{at_s: 10, fault: kill, nodes: [-2, -1]}]},"
        " {name: stall, nodes: [5], parameters: {resume_s: [18, 19.5]}, timeline:"
        " [{at_s: 10, fault: pause, nodes: 5}, {at_s: $resume_s, fault: resume, nodes: 5}]}]",
    },
    "mscs-partition": {"sweeps": "[{name: two, nodes: [2],"
        " timeline: [{at_s: 10, fault: cut, nodes: 1, peers: 2}]}]",
        "cases": "[{name: half-of-4, nodes: 4, over_s: 40,"
        " timeline: [{at_s: 10, fault: cut, nodes: 1..2, peers: 3..4}]},"
        " {name: majority, nodes: 5, over_s: 40,"
        " timeline: [{at_s: 10, fault: cut, nodes: 1..2, peers: 3..5}]},"
        " {name: pair, nodes: 5, over_s: 40,"
        " timeline: [{at_s: 10, fault: cut, nodes: 4, peers: 5}]}]",
    },
    "mscs-join": {
        "sweeps": "[]",
        "cases": "[{name: grow, nodes: 6, over_s: 300, settle_s: 5, members: 1, late: 2..-1,"
        " variant: address-first, timeline: [{at_s: 5, fault: restart, nodes: 2..-1,"
        " one_by_one: {kind: join, phase: done, then_s: 1}}]}]",
    },
}  # fmt: skip
"""The scenarios of the project, with fewer and smaller cases."""


def scenario(name: str) -> StackScenario:
    loaded = load_any(name, SMALL[name], engine="simulation")
    assert isinstance(loaded, StackScenario)
    return loaded


@cache
def simulated(name: str) -> Events:
    return {case.name: run_case(case.plan).events for case in planned_cases(scenario(name))}


def observed(tmp_path: Path, name: str, tamper: Tamper | None = None) -> StackObservations:
    made = StackRunMaker(tmp_path, scenario(name))
    events = simulated(name)
    made.events = dict(events) if tamper is None else tamper(events)
    return made.observe()


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], StackObservations]:
    """The untouched run of a scenario, read once."""
    return cache(lambda name: observed(tmp_path_factory.mktemp(name), name))


def verdict(run: StackObservations, claim: str) -> tuple[str, str]:
    measurement = STACK_MEASURES.measure(claim, run)
    judged = judge(find_claim(claim), measurement, certificate_valid=True)
    return judged.verdict, judged.why


def only(keep: Callable[[Event], bool]) -> Tamper:
    """Leave events out."""
    return lambda cases: {case: [e for e in events if keep(e)] for case, events in cases.items()}


def mapped(change: Callable[[Event], Event]) -> Tamper:
    """Change events."""
    return lambda cases: {case: [change(e) for e in events] for case, events in cases.items()}


def is_sent(event: Event, label: str) -> bool:
    return event.kind == "send" and event.fields["label"] == label


def without(event: Event, *nodes: int) -> Event:
    """A view without some members."""
    if event.kind != "view":
        return event
    left = [node for node in event.fields["members"] if node not in nodes]
    return replace(event, fields={**event.fields, "members": left})


def later(kind: str, phase: str, by_s: float) -> Tamper:
    """Events of a phase come later."""
    return mapped(
        lambda e: replace(e, t_s=e.t_s + by_s) if (e.kind, e.phase) == (kind, phase) else e
    )


@pytest.mark.parametrize(
    ("name", "claim"),
    [
        *(("mscs-heartbeat", claim) for claim in (
            "mscs-hb-traffic", "mscs-hb-multicast", "mscs-hb-no-false-suspicion",
        )),
        *(("mscs-regroup", claim) for claim in (
            "mscs-membership-agreement", "mscs-hb-multiple-failures", "mscs-rg-phases",
            "mscs-rg-cleanup", "mscs-rg-independent", "mscs-rg-traffic", "mscs-rg-runtime",
            "mscs-rg-messages-growth", "mscs-rg-correct", "mscs-rg-known-early", "mscs-rg-grace",
        )),
        *(("mscs-partition", claim) for claim in (
            "mscs-rg-majority", "mscs-rg-half", "mscs-rg-quorum", "mscs-rg-losers-halt",
            "mscs-rg-prune", "mscs-membership-agreement",
        )),
        *(("mscs-join", claim) for claim in (
            "mscs-join-phase3-rpcs", "mscs-join-petition", "mscs-join-rpc-count",
            "mscs-join-time-linear",
        )),
    ],
)  # fmt: skip
def test_a_good_run_reproduces(good: Callable[[str], StackObservations], name: str, claim: str):
    found, why = verdict(good(name), claim)
    assert found == "reproduced", why


TAMPERED: list[tuple[str, str, Tamper]] = [
    ("mscs-heartbeat", "mscs-hb-traffic",
     only(lambda e: not (is_sent(e, "heartbeat") and e.fields["peer"] == 2 and e.t_s > 20))),
    ("mscs-heartbeat", "mscs-hb-multicast",
     only(lambda e: not (e.kind == "receive" and e.node == 1))),
    ("mscs-heartbeat", "mscs-hb-no-false-suspicion",
     lambda cases: {
         case: [*events, Event(30.0, 1, "suspicion", fields={"peer": 2, "silence_s": 7.3})]
         for case, events in cases.items()
     }),
    ("mscs-regroup", "mscs-membership-agreement",
     mapped(lambda e: without(e, 1) if e.node == 2 else e)),
    ("mscs-regroup", "mscs-rg-correct", mapped(lambda e: without(e, 1) if e.node == 2 else e)),
    ("mscs-regroup", "mscs-rg-phases",
     only(lambda e: not (e.kind == "regroup" and e.phase == "pruning" and e.node == 1))),
    ("mscs-regroup", "mscs-rg-cleanup",
     mapped(lambda e: replace(e, t_s=e.t_s + 2)
            if (e.kind, e.phase, e.node) == ("regroup", "cleanup-1", 1) else e)),
    ("mscs-regroup", "mscs-rg-independent",
     lambda cases: {case: later("regroup", "pruning", 2.0)({case: events})[case]
                    if "n12" in case else events for case, events in cases.items()}),
    ("mscs-regroup", "mscs-rg-traffic",
     only(lambda e: not (is_sent(e, "regroup") and e.node == 1 and e.fields["peer"] == 2))),
    ("mscs-regroup", "mscs-rg-runtime", later("regroup", "done", 3.0)),
    ("mscs-regroup", "mscs-rg-messages-growth",
     lambda cases: {case: [e for e in events if not is_sent(e, "regroup") or e.node == 1]
                    if "n12" in case else events for case, events in cases.items()}),
    ("mscs-regroup", "mscs-hb-multiple-failures",
     lambda cases: {case: later("suspicion", "", 5.0)({case: events})[case]
                    if case.startswith("two") else events for case, events in cases.items()}),
    ("mscs-partition", "mscs-rg-majority",
     only(lambda e: e.kind != "halted" or e.node != 1)),
    ("mscs-partition", "mscs-rg-half", only(lambda e: e.kind != "halted")),
    ("mscs-partition", "mscs-rg-quorum", only(lambda e: e.kind != "halted")),
    ("mscs-partition", "mscs-rg-losers-halt", only(lambda e: e.kind != "halted" or e.node != 3)),
    ("mscs-partition", "mscs-rg-prune", only(lambda e: e.kind != "halted")),
    ("mscs-join", "mscs-join-rpc-count",
     only(lambda e: not is_sent(e, "rpc join security"))),
    ("mscs-join", "mscs-join-phase3-rpcs",
     only(lambda e: not is_sent(e, "rpc join security"))),
    ("mscs-join", "mscs-join-petition",
     mapped(lambda e: replace(e, t_s=e.t_s - 3) if is_sent(e, "rpc join inserted") else e)),
]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "claim", "tamper"), TAMPERED, ids=[f"{name} {claim}" for name, claim, _ in TAMPERED]
)
def test_a_run_that_was_tampered_with_does_not(
    tmp_path: Path, name: str, claim: str, tamper: Tamper
):
    found, _ = verdict(observed(tmp_path, name, tamper), claim)
    assert found in ("deviates", "unknown")


def test_a_ring_detector_belongs_to_another_stack(good: Callable[[str], StackObservations]):
    found, why = verdict(good("mscs-heartbeat"), "mscs-fd-ring")
    assert found == "unknown"
    assert "Galaxy" in why
