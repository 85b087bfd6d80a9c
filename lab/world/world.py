"""A whole cluster in one process under virtual time: everything that a plan's case needs."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lab.errors import LabError
from lab.ethernet.agenda import NS, Agenda, to_ns
from lab.ethernet.chance import chance
from lab.ethernet.frames import Frame
from lab.ethernet.networks import make_network
from lab.ethernet.paths import Paths
from lab.stacks.addresses import prefixes
from lab.stacks.checking import CheckerMaker, Checking, Violation
from lab.stacks.core import Input, Level, Request, Stack
from lab.stacks.events import FAULT, HALTED, RECEIVE, REQUEST, SEND, STARTED, Event
from lab.stacks.plan import Action, Ask, CasePlan, Fault, program_of, stack_nodes
from lab.stacks.registry import find_stack
from lab.world.disks import Disk, QuorumVolume
from lab.world.faults import Faults
from lab.world.host import Host
from lab.world.machine import Machine, Processor
from lab.world.outlet import Outlet
from lab.world.record import Record
from lab.world.schedule import Schedule
from lab.world.streams import Segment, Streams
from lab.world.web import Web, is_web

RUNTIME = 0
"""The node number under which the world logs what it does itself."""
COLLISION = "collision"
"""Event of node 0: frames collided on a hub (fields ``network``, ``nodes``)."""
BROKEN_CORE = "core"
"""A core that broke its contract is reported as a violation of ``core: `` and its error's type."""


@dataclass(frozen=True)
class CaseResult:
    """What came out of a case; all but ``real_s`` is the same on every machine."""

    digest: str
    events: list[Event]
    violations: list[Violation]
    virtual_s: float
    real_s: float
    happened: int
    """Events of the world's queue: arrivals, timers, wake-ups."""
    sent: int
    """Datagrams that the nodes sent; a multicast is one."""
    lost: int
    collisions: int
    busy_s: dict[int, float]
    """Processor time that each node's service level used."""


class World:
    """One case of a stack.

    Args:
        plan: what to do.
        stack: the stack; the one that the plan names if None.
        checkers: make the checkers to feed, with the events that are kept.
        traffic: keep an event for every datagram, not only what the nodes tell.
        machine: what the nodes' machines cost.

    Raises:
        LabError: the plan names a stack, node or network that does not exist, or the stack
            does not take its options.
    """

    def __init__(
        self,
        plan: CasePlan,
        *,
        stack: Stack | None = None,
        checkers: Iterable[CheckerMaker] = (),
        traffic: bool = True,
        machine: Machine | None = None,
    ) -> None:
        _check_plan(plan)
        self.plan = plan
        self._stack = stack or find_stack(plan.stack)
        self._own = stack_nodes(plan)
        self._machine = machine or Machine()
        self._seeds = chance(plan.seed)
        self._agenda = Agenda(self._seed())
        awaited = {action.after.kind for action in plan.actions if action.after is not None}
        keeps_traffic = traffic or not awaited.isdisjoint((SEND, RECEIVE))
        self.record = Record(self._agenda, traffic=keeps_traffic)
        self._broken: list[Violation] = []
        self._requests = 0
        self._stop_at_violation = False
        self._delivered_levels = dict(self._stack.channels)
        self._build_network()
        self._build_nodes()
        self._checking = Checking(checkers)
        for kind in sorted(self._checking.kinds):
            self.record.listen(kind, self._check)
        self._begin()

    # --- building ------------------------------------------------------------------------

    def _seed(self) -> int:
        return self._seeds.getrandbits(64)

    def _build_network(self) -> None:
        plan, agenda = self.plan, self._agenda
        self._paths = Paths(agenda, self._seed(), self._deliver)
        self._networks = [
            make_network(
                number,
                network,
                nodes=plan.nodes,
                agenda=agenda,
                seed=self._seed(),
                arrive=self._paths.arrive,
                on_collision=self._collided,
            )
            for number, network in enumerate(plan.networks)
        ]
        self._streams = Streams(agenda, self._networks, self, self._hand)
        holders: dict[str, int] = {}
        self._web = Web(agenda, self._streams, holders.get, prefixes(len(plan.networks)))
        self.quorum = QuorumVolume(agenda, self._machine, self._seed())
        self._outlet = Outlet(
            agenda=agenda,
            record=self.record,
            machine=self._machine,
            networks=self._networks,
            addresses=holders,
            streams=self._streams,
            quorum=self.quorum,
            web=self._web,
            halt=self._halt,
            fail=self._fail,
        )
        self._outlet.set_nodes(stack_nodes(plan))

    def _build_nodes(self) -> None:
        self.hosts: dict[int, Host] = {}
        for node in range(1, self.plan.nodes + 1):
            processor = Processor(self._machine, chance(self._seed()))
            disk = Disk(self._agenda, self._machine, self._seed())
            self.hosts[node] = Host(
                node,
                agenda=self._agenda,
                record=self.record,
                processor=processor,
                disk=disk,
                outside=self._outlet,
            )
        self._faults = Faults(
            hosts=self.hosts,
            networks=self._networks,
            paths=self._paths,
            quorum=self.quorum,
            start=self._start,
            kill=self._kill,
        )

    def _begin(self) -> None:
        """Plan what the case begins with: starts that the plan does not order, and its actions."""
        ordered: set[int] = set()
        for action in self.plan.actions:
            if isinstance(action.does, Fault) and action.does.fault == "restart":
                ordered |= set(action.does.nodes or self.hosts)
        for node in sorted(set(self.hosts) - ordered):
            self._agenda.at(0, lambda node: self._start(self.hosts[node]), node)
        Schedule(self.plan, self._agenda, self.record, self._act)

    # --- running -------------------------------------------------------------------------

    @property
    def now_s(self) -> float:
        """The world's time."""
        return self._agenda.now_ns / NS

    def run(self, until_s: float | None = None, *, stop_at_violation: bool = False) -> None:
        """Run on, up to a time or to the end of the case, or to the first violation."""
        self._stop_at_violation = stop_at_violation
        self._agenda.run(to_ns(self.plan.over_s if until_s is None else until_s))

    def result(self, real_s: float = 0.0) -> CaseResult:
        """End the case: let the checkers finish, and say what came out."""
        return CaseResult(
            digest=self.record.digest(),
            events=self.record.events,
            violations=self._violations(),
            virtual_s=self.now_s,
            real_s=real_s,
            happened=self._agenda.happened,
            sent=self._outlet.sent,
            lost=self._paths.lost + sum(network.lost for network in self._networks),
            collisions=sum(network.collisions for network in self._networks),
            busy_s={node: host.busy_ns / NS for node, host in self.hosts.items()},
        )

    def _violations(self) -> list[Violation]:
        """Return what broke; what should have happened by the end counts if the end was reached."""
        found = self._checking.violations
        if self._stop_at_violation and (found or self._broken):
            return [*self._broken, *found]
        return [*self._broken, *self._checking.finish(self.now_s)]

    def ask(self, node: int, name: str, arguments: dict[str, Any]) -> None:
        """Hand a request to a node; the reply is an event of its log."""
        host = self.hosts[node]
        self._requests += 1
        request = Request(self._requests, name, dict(arguments))
        fields = {"id": request.id, "name": name, "arguments": request.arguments}
        if not host.runs:
            self.record.event(RUNTIME, 1, REQUEST, "refused", fields={**fields, "node": node})
            return
        self.record.event(node, host.incarnation, REQUEST, fields=fields)
        host.take("service", request)

    def runs(self, node: int) -> bool:
        """Tell whether a node's program runs."""
        return self.hosts[node].runs

    def is_cut(self, source: int, target: int, network: int) -> bool:
        """Tell whether nothing gets from one node to another at present."""
        return self._paths.is_cut(source, target, network)

    # --- what happens --------------------------------------------------------------------

    def _act(self, action: Action) -> None:
        does = action.does
        if isinstance(does, Ask):
            for node in does.nodes or self.hosts:
                self.ask(node, does.request, does.arguments)
            return
        fields = {
            "nodes": list(does.nodes), "peers": list(does.peers), "network": does.network,
            "value": does.value, "level": does.level,
        }  # fmt: skip
        self.record.event(RUNTIME, 1, FAULT, does.fault, fields=fields)
        self._faults.carry_out(does)

    def _start(self, host: Host) -> None:
        seed = chance(f"{self.plan.seed} {host.number} {host.incarnation}").getrandbits(63)
        name, options = program_of(self.plan, host.number)
        stack = self._stack if host.number in self._own else find_stack(name)
        core = stack.make(host.number, options, seed)
        self.record.event(host.number, host.incarnation + 1, STARTED)
        host.start(core)

    def _kill(self, host: Host) -> None:
        if host.runs:
            host.end()
            host.disk.crash(host.number)
            self.quorum.crash(host.number)
            self._web.drop(host.number)
            self._streams.drop(host.number)
            self._outlet.drop_addresses(host.number)

    def _halt(self, host: Host, reason: str) -> None:
        self.record.event(host.number, host.incarnation, HALTED, cause=reason)
        self._kill(host)

    def _fail(self, host: Host, what: str, why: str) -> None:
        checker = f"{BROKEN_CORE}: {what}"
        self._broken.append(Violation(checker, self.now_s, f"node {host.number}: {why}"))
        self._kill(host)
        if self._stop_at_violation:
            self._agenda.stop()

    def _deliver(self, target: int, frame: Frame) -> None:
        """A frame has reached a node."""
        item = frame.item
        if type(item) is Segment:
            self._streams.arrive(target, item)
            return
        host = self.hosts[target]
        if not host.runs:
            return
        if self.record.traffic:
            self.record.received(target, host.incarnation, frame, item.message)
        level = self._delivered_levels.get(item.channel)
        if level is not None:
            host.take(level, item)

    def _hand(self, node: int, channel: str, item: Input) -> None:
        if is_web(channel):
            self._web.take(self.hosts[node], channel, item)
            return
        level: Level = self._stack.channels.get(channel, "service")
        self.hosts[node].take(level, item)

    def _check(self, event: Event) -> None:
        if event.node and event.node not in self._own:
            return  # a client is no part of what the invariants speak of
        self._checking.feed(event)
        if self._stop_at_violation and self._checking.violations:
            self._agenda.stop()

    def _collided(self, network: int, nodes: Sequence[int]) -> None:
        if self.record.traffic:
            self.record.event(
                RUNTIME, 1, COLLISION, fields={"network": network, "nodes": list(nodes)}
            )


def run_case(
    plan: CasePlan,
    *,
    stack: Stack | None = None,
    checkers: Iterable[CheckerMaker] = (),
    traffic: bool = True,
    machine: Machine | None = None,
    directory: Path | None = None,
) -> CaseResult:
    """Run a case from start to end, and write its logs if a directory is given."""
    started_s = time.monotonic()
    world = World(plan, stack=stack, checkers=checkers, traffic=traffic, machine=machine)
    world.run()
    result = world.result(time.monotonic() - started_s)
    if directory is not None:
        world.record.write(directory, plan.nodes)
    return result


def _check_plan(plan: CasePlan) -> None:
    for action in plan.actions:
        named = set(action.does.nodes)
        if isinstance(action.does, Fault):
            named |= set(action.does.peers)
            network = action.does.network
            if network is not None and not 0 <= network < len(plan.networks):
                raise LabError(
                    f"{plan.name}: there is no network {network}",
                    remedy=f"the plan has networks 0 to {len(plan.networks) - 1}",
                )
        strangers = sorted(node for node in named if not 1 <= node <= plan.nodes)
        if strangers:
            raise LabError(
                f"{plan.name}: there is no node {strangers[0]}",
                remedy=f"the plan has nodes 1 to {plan.nodes}",
            )
