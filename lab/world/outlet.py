"""Carries out what cores put out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from lab.errors import LabError
from lab.ethernet.agenda import Agenda, to_ns
from lab.ethernet.frames import Frame
from lab.ethernet.networks import Network
from lab.stacks.core import (
    DiskCall,
    DiskDone,
    Effect,
    EffectDone,
    Emit,
    Halt,
    Level,
    Multicast,
    NodeId,
    Post,
    Received,
    Reply,
    Send,
    StreamClose,
    StreamOpen,
    StreamSend,
)
from lab.stacks.events import REPLY
from lab.world.disks import QuorumVolume
from lab.world.host import Host
from lab.world.machine import Machine
from lab.world.record import Record
from lab.world.streams import Streams
from lab.world.web import Web


class Outlet:
    """Knows, for each type of output, what to do.

    Args:
        addresses: who holds each moving address; kept here.
        halt: ends a node's program and says why.
        fail: takes note that a core broke its contract.
    """

    def __init__(
        self,
        *,
        agenda: Agenda,
        record: Record,
        machine: Machine,
        networks: list[Network],
        addresses: dict[str, NodeId],
        streams: Streams,
        quorum: QuorumVolume,
        web: Web,
        halt: Callable[[Host, str], None],
        fail: Callable[[Host, str, str], None],
    ) -> None:
        self.sent = 0
        self._addresses = addresses
        self._agenda = agenda
        self._record = record
        self._effect_ns = to_ns(machine.effect_s)
        self._networks = networks
        self._streams = streams
        self._quorum = quorum
        self._web = web
        self._halt = halt
        self._fail = fail
        self._others: dict[int, tuple[int, ...]] = {}
        self.ways: dict[type, Callable[[Host, Level, Any], None]] = {
            Send: self._send,
            Multicast: self._multicast,
            Post: lambda host, level, post: host.post(post.level, post.data),
            Reply: self._reply,
            StreamOpen: self._stream_open,
            StreamSend: lambda host, level, out: streams.send(host.number, out.stream, out.data),
            StreamClose: lambda host, level, out: streams.close(host.number, out.stream),
            DiskCall: self._disk,
            Effect: self._effect,
            Emit: self._emit,
            Halt: lambda host, level, out: halt(host, out.reason),
        }

    def set_nodes(self, everyone: Sequence[NodeId]) -> None:
        """Tell between which nodes datagrams go."""
        self._others = {node: tuple(n for n in everyone if n != node) for node in everyone}

    def drop_addresses(self, node: NodeId) -> None:
        """A node's program has ended, and the addresses that it had taken over are gone."""
        for name in [name for name, holder in self._addresses.items() if holder == node]:
            del self._addresses[name]

    def failed(self, host: Host, what: str, why: str) -> None:
        """A core broke its contract."""
        self._fail(host, what, why)

    def _send(self, host: Host, _: Level, send: Send) -> None:
        to = send.to
        node = self._addresses.get(to) if isinstance(to, str) else to
        targets = (node,) if node in self._others else ()
        self._transmit(host, send, targets, node or 0)

    def _multicast(self, host: Host, _: Level, multicast: Multicast) -> None:
        self._transmit(host, multicast, self._others[host.number], 0)

    def _transmit(
        self, host: Host, send: Send | Multicast, targets: tuple[int, ...], peer: int
    ) -> None:
        source, network, data = host.number, send.network, send.data
        self.sent += 1
        name = f"{source}.{host.incarnation}.{self.sent}"
        medium = self._network(network)
        item = Received(source, network, send.channel, data, name)
        frame = Frame(source, network, medium.wire_ns(len(data)), item, send.label)
        if self._record.traffic:
            self._record.sent(source, host.incarnation, frame, peer, name)
        medium.send(frame, targets)

    def _network(self, number: int) -> Network:
        try:
            return self._networks[number]
        except IndexError:
            raise LabError(
                f"the stack uses network {number}, and the plan has {len(self._networks)}",
                remedy="give the plan more networks, or name fewer in the stack's options",
            ) from None

    def _reply(self, host: Host, _: Level, reply: Reply) -> None:
        fields = {"id": reply.id, "ok": reply.ok, "value": reply.value}
        self._record.event(host.number, host.incarnation, REPLY, fields=fields)

    def _stream_open(self, host: Host, _: Level, asked: StreamOpen) -> None:
        to = asked.to
        self._streams.open(
            host.number, asked, self._addresses.get(to) if isinstance(to, str) else to
        )

    def _disk(self, host: Host, level: Level, call: DiskCall) -> None:
        core = host.core

        def done(outcome: DiskDone) -> None:
            if host.core is core:
                host.take(level, outcome)

        disk = self._quorum if call.volume == "quorum" else host.disk
        disk.call(host.number, call, done)

    def _effect(self, host: Host, level: Level, effect: Effect) -> None:
        core = host.core

        def done(_: None) -> None:
            if host.core is core and host.runs:
                outcome = self._take_effect(host, effect)
                if outcome is not None:
                    host.take(level, outcome)

        self._agenda.at(self._agenda.now_ns + self._effect_ns, done)

    def _take_effect(self, host: Host, effect: Effect) -> EffectDone | None:
        """Do it; None when it is not over: programs run here until they are stopped."""
        name = str(effect.arguments.get("name", ""))
        match effect.name:
            case "address-up":
                self._addresses[name] = host.number
            case "address-down":
                if self._addresses.get(name) == host.number:
                    del self._addresses[name]
            case "program-start":
                self._web.start(host.number, effect.arguments)
                return None
            case "program-stop":
                self._web.stop(host.number, name)
            case "http-get":
                self._get(host, effect)
                return None
            case _:
                why = f"this runtime knows no effect {effect.name!r}"
                return EffectDone(effect.token, ok=False, detail=why)
        return EffectDone(effect.token, ok=True)

    def _get(self, host: Host, effect: Effect) -> None:
        core = host.core

        def done(outcome: EffectDone) -> None:
            if host.core is core and host.runs:
                host.take("service", outcome)

        self._web.get(host, effect.token, effect.arguments, done)

    def _emit(self, host: Host, _: Level, emit: Emit) -> None:
        self._record.event(
            host.number, host.incarnation, emit.kind, emit.phase, emit.cause, emit.fields
        )
