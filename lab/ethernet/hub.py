"""A hub: one medium that all nodes share, with carrier sense and collision detection."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import TypeAlias

from lab.ethernet.agenda import NS, Agenda, to_ns
from lab.ethernet.chance import chance
from lab.ethernet.frames import FRAGMENT_BYTES, UTILISATION, Arrive, Frame, wire_bytes
from lab.stacks.plan import LoadLevel, NetworkPlan

OnCollision: TypeAlias = Callable[[int, list[int]], None]
"""Told the network and the nodes whose frames collided; 0 is other traffic."""

_OTHERS = 0
"""The station that stands for other traffic on a hub."""
_SLOT_BITS = 512
_MOST_ATTEMPTS = 16
_MOST_DOUBLINGS = 10


class Hub:
    """One medium with carrier sense and collision detection (IEEE 802.3, 1-persistent).

    A station with a frame waits for silence and sends. Those who begin within half a slot of each
    other, such as all that waited for the same silence, collide, and each waits a random number of
    slots, from a range that doubles with every attempt. After each frame that gets through all
    compete anew with the same range, as in the binary logarithmic arbitration of IEEE 802.3w
    (Molle 1994). With plain back-off the winner, whose range is the smallest, would mostly win
    again and keep the medium for its whole train: the capture effect.
    """

    def __init__(
        self,
        number: int,
        plan: NetworkPlan,
        *,
        agenda: Agenda,
        seed: int,
        arrive: Arrive,
        on_collision: OnCollision,
    ) -> None:
        self.lost = 0
        self.collisions = 0
        self._number = number
        self._agenda = agenda
        self._random = chance(seed)
        self._arrive = arrive
        self._on_collision = on_collision
        self._delay_ns = to_ns(plan.delay_s)
        self._byte_ns = NS / plan.rate_bytes_per_s
        self._slot_ns = round(_SLOT_BITS / 8 * self._byte_ns)
        self._stations: dict[int, _Station] = {}
        self._silent_from_ns = 0
        self._look_ns: int | None = None
        self._others = 0.0

    def wire_ns(self, payload_bytes: int) -> int:
        """Return how long a datagram occupies the medium."""
        return round(wire_bytes(payload_bytes) * self._byte_ns)

    def send(self, frame: Frame, targets: Sequence[int]) -> None:
        """Queue a frame at its station; on this medium several hear as easily as one."""
        station = self._stations.setdefault(frame.source, _Station())
        station.queue.append((frame, targets))
        if len(station.queue) == 1:
            station.ready_ns = self._agenda.now_ns
            station.attempts = 0
        self._plan_look()

    def load(self, level: LoadLevel, nodes: Sequence[int]) -> None:
        """Let another station compete for the segment."""
        self._others = UTILISATION[level]
        if self._others and _OTHERS not in self._stations:
            self._stations[_OTHERS] = _Station()
            self._more_of_others()
            self._plan_look()

    def _more_of_others(self) -> None:
        """Queue the next frame of the other traffic, after a pause that keeps its utilisation."""
        if not self._others:
            self._stations.pop(_OTHERS, None)
            return
        wire_ns = self.wire_ns(FRAGMENT_BYTES)
        mean_ns = wire_ns * (1 - self._others) / self._others
        station = self._stations[_OTHERS]
        station.queue.append((Frame(_OTHERS, self._number, wire_ns, None, ""), ()))
        station.ready_ns = self._agenda.now_ns + int(2 * mean_ns * self._random.random())
        station.attempts = 0

    def _plan_look(self) -> None:
        """See to it that the medium is looked at as soon as a station may have begun to send."""
        begin_ns = self._next_begin_ns()
        if begin_ns is None:
            return
        look_ns = begin_ns + self._slot_ns // 2
        if self._look_ns is None or look_ns < self._look_ns:
            self._look_ns = look_ns
            self._agenda.at(look_ns, self._look, look_ns)

    def _next_begin_ns(self) -> int | None:
        ready = [station.ready_ns for station in self._stations.values() if station.queue]
        return max(min(ready), self._silent_from_ns) if ready else None

    def _look(self, look_ns: int) -> None:
        if look_ns != self._look_ns:
            return  # a station was ready earlier than was thought
        self._look_ns = None
        begin_ns = self._next_begin_ns()
        now_ns = self._agenda.now_ns
        if begin_ns is None or begin_ns + self._slot_ns // 2 > now_ns:
            self._plan_look()
            return
        begun = sorted(n for n, s in self._stations.items() if s.queue and s.ready_ns <= now_ns)
        if len(begun) == 1:
            self._succeed(begun[0], begin_ns)
        else:
            self._collide(begun, now_ns)
        self._plan_look()

    def _succeed(self, node: int, begin_ns: int) -> None:
        station = self._stations[node]
        frame, targets = station.queue.popleft()
        end_ns = begin_ns + frame.wire_ns
        self._silent_from_ns = end_ns
        for waiting in self._stations.values():
            waiting.ready_ns = max(waiting.ready_ns, end_ns)
            waiting.attempts = 0
        for target in targets:
            self._agenda.at(end_ns + self._delay_ns, self._arrived, (target, frame))
        if node == _OTHERS:
            self._agenda.at(end_ns, self._others_again)

    def _others_again(self, _: None) -> None:
        self._more_of_others()
        self._plan_look()

    def _collide(self, begun: list[int], now_ns: int) -> None:
        self.collisions += 1
        self._on_collision(self._number, begun)
        self._silent_from_ns = now_ns + self._slot_ns
        for node in begun:
            station = self._stations[node]
            station.attempts += 1
            if station.attempts == _MOST_ATTEMPTS:
                self._give_up(node, station)
                continue
            doublings = min(station.attempts, _MOST_DOUBLINGS)
            slots = self._random.getrandbits(doublings)
            station.ready_ns = self._silent_from_ns + slots * self._slot_ns

    def _give_up(self, node: int, station: _Station) -> None:
        station.queue.popleft()
        station.attempts = 0
        station.ready_ns = self._silent_from_ns
        if node == _OTHERS:
            self._more_of_others()
        else:
            self.lost += 1

    def _arrived(self, what: tuple[int, Frame]) -> None:
        self._arrive(*what)


class _Station:
    def __init__(self) -> None:
        self.queue: deque[tuple[Frame, Sequence[int]]] = deque()
        self.ready_ns = 0
        self.attempts = 0
