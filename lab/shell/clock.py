"""Virtual time in a container: real time since the plan's epoch, divided by the dilation."""

from __future__ import annotations

import time


class Clock:
    """The common time of all nodes, and the node's own clock, which a fault can put ahead of it."""

    def __init__(self, epoch_ns: int, dilation: float) -> None:
        self.dilation = dilation
        self.ahead_s = 0.0
        self._epoch_ns = epoch_ns

    def now_s(self) -> float:
        """Return the common virtual time."""
        return (time.monotonic_ns() - self._epoch_ns) / 1e9 / self.dilation

    def node_s(self) -> float:
        """Return what the node's own clock shows."""
        return self.now_s() + self.ahead_s

    def monotonic_s(self, node_s: float) -> float:
        """Return CLOCK_MONOTONIC at the moment when the node's own clock shows a time."""
        return self._epoch_ns / 1e9 + (node_s - self.ahead_s) * self.dilation
