"""ClusNet: heartbeats, suspicion, fail-over between networks, filtering (thesis 7.6)."""

from __future__ import annotations

from collections import Counter
from random import Random

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mscs_world import cut, events, fault, run_preset, sent

from lab.stacks.core import Post, Posted, Received, Send, Start, TimerDue
from lab.stacks.mscs import STACK
from lab.stacks.mscs.clusnet import CHANNEL, ClusNet, Heard, Heartbeat
from lab.stacks.mscs.clusnet_port import Filter, Watch
from lab.stacks.mscs.config import make_config
from lab.stacks.mscs.context import Context
from lab.stacks.mscs.node import CHANNELS


@pytest.mark.parametrize("nodes", [2, 8, 32])
def test_heartbeats_of_a_cluster_are_n_times_n_minus_1_each_period(nodes: int):
    result = run_preset(nodes, 16)
    beats = sent(result, "heartbeat", 2.0, 14.0)
    assert len(beats) == 10 * nodes * (nodes - 1)
    assert Counter(beat.fields["network"] for beat in beats).keys() == {0, 1}


def test_their_number_does_not_depend_on_how_many_networks_there_are():
    result = run_preset(4, 16, networks=[1])
    assert len(sent(result, "heartbeat", 2.0, 14.0)) == 10 * 4 * 3


def test_a_multicast_heartbeat_is_sent_once_and_received_by_all():
    result = run_preset(8, 16, heartbeat_multicast=True)
    assert len(sent(result, "heartbeat", 2.0, 14.0)) == 10 * 8
    received = [
        event
        for event in events(result, "receive")
        if event.fields["label"] == "heartbeat" and 2.0 <= event.t_s < 14.0
    ]
    assert len(received) == 10 * 8 * 7
    assert not events(result, "suspicion")


def test_idle_nodes_miss_nothing():
    result = run_preset(16, 60)
    assert not events(result, "heartbeat-miss")
    assert not events(result, "suspicion")


@pytest.mark.parametrize("failed", [(3,), (3, 5, 7)])
def test_failures_are_noticed_within_the_detection_period_and_a_check(failed: tuple[int, ...]):
    result = run_preset(8, 30, fault(10.0, "kill", *failed))
    suspicions = [event for event in events(result, "suspicion") if event.t_s < 18.0]
    survivors = set(range(1, 9)) - set(failed)
    found = {(event.node, event.fields["peer"]) for event in suspicions}
    assert found == {(node, dead) for node in survivors for dead in failed}
    # The last heartbeat came at most a period before the failure.
    assert all(7.2 - 1.2 <= event.t_s - 10.0 <= 7.2 + 0.6 for event in suspicions)


def test_lost_heartbeats_are_missed_and_do_not_make_nodes_suspects():
    result = run_preset(4, 120, fault(0.0, "loss", value=0.1))
    lost = 0.1 * len(sent(result, "heartbeat"))
    misses = events(result, "heartbeat-miss")
    assert 0.6 * lost < len(misses) < 1.4 * lost
    assert not events(result, "suspicion")


def test_under_load_heartbeats_come_irregularly_and_none_is_missed():
    result = run_preset(8, 60, fault(0.0, "cpu-load", level="heavy"))
    gaps = Counter(
        round(event.fields["silence_s"], 1) for event in events(result, "heartbeat-miss")
    )
    assert not gaps
    assert not events(result, "suspicion")


def test_a_failed_network_is_noticed_and_left_alone_until_it_is_back():
    result = run_preset(3, 60, fault(10.0, "cut", network=0), fault(40.0, "heal"), checkers=())
    failed, restored = events(result, "network", "failed"), events(result, "network", "restored")
    pairs = {(a, b, 0) for a in (1, 2, 3) for b in (1, 2, 3) if a != b}
    assert {(e.node, e.fields["peer"], e.fields["network"]) for e in failed} == pairs
    assert {(e.node, e.fields["peer"], e.fields["network"]) for e in restored} == pairs
    assert all(e.t_s < 10.0 + 2 * 2 * 1.2 + 0.3 + 0.6 for e in failed)
    assert all(40.0 < e.t_s < 40.0 + 1.2 + 0.6 for e in restored)
    assert not events(result, "suspicion")
    # Meanwhile network 1 carries every heartbeat, and network 0 one to try it each time.
    beats = Counter(beat.fields["network"] for beat in sent(result, "heartbeat", 20.0, 32.0))
    assert beats == {0: 60, 1: 60}
    again = Counter(beat.fields["network"] for beat in sent(result, "heartbeat", 44.0, 56.0))
    assert again == {0: 30, 1: 30}


def test_a_network_that_failed_in_one_direction_is_left_alone_in_that_direction():
    action = fault(10.0, "one-way-cut", 1, peers=(2,), network=0)
    result = run_preset(2, 40, action, checkers=())
    beats = Counter(
        (beat.node, beat.fields["network"]) for beat in sent(result, "heartbeat", 24.0, 36.0)
    )
    assert beats[1, 1] == 10
    assert beats[2, 0] == beats[2, 1] == 5
    assert [e.node for e in events(result, "network", "failed")] == [2]


def test_calls_reach_their_server_over_the_other_network():
    result = run_preset(2, 60, cut(10.0, [1], [2], network=0))
    assert not events(result, "halted")


def kernel(node: int = 1) -> tuple[ClusNet, Context]:
    ctx = Context(node, Random(1))  # noqa: S311
    ctx.incarnation = 1
    return ClusNet(ctx, make_config(node, {"nodes": 3})), ctx


def heartbeat(source: int, incarnation: int, sequence: int, network: int = 0) -> Received:
    data = msgspec.msgpack.encode(Heartbeat(incarnation, sequence, {1: Heard((0, 1), 0)}))
    return Received(source, network, CHANNEL, data, "")


def test_a_node_that_was_filtered_out_is_heard_again_in_its_next_incarnation():
    clusnet, _ = kernel()
    clusnet.command(0.0, Filter(2, 1))
    assert not clusnet.accepts(2, 1)
    assert clusnet.accepts(2, 2)
    assert clusnet.accepts(3, 1)


def test_only_new_heartbeats_of_the_watched_incarnation_are_signs_of_life():
    clusnet, _ = kernel()
    clusnet.command(0.0, Watch(2, 2))
    peer = clusnet.peers[2]
    clusnet.receive(1.0, heartbeat(2, 1, 7))
    assert peer.heard_s == 0.0
    clusnet.receive(2.0, heartbeat(2, 2, 7))
    clusnet.receive(3.0, heartbeat(2, 2, 6))
    clusnet.receive(4.0, heartbeat(2, 2, 7))
    assert peer.heard_s == 2.0


def test_a_clock_that_is_set_back_does_not_stop_the_heartbeats():
    node = STACK.make(1, {"nodes": 2, "members": [1, 2]}, seed=1)
    node.handle(100.0, Start(1, {}))
    for post in node.take_outputs():
        if isinstance(post, Post):
            node.handle(100.0, Posted(post.level, post.data))
    for _ in range(10):
        node.handle(node.next_timer_s("kernel"), TimerDue("kernel"))
    node.take_outputs()
    node.handle(50.0, heartbeat(2, 1, 1))
    due_s = node.next_timer_s("kernel")
    assert due_s < 50.0 + 1.2
    beats = 0
    while due_s < 62.5:
        node.handle(due_s, TimerDue("kernel"))
        beats += sum(isinstance(item, Send) for item in node.take_outputs())
        due_s = node.next_timer_s("kernel")
    assert beats == 10


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(sorted(CHANNELS)), st.binary(max_size=40))))
def test_garbage_is_counted_and_dropped(datagrams: list[tuple[str, bytes]]):
    node = STACK.make(1, {"nodes": 3, "members": [1, 2, 3]}, seed=1)
    node.handle(0.0, Start(1, {}))
    for channel, data in datagrams:
        node.handle(1.0, Received(2, 0, channel, data, ""))
    counted = sum(node.state()["context"]["garbage"].values())
    assert counted <= len(datagrams)
    assert node.state()["membership"]["regroup"]["run"] is None


def test_a_truncated_message_is_garbage():
    node = STACK.make(1, {"nodes": 3, "members": [1, 2, 3]}, seed=1)
    node.handle(0.0, Start(1, {}))
    for channel in CHANNELS:
        node.handle(1.0, Received(2, 0, channel, b"\x93\x01\x02", ""))
    assert node.state()["context"]["garbage"] == dict.fromkeys(sorted(CHANNELS), 1)
