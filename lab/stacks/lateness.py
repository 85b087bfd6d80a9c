"""How late a shell was: histograms that can be added up over windows and nodes.

An observation falls into bucket i when it is at most 2^(i/4) microseconds, so that a quantile is
known to a fifth of its value. Bucket 0 has all up to a microsecond.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

BUCKETS_PER_OCTAVE = 4


class Histogram:
    """Observations of one kind of delay since they were last taken."""

    def __init__(self) -> None:
        self._counts: Counter[int] = Counter()
        self._longest_s = 0.0

    def add(self, delay_s: float) -> None:
        """Note one delay, in virtual seconds; a negative one counts as none."""
        us = delay_s * 1e6
        self._counts[math.ceil(BUCKETS_PER_OCTAVE * math.log2(us)) if us > 1.0 else 0] += 1
        self._longest_s = max(self._longest_s, delay_s)

    def take(self) -> dict[str, Any]:
        """Return what was noted as fields of an event, and begin anew."""
        counts = {str(bucket): self._counts[bucket] for bucket in sorted(self._counts)}
        fields = {"n": self._counts.total(), "max_s": self._longest_s, "counts": counts}
        self._counts.clear()
        self._longest_s = 0.0
        return fields


def quantile_s(histograms: Iterable[Mapping[str, Any]], quantile: float) -> float:
    """Return an upper bound of a quantile over histograms as events carry them; 0.0 for none."""
    total: Counter[int] = Counter()
    longest_s = 0.0
    for histogram in histograms:
        total.update({int(bucket): n for bucket, n in histogram["counts"].items()})
        longest_s = max(longest_s, histogram["max_s"])
    wanted = quantile * total.total()
    seen = 0
    for bucket in sorted(total):
        seen += total[bucket]
        if seen >= wanted:
            bound_s: float = 2.0 ** (bucket / BUCKETS_PER_OCTAVE) * 1e-6
            return min(bound_s, longest_s)
    return longest_s
