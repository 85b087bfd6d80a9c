"""The networks of an Ethernet lab: what becomes of a frame that a host or a switch puts out.

What is wrong between two hosts is applied where a frame reaches its receiver, so that of a
multicast each copy has its own fate.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from lab.emulation.medium import frames
from lab.ethernet.agenda import Agenda, to_ns
from lab.ethernet.chance import chance
from lab.ethernet.frames import Frame
from lab.ethernet.hub import Hub, OnCollision
from lab.ethernet.links import Links
from lab.ethernet.paths import Paths
from lab.stacks.plan import LoadLevel, NetworkPlan

Out: TypeAlias = Callable[[int, bytes], None]
"""Puts a frame out of an interface, given by its index."""


@dataclass(frozen=True)
class Ends:
    """The two interfaces of a host's link that lie in the medium."""

    host_if: int
    switch_if: int | None
    """None where the network can only be a hub."""


@dataclass
class Counts:
    """What passed a host's link, in frames and in bytes on the wire."""

    sent: int = 0
    sent_bytes: int = 0
    received: int = 0
    received_bytes: int = 0
    collisions: int = 0
    """On a hub: collisions that the host was part of."""


@dataclass
class Lan:
    """One network."""

    number: int
    hosts: int
    """Hosts 1..hosts are on it; what is plugged in beside them is switched off."""
    plan: NetworkPlan
    ends: Mapping[int, Ends]
    agenda: Agenda
    paths: Paths
    out: Out
    seed: int
    on_collision: OnCollision
    counts: dict[int, Counts] = field(default_factory=dict)
    foreign: int = 0
    """Frames with a source that is not the host's own: not carried, as by a switch with port
    security, because nobody could say between which hosts they travel."""

    def __post_init__(self) -> None:
        """Build the links, or the hub."""
        draw = chance(self.seed)
        self.counts = {host: Counts() for host in self.ends}
        self._delay_ns = to_ns(self.plan.delay_s)
        self._up = Links(self.plan, draw.getrandbits(64))
        self._down = Links(self.plan, draw.getrandbits(64))
        self._hub: Hub | None = None
        if self.plan.kind == "hub":
            self._hub = Hub(
                self.number,
                self.plan,
                agenda=self.agenda,
                seed=draw.getrandbits(64),
                arrive=self.paths.arrive,
                on_collision=self._collided,
            )

    @property
    def collisions(self) -> int:
        """Collisions so far."""
        return self._hub.collisions if self._hub else 0

    def lost(self) -> int:
        """Frames lost to full queues, and on a hub to too many collisions."""
        dropped = sum(self._up.lost.values()) + sum(self._down.lost.values())
        return dropped + (self._hub.lost if self._hub else 0)

    def load(self, level: LoadLevel, hosts: Sequence[int]) -> None:
        """Let other traffic compete on the links of some hosts (a hub: on the segment)."""
        self._up.load(level, hosts)
        self._down.load(level, hosts)
        if self._hub:
            self._hub.load(level, hosts)

    def from_host(self, host: int, data: bytes) -> None:
        """A host has put a frame out."""
        if frames.number_of(frames.source_of(data), self.number) != host:
            self.foreign += 1
            return
        if host > self.hosts or (frames.is_for_many(data) and frames.is_group_report(data)):
            return  # no router listens
        counts, size = self.counts[host], frames.wire_bytes(data)
        counts.sent += 1
        counts.sent_bytes += size
        wire_ns = self._up.wire_ns(size)
        if self._hub:
            frame = Frame(host, self.number, wire_ns, data, "")
            self._hub.send(frame, self._hearers(host, data))
            return
        end_ns = self._up.carry(self.agenda.now_ns, host, wire_ns)
        if end_ns is not None:
            self.agenda.at(end_ns, self._to_switch, (host, data))

    def _hearers(self, host: int, data: bytes) -> list[int]:
        if frames.is_for_many(data):
            return [other for other in self.ends if other != host and other <= self.hosts]
        target = frames.number_of(frames.target_of(data), self.number)
        return [target] if target in self.ends and target <= self.hosts else []

    def _to_switch(self, what: tuple[int, bytes]) -> None:
        host, data = what
        switch_if = self.ends[host].switch_if
        if switch_if is not None:
            self.out(switch_if, data)

    def from_switch(self, host: int, data: bytes) -> None:
        """The switch has put a frame out of the port of a host."""
        if self._hub:
            return  # left over from a case in which this network was switched
        if host > self.hosts:
            return
        size = frames.wire_bytes(data)
        wire_ns = self._down.wire_ns(size)
        source = frames.number_of(frames.source_of(data), self.number)
        end_ns = self._down.carry(self.agenda.now_ns + self._delay_ns, host, wire_ns)
        if end_ns is not None:
            self.agenda.at(
                end_ns, self._arrive, (host, Frame(source, self.number, wire_ns, data, ""))
            )

    def _arrive(self, what: tuple[int, Frame]) -> None:
        self.paths.arrive(*what)

    def deliver(self, host: int, data: bytes) -> None:
        """Hand a frame to the host that it has reached."""
        counts = self.counts[host]
        counts.received += 1
        counts.received_bytes += frames.wire_bytes(data)
        self.out(self.ends[host].host_if, data)

    def _collided(self, network: int, hosts: list[int]) -> None:
        for host in hosts:
            if host in self.counts:
                self.counts[host].collisions += 1
        self.on_collision(network, hosts)
