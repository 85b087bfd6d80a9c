"""What is to happen when: one queue of events for the whole world.

Time is counted in whole nanoseconds, so that it is the same on every machine. Events of one
nanosecond happen in an order that the seed draws, never in the order they were entered: a protocol
that only works in one of these orders is caught by some seed.
"""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop, heappush
from typing import Any, TypeAlias

from lab.ethernet.chance import chance

Happening: TypeAlias = Callable[[Any], None]

NS = 1_000_000_000
_NUMBER_BITS = 40
_TIE_BITS = 22


def to_ns(seconds: float) -> int:
    """Return seconds as whole nanoseconds."""
    return round(seconds * NS)


class Agenda:
    """Events to come, and the time."""

    def __init__(self, seed: int) -> None:
        self.now_ns = 0
        self.happened = 0
        self._until_ns = 0
        self._heap: list[tuple[int, int, Happening, Any]] = []
        self._draw = chance(seed).getrandbits
        self._number = 0

    def at(self, when_ns: int, happening: Happening, what: Any = None) -> None:
        """Let something happen at a time; one that has passed means now."""
        self._number += 1
        order = self._draw(_TIE_BITS) << _NUMBER_BITS | self._number
        heappush(self._heap, (when_ns, order, happening, what))

    @property
    def next_ns(self) -> int | None:
        """When the next event is due; None when there is none."""
        return self._heap[0][0] if self._heap else None

    def run(self, until_ns: int) -> None:
        """Let everything happen up to a time, or until :meth:`stop`."""
        heap = self._heap
        self._until_ns = until_ns
        happened = 0
        while heap and heap[0][0] <= self._until_ns:
            when_ns, _, happening, what = heappop(heap)
            if when_ns > self.now_ns:  # noqa: PLR1730 - max() would take a tenth of the loop
                self.now_ns = when_ns
            happening(what)
            happened += 1
        self.happened += happened
        self.now_ns = max(self.now_ns, self._until_ns)

    def stop(self) -> None:
        """Let nothing more happen in this run."""
        self._until_ns = -1
