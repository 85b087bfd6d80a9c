"""The timers of a node, by name, for the two levels that it is woken at."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from dataclasses import dataclass

from lab.stacks.core import LEVELS, Level

Callback = Callable[[float], None]
"""Called with the time when a timer is due."""


def next_turn_s(due_s: float, now_s: float, period_s: float) -> float:
    """Return when something regular is due again: without drift, as long as it is not very late.

    What was slept through is not made up for, and a clock that was set back delays nothing.
    """
    next_s = due_s + period_s
    return next_s if now_s < next_s <= now_s + period_s else now_s + period_s


@dataclass(frozen=True)
class _Timer:
    at_s: float
    level: Level
    callback: Callback


class Timers:
    """Timers with names: to set one again moves it."""

    def __init__(self) -> None:
        self._timers: dict[str, _Timer] = {}
        self._queues: dict[Level, list[tuple[float, int, str]]] = {level: [] for level in LEVELS}
        """Heaps; what was moved or cancelled stays there until it comes up."""
        self._numbers: dict[str, int] = {}
        """Of the entry that counts."""
        self._number = 0

    def set(self, level: Level, name: str, at_s: float, callback: Callback) -> None:
        """Have a function called at a time."""
        self._number += 1
        self._timers[name] = _Timer(at_s, level, callback)
        self._numbers[name] = self._number
        heapq.heappush(self._queues[level], (at_s, self._number, name))

    def cancel(self, name: str) -> None:
        """Forget a timer, if there is one of this name."""
        self._timers.pop(name, None)
        self._numbers.pop(name, None)

    def next_s(self, level: Level) -> float | None:
        """Return when the next is due; None if there is none."""
        queue = self._queues[level]
        while queue:
            at_s, number, name = queue[0]
            if self._numbers.get(name) == number:
                return at_s
            heapq.heappop(queue)
        return None

    def fire(self, now_s: float, level: Level) -> None:
        """Call what is due; what that sets anew waits for the next time."""
        last = self._number
        while True:
            at_s = self.next_s(level)
            if at_s is None or at_s > now_s or self._queues[level][0][1] > last:
                return
            name = heapq.heappop(self._queues[level])[2]
            timer = self._timers[name]
            self.cancel(name)
            timer.callback(now_s)

    def shift(self, by_s: float) -> None:
        """Move all of them: the clock was set."""
        for name, timer in list(self._timers.items()):
            self.set(timer.level, name, timer.at_s + by_s, timer.callback)

    def state(self) -> dict[str, float]:
        """Return when each is due."""
        return {name: timer.at_s for name, timer in sorted(self._timers.items())}
