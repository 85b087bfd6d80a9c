"""Counts of messages per interval of virtual time. Pure."""

from __future__ import annotations


class Bins:
    """Messages, bytes and summed latency per bin.

    Args:
        width_ns: width of a bin in virtual ns.
    """

    def __init__(self, width_ns: int) -> None:
        self._width_ns = width_ns
        self._bins: dict[int, list[int]] = {}
        self.messages = 0
        self.bytes = 0

    def add(self, time_ns: int, n_bytes: int, latency_ns: int) -> None:
        """Count a message at ``time_ns``."""
        index = time_ns // self._width_ns
        row = self._bins.get(index)
        if row is None:
            row = self._bins[index] = [index * self._width_ns, 0, 0, 0]
        row[1] += 1
        row[2] += n_bytes
        row[3] += latency_ns
        self.messages += 1
        self.bytes += n_bytes

    def rows(self) -> list[list[int]]:
        """Return [start of the bin in ns, messages, bytes, sum of latencies in ns], by time."""
        return [self._bins[index] for index in sorted(self._bins)]
