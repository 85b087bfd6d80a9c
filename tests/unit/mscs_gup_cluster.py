"""Nodes that do nothing but global updates, on a network that loses nobody's calls but the dead's.

RPC, failure detection and regroup are replaced by an oracle: calls take a random time, and some
time after a crash the survivors install a view, at different moments, then settle.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from itertools import count
from random import Random
from typing import Any

from lab.stacks.checking import Checking, Violation
from lab.stacks.events import FAULT, STARTED, Event
from lab.stacks.mscs.config import make_config
from lab.stacks.mscs.gup import Gup, GupResult
from lab.stacks.mscs.gup_invariants import AllOrNone, OneAtATime, TotalOrder
from lab.stacks.mscs.procedure import Procedures
from lab.stacks.mscs.rpc import RpcResult


class FakeContext:
    def __init__(self, cluster: Cluster, node: int) -> None:
        self.node, self.incarnation, self._cluster = node, 1, cluster
        self._timers: dict[str, int] = {}

    def emit(self, kind: str, /, phase: str = "", **fields: Any) -> None:
        self._cluster.log(self.node, kind, phase, fields)

    def set_timer(self, level: str, name: str, at_s: float, callback: Callable) -> None:
        self._timers[name] = ticket = self._timers.get(name, 0) + 1
        self._cluster.at(
            at_s, self.node, lambda now_s: self._timers[name] == ticket and callback(now_s)
        )

    def cancel_timer(self, name: str) -> None:
        self._timers[name] = self._timers.get(name, 0) + 1


class FakeRpc:
    def __init__(self, cluster: Cluster, node: int) -> None:
        self.handlers: dict[str, Callable] = {}
        self.pending: dict[int, tuple[int, Callable]] = {}
        self.calls: list[tuple[str, int]] = []
        self._cluster, self._node, self._numbers = cluster, node, count()

    def serve(self, method: str, handler: Callable) -> None:
        self.handlers[method] = handler

    def call(
        self,
        now_s: float,
        to: int,
        method: str,
        arguments: dict[str, Any],
        done: Callable,
        *,
        timeout_s: float | None = None,
    ) -> None:
        number = next(self._numbers)
        self.pending[number] = (to, done)
        self.calls.append((method, to))
        target = self._cluster.nodes[to]

        def arrive(at_s: float) -> None:
            if self._node in target.view:
                target.rpc.handlers[method](at_s, self._node, arguments, answer)

        def answer(at_s: float, value: Any) -> None:
            self._cluster.soon(at_s, self._node, lambda then_s: self._end(then_s, number, value))

        if to in self._cluster.nodes[self._node].view:
            self._cluster.soon(now_s, to, arrive)
        else:
            self._cluster.soon(now_s, self._node, lambda at_s: self._end(at_s, number, None))

    def fail(self, now_s: float, view: set[int]) -> None:
        for number, (to, _) in list(self.pending.items()):
            if to not in view:
                self._end(now_s, number, None)

    def _end(self, now_s: float, number: int, value: Any) -> None:
        to, done = self.pending.pop(number, (None, None))
        if to is not None:
            done(now_s, RpcResult(ok=value is not None, value=value))


class Node:
    def __init__(self, cluster: Cluster, node: int, *, concurrent: bool) -> None:
        self.node, self.view, self.alive = node, set(), True
        self.applied: list[str] = []
        self.results: dict[str, GupResult] = {}
        context, self.rpc = FakeContext(cluster, node), FakeRpc(cluster, node)
        config = make_config(node, {"nodes": 40, "gup_concurrent": concurrent})
        procedures = Procedures(self.rpc, context)
        self.gup = Gup(context, config, self.rpc, procedures)
        self.gup.register("note", self._note)
        self.gup.register("admit", self._admit)

    def _note(self, now_s: float, payload: Any, origin: int) -> int:
        self.applied.append(payload)
        return len(self.applied)

    def _admit(self, now_s: float, payload: Any, origin: int) -> None:
        self.gup.admit(payload)

    def update(self, now_s: float, payload: str) -> None:
        self.gup.update(
            now_s, "note", payload, lambda at_s, result: self.results.update({payload: result})
        )


class Cluster:
    """A cluster of nodes 1..size; faults and updates are entered before :meth:`run`."""

    def __init__(
        self,
        size: int,
        seed: int = 1,
        *,
        concurrent: bool = False,
        slow: float = 0.0,
        without: int = 0,
    ) -> None:
        self.random = Random(seed)  # noqa: S311 - repeatable, not secret
        self.slow = slow
        """So many of the messages may take half a second."""
        self.events: list[Event] = []
        self.now_s = 0.0
        self._heap: list[tuple[float, int, int, Callable]] = []
        self._numbers = count()
        self._checking = Checking([TotalOrder, OneAtATime, AllOrNone])
        self._epoch, self._next_regroup_s, self.concurrent = 1, -1.0, concurrent
        self.nodes: dict[int, Node] = {}
        members = [node for node in range(1, size + 1) if node != without]
        for node in members:
            self.start(node)
        for node in members:
            self.view(node, set(members))
            self.nodes[node].gup.found(0.0, "1.1", members, 1)

    def start(self, node: int) -> None:
        self.log(node, STARTED, "", {})
        self.nodes[node] = Node(self, node, concurrent=self.concurrent)

    def at(self, at_s: float, node: int, happening: Callable[[float], Any]) -> None:
        """Let something happen at a node, if it is alive by then."""
        heapq.heappush(self._heap, (at_s, next(self._numbers), node, happening))

    def soon(self, now_s: float, node: int, happening: Callable[[float], Any]) -> None:
        slow = self.random.random() < self.slow
        self.at(now_s + self.random.uniform(0.001, 0.5 if slow else 0.01), node, happening)

    def log(self, node: int, kind: str, phase: str, fields: dict[str, Any]) -> None:
        event = Event(self.now_s, node, kind, phase, "", 1, fields)
        self.events.append(event)
        self._checking.feed(event)

    def update(self, at_s: float, node: int, payload: str) -> None:
        self.at(at_s, node, lambda now_s: self.nodes[node].update(now_s, payload))

    def view(self, node: int, members: set[int]) -> None:
        self.nodes[node].view = set(members)
        self.log(node, "view", "", {"id": self._epoch, "members": sorted(members)})

    # --- crashes ---------------------------------------------------------------------------

    def crash(self, at_s: float, node: int, regroup_after_s: float = 1.0) -> None:
        self.at(at_s, 0, lambda now_s: self._die(node))
        self.at(at_s + regroup_after_s, 0, self._regroup)

    def _die(self, node: int) -> None:
        self.nodes[node].alive = False
        self.log(0, FAULT, "kill", {"nodes": [node]})

    def _regroup(self, now_s: float) -> None:
        if now_s < self._next_regroup_s:
            self.at(self._next_regroup_s, 0, self._regroup)
            return
        self._next_regroup_s = now_s + 0.21
        alive = {node for node, its in self.nodes.items() if its.alive and its.view}
        self._epoch += 1
        epoch = self._epoch
        for node in sorted(alive):
            install_s = now_s + self.random.uniform(0.0, 0.2)
            settle_s = now_s + 0.2 + self.random.uniform(0.0, 0.2)
            self.at(install_s, node, lambda at_s, n=node: self._install(at_s, n, epoch, alive))
            self.at(settle_s, node, lambda at_s, n=node: self._settle(at_s, n, epoch))

    def _install(self, now_s: float, node: int, epoch: int, alive: set[int]) -> None:
        its = self.nodes[node]
        self.view(node, alive)
        if self.random.random() < 0.5:
            its.rpc.fail(now_s, alive)
            its.gup.install(now_s, epoch, alive)
        else:
            its.gup.install(now_s, epoch, alive)
            its.rpc.fail(now_s, alive)

    def _settle(self, now_s: float, node: int, epoch: int) -> None:
        if self.nodes[node].gup.member.epoch == epoch:
            self.nodes[node].gup.settle(now_s)

    # --- a newcomer ------------------------------------------------------------------------

    def join(self, at_s: float, node: int, sponsor: int) -> None:
        """Make a node a member, give it the sponsor's state, and let it enter."""
        self.at(at_s, sponsor, lambda now_s: self._introduce(now_s, node, sponsor))

    def _introduce(self, now_s: float, node: int, sponsor: int) -> None:
        if now_s < self._next_regroup_s + 0.2:
            self.join(now_s + 0.2, node, sponsor)
            return
        self.start(node)
        members = self.nodes[sponsor].view | {node}
        for member in members:
            self.view(member, members)
        newcomer, old = self.nodes[node], self.nodes[sponsor]
        newcomer.gup.restore(old.gup.snapshot(), members)
        newcomer.applied = list(old.applied)
        self.at(now_s + self.random.uniform(0.0, 0.1), node, lambda at_s: self._enter(at_s, node))

    def _enter(self, now_s: float, node: int) -> None:
        newcomer = self.nodes[node]
        newcomer.gup.enter(
            now_s, "admit", node, lambda at_s, result: self._entered(at_s, node, result)
        )

    def _entered(self, now_s: float, node: int, result: GupResult) -> None:
        self.nodes[node].results["entry"] = result
        if not result.ok:
            self.crash(now_s, node)

    # --- running ---------------------------------------------------------------------------

    def run(self, until_s: float = 60.0) -> list[Violation]:
        while self._heap and self._heap[0][0] <= until_s:
            self.now_s, _, node, happening = heapq.heappop(self._heap)
            if node == 0 or (node in self.nodes and self.nodes[node].alive):
                happening(self.now_s)
        return self._checking.finish(self.now_s)

    def alive(self) -> list[Node]:
        return [its for its in self.nodes.values() if its.alive and its.view]
