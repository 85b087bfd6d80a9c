"""Clients of a service: the core, the world's HTTP, the real HTTP, and what scenarios may say."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mscs_world import ADDRESS, fault, web_group
from stack_run import scenario_of

from lab.errors import LabError
from lab.scenarios.cases import planned_cases
from lab.scenarios.stack_check import first_stack_problem
from lab.shell.http_client import http_get
from lab.shell.http_service import make_server
from lab.stacks.client import STACK
from lab.stacks.client.core import ANSWERED, POLL, UNANSWERED
from lab.stacks.core import Effect, EffectDone, Emit, Start, TimerDue
from lab.stacks.events import Event
from lab.stacks.mscs.invariants import CHECKERS
from lab.stacks.plan import Action, CasePlan, ClientPlan, Fault, program_of, stack_nodes
from lab.world.world import CaseResult, run_case


def run_cluster(*actions: Action, over_s: float = 40.0, **client: Any) -> CaseResult:
    """Run three members, the third with the service, and a client."""
    plan = CasePlan(
        name="client",
        stack="mscs",
        nodes=4,
        over_s=over_s,
        options={"nodes": 3, "members": [1, 2, 3], "groups": [web_group(3)]},
        actions=actions,
        clients=(ClientPlan(ADDRESS, **client),),
    )
    return run_case(plan, checkers=CHECKERS)


def polls(result: CaseResult, begin_s: float, end_s: float) -> list[Event]:
    return [
        event
        for event in result.events
        if event.kind == POLL and begin_s <= event.fields["asked_s"] < end_s
    ]


def servers(found: list[Event]) -> set[int | None]:
    return {event.fields.get("server") for event in found}


# --- the core -------------------------------------------------------------------------------


def test_plan_says_who_runs_what() -> None:
    plan = CasePlan("c", "mscs", 3, 1.0, options={"nodes": 2}, clients=(ClientPlan(ADDRESS),))
    assert list(stack_nodes(plan)) == [1, 2]
    assert program_of(plan, 2) == ("mscs", {"nodes": 2})
    name, options = program_of(plan, 3)
    assert name == STACK.name
    assert options["address"] == ADDRESS


def test_wrong_options_are_told() -> None:
    with pytest.raises(LabError, match=r"a client cannot be made so.*adress"):
        STACK.make(4, {"adress": ADDRESS}, 1)


@given(st.lists(st.floats(0, 3), max_size=30))
def test_client_asks_at_its_times_and_never_catches_up(late: list[float]) -> None:
    client = STACK.make(4, {"address": ADDRESS, "every_s": 1.0}, 1)
    client.handle(5.0, Start(1, {}))
    for by_s in late:
        due_s = client.next_timer_s("service")
        assert due_s is not None
        client.handle(due_s + by_s, TimerDue("service"))
        (asked,) = client.take_outputs()
        assert isinstance(asked, Effect)
        again_s = client.next_timer_s("service")
        assert again_s is not None
        assert due_s + by_s < again_s <= due_s + by_s + 1.0
        assert (again_s - 5.0) % 1.0 == pytest.approx(0.0)
    assert client.next_timer_s("kernel") is None


@pytest.mark.parametrize(
    ("outcome", "phase", "cause"),
    [
        (EffectDone(1, ok=True, detail='{"name": "web", "node": 2}'), ANSWERED, ""),
        (EffectDone(1, ok=True, detail="<html>"), UNANSWERED, "the answer is not the service's"),
        (EffectDone(1, ok=False, detail="refused"), UNANSWERED, "refused"),
    ],
)
def test_client_tells_what_came_of_it(outcome: EffectDone, phase: str, cause: str) -> None:
    client = STACK.make(4, {"address": ADDRESS}, 1)
    client.handle(1.0, Start(1, {}))
    client.handle(1.0, TimerDue("service"))
    client.take_outputs()
    client.handle(1.2, outcome)
    (told,) = client.take_outputs()
    assert isinstance(told, Emit)
    assert (told.kind, told.phase, told.cause, told.fields["asked_s"]) == (POLL, phase, cause, 1.0)
    client.handle(1.3, outcome)  # once is enough
    assert client.take_outputs() == []


# --- in the simulated world -----------------------------------------------------------------


def test_client_is_answered_and_no_member() -> None:
    result = run_cluster(over_s=10.0)
    assert result.violations == []
    assert servers(polls(result, 2.0, 9.0)) == {3}
    assert len(polls(result, 2.0, 9.0)) == 70
    views = [event.fields["members"] for event in result.events if event.kind == "view"]
    assert all(members == [1, 2, 3] for members in views)


def test_another_node_answers_when_the_owner_is_killed() -> None:
    result = run_cluster(fault(10.0, "kill", 3))
    assert result.violations == []
    assert servers(polls(result, 2.0, 9.9)) == {3}
    assert servers(polls(result, 10.0, 15.0)) == {None}
    assert servers(polls(result, 35.0, 39.0)) in ({1}, {2})


def test_paused_owner_answers_nobody() -> None:
    result = run_cluster(fault(10.0, "pause", 3), over_s=16.0)
    found = polls(result, 10.1, 14.0)
    assert servers(found) == {None}
    assert {event.cause for event in found} == {"no answer in time"}


@pytest.mark.parametrize(("network", "answered"), [(0, {None}), (1, {3})])
def test_client_depends_on_the_network_of_the_address(
    network: int, answered: set[int | None]
) -> None:
    cut = Action(10.0, Fault("cut", nodes=(3,), network=network))
    result = run_cluster(cut, over_s=30.0)
    assert result.violations == []
    assert servers(polls(result, 12.0, 28.0)) == answered


def test_port_without_a_service_refuses() -> None:
    result = run_cluster(over_s=5.0, port=81)
    assert {event.cause for event in polls(result, 2.0, 4.0)} == {"refused, or broken off"}


# --- real HTTP ------------------------------------------------------------------------------


@contextlib.contextmanager
def serving() -> Iterator[int]:
    """A service on loopback; yields its port."""
    server = make_server("127.0.0.1", 0, "web", 2)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def ask(port: int, timeout_s: float = 20.0) -> str:
    return asyncio.run(http_get("127.0.0.1", port, timeout_s))


def test_service_answers_a_client() -> None:
    with serving() as port:
        assert ask(port).strip() == '{"name": "web", "node": 2}'


def test_nobody_there() -> None:
    with serving() as port:
        pass
    with pytest.raises(OSError, match="Connect call failed"):
        ask(port)


def test_silence_is_given_up() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        with pytest.raises(OSError, match="no answer in time"):
            ask(silent.getsockname()[1], 0.05)


@pytest.mark.parametrize("said", [b"", b"hello", b"HTTP/1.0 500 No\r\n\r\nsorry"])
def test_only_success_counts(said: bytes) -> None:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()

        def answer() -> None:
            connection, _ = listening.accept()
            with connection:
                connection.recv(1000)
                connection.sendall(said)

        thread = threading.Thread(target=answer)
        thread.start()
        with pytest.raises(OSError, match="no success"):
            ask(listening.getsockname()[1])
        thread.join()


# --- in scenarios ---------------------------------------------------------------------------


def test_clients_come_after_the_nodes_and_are_not_all() -> None:
    scenario = scenario_of(
        clients=[{"address": ADDRESS}], timeline=[{"at_s": 1, "fault": "kill", "nodes": "1..-1"}]
    )
    case = planned_cases(scenario)[0]
    assert (case.nodes, case.plan.nodes) == (2, 3)
    assert case.plan.options["nodes"] == 2
    (action,) = case.plan.actions
    assert action.does.nodes == (1, 2)


def test_the_load_of_a_case_is_not_on_its_clients() -> None:
    scenario = scenario_of(
        clients=[{"address": ADDRESS}], sweeps=[{"nodes": [2], "load": ["heavy"]}]
    )
    (action,) = planned_cases(scenario)[0].plan.actions
    assert action.does == Fault("cpu-load", nodes=(1, 2), level="heavy")


def test_client_of_an_address_that_cannot_move_is_refused() -> None:
    problem = first_stack_problem(scenario_of(clients=[{"address": "10.3.0.201"}]), [])
    assert problem is not None
    assert problem.loc == ("clients", 0, "address")
    assert "10.3.0.201" in problem.what
