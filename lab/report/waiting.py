"""Where cells wait: what stood before every link in slices of a pass. Pure.

What is congested, where it began and whom it holds up is told by :mod:`lab.analysis.tree`, for
single moments; here are the queues, stops and quenches between those moments.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lab.report.told import told

Port = tuple[str, int]
Floats = NDArray[np.float64]

STOPPED_SHARE = 0.05
"""A link counts as stopped when it stands for at least this part of a slice."""
_ALL_VCS = 0


@dataclass(frozen=True)
class Slice:
    """A part of a pass."""

    start_ns: int
    end_ns: int
    step: int
    label: str

    def moment_ns(self, sample_ns: int) -> int:
        """The last sample that falls into the slice."""
        return max((self.end_ns - 1) // sample_ns, 1) * sample_ns


@dataclass(frozen=True)
class PassState:
    """What stood where in each slice of one pass.

    Attributes:
        depth: mean cells waiting for each transmitter, by slice.
        stopped: share of each slice in which a transmitter was stopped.
        by_vc: mean cells of each VC at each transmitter.
        told: quenches (or stops) per virtual second by whom they told to pause.
    """

    slices: tuple[Slice, ...]
    depth: Mapping[Port, Floats]
    stopped: Mapping[Port, Floats]
    by_vc: Mapping[Port, Mapping[int, Floats]]
    told: Mapping[str, Floats]

    def filled(self, index: int, at_least: float) -> dict[Port, float]:
        """Switch ports with so many cells waiting, deepest first."""
        found = {
            port: float(cells[index])
            for port, cells in self.depth.items()
            if port[1] > 0 and cells[index] >= at_least
        }
        return dict(sorted(found.items(), key=lambda item: -item[1]))

    def standing(self, index: int) -> set[Port]:
        """Transmitters that were stopped for a good part of the slice."""
        return {port for port, share in self.stopped.items() if share[index] >= STOPPED_SHARE}


def whole_steps(steps: pd.DataFrame, labels: Mapping[int, str], frames: int) -> tuple[Slice, ...]:
    """The steps of one pass cut into slices of about equal number, ``frames`` in all at most."""
    each = max(1, frames // max(len(steps), 1))
    every = max(1, -(-len(steps) // max(frames, 1)))
    found = []
    for row in steps.sort_values("t_start_ns").to_dict("records")[::every]:
        edges = np.linspace(int(row["t_start_ns"]), int(row["t_end_ns"]), each + 1)
        step = int(row["step"])
        found += [Slice(int(a), int(b), step, labels[step]) for a, b in pairwise(edges)]
    return tuple(found)


def pass_state(
    queues: pd.DataFrame,
    quenches: pd.DataFrame,
    slices: Sequence[Slice],
    names: Mapping[int, str],
    sample_ns: int,
) -> PassState:
    """The state of one pass.

    Args:
        queues: rows of the table ``queues`` of the pass (vc 0 is a port's total).
        quenches: rows of the table ``quenches`` of the pass.
        slices: in order of time, not overlapping.
        names: stream by VC.
        sample_ns: interval of the samples; a sample without cells has left no row.
    """
    samples = np.array([max((s.end_ns - s.start_ns) / sample_ns, 1.0) for s in slices])
    at, inside = _slice_of(queues["t_ns"], slices)
    rows = queues[inside].assign(slice=at[inside])
    keys = ["node", "port", "vc"]
    number = rows.groupby(keys, sort=False).ngroup().to_numpy()
    who = rows[keys].drop_duplicates()  # in the order of their numbers
    mean = np.zeros((len(who), len(slices)))
    np.add.at(mean, (number, rows["slice"].to_numpy()), rows["cells"].to_numpy(dtype=np.float64))
    mean /= samples
    depth: dict[Port, Floats] = {}
    by_vc: dict[Port, dict[int, Floats]] = {}
    for node, port, vc, own in zip(who["node"], who["port"], who["vc"], mean, strict=True):
        where = (str(node), int(port))
        if int(vc) == _ALL_VCS:
            depth[where] = own
        else:
            by_vc.setdefault(where, {})[int(vc)] = own
    return PassState(
        tuple(slices),
        depth,
        _stopped(quenches, slices),
        by_vc,
        _told(quenches, slices, names),
    )


def _slice_of(
    t_ns: pd.Series, slices: Sequence[Slice]
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """The slice that each time falls into, and whether there is one."""
    times = t_ns.to_numpy(dtype=np.int64)
    starts = np.array([s.start_ns for s in slices], dtype=np.int64)
    ends = np.array([s.end_ns for s in slices], dtype=np.int64)
    at = np.searchsorted(starts, times, side="right") - 1
    inside = at >= 0
    inside[inside] &= times[inside] < ends[at[inside]]
    return at, np.asarray(inside, dtype=np.bool_)


def _stopped(quenches: pd.DataFrame, slices: Sequence[Slice]) -> dict[Port, Floats]:
    """Share of each slice in which each transmitter was stopped."""
    starts = np.array([s.start_ns for s in slices], dtype=np.float64)
    ends = np.array([s.end_ns for s in slices], dtype=np.float64)
    events = quenches[quenches["kind"].isin(["stop", "go"])].sort_values("t_ns", kind="stable")
    found = {}
    for (node, port), own in events.groupby(["node", "port"]):
        stops = own.loc[own["kind"] == "stop", "t_ns"].to_numpy(dtype=np.float64)
        goes = own.loc[own["kind"] == "go", "t_ns"].to_numpy(dtype=np.float64)
        goes = goes[goes >= stops[0]] if stops.size else goes[:0]
        paired = min(len(stops), len(goes) + 1)
        stops, goes = stops[:paired], np.append(goes, np.inf)[:paired]
        upto = [_time_stopped(edge, stops, goes) for edge in (starts, ends)]
        found[str(node), int(str(port))] = (upto[1] - upto[0]) / np.maximum(ends - starts, 1.0)
    return found


def _time_stopped(t: Floats, stops: Floats, goes: Floats) -> Floats:
    """How long a transmitter had been stopped by each time."""
    over = np.searchsorted(goes, t, side="right")
    begun = np.searchsorted(stops, t, side="right")
    whole = np.concatenate([[0.0], np.cumsum(np.where(np.isinf(goes), 0.0, goes) - stops)])
    current = np.where(begun > over, t - stops[np.minimum(over, max(len(stops) - 1, 0))], 0.0)
    return np.asarray(whole[over] + current, dtype=np.float64)


def _told(
    quenches: pd.DataFrame, slices: Sequence[Slice], names: Mapping[int, str]
) -> dict[str, Floats]:
    """Quenches per second by stream, stops per second by link, those told most first."""
    starting = quenches[quenches["kind"].isin(["quench", "stop"])]
    at, inside = _slice_of(starting["t_ns"], slices)
    rows = starting[inside].assign(slice=at[inside])
    seconds = np.array([max(s.end_ns - s.start_ns, 1) / 1e9 for s in slices])
    rates = {
        str(name): np.bincount(own.to_numpy(), minlength=len(slices)) / seconds
        for name, own in rows["slice"].groupby(told(rows, names))
    }
    return dict(sorted(rates.items(), key=lambda item: -float(item[1].sum())))
