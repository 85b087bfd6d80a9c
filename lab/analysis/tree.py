"""Where cells wait: congested ports, the saturation tree they form, and whom it slows. Pure.

A port is congested while more waits for it than its switch lets wait (the thresholds of the
fabric's parameters). Where link-level control then stops the links into that switch, the ports on
their other ends fill up too, and so on against the stream: a tree whose root is the port with
which it began (thesis 4.4, problem 1). Streams that cross a stopped link but not the root are its
victims (problem 2, head-of-line blocking of higher order).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lab.analysis.observations import MissingDataError, Observations
from lab.scenarios.model import Pass
from lab.scenarios.plan import steps, stream_rates

Port = tuple[str, int]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Saturation:
    """The congestion of one moment.

    Attributes:
        t_ns: the moment, virtual ns from the beginning of the pass.
        congested: ports with more waiting than a threshold.
        stopped: transmitters that the switch behind them has stopped.
        roots: congested ports that are not stopped themselves.
        depth: switches on the longest way from a root against the stream; 0 without congestion.
        victims: streams that cross a stopped link but no root.
    """

    t_ns: int
    congested: tuple[Port, ...]
    stopped: tuple[Port, ...]
    roots: tuple[Port, ...]
    depth: int
    victims: tuple[str, ...]

    @property
    def switches(self) -> tuple[str, ...]:
        """Nodes that have a congested or stopped port."""
        return tuple(dict.fromkeys(node for node, _ in (*self.congested, *self.stopped)))


def sample_times(run: Observations, per_step: int) -> list[int]:
    """Moments at which the line cards sampled, evenly over the measured part of each step, ns."""
    sample_ns = round(run.scenario.timeline.sample_s * 1e9)
    found: list[int] = []
    for step in steps(run.scenario):
        first, last = -(-step.t_settled_ns // sample_ns), step.t_end_ns // sample_ns
        count = min(per_step, last - first + 1)
        found += [int(tick) * sample_ns for tick in np.linspace(first, last, count).round()]
    return found


def snapshots(run: Observations, passing: Pass, times: Sequence[int]) -> list[Saturation]:
    """The congestion of a pass at some moments (best those of :func:`sample_times`)."""
    routes = _Routes.of(run, passing)
    sample_ns = round(run.scenario.timeline.sample_s * 1e9)
    waiting = _congested_at(run, passing, {round(t_ns / sample_ns) for t_ns in times})
    halted = _stopped_at(run, passing, np.asarray(times, dtype=np.int64))
    found = []
    for index, t_ns in enumerate(times):
        congested = waiting.get(round(t_ns / sample_ns), set())
        stopped = {port for port, on in halted.items() if on[index]}
        sending = routes.sending(run, t_ns)
        found.append(_tree(t_ns, congested, stopped, routes, sending))
    return found


def _tree(
    t_ns: int, congested: set[Port], stopped: set[Port], routes: _Routes, sending: set[str]
) -> Saturation:
    roots = congested - stopped
    depth, reached, edge = 0, set(roots), set(roots)
    while edge:
        depth += 1
        edge = {
            port
            for port in stopped - reached
            if any(following in edge for following in routes.after.get(port, ()))
        }
        reached |= edge
    victims = sorted(
        stream
        for stream, path in routes.paths.items()
        if stream in sending and path & stopped and not path & roots
    )
    return Saturation(
        t_ns,
        tuple(sorted(congested)),
        tuple(sorted(stopped)),
        tuple(sorted(roots)),
        depth,
        tuple(victims),
    )


@dataclass(frozen=True)
class _Routes:
    """Which ports each stream uses, which follow which, and when each stream sends."""

    paths: dict[str, frozenset[Port]]
    after: dict[Port, frozenset[Port]]
    rates: dict[str, tuple[float, ...]]

    @classmethod
    def of(cls, run: Observations, passing: Pass) -> _Routes:
        paths: dict[str, list[Port]] = {}
        rows = run.links_in(passing)[["stream", "node", "port"]].to_numpy().tolist()
        for stream, node, port in rows:
            paths.setdefault(stream, []).append((node, int(port)))
        after: dict[Port, set[Port]] = {}
        for path in paths.values():
            for port, following in pairwise(path):
                after.setdefault(port, set()).add(following)
        rates = {s.name: stream_rates(run.scenario, s) for s in run.scenario.streams_of(passing)}
        return cls(
            {stream: frozenset(path) for stream, path in paths.items()},
            {port: frozenset(following) for port, following in after.items()},
            rates,
        )

    def sending(self, run: Observations, t_ns: int) -> set[str]:
        """The streams that are to send at that moment."""
        timeline = steps(run.scenario)
        step = next((s.index for s in timeline if t_ns <= s.t_end_ns), timeline[-1].index)
        return {stream for stream, rates in self.rates.items() if rates[step] > 0}


def _congested_at(run: Observations, passing: Pass, ticks: set[int]) -> dict[int, set[Port]]:
    rows = congested_rows(run, passing)
    rows = rows[rows["tick"].isin(ticks)]
    found: dict[int, set[Port]] = {}
    for tick, node, port in zip(rows["tick"], rows["node"], rows["port"], strict=True):
        found.setdefault(int(tick), set()).add((str(node), int(port)))
    return found


def congested_rows(run: Observations, passing: Pass) -> pd.DataFrame:
    """Each congested port at each sample: columns tick (samples since the start), node, port.

    Congested: a VC has as many cells waiting as get it quenched, or all together as many as make
    the switch look for one to quench.
    """
    fabric = run.scenario.fabric_of(passing)
    queues = run.rows("queues", passing.name)
    total = queues["vc"] == 0
    much = (total & (queues["cells"] >= fabric.link_quench_cells)) | (
        ~total & (queues["cells"] >= fabric.vci_quench_cells)
    )
    rows = queues[much]
    tick = np.rint(rows["t_ns"] / (run.scenario.timeline.sample_s * 1e9)).astype("int64")
    return rows.assign(tick=tick)[["tick", "node", "port"]].drop_duplicates()


def _stopped_at(run: Observations, passing: Pass, times: Ints) -> dict[Port, NDArray[np.bool_]]:
    """Which transmitters stand stopped at each of the moments."""
    events = run.rows("quenches", passing.name)
    events = events[events["kind"].isin(["stop", "go"])].sort_values("t_ns", kind="stable")
    found = {}
    for key, own in events.groupby(["node", "port"]):
        node, port = cast(Port, key)
        last = np.searchsorted(own["t_ns"].to_numpy(), times, side="right") - 1
        stops = (own["kind"] == "stop").to_numpy()
        found[node, int(port)] = (last >= 0) & stops[np.maximum(last, 0)]
    return found


# -- over a whole step -------------------------------------------------------------------


def time_congested(run: Observations, passing: Pass) -> pd.DataFrame:
    """Part of each measured part for which a port was congested.

    Returns:
        Columns step, node, port, share.
    """
    rows = congested_rows(run, passing)
    sample_ns = run.scenario.timeline.sample_s * 1e9
    rows = _within_steps(run, rows.assign(t_ns=rows["tick"] * sample_ns))
    counts = rows.groupby(["step", "node", "port"]).size().reset_index(name="samples")
    length = {s.index: (s.t_end_ns - s.t_settled_ns) / sample_ns for s in steps(run.scenario)}
    share = counts["samples"] / counts["step"].map(length)
    return counts[["step", "node", "port"]].assign(share=np.minimum(share, 1.0))


def standing_queues(run: Observations, passing: Pass) -> pd.DataFrame:
    """Mean number of cells of each VC that wait at each port in the measured part of each step.

    Returns:
        Columns step, node, port, vc, stream, cells.
    """
    queues = run.rows("queues", passing.name)
    rows = _within_steps(run, queues[queues["vc"] != 0])
    sums = rows.groupby(["step", "node", "port", "vc"])["cells"].sum().reset_index()
    sample_ns = run.scenario.timeline.sample_s * 1e9
    samples = {s.index: (s.t_end_ns - s.t_settled_ns) / sample_ns for s in steps(run.scenario)}
    names = run.tables["vcs"].drop_duplicates("vc").set_index("vc")["stream"]
    return sums.assign(
        stream=sums["vc"].map(names), cells=sums["cells"] / sums["step"].map(samples)
    )


def quench_frequency(run: Observations, passing: Pass) -> pd.DataFrame:
    """How often each VC was told to stop, per virtual second of the measured part of each step.

    Returns:
        Columns step, name, vc, stream, group, quenches, per_s; VCs that were never quenched in a
        step have a row too.
    """
    events = run.rows("quenches", passing.name)
    rows = _within_steps(run, events[events["kind"] == "quench"])
    counts = rows.groupby(["step", "vc"]).size()
    names = [s.name for s in run.scenario.streams_of(passing)]
    vcs = run.tables["vcs"].drop_duplicates("vc")
    vcs = vcs[vcs["stream"].isin(names)][["vc", "stream", "group"]]
    parts = []
    for step in steps(run.scenario):
        quenches = [int(counts.get((step.index, vc), 0)) for vc in vcs["vc"]]
        length_s = (step.t_end_ns - step.t_settled_ns) / 1e9
        part = vcs.assign(step=step.index, name=step.name, quenches=quenches)
        parts.append(part.assign(per_s=part["quenches"] / length_s))
    columns = ["step", "name", "vc", "stream", "group", "quenches", "per_s"]
    return pd.concat(parts, ignore_index=True)[columns]


def stopping_switches(run: Observations, passing: Pass) -> tuple[str, ...]:
    """Switches that stopped a link into them, most stops first."""
    events = run.rows("quenches", passing.name)
    stops = events[events["kind"] == "stop"].groupby(["node", "port"]).size()
    ends = run.links_in(passing).drop_duplicates(["node", "port"])[["node", "port", "next"]]
    told = stops.reset_index(name="stops").merge(ends, on=["node", "port"])
    most = told.groupby("next")["stops"].sum().sort_values(ascending=False, kind="stable")
    return tuple(str(node) for node in most.index)


def _within_steps(run: Observations, rows: pd.DataFrame) -> pd.DataFrame:
    """The rows inside a measured part, with the number of its step."""
    timeline = steps(run.scenario)
    if not timeline:
        raise MissingDataError("the run has no steps")
    starts = np.array([step.t_settled_ns for step in timeline])
    ends = np.array([step.t_end_ns for step in timeline])
    times = rows["t_ns"].to_numpy()
    index = np.searchsorted(starts, times, side="left") - 1
    inside = (index >= 0) & (times <= ends[np.maximum(index, 0)])
    return rows[inside].assign(step=index[inside])


def merge_depths(found: Iterable[Saturation]) -> dict[int, float]:
    """Part of the moments at which the tree had each depth."""
    depths = [one.depth for one in found]
    return {depth: depths.count(depth) / len(depths) for depth in sorted(set(depths))}
