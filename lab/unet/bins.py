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

    def add_many(self, times_ns: list[int], lengths: list[int], latencies_ns: list[int]) -> None:
        """Count messages; cheapest when all fall into one bin."""
        width_ns = self._width_ns
        index = min(times_ns) // width_ns
        if max(times_ns) // width_ns == index:
            self._add(index, len(times_ns), sum(lengths), sum(latencies_ns))
            return
        for time_ns, length, latency_ns in zip(times_ns, lengths, latencies_ns, strict=True):
            self._add(time_ns // width_ns, 1, length, latency_ns)

    def _add(self, index: int, messages: int, n_bytes: int, latency_ns: int) -> None:
        row = self._bins.get(index)
        if row is None:
            row = self._bins[index] = [index * self._width_ns, 0, 0, 0]
        row[1] += messages
        row[2] += n_bytes
        row[3] += latency_ns
        self.messages += messages
        self.bytes += n_bytes

    def rows(self) -> list[list[int]]:
        """Return [start of the bin in ns, messages, bytes, sum of latencies in ns], by time."""
        return [self._bins[index] for index in sorted(self._bins)]
