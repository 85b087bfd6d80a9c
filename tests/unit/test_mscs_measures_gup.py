"""Measures of updates, loaded joins and fail-over: good runs pass, those tampered with do not."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
from msgspec.structs import replace
from stack_run import StackRunMaker

from lab.analysis.mscs import gup_failures
from lab.analysis.run import STACK_MEASURES, analyse
from lab.analysis.stacks.observations import StackObservations
from lab.claims.judge import judge
from lab.claims.registry import find_claim
from lab.scenarios.cases import planned_cases
from lab.scenarios.loader import load_any
from lab.scenarios.stack_model import StackScenario
from lab.stacks.client.core import ANSWERED, POLL, UNANSWERED
from lab.stacks.events import Event
from lab.world import run_case

Events = dict[str, list[Event]]
Change = Callable[[Event], Event | None]

UPDATE = "{at_s: 5, ask: update, nodes: 6, arguments: {bytes: 50}}"
AGAIN = "{at_s: 25, ask: update, nodes: 4, arguments: {bytes: 50}}"


def failing(name: str, at_s: float, nodes: str) -> str:
    return (
        f"{{name: {name}, nodes: [6], over_s: 30, timeline: [{UPDATE},"
        f" {{at_s: {at_s}, fault: kill, nodes: {nodes}}}, {AGAIN}]}}"
    )


SMALL = {
    "idle": (
        "mscs-gup",
        "[{name: idle, over_s: 6, nodes: [3, 4, 6, 8], parameters: {bytes: [50]}, timeline:"
        " [{at_s: 5, ask: update, nodes: -1, arguments: {bytes: $bytes, count: 5}}]}]",
        "[]",
    ),
    "together": (
        "mscs-gup",
        "[{name: together, over_s: 6, nodes: [5], timeline:"
        " [{at_s: 5, ask: update, arguments: {bytes: 50, count: 3}}]}]",
        "[]",
    ),
    "slow": (
        "mscs-gup-failures",
        "[{name: slow-receiver, over_s: 50, nodes: [4], parameters: {slow_s: [1, 40]}, timeline:"
        " [{at_s: 4, ask: slow, nodes: 3, arguments: {seconds: $slow_s}},"
        " {at_s: 5, ask: update, nodes: 4, arguments: {bytes: 50}}]}]",
        "[]",
    ),
    "failing": (
        "mscs-gup-failures",
        "["
        + ", ".join(
            (
                failing("sender-fails", 5.01, "6"),
                failing("receiver-fails", 5.005, "5"),
                failing("locker-fails", 5.01, "1"),
                failing("both-fail", 5.012, "[1, 6]"),
                failing("all-fail", 5.005, "[1, 6]"),
            )
        )
        + "]",
        "[]",
    ),
    "loaded": (
        "mscs-gup-loaded",
        "[{name: idle, over_s: 8, nodes: [10, 16], parameters: {bytes: [50]}, timeline:"
        " [{at_s: 5, ask: update, nodes: -1, arguments: {bytes: $bytes, count: 5}}]},"
        " {name: loaded, over_s: 90, nodes: [10, 16], load: [moderate], timeline:"
        " [{at_s: 6, ask: update, nodes: -1, arguments: {bytes: 50, count: 100}}]},"
        " {name: regroup, over_s: 50, nodes: [6], load: [idle, moderate], timeline:"
        " [{at_s: 10, fault: kill, nodes: -1}]},"
        " {name: join, over_s: 90, nodes: [6], load: [idle, moderate], members: 1..5, late: 6,"
        " timeline: [{at_s: 10, fault: restart, nodes: 6}]}]",
        "[]",
    ),
    "failover": (
        "mscs-failover",
        "[{name: killed, over_s: 30, nodes: [4],"
        " timeline: [{at_s: 10, fault: kill, nodes: 4}]},"
        " {name: one-network, over_s: 20, nodes: [4],"
        " timeline: [{at_s: 10, fault: cut, nodes: 4, network: 1}]}]",
        "[]",
    ),
    "crash": (
        "mscs-failover",
        "[]",
        "[{name: crash-of-all, nodes: 2, over_s: 120, timeline:"
        " [{at_s: 10, ask: create-group, nodes: 2, arguments: {group: before}},"
        " {at_s: 15, fault: kill}, {at_s: 18, fault: restart}, {at_s: 115, ask: groups}]}]",
    ),
}
"""Scenarios of the project with fewer and smaller cases: their names, sweeps, cases."""


def scenario(name: str) -> StackScenario:
    file, sweeps, cases = SMALL[name]
    loaded = load_any(file, {"sweeps": sweeps, "cases": cases}, engine="simulation")
    assert isinstance(loaded, StackScenario)
    return loaded


@cache
def simulated(name: str) -> Events:
    return {case.name: run_case(case.plan).events for case in planned_cases(scenario(name))}


def made_of(path: Path, name: str, change: Change = lambda event: event) -> StackRunMaker:
    made = StackRunMaker(path, scenario(name))
    for case, events in simulated(name).items():
        made.events[case] = [new for event in events if (new := change(event)) is not None]
    return made


def observed(path: Path, name: str, change: Change = lambda event: event) -> StackObservations:
    return made_of(path, name, change).observe()


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], StackObservations]:
    """The untouched run of a scenario, read once."""
    return cache(lambda name: observed(tmp_path_factory.mktemp(name), name))


def verdict(run: StackObservations, claim: str) -> str:
    judged = judge(find_claim(claim), STACK_MEASURES.measure(claim, run), certificate_valid=True)
    return judged.verdict


# --- what is done to good runs --------------------------------------------------------------


def is_gup(event: Event, phase: str, node: int | None = None) -> bool:
    note = event.kind == "gup" and event.fields.get("kind") == "note"
    return note and event.phase == phase and node in (None, event.node)


def moved(event: Event, by_s: float) -> Event:
    return replace(event, t_s=event.t_s + by_s)


def late_at_3(event: Event) -> Event:
    """Node 3 applies updates a tenth of a second late: after the next has begun."""
    return moved(event, 0.1) if is_gup(event, "applied", 3) else event


def never_at_3(event: Event) -> Event | None:
    return None if is_gup(event, "applied", 3) else event


def nothing_at_3(event: Event) -> Event | None:
    return None if event.kind == "gup" and (event.phase, event.node) == ("applied", 3) else event


def other_at_3(event: Event) -> Event:
    """Node 3 applies another update at each place."""
    if not is_gup(event, "applied", 3):
        return event
    return replace(event, fields={**event.fields, "update": f"{event.fields['update']}x"})


def no_locker_completes(event: Event) -> Event | None:
    return None if is_gup(event, "completed") else event


def no_sender_ends(event: Event) -> Event | None:
    return None if is_gup(event, "done") else event


def slower(event: Event) -> Event:
    """Nodes end updates a little late each: no longer linear."""
    return moved(event, 0.2) if is_gup(event, "done", 4) else event


def slow_when_idle_too(event: Event) -> Event:
    """Updates take a minute more on any node."""
    return moved(event, 60.0) if is_gup(event, "done") else event


def nobody_suspects(event: Event) -> Event | None:
    return None if event.kind == "suspicion" else event


def unlock_is_missing(event: Event) -> Event | None:
    return None if event.kind == "send" and event.fields["label"] == "rpc gup unlock" else event


def no_keep_alives(event: Event) -> Event | None:
    working = event.kind == "send" and str(event.fields["label"]).endswith("working")
    return None if working else event


def service_stays_away(event: Event) -> Event | None:
    return None if event.kind == POLL and event.phase == ANSWERED and event.t_s > 9 else event


def service_flaps(event: Event) -> Event:
    """A client has no answer for a moment, also when only a network fails."""
    return (
        replace(event, phase=UNANSWERED, fields={"asked_s": event.fields["asked_s"]})
        if (event.kind == POLL and event.phase == ANSWERED and 10.5 < event.t_s < 10.7)
        else event
    )


def nothing_is_kept(event: Event) -> Event:
    if event.kind != "reply" or event.t_s < 100:
        return event
    return replace(event, fields={**event.fields, "value": []})


def two_views(event: Event) -> Event:
    if event.kind != "view" or event.node != 2:
        return event
    return replace(event, fields={**event.fields, "members": [1, 2]})


GOOD_AND_BAD: tuple[tuple[str, str, Change], ...] = (
    ("together", "mscs-gup-lock", late_at_3),
    ("idle", "mscs-gup-order", late_at_3),
    ("idle", "mscs-gup-order", unlock_is_missing),
    ("idle", "mscs-gup-rpc-count", unlock_is_missing),
    ("failing", "mscs-gup-total-order", other_at_3),
    ("failing", "mscs-gup-atomicity", never_at_3),
    ("failing", "mscs-gup-sender-fails", no_locker_completes),
    ("failing", "mscs-gup-receiver-fails", never_at_3),
    ("failing", "mscs-gup-locker-fails", no_sender_ends),
    ("failing", "mscs-gup-both-fail", no_locker_completes),
    ("failing", "mscs-gup-all-fail", nothing_at_3),
    ("slow", "mscs-gup-unbounded", no_keep_alives),
    ("idle", "mscs-gup-latency", slower),
    ("idle", "mscs-gup-throughput", slower),
    ("loaded", "mscs-gup-loaded-10", slow_when_idle_too),
    ("loaded", "mscs-load-asymmetry", slow_when_idle_too),
    ("loaded", "mscs-load-asymmetry", nobody_suspects),
    ("failover", "mscs-failover", service_stays_away),
    ("failover", "mscs-failover", service_flaps),
    ("crash", "mscs-quorum-store", nothing_is_kept),
    ("failover", "mscs-membership-agreement", two_views),
)


@pytest.mark.parametrize(
    ("name", "claim"), dict.fromkeys((name, claim) for name, claim, _ in GOOD_AND_BAD)
)
def test_a_good_run_reproduces(
    good: Callable[[str], StackObservations], name: str, claim: str
) -> None:
    assert verdict(good(name), claim) == "reproduced"


@pytest.mark.parametrize(("name", "claim", "change"), GOOD_AND_BAD)
def test_a_run_that_was_tampered_with_does_not(
    tmp_path: Path, name: str, claim: str, change: Change
) -> None:
    assert verdict(observed(tmp_path, name, change), claim) != "reproduced"


def test_a_broken_promise_makes_its_guarantee_deviate_and_all_else_unknown(tmp_path: Path) -> None:
    made = made_of(tmp_path, "failing", never_at_3)
    for case, record in made.records.items():
        assert record is not None
        made.records[case] = replace(record, violations=("all or none: node 3 lacks an update",))
    certificate, verdicts = analyse(made.write())
    told = {verdict.claim: verdict.verdict for verdict in verdicts}
    assert not certificate.valid
    assert told["mscs-gup-atomicity"] == "deviates"
    assert told["mscs-gup-total-order"] == "unknown"


def test_each_of_the_five_failures_occurs(good: Callable[[str], StackObservations]) -> None:
    found = {it.case.split("-n6")[0]: it for it in gup_failures.failures(good("failing"))}
    assert set(found) >= {"sender-fails", "receiver-fails", "locker-fails", "both-fail", "all-fail"}
    assert found["both-fail"].next_locker == 2
    assert not found["all-fail"].alive & found["all-fail"].had
