"""Measurements of thesis 7.7.1, 7.9.2, 7.10: joins on loaded nodes, and what limits the scale."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from lab.analysis.mscs.courses import completed, last_views, survivors
from lab.analysis.mscs.gup_loaded import BROKEN_DOWN_S
from lab.analysis.mscs.updates import times_s
from lab.analysis.observations import MissingDataError
from lab.analysis.stacks.observations import StackMeasures, StackObservations
from lab.claims.judge import Measurement

MEASURES = StackMeasures()

_Check = Callable[[StackObservations, str], bool]
_MOST_NODES = 32
_TO_NODES = 30
"""Receivers of the published broadcast."""
_BROADCAST_S = 0.125
"""Published, unloaded: 100 to 150 ms."""


@dataclass(frozen=True)
class Attempt:
    """An attempt to join, as its sponsor tells of it; times are virtual s, None: not so far."""

    case: str
    sponsor: int
    active: int
    """Members before."""
    locked_s: float | None
    """Phase 3 begins."""
    aborted_s: float | None
    cause: str
    during: str
    """Why it was given up, and in which phase; empty where it was not."""
    done: bool

    @property
    def timed_out(self) -> bool:
        """Whether the sponsor gave it up as phase 3 took too long."""
        return self.cause == "time-out" and self.during == "network"

    @property
    def decided(self) -> bool:
        """Whether it came to an end."""
        return self.done or self.aborted_s is not None


def attempts(run: StackObservations, case: str) -> list[Attempt]:
    """All attempts of a case, in the order of time."""
    events = run.events(case, "sponsor")
    if events.empty:
        return []
    return [_attempt(run, case, mine) for _, mine in events.groupby("attempt", sort=False)]


def _attempt(run: StackObservations, case: str, mine: pd.DataFrame) -> Attempt:
    phases = mine["phase"].astype("str")
    times = dict(zip(phases, (float(t_s) for t_s in mine["t_s"]), strict=True))
    aborted = mine[phases == "aborted"]
    return Attempt(
        case=case,
        sponsor=int(mine["node"].iloc[0]),
        active=run.planned[case].nodes - 1,
        locked_s=times.get("locked"),
        aborted_s=times.get("aborted"),
        cause="" if aborted.empty else str(aborted["cause"].iloc[0]),
        during="" if aborted.empty else str(aborted["during"].iloc[0]),
        done="done" in times,
    )


def first_attempts(run: StackObservations, **labels: object) -> list[Attempt]:
    """The first attempt of each case with these labels, as far as it came to an end.

    Raises:
        MissingDataError: there is none.
    """
    found = [attempts(run, case)[:1] for case in run.names(sweep="join", **labels)]
    decided = [attempt for first in found for attempt in first if attempt.decided]
    if not decided:
        raise MissingDataError("no join came to an end, good or bad")
    return decided


def shares(run: StackObservations, load: str, variant: str = "plain") -> dict[int, float]:
    """Which part of the first attempts succeeds, by how many members the cluster has with it."""
    found: dict[int, list[bool]] = {}
    try:
        tried = first_attempts(run, load=load, variant=variant)
    except MissingDataError:
        return {}
    for attempt in tried:
        found.setdefault(attempt.active + 1, []).append(attempt.done)
    return {nodes: sum(good) / len(good) for nodes, good in sorted(found.items())}


def _told(parts: dict[int, float]) -> str:
    return ", ".join(f"{nodes}: {part:.0%}" for nodes, part in parts.items()) or "none was tried"


# --- aborts ---------------------------------------------------------------------------------


@MEASURES.of("mscs-join-abort")
def abort(run: StackObservations) -> Measurement:
    """How long phase 3 had lasted when the sponsor gave a join up; the shortest."""
    found = [
        attempt
        for case in run.names(sweep="join", variant="plain")
        for attempt in attempts(run, case)
        if attempt.timed_out
    ]
    times = [
        attempt.aborted_s - attempt.locked_s
        for attempt in found
        if attempt.aborted_s is not None and attempt.locked_s is not None
    ]
    if not times:
        raise MissingDataError("no sponsor gave a join up for its time")
    loads = [run.planned[attempt.case].load for attempt in found]
    return Measurement(
        "mscs-join-abort",
        value=min(times),
        holds="moderate" in loads,
        detail=f"{len(times)} attempts were given up after {min(times):.1f} to {max(times):.1f} s, "
        f"{loads.count('moderate')} of them with moderate load, the others with heavy load.",
    )


@MEASURES.of("mscs-join-collapse")
def collapse(run: StackObservations) -> Measurement:
    """The size from which less than half of the first attempts succeed, with moderate load."""
    by_load = {load: shares(run, load) for load in ("moderate", "heavy")}
    size = _collapsed(by_load["moderate"])
    told = "; ".join(f"{load} {_told(parts)}" for load, parts in by_load.items())
    heavy = _collapsed(by_load["heavy"])
    return Measurement(
        "mscs-join-collapse",
        value=size,
        holds=size is not None,
        detail=f"Joins that succeed at the first attempt, by size: {told}. With heavy load they "
        f"collapse at {heavy or 'no size'}.",
    )


def _collapsed(parts: dict[int, float]) -> int | None:
    """The size from which joins fail more often than not, at it and at all above it."""
    bad = [nodes for nodes in parts if all(parts[n] < 0.5 for n in parts if n >= nodes)]
    return min(bad, default=None)


@MEASURES.of("mscs-join-progress")
def progress(run: StackObservations) -> Measurement:
    """First attempts that succeed with and without reports of progress, where some fail."""
    told, better, worse = [], 0, 0
    for load in ("moderate", "heavy"):
        plain, with_it = (shares(run, load, variant) for variant in ("plain", "progress"))
        for nodes in sorted(plain.keys() & with_it.keys()):
            better += with_it[nodes] > plain[nodes]
            worse += with_it[nodes] < plain[nodes]
        told.append(f"{load}: {_told(with_it)} with, {_told(plain)} without")
    if not better + worse:
        raise MissingDataError("joins succeeded equally often with and without reports")
    return Measurement(
        "mscs-join-progress", holds=better > 0 and worse == 0, detail="; ".join(told) + "."
    )


# --- broadcasts -----------------------------------------------------------------------------


@MEASURES.of("mscs-join-broadcast-loaded")
def broadcast_loaded(run: StackObservations) -> Measurement:
    """The announcement to 30 members on moderately loaded nodes, beside idle ones."""
    loaded = _broadcasts_s(run, run.names(sweep="join", load="moderate"))
    quiet = _broadcasts_s(run, run.names(sweep="idle"))
    return Measurement(
        "mscs-join-broadcast-loaded",
        value=float(np.mean(loaded)),
        baseline=float(np.mean(quiet)),
        published_baseline=_BROADCAST_S,
        detail=f"{len(loaded)} broadcasts took {min(loaded):.1f} to {max(loaded):.1f} s.",
    )


def _broadcasts_s(run: StackObservations, cases: list[str]) -> list[float]:
    """How long announcements to 30 members took that went to all of them."""
    found = []
    for case in cases:
        if run.planned[case].nodes != _TO_NODES + 2:
            continue  # the sponsor and the joiner are not called
        sent = run.messages(case, "rpc join announce")
        answers = run.messages(case, "rpc join announce answer", "receive")
        for attempt in attempts(run, case):
            start_s = attempt.locked_s
            end_s = run.ended_s(case) if attempt.aborted_s is None else attempt.aborted_s
            if start_s is None:
                continue
            mine = sent[(sent["t_s"] >= start_s) & (sent["t_s"] <= end_s)]["t_s"]
            if len(mine) != _TO_NODES:
                continue
            last = answers[(answers["t_s"] >= mine.max()) & (answers["t_s"] <= end_s)]["t_s"]
            if len(last):
                found.append(float(last.min() - mine.min()))
    if not found:
        raise MissingDataError(f"nobody was announced to {_TO_NODES} members")
    return found


# --- scale ----------------------------------------------------------------------------------


@MEASURES.of("mscs-scale-limit")
def scale_limit(run: StackObservations) -> Measurement:
    """The size at which each protocol still does its work on moderately loaded nodes."""
    chosen = run.chosen(sweep="update")
    update_means = {
        int(nodes): float(np.mean(times_s(run, str(case))))
        for case, nodes in zip(chosen.index, chosen["nodes"], strict=True)
    }
    joined = shares(run, "moderate")
    if max(update_means) < _MOST_NODES or max(joined, default=0) < _MOST_NODES:
        raise MissingDataError(f"joins and updates were not tried with {_MOST_NODES} nodes")
    limits = {
        "global updates": _last_good({n: s <= BROKEN_DOWN_S for n, s in update_means.items()}),
        "joins": _last_good({nodes: part >= 0.5 for nodes, part in joined.items()}),
    }
    steady = {
        "regroup": _last_good(_by_size(run, _regrouped)),
        "heartbeats": _last_good(_by_size(run, _nobody_suspected_falsely)),
    }
    told = ", ".join(f"{name} {size}" for name, size in (limits | steady).items())
    return Measurement(
        "mscs-scale-limit",
        holds=max(limits.values()) < min(steady.values()) and min(steady.values()) >= _MOST_NODES,
        detail=f"Largest size that works with moderate load, of those up to 32: {told}.",
    )


def _last_good(good: dict[int, bool]) -> int:
    """The largest size up to which all are good; 0 if none is."""
    largest = 0
    for nodes in sorted(good):
        if not good[nodes]:
            break
        largest = nodes
    return largest


def _by_size(
    run: StackObservations, works: Callable[[StackObservations, str], bool]
) -> dict[int, bool]:
    chosen = run.chosen(sweep="failure")
    found: dict[int, bool] = {}
    for case, nodes in zip(chosen.index, chosen["nodes"], strict=True):
        found[int(nodes)] = found.get(int(nodes), True) and works(run, str(case))
    return found


def _regrouped(run: StackObservations, case: str) -> bool:
    """Whether all survivors ended the regroup, with one view that has all of them."""
    here, views = survivors(run, case), last_views(run, case)
    try:
        ended = {int(node) for node in completed(run, case)["node"]}
    except MissingDataError:
        return False
    return here <= ended and {views[node][1] for node in here} == {tuple(sorted(here))}


def _nobody_suspected_falsely(run: StackObservations, case: str) -> bool:
    """Whether all suspicions are of nodes that had failed."""
    suspicions = run.events(case, "suspicion")
    if suspicions.empty:
        return False  # the failure itself has to be noticed
    peers = {int(peer) for peer in suspicions["peer"]}
    return not peers & survivors(run, case)
