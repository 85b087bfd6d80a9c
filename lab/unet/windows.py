"""What happened in each measured part of a pass: counts, latencies, and gaps between messages.

Pure. Latencies are kept as a histogram whose buckets grow with the value (eight to a power of
two), so that percentiles of any run can be had to one part in eight; sums, least and most are
exact. Gaps tell how regularly messages come (thesis 4.6 asks for their variation).
"""

from __future__ import annotations

from operator import sub

TYPE_CHECKING = False  # importing typing would cost start-up time
if TYPE_CHECKING:
    from collections.abc import Sequence

FINE = 8  # values below are their own bucket; above, so many buckets to a power of two


def bucket_of(value: int) -> int:
    """Return the index of the bucket that holds a value (0 or more)."""
    if value < FINE:
        return value
    exponent = value.bit_length() - 1
    return (exponent - 2) * FINE + (value >> (exponent - 3) & 7)


def bucket_low(index: int) -> int:
    """Return the least value in a bucket."""
    if index < FINE:
        return index
    return (FINE + (index & 7)) << (index // FINE - 1)


class Window:
    """The counts of one window.

    Args:
        step: which step it is the measured part of.
        start_ns, end_ns: from when until before when it lasts.
    """

    def __init__(self, step: int, start_ns: int, end_ns: int) -> None:
        self.step = step
        self.start_ns = start_ns
        self.end_ns = end_ns
        self.messages = 0
        self._bytes = 0
        self._latency = (0, 0, 0)  # sum, least, most
        self._gaps = 0
        self._gap_ns = (0, 0, 0)
        self._gap_square_sum_ns2 = 0
        self._last_ns = 0
        self._buckets: dict[int, int] = {}

    def add(self, times_ns: list[int], n_bytes: int, latencies_ns: list[int]) -> None:
        """Count messages that follow each other, all within the window."""
        before = [self._last_ns, *times_ns] if self.messages else times_ns
        gaps = list(map(sub, before[1:], before))
        if gaps:
            self._gap_ns = _merged(self._gap_ns, gaps, first=not self._gaps)
            self._gaps += len(gaps)
            self._gap_square_sum_ns2 += sum([gap * gap for gap in gaps])
        self._latency = _merged(self._latency, latencies_ns, first=not self.messages)
        buckets = self._buckets
        for value in latencies_ns:
            index = bucket_of(value) if value > 0 else 0
            buckets[index] = buckets.get(index, 0) + 1
        self._last_ns = times_ns[-1]
        self.messages += len(times_ns)
        self._bytes += n_bytes

    def row(self) -> dict[str, object]:
        """Return the counts under the names that they have in a run's files."""
        return {
            "step": self.step,
            "messages": self.messages,
            "bytes": self._bytes,
            "latency_sum_ns": self._latency[0],
            "latency_min_ns": self._latency[1],
            "latency_max_ns": self._latency[2],
            "gaps": self._gaps,
            "gap_sum_ns": self._gap_ns[0],
            "gap_square_sum_us2": self._gap_square_sum_ns2 / 1e6,
            "gap_min_ns": self._gap_ns[1],
            "gap_max_ns": self._gap_ns[2],
            "buckets": {str(index): self._buckets[index] for index in sorted(self._buckets)},
        }


def _merged(old: tuple[int, int, int], values: list[int], *, first: bool) -> tuple[int, int, int]:
    """Extend sum, least and most by values."""
    least, most = min(values), max(values)
    if not first:
        least, most = min(least, old[1]), max(most, old[2])
    return old[0] + sum(values), least, most


class Windows:
    """All windows of a pass, in the order of time.

    Args:
        windows: (step, start in ns, end in ns) each; they must not overlap.
    """

    def __init__(self, windows: Sequence[tuple[int, int, int]]) -> None:
        self._windows = [Window(*window) for window in windows]
        self._current = self._windows[0] if windows else Window(-1, 1 << 62, 1 << 62)

    def add_many(self, times_ns: list[int], lengths: list[int], latencies_ns: list[int]) -> None:
        """Count messages that follow each other, in windows or between."""
        current = self._current
        if current.start_ns <= min(times_ns) and max(times_ns) < current.end_ns:
            current.add(times_ns, sum(lengths), latencies_ns)
            return
        for time_ns, length, latency_ns in zip(times_ns, lengths, latencies_ns, strict=True):
            if not current.start_ns <= time_ns < current.end_ns:
                found = [w for w in self._windows if w.start_ns <= time_ns < w.end_ns]
                if not found:
                    continue
                current = self._current = found[0]
            current.add([time_ns], length, [latency_ns])

    def rows(self) -> list[dict[str, object]]:
        """Return one row for each window, also for those without a message."""
        return [window.row() for window in self._windows]
