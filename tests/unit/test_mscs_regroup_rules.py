"""Regroup's rules, as thesis 7.7.2 states them."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lab.stacks.mscs.config import make_config
from lab.stacks.mscs.regroup.masks import lowest, mask, nodes_in
from lab.stacks.mscs.regroup.rules import (
    Survival,
    fully_connected,
    links,
    select_tie_breaker,
    survival,
    survival_of,
    why_activation_is_over,
)
from lab.stacks.mscs.view import formed

NO, WITH_QUORUM, YES = Survival

nodes = st.integers(1, 32)
groups = st.sets(nodes, min_size=1)


@given(st.sets(st.integers(1, 64)))
def test_masks_are_sets(members: set[int]):
    assert set(nodes_in(mask(members))) == members
    assert lowest(mask(members)) == min(members, default=0)


# --- phase 1 --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("elapsed_s", "missing", "suspects", "cautious", "detector", "why"),
    [
        (0.0, (), (), False, False, "all active"),
        (2.3, (3,), (3,), False, False, ""),
        (2.4, (3,), (3,), False, False, "single failure"),
        (8 * 0.3, (3,), (), False, False, "single failure"),
        (2.4, (3, 4), (3, 4), False, False, ""),
        (9.5, (3, 4), (3, 4), False, False, ""),
        (9.6, (3, 4), (), False, False, "maximum"),
        (9.5, (), (), True, False, ""),
        (9.5, (3,), (3,), True, False, ""),
        (9.6, (), (), True, False, "maximum"),
        (0.9, (3, 4), (3, 4), False, True, ""),
        (1.0, (3, 4), (3, 4, 5), False, True, "detectors"),
        (1.0, (3, 4), (3,), False, True, ""),
        (1.0, (3, 4), (3, 4), True, True, ""),
    ],
)
def test_how_phase_1_ends(
    *,
    elapsed_s: float,
    missing: tuple[int, ...],
    suspects: tuple[int, ...],
    cautious: bool,
    detector: bool,
    why: str,
):
    config = make_config(1, {"nodes": 8, "regroup_detector": detector})
    assert why == why_activation_is_over(
        elapsed_s,
        missing=mask(missing),
        suspects=mask(suspects),
        cautious=cautious,
        config=config,
    )


# --- phase 2: survival ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("group", "members", "tie_breaker", "verdict"),
    [
        ({1, 2, 3}, range(1, 6), 5, YES),
        ({4, 5}, range(1, 6), 5, NO),
        ({1, 2}, range(1, 5), 1, YES),
        ({1, 2}, range(1, 5), 4, NO),
        ({3, 4}, range(1, 5), 4, YES),
        ({1}, range(1, 3), 1, WITH_QUORUM),
        ({2}, range(1, 3), 1, WITH_QUORUM),
        ({1, 2}, range(1, 3), 1, YES),
        ({1}, range(1, 4), 1, NO),
        ({7}, {7}, 7, YES),
        ({1, 2, 9}, range(1, 6), 1, NO),
    ],
)
def test_who_survives(group: set[int], members: range, tie_breaker: int, verdict: Survival):
    assert survival(mask(group), mask(members), tie_breaker) == verdict


@given(groups, groups, st.data())
def test_two_partitions_never_both_survive(members: set[int], group: set[int], data: st.DataObject):
    tie_breaker = data.draw(st.sampled_from(sorted(members)))
    one, other = mask(group), mask(members - group)
    verdicts = {
        survival(one, mask(members), tie_breaker),
        survival(other, mask(members), tie_breaker),
    }
    assert verdicts != {YES}
    assert verdicts != {YES, WITH_QUORUM}


@given(groups, groups, st.data())
def test_during_a_join_neither_whichever_view_they_know(
    members: set[int], group: set[int], data: st.DataObject
):
    """Members know of the joiner as such (prepared), or as a member (admitted)."""
    joiner = data.draw(nodes.filter(lambda node: node not in members))
    before = formed("c", dict.fromkeys(members, 1))
    after = before.with_member(joiner, 1)
    stages = [(before, {joiner}), (after, set())]
    verdicts = []
    for partition in (group, (members | {joiner}) - group):
        # The newest view that anybody in a partition knows counts; who knows none has no part.
        origin, joining = data.draw(st.sampled_from(stages))
        verdicts.append(survival_of(mask(partition), origin, joining))
    assert min(verdicts) == NO or set(verdicts) == {WITH_QUORUM}


@given(groups)
def test_the_tie_breaker_is_the_same_for_all_who_know_the_group(group: set[int]):
    assert select_tie_breaker(mask(group)) == min(group)


# --- phase 2: pruning -----------------------------------------------------------------------


def matrix(size: int, cut: set[tuple[int, int]]) -> list[int]:
    """Everybody hears everybody, apart from (hearer, heard)."""
    return [
        mask(other for other in range(1, size + 1) if (node, other) not in cut)
        for node in range(1, size + 1)
    ]


@pytest.mark.parametrize(
    ("size", "cut", "remaining"),
    [
        (5, set(), {1, 2, 3, 4, 5}),
        (5, {(4, 5)}, {1, 2, 3, 4}),
        (5, {(1, 2)}, {1, 3, 4, 5}),
        (5, {(1, n) for n in (2, 3, 4)}, {2, 3, 4, 5}),
        (6, {(a, b) for a in (1, 2, 3) for b in (4, 5)}, {1, 2, 3, 6}),
        (4, {(a, b) for a in range(1, 5) for b in range(1, 5) if a != b}, {1}),
    ],
)
def test_whoever_lacks_most_contacts_is_pruned(
    size: int, cut: set[tuple[int, int]], remaining: set[int]
):
    everybody = mask(range(1, size + 1))
    assert set(nodes_in(fully_connected(everybody, matrix(size, cut)))) == remaining


@settings(max_examples=200)
@given(
    st.sets(st.integers(1, 12), min_size=1),
    st.sets(st.tuples(st.integers(1, 12), st.integers(1, 12))),
)
def test_what_remains_is_fully_connected_and_nobody_else_is(
    group: set[int], cut: set[tuple[int, int]]
):
    rows = matrix(12, cut)
    remaining = fully_connected(mask(group), rows)
    assert remaining
    assert remaining & mask(group) == remaining
    for node, contacts in links(remaining, rows).items():
        assert contacts | mask([node]) == remaining
    links_of = links(mask(group), rows)
    for pruned in nodes_in(mask(group) & ~remaining):
        assert links_of[pruned] & mask(group) != mask(group - {pruned})
