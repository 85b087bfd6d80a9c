"""Every fault does what it says, is told in the log, and can be healed."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest

from lab.errors import LabError
from lab.stacks.events import Event
from lab.stacks.plan import Action, Ask, Fault, FaultKind, NetworkPlan, Seen
from lab.world import CaseResult, World, run_case

from world_toy import ToyStack, toy_plan  # isort: skip


def run(*actions: Action, nodes: int = 3, over_s: float = 20.0, **more: Any) -> CaseResult:
    return run_case(toy_plan(nodes, over_s, actions=actions, **more), stack=ToyStack())


def at(at_s: float, kind: FaultKind, *nodes: int, **more: Any) -> Action:
    return Action(at_s, Fault(kind, nodes=nodes, **more))


def say(at_s: float, fact: int, *nodes: int) -> Action:
    return Action(at_s, Ask("say", nodes=nodes, arguments={"fact": fact}))


def beats(result: CaseResult, source: int, target: int) -> list[float]:
    """When a node's beats reached another."""
    return [
        e.t_s
        for e in result.events
        if (e.kind, e.node, e.fields.get("peer")) == ("receive", target, source)
        and e.fields["label"] == "beat"
    ]


def seconds(times: list[float]) -> list[int]:
    return [int(t_s) for t_s in times]


def of_kind(result: CaseResult, kind: str, node: int | None = None) -> list[Event]:
    return [e for e in result.events if e.kind == kind and node in (None, e.node)]


def test_faults_are_events_of_node_0() -> None:
    fault = of_kind(run(at(2.5, "cut", 1, peers=(2,), network=0)), "fault")[0]
    assert (fault.node, fault.t_s, fault.phase) == (0, 2.5, "cut")
    assert fault.fields == {
        "nodes": [1], "peers": [2], "network": 0, "value": 0.0, "level": "idle"
    }  # fmt: skip


def test_cut_is_two_way_until_healed() -> None:
    result = run(at(2.5, "cut", 1, peers=(2,)), at(6.5, "heal", 1), over_s=9.5)
    for pair in ((1, 2), (2, 1)):
        assert seconds(beats(result, *pair)) == [1, 2, 7, 8, 9]
    assert len(beats(result, 1, 3)) == 9


def test_cut_of_another_network_does_not_matter() -> None:
    assert len(beats(run(at(2.5, "cut", 1, network=1), over_s=9.5), 1, 2)) == 9


def test_one_way_cut_is_one_way() -> None:
    result = run(at(2.5, "one-way-cut", 1, peers=(2,)), at(6.5, "heal"), over_s=9.5)
    assert seconds(beats(result, 1, 2)) == [1, 2, 7, 8, 9]
    assert len(beats(result, 2, 1)) == 9


def test_loss_loses_the_part_that_it_says() -> None:
    result = run(at(0.0, "loss", 1, peers=(2,), value=0.3), over_s=1000.5)
    assert 0.65 < len(beats(result, 1, 2)) / 1000 < 0.75
    assert 0.65 < len(beats(result, 2, 1)) / 1000 < 0.75
    assert len(beats(result, 1, 3)) == 1000
    assert result.lost > 500


def test_duplicate_doubles_the_part_that_it_says() -> None:
    result = run(at(0.0, "duplicate", 1, peers=(2,), value=0.4), over_s=1000.5)
    assert 1.35 < len(beats(result, 1, 2)) / 1000 < 1.45


def test_delay_delays() -> None:
    result = run(at(2.5, "delay", 1, peers=(2,), value=0.25), at(4.5, "heal"), over_s=6.5)
    late_s = [t_s % 1 for t_s in beats(result, 1, 2)]
    assert [round(s, 2) for s in late_s] == [0.0, 0.0, 0.25, 0.25, 0.0, 0.0]


def test_jitter_lets_datagrams_overtake_each_other() -> None:
    result = run(at(0.0, "jitter", 1, peers=(2,), value=3.0), over_s=100.0)
    sent = [e.cause for e in of_kind(result, "send", 1) if e.fields["peer"] == 2]
    come = [e.cause for e in of_kind(result, "receive", 2) if e.fields["peer"] == 1]
    assert come != [name for name in sent if name in set(come)]


def test_clog_holds_what_was_sent_and_lets_it_through_when_healed() -> None:
    result = run(at(2.5, "clog", 1, peers=(2,)), at(6.5, "heal"), over_s=9.5)
    assert seconds(beats(result, 1, 2)) == [1, 2, 6, 6, 6, 6, 7, 8, 9]
    assert len(beats(result, 2, 1)) == 9


def test_killed_node_is_silent_until_restarted() -> None:
    result = run(at(0.0, "restart"), at(3.5, "kill", 2), at(9.2, "restart", 2))
    of_two = [e for e in result.events if e.node == 2]
    assert not [e for e in of_two if 3.5 < e.t_s < 9.2]
    assert [(e.t_s, e.incarnation) for e in of_kind(result, "started", 2)] == [(0.0, 1), (9.2, 2)]


def test_restart_of_a_running_node_does_nothing() -> None:
    assert len(of_kind(run(at(0.0, "restart"), at(5.0, "restart")), "started")) == 3


def test_node_that_the_plan_starts_later_does_not_run_before() -> None:
    result = run(at(4.0, "restart", 2))
    assert [e.t_s for e in of_kind(result, "started")] == [0.0, 0.0, 4.0]


def test_kill_keeps_the_disk_and_wipe_loses_it() -> None:
    cuts = at(0.0, "cut")
    learned = [
        [e.cause for e in of_kind(run(cuts, say(1.0, 5, 1), at(3.0, end, 1), again), "learned", 1)]
        for end in ("kill", "wipe")
        for again in [at(4.0, "restart", 1)]
    ]
    # A restart names node 1, so it does not run before: it is started by hand first.
    assert learned == [[], []]
    first = at(0.0, "restart")
    for end, causes in (("kill", ["said", "disk"]), ("wipe", ["said"])):
        result = run(first, cuts, say(1.0, 5, 1), at(3.0, end, 1), at(4.0, "restart", 1))
        assert [e.cause for e in of_kind(result, "learned", 1)] == causes


def test_request_to_a_dead_node_is_refused() -> None:
    result = run(at(1.0, "kill", 1), say(2.0, 5, 1))
    assert [(e.node, e.phase) for e in of_kind(result, "request")] == [(0, "refused")]


def test_request_and_reply_are_logged_at_the_node() -> None:
    result = run(say(2.0, 5, 2, 1))
    assert [(e.node, e.fields["name"]) for e in of_kind(result, "request")] == [
        (2, "say"), (1, "say")
    ]  # fmt: skip
    assert sorted((e.node, e.fields["value"]) for e in of_kind(result, "reply")) == [(1, 5), (2, 5)]


def test_paused_node_takes_later_what_came_meanwhile() -> None:
    world = World(toy_plan(actions=(at(2.5, "pause", 2), at(6.5, "resume", 2))), stack=ToyStack())
    world.run(until_s=6.4)
    core = world.hosts[2].core
    assert core is not None
    assert core.state()["beats"] == {1: 2, 3: 2}
    world.run(until_s=6.6)
    assert core.state()["beats"] == {1: 6, 3: 6}
    result = world.result()
    assert not [e for e in of_kind(result, "send", 2) if 2.5 < e.t_s < 6.5]


def test_heal_resumes_but_starts_nothing() -> None:
    result = run(at(2.5, "pause", 2), at(2.5, "kill", 3), at(6.4, "heal"), over_s=9.0)
    assert [e.t_s > 6.4 for e in of_kind(result, "send", 2)][-1]
    assert not [e for e in of_kind(result, "send", 3) if e.t_s > 2.5]


def test_halted_node_never_acts() -> None:
    result = run(Action(3.5, Ask("halt", nodes=(2,))))
    halted = of_kind(result, "halted", 2)
    assert [e.cause for e in halted] == ["was asked to"]
    assert [e for e in result.events if e.node == 2][-1] is halted[0]


def test_clock_step_moves_the_nodes_own_time() -> None:
    result = run(at(2.5, "clock-step", 1, value=0.4), at(4.5, "clock-step", 1, value=-0.4),
                 over_s=6.5)  # fmt: skip
    assert [round(t_s, 1) for t_s in beats(result, 1, 2)] == [1.0, 2.0, 2.6, 3.6, 5.0, 6.0]


def test_slow_disk_is_slow() -> None:
    def reply_s(*actions: Action) -> float:
        return of_kind(run(*actions, say(2.0, 5, 1)), "reply")[0].t_s - 2.0

    assert reply_s() < 0.05
    assert 1.5 < reply_s(at(1.0, "slow-disk", 1, value=1.5)) < 1.55
    assert reply_s(at(1.0, "slow-disk", 1, value=1.5), at(1.5, "heal")) < 0.05


def test_cpu_load_delays_the_service_level_and_hardly_the_kernel_level() -> None:
    def waits_s(*actions: Action) -> list[float]:
        asks = [say(2.0 + n, n, 1) for n in range(100)]
        result = run(*actions, *asks, over_s=120.0)
        return sorted(e.t_s % 1 for e in of_kind(result, "learned", 1) if e.cause == "said")

    def beat_gaps_s(*actions: Action) -> float:
        times = beats(run(*actions, over_s=100.0), 1, 2)
        return max(b - a for a, b in pairwise(times))

    loaded = at(0.0, "cpu-load", level="moderate")
    assert waits_s()[-1] < 0.003
    assert waits_s(loaded)[50] > 0.01
    assert beat_gaps_s() < 1.0001
    assert 1.001 < beat_gaps_s(loaded) < 1.05


def test_network_load_delays_and_loses() -> None:
    plain, loaded = (
        run(*actions, over_s=300.0, networks=(NetworkPlan(rate_bytes_per_s=1.25e5),))
        for actions in ((), (at(0.0, "network-load", level="heavy"),))
    )
    assert plain.lost == 0
    assert loaded.lost > 0
    late = [max(t_s % 1 for t_s in beats(result, 1, 2)) for result in (plain, loaded)]
    assert late[0] < 0.01 < late[1]


def test_action_after_an_event_waits_for_it() -> None:
    after = Action(0.5, Ask("say", (2,), {"fact": 6}), after=Seen("reply", nodes=(1,)))
    result = run(at(0.0, "slow-disk", value=0.7), say(2.0, 5, 1), after)
    reply_s = of_kind(result, "reply", 1)[0].t_s
    assert of_kind(result, "request", 2)[0].t_s == pytest.approx(reply_s + 0.5)


def test_action_after_an_event_that_never_comes_is_done_all_the_same() -> None:
    after = Action(0.5, Fault("heal"), after=Seen("never", at_most_s=3.0))
    assert of_kind(run(say(2.0, 5, 1), after), "fault")[0].t_s == 5.5


def test_case_ends_some_time_after_its_last_action() -> None:
    assert run(say(2.0, 5, 1), settle_s=1.5).virtual_s == 3.5
    assert run(say(2.0, 5, 1), settle_s=150.0).virtual_s == 20.0


@pytest.mark.parametrize(
    "fault", [Fault("kill", nodes=(4,)), Fault("cut", peers=(9,)), Fault("cut", network=2)]
)
def test_plan_that_names_what_is_not_there_is_refused(fault: Fault) -> None:
    with pytest.raises(LabError, match="there is no"):
        run(Action(1.0, fault))


def test_stack_that_uses_a_network_that_is_not_there_is_refused() -> None:
    with pytest.raises(LabError, match="uses network 0, and the plan has 0"):
        run(networks=())
