"""The managers of several nodes over a global update that just works, to test them alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

from lab.errors import LabError
from lab.stacks.checking import Violation, check
from lab.stacks.events import HALTED, STARTED, Event
from lab.stacks.mscs.config import make_config
from lab.stacks.mscs.failover_invariants import (
    DurableIsRecovered,
    GroupsCameToRest,
    OneNodeAtATime,
    ReplicasAgree,
)
from lab.stacks.mscs.gup import GupResult
from lab.stacks.mscs.managers import Managers
from lab.stacks.mscs.objects import Objects
from lab.stacks.mscs.quorum import Quorum
from lab.stacks.mscs.rpc import RpcResult

from mscs_desk import Agenda, Desk, Volume  # isort: skip

CHECKERS = (OneNodeAtATime, ReplicasAgree, DurableIsRecovered)
DETECTION_S, STEP_S = 10.0, 0.003


class Gup:
    """A node's global updates: all applied in one order, each node after the one before."""

    def __init__(self, cluster: LittleCluster, node: int) -> None:
        self.cluster = "c1"
        self.member = SimpleNamespace(circle=SimpleNamespace(members=set(), locker=1))
        self.node = node
        self._cluster = cluster
        self._apply = {}

    @property
    def within(self):
        return self.node in self.member.circle.members

    def register(self, kind: str, apply: Callable[..., Any]):
        self._apply[kind] = apply

    def update(self, now_s: float, kind: str, payload: Any, done: Callable[..., None]):
        self._cluster.order.append((self.node, kind, payload, done))
        self._cluster.send_next()

    def apply(self, kind: str, payload: Any, sender: int):
        return self._apply[kind](self._cluster.agenda.now_s, payload, sender)


class Rpc:
    """Calls that take a moment, and fail when the server is down."""

    def __init__(self, cluster: LittleCluster, node: int) -> None:
        self._cluster, self._node = cluster, node
        self.methods = {}

    def serve(self, method: str, handler: Callable[..., None]):
        self.methods[method] = handler

    def call(
        self,
        now_s: float,
        to: int,
        method: str,
        arguments: dict[str, Any],
        done: Callable[..., None],
        *,
        timeout_s: float | None = None,
    ):
        cluster = self._cluster

        def arrive() -> None:
            if to not in cluster.alive:
                done(cluster.agenda.now_s, RpcResult(ok=False))
                return
            handler = cluster.rpcs[to].methods[method]
            handler(cluster.agenda.now_s, self._node, arguments, answer)

        def answer(at_s: float, value: Any) -> None:
            cluster.agenda.at(at_s + STEP_S, lambda: back(value))

        def back(value: Any) -> None:
            if self._node in cluster.alive:
                done(cluster.agenda.now_s, RpcResult(ok=True, value=value))

        cluster.agenda.at(now_s + STEP_S, arrive)


class Requests(dict[str, Callable[..., None]]):
    """The requests of a node."""

    def serve(self, name: str, handler: Callable[..., None]):
        self[name] = handler


class LittleCluster:
    """Members 1..count of a cluster; a killed node is missed after a while, and may join again."""

    def __init__(self, count: int, groups: Sequence[dict[str, Any]] = ()) -> None:
        self.agenda = Agenda()
        self.volume = Volume(self.agenda)
        self._options = {"nodes": count, "groups": groups}
        self.order, self._sending = [], False
        self.alive = set()
        self.events = []
        self.desks, self.gups, self.rpcs, self.managers, self.requests = {}, {}, {}, {}, {}
        for node in range(1, count + 1):
            self.make(node)
        for node in range(1, count + 1):
            self.managers[node].found(0.0, 1)
            self.gups[node].member.circle.members = set(self.alive)
        for node in range(1, count + 1):
            self.managers[node].members_changed(0.0, joined=self.alive)

    def make(self, node: int) -> None:
        """Start a node, which is no member yet."""
        desk = self.desks[node] = _Desk(self, node)
        self.gups[node], self.rpcs[node] = Gup(self, node), Rpc(self, node)
        self.requests[node] = Requests()
        self.alive.add(node)
        self.log_event(node, STARTED)
        config = make_config(node, self._options)
        self.managers[node] = Managers(
            desk,
            config,
            requests=self.requests[node],
            rpc=self.rpcs[node],
            gup=self.gups[node],
            quorum=Quorum(desk, config),
        )

    # --- what the test does ----------------------------------------------------------------

    def run(self, for_s: float):
        self.agenda.run_until(self.agenda.now_s + for_s)

    def kill(self, node: int):
        self.alive.discard(node)
        self.desks[node].dead = True
        self.log_event(node, HALTED)
        self.agenda.at(self.agenda.now_s + DETECTION_S, lambda: self._missed(node))

    def join(self, node: int):
        """Let a node that was killed, and missed, join again."""
        sponsor = self.managers[min(self.members)]
        self.make(node)
        self.managers[node].databases.restore(self.agenda.now_s, sponsor.databases.snapshot())
        for member in self.members | {node}:
            self.gups[member].member.circle.members = self.members | {node}
        for member in sorted(self.members):
            self.managers[member].members_changed(self.agenda.now_s, joined=[node])

    def ask(self, asked: int, name: str, **arguments: dict[str, Any]):
        """Ask a node for something and return (ok, value) when it has answered."""
        answers = []
        self._request(asked, name, arguments, lambda ok, value=None: answers.append((ok, value)))
        for _ in range(100):
            if answers:
                break
            self.run(0.1)
        return answers[0]

    def tell(self, asked: int, name: str, **arguments: dict[str, Any]):
        """Ask a node for something and do not wait."""
        self._request(asked, name, arguments, lambda ok, value=None: None)

    def _request(
        self, asked: int, name: str, arguments: dict[str, Any], reply: Callable[..., None]
    ) -> None:
        try:
            self.requests[asked][name](self.agenda.now_s, arguments, reply)
        except LabError as error:  # as the node's requests do
            reply(False, str(error))

    # --- how it is -------------------------------------------------------------------------

    @property
    def members(self):
        """Who takes part, as those alive see it."""
        return set().union(*(self.gups[n].member.circle.members for n in self.alive)) & self.alive

    def state(self, group: str):
        """Where a group is; all that are alive agree."""
        found = [Objects(self.managers[n].databases.database).state_of(group) for n in self.alive]
        assert all(state == found[0] for state in found)
        return found[0]

    def owner(self, group: str):
        """The group's owner."""
        return self.state(group).owner

    def online(self, resource: str):
        """The nodes that have a resource online."""
        now = {}
        for event in self.events:
            if event.kind == HALTED:
                now.pop(event.node, None)
            elif event.kind == "resource" and event.fields["resource"] == resource:
                now[event.node] = event.phase
        return [node for node, phase in now.items() if phase == "online"]

    def violations(self, *, at_rest: bool = False) -> list[Violation]:
        """What the checkers of invariants find."""
        return check((*CHECKERS, GroupsCameToRest) if at_rest else CHECKERS, self.events)

    def log_event(self, node: int, kind: str, phase: str = "", **fields: Any) -> None:
        """Note an event."""
        self.events.append(Event(self.agenda.now_s, node, kind, phase, fields=fields))

    # --- the order -------------------------------------------------------------------------

    def send_next(self):
        if self._sending or not self.order:
            return
        self._sending = True
        sender, kind, payload, done = self.order.pop(0)
        self.agenda.at(self.agenda.now_s + STEP_S, lambda: self._pass(sender, kind, payload, done))

    def _pass(self, sender: int, kind: str, payload: Any, done: Callable[..., None]) -> None:
        if sender not in self.alive:  # case 5: pretend that it never happened
            self._sending = False
            self.send_next()
            return
        waiting = sorted(self.members)
        results = {}

        def step() -> None:
            while waiting and waiting[0] not in self.alive:
                waiting.pop(0)
            if waiting:
                node = waiting.pop(0)
                results[node] = self.gups[node].apply(kind, payload, sender)
                self.agenda.at(self.agenda.now_s + STEP_S, step)
                return
            self._sending = False
            if sender in self.alive:
                done(self.agenda.now_s, GupResult(ok=True, value=results.get(sender)))
            self.send_next()

        step()

    def _missed(self, node: int) -> None:
        if self._sending:  # the order is between two updates when a view is installed
            self.agenda.at(self.agenda.now_s + STEP_S, lambda: self._missed(node))
            return
        for member in sorted(self.alive):
            self.gups[member].member.circle.members.discard(node)
        for member in sorted(self.alive):
            self.managers[member].members_changed(self.agenda.now_s, left=[node])


class _Desk(Desk):
    """A desk that tells the cluster's events and dies with its node."""

    def __init__(self, cluster: LittleCluster, node: int) -> None:
        super().__init__(cluster.agenda, cluster.volume, node)
        self.dead = False
        self._cluster = cluster

    def emit(self, kind: str, phase: str = "", **fields: Any) -> None:
        if not self.dead:
            self._cluster.log_event(self.node, kind, phase, **fields)

    def halt(self, reason: str) -> None:
        self.emit("halt", phase=reason)
        self._cluster.kill(self.node)

    def effect(self, name: str, arguments: dict[str, Any], done: Callable[..., None]) -> None:
        if not self.dead:
            super().effect(name, arguments, done)

    def _enter(self, action: Callable[[], None]) -> None:
        if not self.dead:
            super()._enter(action)
