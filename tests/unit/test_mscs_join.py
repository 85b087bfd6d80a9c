"""Joins in the simulated world: counts, phases, failures at every point, variants."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from statistics import mean
from typing import Any

import msgspec
import pytest

from lab.stacks.events import Event
from lab.stacks.mscs import join_lock, join_member, sponsor
from lab.stacks.mscs.invariants import CHECKERS, CONVERGED
from lab.stacks.mscs.join_invariants import LockIsGivenBack, OneJoinAtATime
from lab.stacks.plan import Action, CasePlan, Fault, Seen
from lab.world import CaseResult, run_case

PHASES = ["discovery", "lock", "network", "petition", "database", "unlock", "done"]


def started(nodes: Iterable[int]) -> Action:
    """Start nodes at 0; those that no restart names start by themselves."""
    return Action(0.0, Fault("restart", tuple(nodes)))


def beside(members: int, *actions: Action, over_s: float = 60.0, **options: Any) -> CasePlan:
    """Return a case in which the node after the members of a formed cluster starts at 5 s."""
    nodes = members + 1
    return CasePlan(
        name="join",
        stack="mscs",
        nodes=nodes,
        over_s=over_s,
        options={"nodes": nodes, "members": list(range(1, nodes)), **options},
        actions=(started(range(1, nodes)), Action(5.0, Fault("restart", (nodes,))), *actions),
    )


def run(plan: CasePlan, *, traffic: bool = False) -> CaseResult:
    result = run_case(plan, checkers=(*CHECKERS, *CONVERGED), traffic=traffic)
    assert result.violations == []
    assert not [event for event in result.events if event.kind == "rpc"], "refused arguments"
    return result


def of(result: CaseResult, kind: str, phase: str = "") -> list[Event]:
    return [e for e in result.events if e.kind == kind and phase in ("", e.phase)]


def done(result: CaseResult) -> Event:
    (event,) = of(result, "join", "done")
    return event


# --- without failures -------------------------------------------------------------------


@pytest.mark.parametrize("members", [1, 2, 7, 31])
def test_a_join_takes_10_plus_7n_rpcs(members: int) -> None:
    result = run(beside(members), traffic=True)
    assert done(result).fields["rpcs"] == 10 + 7 * members
    phases = of(result, "join")
    assert [event.phase for event in phases] == ["begin", *PHASES]
    assert sum(event.fields["rpcs"] for event in phases[2:-1]) == 10 + 7 * members


def test_the_count_is_that_of_the_datagrams() -> None:
    result = run(beside(8), traffic=True)
    sent: Counter[str] = Counter()
    begin_s, end_s = of(result, "join", "begin")[0].t_s, done(result).t_s
    for event in of(result, "send"):
        label = event.fields["label"]
        first = label.startswith("rpc ") and not label.endswith((" answer", " working", " again"))
        if first and begin_s <= event.t_s <= end_s:
            sent[label.removeprefix("rpc ")] += 1
    assert sent.pop("join probe") == 8
    assert sent.total() == done(result).fields["rpcs"] == 10 + 7 * 8
    assert sent["join connect"] == sent["join connect back"] == sent["join security"] == 8
    assert sent["join announce"] == sent["join alive"] == 7
    assert sum(sent[question] for question in sent if question.startswith("join ask")) == 5


def test_more_interfaces_take_one_rpc_each_more_to_each_node() -> None:
    result = run(beside(4, interfaces=2))
    (network,) = of(result, "join", "network")
    assert network.fields["rpcs"] == 5 + 4 * 4


def test_a_lone_node_forms_a_cluster_and_others_join_it() -> None:
    nodes = 4
    actions = tuple(Action(node * 20.0, Fault("restart", (node,))) for node in range(1, nodes + 1))
    options = {"nodes": nodes, "discovery_timeout_s": 10.0}
    plan = CasePlan("form", "mscs", nodes, 150.0, options, actions=actions)
    result = run(plan)
    (formed,) = of(result, "join", "formed")
    assert formed.node == 1
    assert [event.node for event in of(result, "join", "done")] == [2, 3, 4]
    assert [e.fields["rpcs"] for e in of(result, "join", "done")] == [17, 24, 31]


def test_of_nodes_that_start_at_once_one_forms_the_cluster() -> None:
    options = {"nodes": 4, "discovery_timeout_s": 10.0}
    result = run(CasePlan("race", "mscs", 4, 150.0, options))
    assert len(of(result, "join", "formed")) == 1
    assert len(of(result, "join", "done")) == 3


# --- discovery --------------------------------------------------------------------------


@pytest.mark.parametrize("timeout_s", [30.0, 10.0])
def test_discovery_lasts_one_time_out_however_many_are_down(timeout_s: float) -> None:
    for down in (1, 5):
        members = [1, 2]
        nodes = len(members) + 1 + down
        options = {"nodes": nodes, "members": members, "discovery_timeout_s": timeout_s}
        starts = (Action(0.0, Fault("restart", (3,))),)
        others = tuple(Action(900.0, Fault("restart", (node,))) for node in range(4, nodes + 1))
        result = run(CasePlan("down", "mscs", nodes, 60.0, options, actions=(*starts, *others)))
        (discovery,) = of(result, "join", "discovery")
        assert discovery.fields["took_s"] == pytest.approx(timeout_s, rel=0.05)


def test_the_cluster_address_first_takes_less_than_a_second() -> None:
    options = {"nodes": 6, "members": [1, 2], "cluster_address_first": True}
    actions = tuple(Action(at_s, Fault("restart", (n,))) for at_s, n in ((5, 3), (900, 4)))
    result = run(CasePlan("address", "mscs", 4, 60.0, {**options, "nodes": 4}, actions=actions))
    (discovery,) = of(result, "join", "discovery")
    assert discovery.fields["took_s"] < 1.0
    assert discovery.fields["rpcs"] == 1
    assert discovery.fields["sponsor"] == 1


def test_without_a_cluster_address_all_nodes_are_probed_after_it() -> None:
    options = {"nodes": 2, "cluster_address_first": True, "discovery_timeout_s": 10.0}
    actions = (Action(0.0, Fault("restart", (1,))), Action(900.0, Fault("restart", (2,))))
    result = run(CasePlan("alone", "mscs", 2, 60.0, options, actions=actions))
    (discovery,) = of(result, "join", "discovery")
    assert discovery.fields["took_s"] == pytest.approx(11.0, rel=0.05)
    assert of(result, "join", "formed")


# --- the sponsor's patience -------------------------------------------------------------


def test_a_slow_phase_3_is_aborted_at_the_sponsor_and_tried_again() -> None:
    slow = Action(0.0, Fault("pause", (5,)), after=Seen("sponsor", "locked"))
    result = run(beside(4, slow, Action(80.0, Fault("heal")), over_s=200.0))
    (aborted,) = of(result, "sponsor", "aborted")
    assert aborted.cause == "time-out"
    (locked, *_) = of(result, "sponsor", "locked")
    assert aborted.t_s - locked.t_s == pytest.approx(60.0, abs=1.0)
    assert done(result).t_s > aborted.t_s


def slow_calls(**options: Any) -> CaseResult:
    """Return a join in which each call takes a second and a half."""
    delay = Action(4.0, Fault("delay", value=0.75))
    return run_case(beside(15, delay, over_s=120.0, heartbeat_misses=100, **options))


def test_a_petition_after_the_sponsors_time_out_is_refused_and_the_joiner_tries_again() -> None:
    result = slow_calls()
    assert result.violations == []
    (given_up, *_) = of(result, "sponsor", "aborted")
    (late, *_) = of(result, "join", "aborted")
    assert late.cause == "petition: aborted by the sponsor"
    assert late.t_s > given_up.t_s


def test_progress_reports_keep_the_sponsor_waiting() -> None:
    assert of(slow_calls(), "sponsor", "aborted")[0].cause == "time-out"
    patient = slow_calls(join_progress=True)
    assert not of(patient, "sponsor", "aborted")
    (network,) = of(patient, "join", "network")
    assert network.fields["took_s"] > 60.0


def test_the_first_heartbeat_is_awaited_for_0_6_to_1_2_s_on_average() -> None:
    waits_s = []
    for seed in range(12):
        plan = msgspec.structs.replace(beside(1, over_s=10.0), seed=seed)
        (petition,) = of(run(plan), "join", "petition")
        waits_s.append(petition.fields["took_s"])
    assert 0.6 < mean(waits_s) < 1.2


# --- failures at every point ------------------------------------------------------------

POINTS = [
    ("join", "discovery"),
    ("sponsor", "begin"),
    ("join-lock", "held"),
    ("sponsor", "locked"),
    ("join", "lock"),
    ("join", "network"),
    ("sponsor", "inserted"),
    ("join", "petition"),
    ("join", "database"),
    ("join-lock", "released"),
    ("join", "unlock"),
]


@pytest.mark.parametrize("victim", [1, 2, 4], ids=["sponsor", "member", "joiner"])
@pytest.mark.parametrize("point", POINTS, ids=[" ".join(point) for point in POINTS])
def test_whoever_dies_wherever_all_are_members_in_the_end(
    point: tuple[str, str], victim: int
) -> None:
    again = tuple(Action(50.0 + 10 * n, Fault("restart", (1, 2, 3, 4))) for n in range(8))
    kill = Action(0.0, Fault("kill", (victim,)), after=Seen(*point))
    options = {"discovery_timeout_s": 10.0}
    result = run(beside(3, kill, *again, over_s=210.0, **options))
    assert of(result, "fault", "kill")


def test_a_restarted_node_must_be_missed_before_it_joins() -> None:
    kill, restart = Action(5.0, Fault("kill", (3,))), Action(6.0, Fault("restart", (3,)))
    actions = (started((1, 2, 3)), kill, restart)
    options = {"nodes": 3, "members": [1, 2, 3], "discovery_timeout_s": 10.0}
    result = run(CasePlan("again", "mscs", 3, 90.0, options, actions=actions))
    assert "regroup has not yet noticed" in of(result, "join", "aborted")[0].cause
    assert done(result).node == 3


# --- the checkers can fail --------------------------------------------------------------


def two_joiners() -> CaseResult:
    """Return two joins at once, of different sponsors: the cluster's address moves in between."""
    options = {"nodes": 5, "members": [1, 2, 3]}
    actions = tuple(Action(5.0, Fault("restart", (node,))) for node in (4, 5))
    return run_case(
        CasePlan("two", "mscs", 5, 120.0, options, actions=actions),
        checkers=(OneJoinAtATime, LockIsGivenBack),
    )


def test_two_joiners_come_one_after_the_other() -> None:
    result = two_joiners()
    assert result.violations == []
    assert len(of(result, "join", "done")) == 2


def test_a_lock_that_is_always_granted_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    take = join_lock.JoinLock._lock

    def always(self: join_lock.JoinLock, now_s: float, payload: Any, origin: int) -> bool:
        self.holder = None
        return take(self, now_s, payload, origin)

    monkeypatch.setattr(join_lock.JoinLock, "_lock", always)
    monkeypatch.setattr(sponsor.Sponsor, "_why_refuse", lambda self, attempt: "")
    assert [violation.checker for violation in two_joiners().violations] == ["join-one-at-a-time"]


def test_a_member_that_admits_whoever_asks_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(join_lock.JoinLock, "is_held_by", lambda self, attempt: True)
    monkeypatch.setattr(join_lock.JoinLock, "_lock", lambda self, *update: True)
    monkeypatch.setattr(join_member.JoinMember, "prepare", join_member.JoinMember.prepare)
    assert "join-one-at-a-time" in {found.checker for found in two_joiners().violations}


def test_a_lock_that_nobody_gives_back_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(join_lock.JoinLock, "look", lambda self, now_s: None)
    kill = Action(0.0, Fault("kill", (1,)), after=Seen("sponsor", "locked"))
    result = run_case(beside(3, kill, over_s=60.0), checkers=(LockIsGivenBack,))
    assert [violation.checker for violation in result.violations] == ["join-lock-is-given-back"]


def test_a_sponsor_that_refuses_everybody_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sponsor.Sponsor, "_why_refuse", lambda self, attempt: "no")
    result = run_case(beside(3), checkers=CONVERGED)
    assert [found.checker for found in result.violations] == ["a healed cluster admits every node"]
