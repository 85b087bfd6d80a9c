"""A node as a core: options, inputs, timers, requests, state (thesis 7.5)."""

from __future__ import annotations

from random import Random
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mscs_world import events, fault, run_preset

from lab.errors import LabError
from lab.stacks.core import (
    DiskCall,
    DiskDone,
    EffectDone,
    Emit,
    Halt,
    Output,
    Posted,
    Received,
    Reply,
    Request,
    Start,
    StreamClosed,
    TimerDue,
)
from lab.stacks.mscs import STACK
from lab.stacks.mscs.context import Context
from lab.stacks.mscs.membership import VIEW_KEY
from lab.stacks.mscs.node import CHANNELS, Node
from lab.stacks.mscs.requests import Requests
from lab.stacks.mscs.timers import Timers, next_turn_s
from lab.stacks.mscs.view import View


def make(node: int = 1, nodes: int = 3, **options: Any) -> Node:
    core = STACK.make(node, {"nodes": nodes, **options}, seed=1)
    assert isinstance(core, Node)
    return core


# --- options -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({}, "nodes"),
        ({"nodes": 0}, ">= 1"),
        ({"nodes": 3, "heartbeats": 1}, "heartbeats"),
        ({"nodes": 3, "heartbeat_s": 0}, "heartbeat_s"),
        ({"nodes": 3, "heartbeat_s": "often"}, "heartbeat_s"),
        ({"nodes": 3, "members": [1, 4]}, "no node 4"),
        ({"nodes": 3, "networks": []}, "networks"),
        ({"nodes": 3, "regroup_level": "hypervisor"}, "regroup_level"),
        ({"nodes": 65}, "64"),
    ],
)
def test_a_wrong_option_is_told(options: dict[str, Any], told: str):
    with pytest.raises(LabError, match=told) as caught:
        STACK.make(1, options, seed=1)
    assert caught.value.remedy


def test_whole_numbers_do_as_seconds():
    assert make(heartbeat_s=2).config.heartbeat_s == 2.0


# --- life ----------------------------------------------------------------------------------------


def view_events(outputs: list[Output]) -> list[Emit]:
    return [item for item in outputs if isinstance(item, Emit) and item.kind == "view"]


def test_a_preset_member_has_the_first_view_at_once():
    node = make(members=[1, 2, 3])
    node.handle(0.0, Start(1, {}))
    (view,) = view_events(node.take_outputs())
    assert (view.fields["id"], view.fields["members"]) == (1, [1, 2, 3])


def test_it_is_preset_in_its_first_life_only():
    node = make(members=[1, 2, 3])
    node.handle(0.0, Start(2, {}))
    assert not view_events(node.take_outputs())
    assert node.membership.view is None


def test_the_last_view_is_on_its_disk_and_known_again():
    node = make(members=[1, 2, 3])
    node.handle(0.0, Start(1, {}))
    (call,) = [
        item
        for item in node.take_outputs()
        if isinstance(item, DiskCall) and item.volume == "own" and item.operation == "write"
    ]
    assert call.key == VIEW_KEY
    again = make(members=[1, 2, 3])
    again.handle(0.0, Start(2, {VIEW_KEY: call.data}))
    assert again.membership.last_view == msgspec.json.decode(call.data, type=View)
    assert again.membership.last_view.nodes == (1, 2, 3)


def test_a_halted_node_wants_nothing_and_says_nothing():
    node = make(members=[1, 2, 3])
    node.handle(0.0, Start(1, {}))
    node.ctx.halt("enough")
    assert isinstance(node.take_outputs()[-1], Halt)
    node.handle(100.0, TimerDue("kernel"))
    node.handle(100.0, Request(1, "status", {}))
    assert not node.take_outputs()
    assert node.next_timer_s("kernel") is None
    assert node.next_timer_s("service") is None


def test_equal_lives_lead_to_equal_states():
    def live() -> Node:
        node = make(members=[1, 2, 3])
        node.handle(0.0, Start(1, {}))
        for _ in range(50):
            at_s = node.next_timer_s("kernel")
            assert at_s is not None
            node.handle(at_s, TimerDue("kernel"))
        return node

    one, other = live(), live()
    assert one.state() == other.state()
    assert one.take_outputs() == other.take_outputs()
    msgspec.json.encode(one.state())


inputs = st.one_of(
    st.builds(TimerDue, st.sampled_from(["kernel", "service"])),
    st.builds(
        Received,
        st.integers(1, 3),
        st.integers(0, 1),
        st.sampled_from([*CHANNELS, "other"]),
        st.binary(max_size=20),
        st.just("m"),
    ),
    st.builds(
        Request,
        st.integers(0, 9),
        st.sampled_from(["status", "move", "evict", "create-group", "nonsense"]),
        st.dictionaries(st.sampled_from(["group", "node", "to"]), st.integers() | st.text()),
    ),
    st.builds(DiskDone, st.integers(0, 9), st.booleans()),
    st.builds(EffectDone, st.integers(0, 9), st.booleans()),
    st.builds(StreamClosed, st.integers(1, 3)),
)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.floats(0, 30), inputs), max_size=20))
def test_nothing_that_comes_in_makes_it_raise(happenings: list[tuple[float, Any]]):
    node = make(members=[1, 2, 3])
    node.handle(0.0, Start(1, {}))
    for at_s, item in happenings:
        node.handle(at_s, item)
        node.take_outputs()
        node.next_timer_s("kernel")
    msgspec.json.encode(node.state())


def test_crossings_between_kernel_and_service_are_posts():
    result = run_preset(3, 30, fault(10.0, "kill", 2))
    assert events(result, "view")
    node = make(members=[1, 2, 3])
    node.handle(0.0, Start(1, {}))
    levels = {type(item).__name__ for item in node.take_outputs()}
    assert "Post" in levels
    with pytest.raises(msgspec.DecodeError):
        node.handle(1.0, Posted("kernel", b""))


# --- requests ------------------------------------------------------------------------------------


def asked(name: str, arguments: dict[str, Any]) -> Reply:
    def refuse(now_s: float, arguments: dict[str, Any], reply: Any) -> None:
        raise LabError("there is none", remedy="make one")

    ctx = Context(1, Random(1))  # noqa: S311
    requests = Requests(ctx)
    requests.serve("add", lambda now_s, arguments, reply: reply(True, arguments["a"] + 1))
    requests.serve("refuse", refuse)
    requests.take(0.0, Request(7, name, arguments))
    (reply,) = ctx.take_outputs()
    assert isinstance(reply, Reply)
    assert reply.id == 7
    return reply


def test_requests_are_answered_whatever_they_are():
    assert asked("add", {"a": 1}) == Reply(7, True, 2)
    assert asked("refuse", {}) == Reply(7, False, "there is none (make one)")
    unknown = asked("subtract", {})
    assert not unknown.ok
    assert "add, refuse" in unknown.value
    assert "wrong arguments" in asked("add", {}).value
    assert "wrong arguments" in asked("add", {"a": "x"}).value


# --- timers --------------------------------------------------------------------------------------


def test_timers_fire_in_order_and_once():
    timers, fired = Timers(), []
    for name, at_s in (("b", 2.0), ("a", 1.0), ("c", 2.0), ("late", 9.0)):
        timers.set("service", name, at_s, lambda now_s, name=name: fired.append(name))
    timers.set("service", "b", 3.0, lambda now_s: fired.append("b moved"))
    timers.cancel("c")
    timers.set("kernel", "k", 0.5, lambda now_s: fired.append("k"))
    assert timers.next_s("service") == 1.0
    timers.fire(5.0, "service")
    assert fired == ["a", "b moved"]
    assert timers.next_s("service") == 9.0
    assert timers.next_s("kernel") == 0.5


def test_what_a_timer_sets_anew_waits_for_the_next_time():
    timers, fired = Timers(), []

    def again(now_s: float) -> None:
        fired.append(now_s)
        timers.set("kernel", "again", now_s, again)

    timers.set("kernel", "again", 1.0, again)
    timers.fire(1.0, "kernel")
    assert fired == [1.0]
    timers.fire(1.0, "kernel")
    assert fired == [1.0, 1.0]


@pytest.mark.parametrize(
    ("due_s", "now_s", "next_s"),
    [
        (10.0, 10.0, 11.0),
        (10.0, 10.4, 11.0),  # a little late: no drift
        (10.0, 15.0, 16.0),  # slept through
        (10.0, 3.0, 4.0),  # the clock was set back
    ],
)
def test_when_something_regular_is_due_again(due_s: float, now_s: float, next_s: float):
    assert next_turn_s(due_s, now_s, 1.0) == next_s
