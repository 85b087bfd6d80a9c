"""Thinning of long time series for the screen: one min/mean/max per pixel column.

A queue sampled every millisecond has more points than a screen has pixels. Drawing the
smallest and the largest value of each pixel column keeps every spike visible, which picking
every n-th sample would not.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

COLUMNS = 480
"""Pixel columns a time axis is cut into."""


@dataclass(frozen=True)
class TimeGrid:
    """Equal slices of a pass's virtual time."""

    start_ns: int
    width_ns: float
    columns: int

    @staticmethod
    def over(start_ns: int, end_ns: int, columns: int) -> TimeGrid:
        """Cut a span into `columns` slices."""
        return TimeGrid(start_ns, max((end_ns - start_ns) / columns, 1.0), columns)

    def column_of(self, t_ns: NDArray[np.int64]) -> NDArray[np.int64]:
        """The slice that each time falls into; times outside go to the nearest slice."""
        offset = np.floor((t_ns - self.start_ns) / self.width_ns).astype(np.int64)
        return np.clip(offset, 0, self.columns - 1)

    def centres_s(self) -> NDArray[np.float64]:
        """Middle of each slice in virtual seconds."""
        middles = np.arange(self.columns, dtype=np.float64) + 0.5
        return np.asarray((self.start_ns + middles * self.width_ns) / 1e9, dtype=np.float64)

    @property
    def width_s(self) -> float:
        """Length of a slice in virtual seconds."""
        return self.width_ns / 1e9


@dataclass(frozen=True)
class Sampling:
    """The moments at which an instrument looked, and the slices they are drawn in.

    Line cards write no row for an empty queue, so a moment at which every queue was empty can
    only be told from the regular interval between the others.
    """

    first_ns: int
    interval_ns: int
    count: int
    grid: TimeGrid

    @staticmethod
    def of(t_ns: pd.Series, end_ns: int = 0, columns: int = COLUMNS) -> Sampling:
        """Find the interval of a table's times, and cut 0..end into at most `columns` slices.

        Args:
            t_ns: times of all rows of one pass, any order, with repetitions.
            end_ns: end of the pass, where known.
            columns: the most slices; never more than there are moments.
        """
        times = np.unique(t_ns.to_numpy(dtype=np.int64))
        if times.size == 0:
            return Sampling(0, 1, 1, TimeGrid.over(0, max(end_ns, 1), 1))
        gaps, often = np.unique(np.diff(times), return_counts=True)
        interval = int(gaps[int(np.argmax(often))]) if gaps.size else max(int(times[0]), 1)
        first = int(times[0]) % interval
        count = (max(int(times[-1]), end_ns) - first) // interval + 1
        span = interval * count
        return Sampling(first, interval, count, TimeGrid.over(0, span, min(columns, count)))

    def moments(self) -> NDArray[np.int64]:
        """All moments of the pass."""
        return self.first_ns + self.interval_ns * np.arange(self.count, dtype=np.int64)

    def snapped(self, t_ns: pd.Series) -> NDArray[np.int64]:
        """Each time as the nearest moment."""
        index = np.rint((t_ns.to_numpy(dtype=np.int64) - self.first_ns) / self.interval_ns)
        return self.first_ns + self.interval_ns * index.astype(np.int64)


@dataclass(frozen=True)
class Envelope:
    """Smallest, mean and largest value of every slice."""

    low: NDArray[np.float64]
    mean: NDArray[np.float64]
    high: NDArray[np.float64]


def envelope(t_ns: pd.Series, values: pd.Series, sampling: Sampling) -> Envelope:
    """Min, mean and max of one series per slice; a moment without a row counts as zero."""
    grid = sampling.grid
    looked = np.bincount(grid.column_of(sampling.moments()), minlength=grid.columns)
    column = grid.column_of(sampling.snapped(t_ns))
    numbers = values.to_numpy(dtype=np.float64)
    rows = np.bincount(column, minlength=grid.columns)
    total = np.bincount(column, weights=numbers, minlength=grid.columns)
    high = np.zeros(grid.columns)
    np.maximum.at(high, column, numbers)
    low = np.full(grid.columns, np.inf)
    np.minimum.at(low, column, numbers)
    low[rows < looked] = 0.0
    low[np.isinf(low)] = 0.0
    return Envelope(low, total / np.maximum(np.maximum(looked, rows), 1), high)


def counts(t_ns: pd.Series, grid: TimeGrid) -> NDArray[np.float64]:
    """Events per slice of `grid`."""
    column = grid.column_of(t_ns.to_numpy(dtype=np.int64))
    return np.bincount(column, minlength=grid.columns).astype(np.float64)
