"""Regroup in whole clusters under virtual time (thesis 7.7.2)."""

from __future__ import annotations

import pytest
from mscs_world import cut, events, fault, last_views, run_preset, sent

from lab.world.world import CaseResult

VARIANTS = ({}, {"regroup_level": "kernel"}, {"regroup_multicast": True}, {"networks": [0]})


def phases_of(result: CaseResult, node: int) -> list[str]:
    return [event.phase for event in events(result, "regroup") if event.node == node]


def span_s(result: CaseResult) -> float:
    begun = min(event.t_s for event in events(result, "regroup", "activate"))
    return max(event.t_s for event in events(result, "regroup", "done")) - begun


def took_s(result: CaseResult) -> float:
    took = [event.fields["took_s"] for event in events(result, "regroup", "done")]
    return sum(took) / len(took)


# --- the figures of the thesis ----------------------------------------------------------------


def test_a_single_failure_takes_3_s_and_10000_messages_with_32_nodes():
    result = run_preset(32, 21, fault(10.0, "kill", 7))
    assert 2.55 <= took_s(result) <= 3.45
    assert 2.55 <= span_s(result) <= 3.45
    assert 8500 <= len(sent(result, "regroup")) <= 11500
    assert last_views(result) == {
        node: [n for n in range(1, 33) if n != 7] for node in range(1, 33) if node != 7
    } | {7: list(range(1, 33))}
    for closing in events(result, "regroup", "closing"):
        assert closing.cause == "single failure"
        assert closing.fields["known_s"] < 1.0


def test_two_failures_take_10_s_and_30000_to_40000_messages():
    result = run_preset(32, 29, fault(10.0, "kill", 7, 9))
    assert 9.6 <= took_s(result) <= 10.6
    assert 30_000 <= len(sent(result, "regroup")) <= 40_000
    assert {event.cause for event in events(result, "regroup", "closing")} == {"maximum"}
    assert all(e.fields["known_s"] < 1.0 for e in events(result, "regroup", "closing"))


def test_state_goes_to_all_others_each_period_in_phase_1():
    result = run_preset(16, 32, fault(10.0, "kill", 7, 9))
    closing_s = min(event.t_s for event in events(result, "regroup", "closing"))
    messages = sent(result, "regroup", closing_s - 6.15, closing_s - 0.15)
    assert len(messages) == 14 * 15 * 20


def test_a_multicast_makes_it_one_message_a_node_and_period():
    result = run_preset(16, 32, fault(10.0, "kill", 7, 9), regroup_multicast=True)
    closing_s = min(event.t_s for event in events(result, "regroup", "closing"))
    assert len(sent(result, "regroup", closing_s - 6.15, closing_s - 0.15)) == 14 * 20
    assert 9.6 <= took_s(result) <= 10.6


def test_phases_1_and_2_take_as_long_in_small_clusters():
    took = [took_s(run_preset(nodes, 25, fault(10.0, "kill", 2))) for nodes in (4, 16)]
    assert took[0] == pytest.approx(took[1], rel=0.1)


def test_what_detectors_know_makes_it_shorter():
    plain = run_preset(8, 32, fault(10.0, "kill", 3, 5))
    informed = run_preset(8, 32, fault(10.0, "kill", 3, 5), regroup_detector=True)
    assert took_s(informed) < 0.3 * took_s(plain)
    assert {e.cause for e in events(informed, "regroup", "closing")} == {"detectors"}


def test_in_the_kernel_it_crosses_less_and_waits_for_no_processor():
    actions = (fault(0.0, "cpu-load", level="heavy"), fault(10.0, "kill", 3))
    service = run_preset(8, 60, *actions)
    kernel = run_preset(8, 60, *actions, regroup_level="kernel")
    assert kernel.busy_s[1] < service.busy_s[1]
    assert took_s(kernel) < took_s(service)


# --- phases ----------------------------------------------------------------------------------


@pytest.mark.parametrize("variant", VARIANTS)
def test_all_go_through_the_five_phases_and_then_fall_silent(variant: dict[str, object]):
    result = run_preset(5, 40, fault(10.0, "kill", 2), **variant)
    assert not result.violations
    for node in (1, 3, 4, 5):
        assert phases_of(result, node) == [
            "activate", "closing", "pruning", "cleanup-1", "cleanup-2", "done",
        ]  # fmt: skip
    done_s = max(event.t_s for event in events(result, "regroup", "done"))
    assert not sent(result, "regroup", done_s + 0.01)


def test_clean_up_2_begins_when_all_have_finished_clean_up_1():
    result = run_preset(8, 30, fault(10.0, "kill", 2))
    first = [event.t_s for event in events(result, "regroup", "cleanup-1")]
    second = [event.t_s for event in events(result, "regroup", "cleanup-2")]
    assert len(first) == len(second) == 7
    assert max(first) < min(second)


def test_nothing_is_sent_before_the_clock_has_ticked():
    result = run_preset(4, 30, fault(10.0, "kill", 2))
    activated = {event.node: event.t_s for event in events(result, "regroup", "activate")}
    for node, at_s in activated.items():
        first_s = min(e.t_s for e in sent(result, "regroup") if e.node == node)
        assert first_s - at_s == pytest.approx(0.3, abs=0.01)


def test_a_false_suspicion_excludes_nobody():
    # Node 2 stands still for long enough to be suspected, and goes on before phase 1 is over.
    result = run_preset(4, 40, fault(10.0, "pause", 2), fault(18.5, "resume", 2))
    assert last_views(result) == {node: [1, 2, 3, 4] for node in range(1, 5)}
    assert "all active" in {event.cause for event in events(result, "regroup", "closing")}
    assert not events(result, "halted")


def test_a_node_that_stalls_for_longer_is_excluded_and_halts():
    result = run_preset(4, 60, fault(10.0, "pause", 2), fault(25.0, "resume", 2))
    assert last_views(result) == {node: [1, 3, 4] for node in (1, 3, 4)}
    assert [event.node for event in events(result, "halted")] == [2]


def test_a_failure_during_a_regroup_makes_the_next_one_cautious():
    # Node 3 fails when it has just been found active: phase 2 waits for it in vain.
    result = run_preset(6, 60, fault(10.0, "kill", 2), fault(18.8, "kill", 3))
    assert last_views(result).keys() >= {1, 4, 5, 6}
    assert all(last_views(result)[node] == [1, 4, 5, 6] for node in (1, 4, 5, 6))
    again = [e for e in events(result, "regroup", "activate") if e.fields["id"] == 2]
    assert {event.node for event in again} == {1, 4, 5, 6}
    assert all(event.fields["cautious"] for event in again)
    cautious = [e for e in events(result, "regroup", "closing") if e.fields["id"] == 2]
    assert {event.cause for event in cautious} == {"maximum"}


@pytest.mark.parametrize("seed", range(4))
def test_hearsay_makes_up_for_sporadic_loss(seed: int):
    result = run_preset(8, 40, fault(9.0, "loss", value=0.2), fault(10.0, "kill", 2), seed=seed)
    assert not result.violations
    survivors = [1, 3, 4, 5, 6, 7, 8]
    assert all(last_views(result)[node] == survivors for node in survivors)


# --- who survives ------------------------------------------------------------------------------


def survivors_of(nodes: int, one: set[int], *actions: object, **options: object) -> set[int]:
    """Cut a cluster in two, and return who is left in the end."""
    other = set(range(1, nodes + 1)) - one
    result = run_preset(nodes, 60, cut(10.0, one, other), *actions, **options)
    assert not result.violations
    halted = {event.node for event in events(result, "halted")}
    left = set(range(1, nodes + 1)) - halted
    assert all(set(last_views(result)[node]) == left for node in left)
    return left


@pytest.mark.parametrize("variant", VARIANTS)
def test_more_than_half_survive(variant: dict[str, object]):
    assert survivors_of(5, {1, 2}, **variant) == {3, 4, 5}


@pytest.mark.parametrize("variant", VARIANTS)
def test_half_survives_with_the_tie_breaker(variant: dict[str, object]):
    assert survivors_of(6, {1, 5, 6}, **variant) == {1, 5, 6}
    assert survivors_of(6, {4, 5, 6}, **variant) == {1, 2, 3}


@pytest.mark.parametrize("variant", VARIANTS)
def test_one_of_two_survives_with_the_quorum_resource(variant: dict[str, object]):
    assert len(survivors_of(2, {1}, **variant)) == 1


def test_of_two_it_is_the_one_that_reaches_the_quorum_resource():
    assert survivors_of(2, {1}, fault(9.0, "quorum-cut", 1)) == {2}
    assert survivors_of(2, {1}, fault(9.0, "quorum-cut", 2)) == {1}


def test_no_part_of_three_parts_without_majority_survives():
    parts = (cut(10.0, {1, 2}, {3, 4, 5}), cut(10.0, {3, 4}, {5}))
    result = run_preset(5, 60, *parts)
    assert {event.node for event in events(result, "halted")} == {1, 2, 3, 4, 5}


def test_the_next_tie_breaker_is_selected_among_the_survivors():
    actions = (fault(10.0, "kill", 1, 2), cut(35.0, {3, 6}, {4, 5}))
    result = run_preset(6, 70, *actions)
    assert last_views(result)[3] == last_views(result)[6] == [3, 6]
    assert {event.node for event in events(result, "halted")} == {4, 5}


def test_who_lacks_connectivity_is_pruned_and_halts():
    result = run_preset(5, 60, fault(10.0, "one-way-cut", 4, peers=(5,)))
    assert not result.violations
    halted = {event.node: event.cause for event in events(result, "halted")}
    assert halted == {5: "regroup: pruned"}
    assert all(last_views(result)[node] == [1, 2, 3, 4] for node in range(1, 5))


def test_the_tie_breaker_waits_a_second_for_missing_connectivity():
    result = run_preset(5, 60, fault(10.0, "one-way-cut", 4, peers=(5,)))
    closing_s = max(event.t_s for event in events(result, "regroup", "closing"))
    pruning_s = min(event.t_s for event in events(result, "regroup", "pruning"))
    assert 1.0 <= pruning_s - closing_s <= 1.3


def test_a_tie_breaker_that_prunes_itself_tells_the_others_before_it_halts():
    actions = (fault(10.0, "one-way-cut", 2, peers=(1,)), fault(10.0, "one-way-cut", 3, peers=(1,)))
    result = run_preset(5, 60, *actions)
    assert not result.violations
    assert [event.node for event in events(result, "halted")] == [1]
    assert all(last_views(result)[node] == [2, 3, 4, 5] for node in range(2, 6))


def test_survivors_filter_out_whoever_was_excluded():
    # Node 2 hears nobody, while all hear it: they prune it, and it goes on telling its state.
    result = run_preset(4, 60, fault(10.0, "one-way-cut", 1, 3, 4, peers=(2,)))
    assert [event.node for event in events(result, "halted")] == [2]
    done_s = max(event.t_s for event in events(result, "regroup", "done"))
    assert [event for event in sent(result, "regroup", done_s + 0.1) if event.node == 2]
    begun = [event.node for event in events(result, "regroup", "activate")]
    assert sorted(begun) == [1, 2, 3, 4]


def test_the_same_seed_gives_the_same_case():
    runs = [run_preset(6, 40, fault(10.0, "kill", 2, 3), seed=7).digest for _ in range(2)]
    assert runs[0] == runs[1]
