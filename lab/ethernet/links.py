"""One direction of the links between the hosts and a switch: each carries a frame at a time."""

from __future__ import annotations

from collections.abc import Iterable

from lab.ethernet.agenda import NS
from lab.ethernet.chance import chance
from lab.ethernet.frames import FRAGMENT_BYTES, UTILISATION
from lab.ethernet.switch import QUEUE_FRAMES, frames_in_front
from lab.stacks.plan import LoadLevel, NetworkPlan


class Links:
    """When each host's link is free, and what other traffic takes of it.

    A queue holds :data:`~lab.ethernet.switch.QUEUE_FRAMES` full frames; what finds it full is lost.
    """

    def __init__(self, plan: NetworkPlan, seed: int) -> None:
        self.lost: dict[int, int] = {}
        """Frames that found the queue full, by host."""
        self._byte_ns = NS / plan.rate_bytes_per_s
        self._full_ns = round(FRAGMENT_BYTES * self._byte_ns)
        self._free_ns: dict[int, int] = {}
        self._busy: dict[int, float] = {}
        self._random = chance(seed)

    def wire_ns(self, wire_bytes: int) -> int:
        """Return how long so many bytes occupy a link."""
        return round(wire_bytes * self._byte_ns)

    def load(self, level: LoadLevel, hosts: Iterable[int]) -> None:
        """Let other traffic take a part of the links of some hosts."""
        for host in hosts:
            self._busy[host] = UTILISATION[level]

    def carry(self, now_ns: int, host: int, wire_ns: int) -> int | None:
        """Queue a frame; return when its last bit has left, None when there is no room."""
        busy = self._busy.get(host, 0.0)
        in_front = frames_in_front(self._random, busy) if busy else 0
        begin_ns = max(now_ns + in_front * self._full_ns, self._free_ns.get(host, 0))
        if in_front == QUEUE_FRAMES or begin_ns - now_ns > QUEUE_FRAMES * self._full_ns:
            self.lost[host] = self.lost.get(host, 0) + 1
            return None
        self._free_ns[host] = begin_ns + wire_ns
        return begin_ns + wire_ns
