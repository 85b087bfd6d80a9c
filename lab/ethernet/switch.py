"""A switched network: every node has a link of its own, full duplex."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from lab.ethernet.agenda import NS, Agenda, to_ns
from lab.ethernet.chance import chance
from lab.ethernet.frames import FRAGMENT_BYTES, UTILISATION, Arrive, Frame, wire_bytes
from lab.stacks.plan import LoadLevel, NetworkPlan

QUEUE_FRAMES = 32
"""A switch port's queue: about 50 KB, as in a small Fast Ethernet switch."""


def frames_in_front(random: Random, busy: float) -> int:
    """Draw how many frames of other traffic a frame finds queued, up to a full queue.

    The queue of a link that is busy for a part p of the time, with independent full-size frames,
    is k frames long with probability (1 - p) p^k.
    """
    frames = 0
    while frames < QUEUE_FRAMES and random.random() < busy:
        frames += 1
    return frames


class Switch:
    """Stores and forwards: a frame waits for its sender's link, then for its receiver's."""

    def __init__(
        self, plan: NetworkPlan, *, nodes: int, agenda: Agenda, seed: int, arrive: Arrive
    ) -> None:
        self.lost = 0
        self.collisions = 0
        self._agenda = agenda
        self._random = chance(seed)
        self._arrive = arrive
        self._delay_ns = to_ns(plan.delay_s)
        self._byte_ns = NS / plan.rate_bytes_per_s
        self._full_ns = round(FRAGMENT_BYTES * self._byte_ns)
        self._up_ns = [0] * (nodes + 1)
        """Until when each node's link to the switch is taken."""
        self._down_ns = [0] * (nodes + 1)
        self._busy = [0.0] * (nodes + 1)
        """The part of each node's link that other traffic takes up."""
        self._loaded = False
        self._times_ns: dict[int, int] = {}

    def wire_ns(self, payload_bytes: int) -> int:
        """Return how long a datagram occupies a link."""
        time_ns = self._times_ns.get(payload_bytes)
        if time_ns is None:
            time_ns = self._times_ns[payload_bytes] = round(
                wire_bytes(payload_bytes) * self._byte_ns
            )
        return time_ns

    def send(self, frame: Frame, targets: Sequence[int]) -> None:
        """Send a frame; the switch copies one for several."""
        agenda = self._agenda
        source, wire_ns = frame.source, frame.wire_ns
        begin_ns = agenda.now_ns
        if self._loaded:
            queued = self._found_queued(source)
            if queued is None:
                return
            begin_ns += queued
        begin_ns = max(begin_ns, self._up_ns[source])
        self._up_ns[source] = begin_ns + wire_ns
        # The receiver's link is asked for when the frame would have passed it: one event a frame.
        reached_ns = begin_ns + wire_ns + self._delay_ns + wire_ns
        for target in targets:
            agenda.at(reached_ns, self._reach, (target, frame))

    def load(self, level: LoadLevel, nodes: Sequence[int]) -> None:
        """Let other traffic compete on the links of these nodes."""
        for node in nodes:
            self._busy[node] = UTILISATION[level]
        self._loaded = any(self._busy)

    def _reach(self, what: tuple[int, Frame]) -> None:
        target, frame = what
        now_ns = self._agenda.now_ns
        begin_ns = now_ns - frame.wire_ns
        if self._loaded:
            queued = self._found_queued(target)
            if queued is None:
                return
            begin_ns += queued
        begin_ns = max(begin_ns, self._down_ns[target])
        end_ns = begin_ns + frame.wire_ns
        self._down_ns[target] = end_ns
        if end_ns == now_ns:
            self._arrive(target, frame)
        else:
            self._agenda.at(end_ns, self._arrived, what)

    def _arrived(self, what: tuple[int, Frame]) -> None:
        self._arrive(*what)

    def _found_queued(self, node: int) -> int | None:
        """Draw how long other traffic's queue is that a frame finds at a link; None: it is full."""
        frames = frames_in_front(self._random, self._busy[node])
        if frames == QUEUE_FRAMES:
            self.lost += 1
            return None
        return frames * self._full_ns
