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
    def over(t_ns: pd.Series, columns: int = COLUMNS) -> TimeGrid:
        """Cut the span of `t_ns` into at most `columns` slices, never finer than the samples."""
        times = np.unique(t_ns.to_numpy(dtype=np.int64))
        if times.size == 0:
            return TimeGrid(0, 1.0, 1)
        count = int(max(1, min(columns, times.size)))
        start, end = int(times[0]), int(times[-1])
        return TimeGrid(start, max((end - start) / count, 1.0), count)

    def column_of(self, t_ns: pd.Series) -> NDArray[np.int64]:
        """The slice that each time falls into; times outside go to the nearest slice."""
        offset = (t_ns.to_numpy(dtype=np.int64) - self.start_ns) / self.width_ns
        return np.clip(offset.astype(np.int64), 0, self.columns - 1)

    def centres_s(self) -> NDArray[np.float64]:
        """Middle of each slice in virtual seconds."""
        middles = np.arange(self.columns, dtype=np.float64) + 0.5
        return np.asarray((self.start_ns + middles * self.width_ns) / 1e9, dtype=np.float64)

    @property
    def width_s(self) -> float:
        """Length of a slice in virtual seconds."""
        return self.width_ns / 1e9


@dataclass(frozen=True)
class Envelope:
    """Smallest, mean and largest value of every slice."""

    low: NDArray[np.float64]
    mean: NDArray[np.float64]
    high: NDArray[np.float64]


def envelope(
    t_ns: pd.Series, values: pd.Series, sample_times: pd.Series, grid: TimeGrid
) -> Envelope:
    """Min, mean and max of a series per slice of `grid`.

    `sample_times` holds the moments at which the instrument looked. A moment without a row
    counts as zero, because line cards leave out queues that are empty; a slice without any
    moment repeats the one before it.
    """
    looked = np.bincount(
        grid.column_of(pd.Series(sample_times.unique())), minlength=grid.columns
    ).astype(np.float64)
    column = grid.column_of(t_ns)
    numbers = values.to_numpy(dtype=np.float64)
    rows = np.bincount(column, minlength=grid.columns)
    total = np.bincount(column, weights=numbers, minlength=grid.columns)
    high = np.full(grid.columns, -np.inf)
    np.maximum.at(high, column, numbers)
    low = np.full(grid.columns, np.inf)
    np.minimum.at(low, column, numbers)
    high[rows == 0] = 0.0
    low[rows < looked] = 0.0
    low[~np.isfinite(low)] = 0.0
    mean = np.divide(total, np.maximum(looked, 1.0))
    return Envelope(*(_hold(a, looked > 0) for a in (low, mean, high)))


def counts(t_ns: pd.Series, grid: TimeGrid) -> NDArray[np.float64]:
    """Events per slice of `grid`."""
    if t_ns.empty:
        return np.zeros(grid.columns)
    return np.bincount(grid.column_of(t_ns), minlength=grid.columns).astype(np.float64)


def _hold(values: NDArray[np.float64], known: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Repeat the last known value over slices in which nobody looked."""
    index = np.where(known, np.arange(values.size), 0)
    held: NDArray[np.float64] = values[np.maximum.accumulate(index)]
    return held
