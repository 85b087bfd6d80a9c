"""What the shells of nodes in containers tell of themselves, for the certificate. Pure.

What a case does to nodes on purpose is not held against them: load on a processor makes a shell
late, and a paused shell is silent while its sockets overflow.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable
from typing import Any

import pandas as pd

from lab.analysis.observations import MissingDataError
from lab.analysis.stacks.lives import running
from lab.analysis.stacks.observations import StackObservations
from lab.stacks.events import SHELL
from lab.stacks.lateness import quantile_s

QUANTILE = 0.99
_SILENCING = ("pause", "cpu-load", "clock-step")


def reports(run: StackObservations, case: str) -> pd.DataFrame:
    """Events of kind ``shell`` of the nodes that nothing was done to which makes shells slow."""
    told = run.events(case, SHELL)
    if told.empty:
        raise MissingDataError("no shell has told how it fared")
    return told[~told["node"].isin(disturbed(run, case))]


def disturbed(run: StackObservations, case: str) -> set[int]:
    """Nodes that the case pauses, loads, or whose clock it steps."""
    found: set[int] = set()
    everybody = range(1, run.planned[case].nodes + 1)
    for phase in _SILENCING:
        faults = run.events(case, "fault", phase)
        for nodes, level in zip(faults.get("nodes", ()), _levels(faults), strict=True):
            if phase != "cpu-load" or level != "idle":
                found.update(int(node) for node in nodes or everybody)
    return found


def _levels(faults: pd.DataFrame) -> Iterable[str]:
    return faults["level"] if "level" in faults else [""] * len(faults)


def delay_s(field: str, told: str) -> Callable[[StackObservations, str], tuple[float, str]]:
    """99th percentile over all nodes of a delay that shells tell of, virtual seconds.

    Args:
        field: of the events.
        told: how the certificate speaks of it.
    """

    def probe(run: StackObservations, case: str) -> tuple[float, str]:
        rows = reports(run, case)
        if rows.empty:
            return 0.0, "every node is slow on purpose, so nothing is to be judged"
        histograms: list[dict[str, Any]] = list(rows[field])
        late_s = quantile_s(histograms, QUANTILE)
        longest_s = max(float(histogram["max_s"]) for histogram in histograms)
        return late_s, f"99 % of {told} within {late_s * 1e3:.2f} ms, all in {longest_s:.3f} s"

    return probe


def lost_in_sockets(run: StackObservations, case: str) -> tuple[float, str]:
    """Datagrams that the sockets of nodes had no room for, or that the kernel would not send."""
    rows = reports(run, case)
    counts = {name: int(rows[name].sum()) if len(rows) else 0 for name in ("dropped", "unsent")}
    about = ", ".join(f"{count} {name}" for name, count in counts.items())
    return float(sum(counts.values())), about


def silence_windows(run: StackObservations, case: str) -> tuple[float, str]:
    """The longest time in which a running shell told nothing, in windows of telling."""
    told = reports(run, case)
    slow = disturbed(run, case)
    window_s = float(told["window_s"].median()) if len(told) else 0.0
    worst, who = 0.0, "every shell told regularly"
    for span in running(run, case):
        if span.node in slow or not window_s:
            continue
        own = told.loc[(told["node"] == span.node), "t_s"]
        inside = own[(own >= span.start_s) & (own <= span.end_s + window_s)]
        edges = [span.start_s, *inside, max([span.end_s, *inside])]
        gap_s = max(b - a for a, b in itertools.pairwise(edges))
        if gap_s / window_s > worst:
            worst, who = gap_s / window_s, f"node {span.node} told nothing for {gap_s:.1f} s"
    return worst, who
