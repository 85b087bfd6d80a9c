"""The simulated world: repeatable, and every fault does what it says."""

from __future__ import annotations

from typing import Any

from lab.stacks.plan import Action, Ask, Fault
from lab.world import CaseResult, World, run_case

from world_toy import ToyStack, toy_plan  # isort: skip


def run(*actions: Action, **more: Any) -> CaseResult:
    return run_case(toy_plan(actions=actions, **more), stack=ToyStack())


def say(at_s: float, fact: int, *nodes: int) -> Action:
    return Action(at_s, Ask("say", nodes=nodes, arguments={"fact": fact}))


def knowing(result: CaseResult, fact: int) -> set[int]:
    return {e.node for e in result.events if e.kind == "learned" and e.fields["fact"] == fact}


def test_what_is_said_gets_around() -> None:
    assert knowing(run(say(1.0, 5, 1)), 5) == {1, 2, 3}


def test_same_plan_same_digest_and_events() -> None:
    first, second = run(say(1.0, 5, 1)), run(say(1.0, 5, 1))
    assert first.digest == second.digest
    assert first.events == second.events


def test_another_seed_another_digest() -> None:
    assert run(say(1.0, 5, 1)).digest != run(say(1.0, 5, 1), seed=2).digest


def test_killed_node_is_silent_until_restarted() -> None:
    kill, restart = (
        Action(3.5, Fault("kill", nodes=(2,))),
        Action(9.2, Fault("restart", nodes=(2,))),
    )
    result = run(kill, restart, Action(0.0, Fault("restart")))
    of_two = [e for e in result.events if e.node == 2]
    assert not [e for e in of_two if 3.5 < e.t_s < 9.2]
    assert [(e.t_s, e.incarnation) for e in of_two if e.kind == "started"] == [(0.0, 1), (9.2, 2)]


def test_world_can_be_run_in_steps() -> None:
    world = World(toy_plan(), stack=ToyStack())
    world.run(until_s=5.0)
    core = world.hosts[1].core
    assert core is not None
    assert core.state()["beats"] == {2: 4, 3: 4}
