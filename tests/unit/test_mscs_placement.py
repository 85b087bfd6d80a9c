"""Decisions of the fail-over and resource managers, as pure functions."""

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lab.errors import LabError
from lab.stacks.mscs.objects import Group, Resource
from lab.stacks.mscs.placement import choose_owner, dependency_order, recent, should_fail_back


def resource(name: str, *depends_on: str):
    return Resource(name=name, group="g", type="ip-address", depends_on=depends_on)


@pytest.mark.parametrize(
    ("preferred", "candidates", "load", "owner"),
    [
        ((), (), {}, None),
        ((3, 1), (1, 2, 3), {3: 9}, 3),  # preferred before load
        ((3, 1), (1, 2), {1: 9}, 1),
        ((3,), (1, 2), {1: 1}, 2),  # no preferred one: the least loaded
        ((), (4, 2), {}, 2),  # all alike: the lowest number
    ],
)
def test_the_owner_is_preferred_or_else_has_least(
    preferred: tuple[int, ...], candidates: tuple[int, ...], load: dict[int, int], owner: int | None
):
    assert choose_owner(Group(name="g", preferred=preferred), candidates, load) == owner


@pytest.mark.parametrize(
    ("failback", "owner", "candidates", "back_to"),
    [
        (False, 1, (1, 2, 3), None),
        (True, 1, (1, 2, 3), 3),
        (True, 3, (1, 2, 3), None),
        (True, 1, (1, 2), 2),
        (True, 2, (1, 2), None),
    ],
)
def test_a_group_fails_back_to_a_better_node_only(
    failback: bool, owner: int | None, candidates: tuple[int, ...], back_to: int | None
):
    group = Group(name="g", preferred=(3, 2), failback=failback)
    assert should_fail_back(group, owner, candidates) == back_to


@settings(max_examples=100)
@given(st.lists(st.sets(st.integers(0, 6)), max_size=7), st.randoms(use_true_random=False))
def test_dependencies_come_first(edges: list[set[int]], random: Random):
    resources = [
        resource(f"r{at}", *(f"r{other}" for other in others if other < at))
        for at, others in enumerate(edges)
    ]
    shuffled = random.sample(resources, len(resources))
    ordered = dependency_order(shuffled)
    assert ordered == dependency_order(resources)
    assert sorted(r.name for r in ordered) == sorted(r.name for r in resources)
    place = {r.name: at for at, r in enumerate(ordered)}
    assert all(place[need] < place[r.name] for r in ordered for need in r.depends_on)


def test_circles_and_strangers_are_refused():
    with pytest.raises(LabError, match="circle"):
        dependency_order([resource("a", "b"), resource("b", "a")])
    with pytest.raises(LabError, match="depends on x"):
        dependency_order([resource("a", "x")])


def test_recent_forgets_what_is_older_than_the_period():
    assert recent((1.0, 5.0, 9.0), 11.0, 6.0) == (9.0,)
