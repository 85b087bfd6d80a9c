"""The whole cluster service in the simulated world: what clients of its groups see of failures."""

from __future__ import annotations

from typing import Any

import pytest
from mscs_world import web_group

from lab.stacks.checking import check
from lab.stacks.events import HALTED, REPLY, Event
from lab.stacks.mscs.failover import FailoverManager
from lab.stacks.mscs.invariants import CHECKERS, CONVERGED
from lab.stacks.plan import Action, Ask, CasePlan, Fault
from lab.world import run_case


def run(nodes: int, over_s: float, *actions: Action) -> list[Event]:
    """Run members of a formed cluster with one group, and check all that always holds."""
    events = run_unchecked(nodes, over_s, *actions)
    assert check((*CHECKERS, *CONVERGED), events) == []
    return events


def run_unchecked(nodes: int, over_s: float, *actions: Action) -> list[Event]:
    members = list(range(1, nodes + 1))
    plan = CasePlan(
        name="test",
        stack="mscs",
        nodes=nodes,
        over_s=over_s,
        options={"nodes": nodes, "members": members, "groups": [web_group(2, 3)]},
        actions=actions,
    )
    result = run_case(plan)
    assert result.violations == []
    return result.events


def times(events: list[Event], name: str, phase: str) -> list[tuple[float, int]]:
    """When and on which nodes a resource came into a phase."""
    return [
        (event.t_s, event.node)
        for event in events
        if event.kind == "resource" and event.fields["resource"] == name and event.phase == phase
    ]


def holder(events: list[Event], name: str) -> int | None:
    """The node that has a resource online at the end."""
    on: int | None = None
    for event in events:
        if event.kind == "resource" and event.fields["resource"] == name:
            if event.phase == "online":
                on = event.node
            elif event.node == on:
                on = None
    return on


def halted(events: list[Event]) -> list[int]:
    return sorted(event.node for event in events if event.kind == HALTED)


def ask(at_s: float, asked: int, request: str, **arguments: Any) -> Action:
    return Action(at_s, Ask(request, nodes=(asked,), arguments=arguments))


def fault(at_s: float, kind: Any, *nodes: int) -> Action:
    return Action(at_s, Fault(kind, nodes=nodes))


def test_clients_miss_a_service_for_as_long_as_detection_and_regroup_take():
    events = run(3, 25.0, fault(10.0, "kill", 2))
    at_s, node = times(events, "service", "online")[-1]
    assert node == 3
    # 6 to 7.2 s of silence since the last heartbeat, a look each 0.6 s, 2.4 s of phase 1, the rest
    assert 6.0 + 2.4 < at_s - 10.0 < 7.2 + 0.6 + 2.4 + 1.0


@pytest.mark.parametrize("node", [1, 2])
def test_a_node_that_is_cut_off_lets_go_before_others_take_over_and_halts(node: int):
    events = run(3, 40.0, fault(10.0, "cut", node))
    assert halted(events) == [node]
    assert holder(events, "service") == (3 if node == 2 else 2)
    assert holder(events, "cluster-address") == (3 if node == 1 else 1)
    assert holder(events, "quorum") == (3 if node == 1 else 1)


def test_without_that_a_group_would_be_on_two_nodes(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(FailoverManager, "set_quiet", lambda self, now_s, quiet: None)
    events = run_unchecked(3, 40.0, fault(10.0, "cut", 2))
    assert [v.checker for v in check(CHECKERS, events)] == ["a resource is on one node at a time"]


@pytest.mark.parametrize("node", [1, 2])
def test_a_node_that_stood_still_lets_go_as_soon_as_it_goes_on(node: int):
    events = run(3, 60.0, fault(10.0, "pause", node), fault(22.0, "resume", node))
    assert halted(events) == [node]
    name = "cluster-address" if node == 1 else "service"
    assert times(events, name, "offline")[-1][0] < 22.1
    assert holder(events, name) == 3


def test_a_loaded_node_that_stood_still_for_long_does_not_wait_for_its_processor_to_halt():
    """Seeds 2320, 4499 and 8776 of the random cases: its groups were elsewhere by then."""
    busy = Action(20.0, Fault("cpu-load", nodes=(2,), level="heavy"))
    events = run(3, 120.0, fault(10.0, "pause", 2), busy, fault(60.0, "resume", 2))
    (gone,) = [event.t_s for event in events if event.kind == HALTED]
    assert gone < 60.2


@pytest.mark.parametrize("seed", range(12, 24))
def test_a_node_that_is_healed_goes_on_without_its_load(seed: int):
    """As in seed 2415: a wait that was drawn before the load was gone made it late to let go."""
    actions = (
        fault(10.5, "pause", 1),
        Action(17.0, Fault("cpu-load", nodes=(1,), level="heavy")),
        fault(20.0, "heal", 1),
    )
    options = {"nodes": 2, "members": [1, 2]}
    plan = CasePlan("healed", "mscs", 2, 40.0, options, actions=actions, seed=seed)
    assert run_case(plan, checkers=CHECKERS).violations == []


def test_a_clock_that_is_set_ahead_makes_nobody_silent():
    """Seed 19506: the owner of the quorum resource took a group over that was still online."""
    ahead = Action(11.0, Fault("clock-step", nodes=(1,), value=5.0))
    events = run(2, 60.0, fault(10.0, "cut", 2), ahead)
    assert halted(events) == [2]
    (suspected,) = [e.t_s for e in events if e.kind == "suspicion" and e.node == 1]
    assert 15.4 < suspected < 18.5  # as if the clock had gone on, up to one check


def test_a_node_that_stood_still_for_a_moment_goes_on_undisturbed():
    events = run(3, 40.0, fault(10.0, "pause", 2), fault(15.0, "resume", 2))
    assert halted(events) == []
    assert times(events, "service", "online") == [(pytest.approx(0.0, abs=0.1), 2)]


def test_in_a_cluster_of_two_the_owner_of_the_quorum_resource_survives_a_split():
    events = run(2, 40.0, fault(10.0, "cut", 2))
    assert halted(events) == [2]
    assert holder(events, "service") == 1
    assert times(events, "cluster-address", "offline") == []


def test_in_a_cluster_of_two_the_other_survives_when_the_owner_dies():
    events = run(2, 60.0, fault(10.0, "kill", 1))
    assert halted(events) == []
    assert {holder(events, name) for name in ("service", "quorum", "cluster-address")} == {2}


def test_in_a_cluster_of_two_a_paused_owner_loses_the_resource_and_halts():
    events = run(2, 60.0, fault(10.0, "pause", 1), fault(40.0, "resume", 1))
    assert halted(events) == [1]
    assert {holder(events, name) for name in ("service", "quorum", "cluster-address")} == {2}


def test_an_owner_that_cannot_reach_the_volume_hands_it_over():
    events = run(3, 40.0, fault(10.0, "quorum-cut", 1))
    assert halted(events) == []
    assert holder(events, "quorum") == holder(events, "cluster-address") == 3


def test_a_cluster_that_cannot_reach_the_volume_ends():
    events = run(3, 90.0, fault(10.0, "quorum-cut"))
    assert halted(events) == [1, 2, 3]


def test_commands_move_restart_and_evict():
    events = run(
        3,
        30.0,
        ask(5.0, 3, "move", group="web", to=1),
        ask(7.0, 2, "fail", resource="address"),
        ask(9.0, 1, "evict", node=1),
        ask(9.1, 3, "move", group="web", node=1),
        ask(25.0, 3, "nodes"),
    )
    on = [node for _, node in times(events, "service", "online")]
    assert on == [2, 1, 1, 2]
    assert halted(events) == [1]
    replies = [event.fields for event in events if event.kind == REPLY]
    assert [reply["ok"] for reply in replies] == [True, True, True, False, True]
    assert replies[3]["value"].startswith("move does not know node (expected: move GROUP [to])")
    assert [row["state"] for row in replies[4]["value"]] == ["evicted", "up", "up"]
