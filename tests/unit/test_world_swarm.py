"""Random cases find bugs that are put in, shrink to a few actions, and are repeatable."""

from __future__ import annotations

import pytest

from lab.stacks.plan import Action, Ask, CasePlan, Fault
from lab.world.shrink import shrink
from lab.world.swarm import first_violation, run_swarm_case, shrink_case, swarm_case
from lab.world.trace import plan_lines, trace_lines

from world_toy import ToyStack, toy_exercise, toy_plan  # isort: skip

SEEDS = range(40)


def test_sound_stack_holds_in_all_cases() -> None:
    exercise = toy_exercise()
    for seed in SEEDS:
        result = run_swarm_case(swarm_case("toy", exercise, seed).plan, exercise, stack=ToyStack())
        assert not result.violations, (seed, result.violations)


def test_case_follows_from_its_seed() -> None:
    exercise = toy_exercise()
    assert swarm_case("toy", exercise, 3) == swarm_case("toy", exercise, 3)
    assert swarm_case("toy", exercise, 3) != swarm_case("toy", exercise, 4)


def test_without_faults_nothing_is_wrong() -> None:
    plan = swarm_case("toy", toy_exercise(), 3, faults=False, nodes=7).plan
    faults = {a.does.fault for a in plan.actions if isinstance(a.does, Fault)}
    assert (plan.nodes, faults) == (7, {"restart", "heal"})


@pytest.mark.parametrize(
    ("bug", "broken"),
    [("twice", "learns once"), ("raise", "core: ValueError"), ("spin", "core: timer")],
)
def test_bug_is_found_and_shrunk(bug: str, broken: str) -> None:
    exercise = toy_exercise(bug)
    for seed in SEEDS:
        case = swarm_case("toy", exercise, seed)
        found = first_violation(run_swarm_case(case.plan, exercise, stack=ToyStack()))
        if found is not None:
            break
    else:
        pytest.fail("no seed found it")
    assert found.checker == broken
    short = shrink_case(case, exercise, found, stack=ToyStack(), most_runs=300)
    again = first_violation(run_swarm_case(short, exercise, stack=ToyStack()))
    assert again is not None
    assert again.checker == broken
    assert short.nodes <= 2
    asked = [a for a in short.actions if isinstance(a.does, Ask)]
    assert len(asked) == 1
    assert len(short.actions) <= 3


def test_lost_promise_is_found_at_the_end_and_keeps_its_healing() -> None:
    exercise = toy_exercise("amnesia")
    for seed in range(400):
        case = swarm_case("toy", exercise, seed)
        found = first_violation(run_swarm_case(case.plan, exercise, stack=ToyStack()))
        if found is not None:
            break
    else:
        pytest.fail("no seed found it")
    assert found.checker == "knows all"
    assert found.t_s == case.plan.over_s
    short = shrink_case(case, exercise, found, stack=ToyStack(), most_runs=200)
    ending = [a for a in case.plan.actions if a.at_s >= case.healed_s]
    assert list(short.actions[-len(ending) :]) == ending
    assert len(short.actions) < len(ending) + 6


def test_shrinking_finds_the_two_actions_that_matter() -> None:
    def needs_two(plan: CasePlan) -> bool:
        kinds = [a.does.fault for a in plan.actions if isinstance(a.does, Fault)]
        return "kill" in kinds and "clog" in kinds

    noise = tuple(Action(float(n), Fault("pause", nodes=(n,))) for n in range(1, 6))
    two = (Action(7.3, Fault("kill", (1, 2, 5))), Action(3.2, Fault("clog", (4,), (1, 2))))
    plan = toy_plan(5, actions=(*noise, two[0], *noise, two[1], *noise))
    short = shrink(plan, needs_two)
    assert short.nodes == 1 or len(short.actions) == 2
    assert sorted(a.does.fault for a in short.actions if isinstance(a.does, Fault)) == [
        "clog",
        "kill",
    ]


def test_shrinking_keeps_to_its_number_of_runs() -> None:
    tried = []

    def fails(plan: CasePlan) -> bool:
        tried.append(plan)
        return len(tried) % 3 == 0

    actions = tuple(Action(float(n), Fault("heal")) for n in range(60))
    shrink(toy_plan(9, actions=actions), fails, most_runs=25)
    assert len(tried) == 25


def test_trace_is_readable() -> None:
    exercise = toy_exercise("raise")
    say = Action(1.0, Ask("say", nodes=(2,), arguments={"fact": 13}))
    plan = toy_plan(2, actions=(say, Action(2.0, Fault("cut", (1,), (2,), network=0))),
                    options={"bug": "raise"})  # fmt: skip
    result = run_swarm_case(plan, exercise, stack=ToyStack(), traffic=True)
    text = "\n".join((*plan_lines(plan), *trace_lines(result.events, result.violations)))
    assert "1.0 s  ask node 2: say(fact=13)" in text
    assert "2.0 s  cut node 1 from node 2 on network 0" in text
    assert "VIOLATION of 'core: ValueError': node 2:" in text
    assert "ValueError: thirteen" in text


def test_shrinking_renumbers_the_nodes_that_remain() -> None:
    def fails(plan: CasePlan) -> bool:
        return plan.nodes >= 2 and any(
            getattr(a.does, "fault", "") == "pause" for a in plan.actions
        )

    actions = (Action(1.0, Fault("pause", (3,), (1, 5))), Action(2.0, Ask("say", (2,))))
    plan = toy_plan(5, actions=actions, options={"members": [1, 3, 5], "words": ["a"]})
    short = shrink(plan, fails)
    assert short.nodes == 2
    (action,) = short.actions
    assert isinstance(action.does, Fault)
    assert set(action.does.nodes + action.does.peers) <= {1, 2}
