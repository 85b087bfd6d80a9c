"""RPC over datagrams: at most once, keep-alives, time-outs, counts (thesis 7.6, 7.8)."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Callable
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lab.stacks.core import Emit, Received, Send
from lab.stacks.mscs.config import make_config
from lab.stacks.mscs.context import Context
from lab.stacks.mscs.rpc import DOWN, NO_ANSWER, RESTARTED, TIMEOUT, Rpc, RpcResult

HOLDER = 2
"""Of the address ``cluster``."""


class OneNetwork:
    def __init__(self) -> None:
        self.filtered: set[tuple[int, int]] = set()

    def pick(self, node: int | str) -> int:
        return 0

    def accepts(self, node: int, incarnation: int) -> bool:
        return (node, incarnation) not in self.filtered


class Cluster:
    """Nodes with nothing but RPC; ``fate`` draws the delays of each datagram's copies."""

    def __init__(self, nodes: int = 3, fate: Callable[[], list[float]] = lambda: [0.001]) -> None:
        self.now_s = 0.0
        self.fate = fate
        self.labels: Counter[str] = Counter()
        self.emitted: list[Emit] = []
        self.ctx: dict[int, Context] = {}
        self.rpc: dict[int, Rpc] = {}
        self.networks: dict[int, OneNetwork] = {}
        self._flying: list[tuple[float, int, int, Received]] = []
        self._number = 0
        for node in range(1, nodes + 1):
            self.start(node, 1)

    def start(self, node: int, incarnation: int) -> None:
        ctx = self.ctx[node] = Context(node, Random(node))  # noqa: S311
        ctx.incarnation = incarnation
        self.networks[node] = OneNetwork()
        self.rpc[node] = Rpc(ctx, make_config(node, {"nodes": len(self.ctx)}), self.networks[node])

    def stop(self, node: int) -> None:
        del self.ctx[node]

    def call(self, to: int | str, method: str, results: list[RpcResult], **more: Any) -> None:
        arguments = more.pop("arguments", {})
        self.rpc[1].call(
            self.now_s, to, method, arguments, lambda _, result: results.append(result), **more
        )

    def run(self, until_s: float) -> None:
        while True:
            self._collect()
            timers = [
                (due_s, node)
                for node, ctx in self.ctx.items()
                if (due_s := ctx.timers.next_s("service")) is not None
            ]
            timer_s, owner = min(timers, default=(float("inf"), 0))
            arrival_s = self._flying[0][0] if self._flying else float("inf")
            if min(timer_s, arrival_s) > until_s:
                self.now_s = until_s
                return
            if arrival_s <= timer_s:
                self.now_s, _, to, item = heapq.heappop(self._flying)
                if to in self.ctx:
                    self.rpc[to].receive(self.now_s, item)
            else:
                self.now_s = timer_s
                self.ctx[owner].timers.fire(timer_s, "service")

    def _collect(self) -> None:
        for node, ctx in self.ctx.items():
            for item in ctx.take_outputs():
                if isinstance(item, Emit):
                    self.emitted.append(item)
                if not isinstance(item, Send):
                    continue
                self.labels[item.label] += 1
                to = HOLDER if item.to == "cluster" else item.to
                for delay_s in self.fate():
                    self._number += 1
                    arrival = Received(node, 0, item.channel, item.data, "")
                    heapq.heappush(self._flying, (self.now_s + delay_s, self._number, to, arrival))


def echo(now_s: float, source: int, arguments: Any, answer: Any) -> None:
    answer(now_s, {"from": source, **arguments})


def test_a_call_is_two_datagrams_with_its_name():
    cluster, results = Cluster(), []
    cluster.rpc[2].serve("echo", echo)
    cluster.call(2, "echo", results, arguments={"x": [1, "a", None, b"b"]})
    cluster.run(10.0)
    assert results == [RpcResult(True, {"from": 1, "x": [1, "a", None, b"b"]}, 2)]
    assert cluster.labels == {"rpc echo": 1, "rpc echo answer": 1}
    assert cluster.rpc[1].counts == {"echo": 1}


def test_whoever_holds_the_cluster_address_answers_and_is_named():
    cluster, results = Cluster(), []
    cluster.rpc[2].serve("echo", echo)
    cluster.call("cluster", "echo", results)
    cluster.run(10.0)
    assert results[0].source == HOLDER


def test_a_server_that_works_for_long_is_waited_for():
    cluster, results, answers = Cluster(), [], []
    cluster.rpc[2].serve("slow", lambda now_s, source, arguments, answer: answers.append(answer))
    cluster.call(2, "slow", results)
    cluster.run(300.0)
    assert results == []
    assert cluster.labels["rpc slow working"] > 300 / 4 - 5
    answers[0](cluster.now_s, "done")
    cluster.run(301.0)
    assert results == [RpcResult(True, "done", 2)]
    assert len(answers) == 1


def test_a_call_fails_after_the_servers_silence():
    cluster, results, answers = Cluster(), [], []
    cluster.call(3, "echo", results)
    cluster.stop(3)
    cluster.rpc[2].serve("slow", lambda now_s, source, arguments, answer: answers.append(answer))
    cluster.call(2, "slow", results)
    cluster.run(100.0)
    assert [result.error for result in results] == [NO_ANSWER]
    cluster.stop(2)
    cluster.run(129.0)
    assert len(results) == 1
    cluster.run(136.0)
    assert [result.error for result in results] == [NO_ANSWER, NO_ANSWER]


def test_a_time_out_of_the_callers_holds_whatever_the_server_says():
    cluster, results = Cluster(), []
    cluster.rpc[2].serve("slow", lambda *_: None)
    cluster.call(2, "slow", results, timeout_s=10.0)
    cluster.run(9.99)
    assert not results
    cluster.run(10.0)
    assert results == [RpcResult(ok=False, error=TIMEOUT)]


def test_calls_of_a_node_that_is_down_fail_at_once_others_do_not():
    cluster, results, others = Cluster(), [], []
    for node in (2, 3):
        cluster.rpc[node].serve("slow", lambda *_: None)
    cluster.call(2, "slow", results)
    cluster.call(2, "slow", results)
    cluster.call(3, "slow", others)
    cluster.run(1.0)
    cluster.rpc[1].fail_calls(1.0, 2)
    assert [result.error for result in results] == [DOWN, DOWN]
    assert not others
    cluster.run(20.0)
    assert cluster.rpc[1].state()["calls"] == {"3": [3, "slow"]}


def test_a_call_is_not_executed_again_by_the_servers_next_incarnation():
    cluster, results, executed = Cluster(), [], []
    cluster.rpc[2].serve("slow", lambda now_s, *_: executed.append(now_s))
    cluster.call(2, "slow", results)
    cluster.run(5.0)
    cluster.start(2, 2)
    cluster.rpc[2].serve("slow", lambda now_s, *_: executed.append(now_s))
    cluster.run(20.0)
    assert [result.error for result in results] == [RESTARTED]
    assert len(executed) == 1


def test_answers_to_an_earlier_incarnation_of_the_client_are_not_taken():
    cluster, results, answers = Cluster(), [], []
    cluster.rpc[2].serve("slow", lambda now_s, source, arguments, answer: answers.append(answer))
    cluster.call(2, "slow", [])
    cluster.run(1.0)
    cluster.start(1, 2)
    cluster.call(2, "slow", results)
    cluster.run(2.0)
    answers[0](2.0, "old")
    cluster.run(2.5)
    assert not results
    answers[1](2.5, "new")
    cluster.run(3.0)
    assert [result.value for result in results] == ["new"]


def test_a_filtered_client_is_not_served():
    cluster, results, executed = Cluster(), [], []
    cluster.rpc[2].serve("echo", lambda now_s, *_: executed.append(now_s))
    cluster.networks[2].filtered.add((1, 1))
    cluster.call(2, "echo", results)
    cluster.run(40.0)
    assert not executed
    assert [result.error for result in results] == [NO_ANSWER]


def test_what_is_no_method_or_no_arguments_of_it_is_refused():
    cluster, results = Cluster(), []
    cluster.rpc[2].serve("need", lambda now_s, source, arguments, answer: arguments["what"])
    cluster.call(2, "need", results)
    cluster.call(2, "nothing", results)
    cluster.run(1.0)
    assert [(result.ok, result.error) for result in results] == [
        (False, "bad arguments"),
        (False, "no such method"),
    ]
    assert [(emit.kind, emit.phase) for emit in cluster.emitted] == [("rpc", "refused")]


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10**9),
    loss=st.sampled_from([0.0, 0.1, 0.4]),
    slow_s=st.sampled_from([0.0, 0.3, 7.0]),
)
def test_each_call_is_executed_at_most_once_and_ends_once(seed: int, loss: float, slow_s: float):
    random = Random(seed)  # noqa: S311

    def fate() -> list[float]:
        copies = random.choice([1, 1, 2])
        return [random.choice([0.001, 0.1, 3.0]) for _ in range(copies) if random.random() > loss]

    cluster = Cluster(fate=fate)
    executed: Counter[int] = Counter()
    ended: Counter[int] = Counter()

    def work(now_s: float, source: int, arguments: Any, answer: Any) -> None:
        number = arguments["number"]
        executed[number] += 1
        cluster.ctx[2].set_timer(
            "service", f"work {number}", now_s + slow_s, lambda at_s: answer(at_s, number)
        )

    cluster.rpc[2].serve("work", work)
    for number in range(10):
        cluster.rpc[1].call(
            cluster.now_s,
            2,
            "work",
            {"number": number},
            lambda _, result, number=number: ended.update([(number, result.value)]),
        )
        cluster.run(cluster.now_s + random.choice([0.0, 0.5, 5.0]))
    cluster.run(cluster.now_s + 200.0)
    assert max(executed.values()) == 1
    assert sorted(number for number, _ in ended) == list(range(10))
    assert all(value in (number, None) for number, value in ended)
    if loss < 0.4:  # else a server may be unheard for rpc_silence_s
        assert ended == {(number, number): 1 for number in range(10)}


@pytest.mark.parametrize("calls", [50])
def test_a_server_forgets_answers_that_are_no_longer_asked_for(calls: int):
    cluster, results = Cluster(), []
    cluster.rpc[2].serve("echo", echo)
    for _ in range(calls):
        cluster.call(2, "echo", results)
        cluster.run(cluster.now_s + 1.0)
    assert len(results) == calls
    assert len(cluster.rpc[2].state()["server"]["1"]["calls"]) == 1
