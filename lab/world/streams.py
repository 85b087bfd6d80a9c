"""Streams between nodes: bytes in order, over networks that lose and cut, until a peer gives up.

A stream carries one write at a time in each direction and repeats it until it has arrived and the
way back was open, too. Acknowledgements are not sent as frames of their own.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol, TypeAlias

from lab.ethernet.agenda import Agenda, to_ns
from lab.ethernet.frames import Frame
from lab.ethernet.networks import Network
from lab.stacks.core import Input, StreamClosed, StreamData, StreamOpen, StreamOpened

_REPEAT_S = 0.2
"""Until the first repetition; it doubles each time, as TCP's time-out does."""
_MOST_REPEATS = 8
"""After about 50 s without progress a stream is broken."""

_OPEN, _OPENED, _DATA, _CLOSE = "open", "opened", "data", "close"

Hand: TypeAlias = Callable[[int, str, Input], None]
"""Hands an input of a channel to a node."""


class Surroundings(Protocol):
    """What streams need to know of the world."""

    def runs(self, node: int) -> bool:
        """Tell whether the node's program runs."""

    def is_cut(self, source: int, target: int, network: int) -> bool:
        """Tell whether nothing gets from one node to another."""


@dataclass
class _End:
    node: int
    number: int
    """What the node calls the stream; 0 when it has no part in it (yet, or any more)."""


@dataclass
class Segment:
    """What a frame of a stream carries."""

    flow: _Flow
    sequence: int
    what: str
    channel: str
    data: bytes = b""


@dataclass
class _Flow:
    """One direction of a stream."""

    source: _End
    target: _End
    network: int
    channel: str
    queue: deque[Segment] = field(default_factory=deque)
    sent: int = 0
    handed_on: int = 0
    repeats: int = 0
    back: _Flow | None = None


class Streams:
    """All streams of the world."""

    def __init__(
        self, agenda: Agenda, networks: list[Network], surroundings: Surroundings, hand: Hand
    ) -> None:
        self._agenda = agenda
        self._networks = networks
        self._surroundings = surroundings
        self._hand = hand
        self._flows: dict[tuple[int, int], _Flow] = {}
        """By sending node and the number that it knows the stream by."""
        self._inward = 0

    def open(self, node: int, asked: StreamOpen, peer: int | None) -> None:
        """Open a stream; a peer of None (an address that nobody holds) cannot be reached."""
        if peer is None:
            self._agenda.at(
                self._agenda.now_ns,
                lambda _: self._hand(node, asked.channel, StreamClosed(asked.stream)),
            )
            return
        near, far = _End(node, asked.stream), _End(peer, 0)
        there = _Flow(near, far, asked.network, asked.channel)
        there.back = _Flow(far, near, asked.network, asked.channel, back=there)
        self._flows[node, asked.stream] = there
        self._put(there, _OPEN)

    def send(self, node: int, stream: int, data: bytes) -> None:
        """Send bytes; on a stream that has ended they are lost."""
        flow = self._flows.get((node, stream))
        if flow is not None:
            self._put(flow, _DATA, data)

    def close(self, node: int, stream: int) -> None:
        """End a stream: what was sent before still arrives, nothing comes back."""
        flow = self._flows.pop((node, stream), None)
        if flow is not None:
            flow.source.number = 0
            self._put(flow, _CLOSE)

    def drop(self, node: int) -> None:
        """End all streams of a node whose program has ended."""
        for at, number in [key for key in self._flows if key[0] == node]:
            self.close(at, number)

    def arrive(self, target: int, segment: Segment) -> None:
        """A segment has come through the network."""
        flow = segment.flow
        back_is_cut = self._surroundings.is_cut(target, flow.source.node, flow.network)
        if segment.sequence == flow.handed_on + 1:
            flow.handed_on += 1
            self._take(flow, segment)
        if not back_is_cut and flow.queue and flow.queue[0] is segment:
            flow.queue.popleft()
            flow.repeats = 0
            if flow.queue:
                self._transmit(flow)

    def _take(self, flow: _Flow, segment: Segment) -> None:
        target = flow.target
        back = flow.back
        if segment.what == _OPEN:
            assert back is not None  # noqa: S101 - both directions are made together
            if not self._surroundings.runs(target.node):
                self._put(back, _CLOSE)
                return
            self._inward -= 1
            target.number = self._inward
            self._flows[target.node, target.number] = back
            self._put(back, _OPENED)
            opened = StreamOpened(target.number, flow.source.node, flow.channel, inward=True)
            self._hand(target.node, flow.channel, opened)
        elif not target.number:
            return
        elif segment.what == _OPENED:
            opened = StreamOpened(target.number, flow.source.node, flow.channel, inward=False)
            self._hand(target.node, flow.channel, opened)
        elif segment.what == _DATA:
            self._hand(target.node, flow.channel, StreamData(target.number, segment.data))
        else:
            self._end(target, flow.channel)

    def _end(self, end: _End, channel: str) -> None:
        if end.number and self._flows.pop((end.node, end.number), None) is not None:
            number, end.number = end.number, 0
            self._hand(end.node, channel, StreamClosed(number))

    def _put(self, flow: _Flow, what: str, data: bytes = b"") -> None:
        flow.sent += 1
        flow.queue.append(Segment(flow, flow.sent, what, flow.channel, data))
        if len(flow.queue) == 1:
            self._transmit(flow)

    def _transmit(self, flow: _Flow) -> None:
        segment = flow.queue[0]
        network = self._networks[flow.network]
        wire_ns = network.wire_ns(len(segment.data))
        label = f"stream {segment.what}"
        network.send(
            Frame(flow.source.node, flow.network, wire_ns, segment, label), (flow.target.node,)
        )
        wait_ns = wire_ns + (to_ns(_REPEAT_S) << flow.repeats)
        self._agenda.at(self._agenda.now_ns + wait_ns, self._repeat, segment)

    def _repeat(self, segment: Segment) -> None:
        flow = segment.flow
        if not flow.queue or flow.queue[0] is not segment:
            return
        flow.repeats += 1
        if flow.repeats <= _MOST_REPEATS:
            self._transmit(flow)
            return
        flow.queue.clear()
        self._end(flow.source, flow.channel)
        self._end(flow.target, flow.channel)
