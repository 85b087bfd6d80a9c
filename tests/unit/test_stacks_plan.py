"""What follows from a plan of a case."""

from lab.stacks.plan import Action, CasePlan, Fault, Seen, starting_nodes


def plan(*actions: Action) -> CasePlan:
    return CasePlan("case", "toy", 4, 10.0, actions=actions)


def test_nodes_start_at_0_unless_a_restart_starts_them_later():
    assert starting_nodes(plan()) == [1, 2, 3, 4]
    assert starting_nodes(plan(Action(5.0, Fault("restart", (2,))))) == [1, 3, 4]
    assert starting_nodes(plan(Action(5.0, Fault("restart")))) == []
    twice = plan(Action(0.0, Fault("restart", (2,))), Action(5.0, Fault("restart", (2, 3))))
    assert starting_nodes(twice) == [1, 2, 4]
    chained = plan(Action(1.0, Fault("kill", (1,))), Action(0.0, Fault("restart", (2,)), Seen("x")))
    assert starting_nodes(chained) == [1, 3, 4]
