"""Measurements of thesis 7.8: global updates on loaded nodes, and which other protocols suffer."""

from __future__ import annotations

import numpy as np

from lab.analysis.mscs.courses import completed
from lab.analysis.mscs.gup import idle, mean_s
from lab.analysis.mscs.join import first_heartbeat_wait_s
from lab.analysis.mscs.joins import joins
from lab.analysis.mscs.updates import times_s
from lab.analysis.observations import MissingDataError
from lab.analysis.stacks.observations import StackMeasures, StackObservations
from lab.claims.judge import Measurement

MEASURES = StackMeasures()

BROKEN_DOWN_S = 2.0
"""Updates that take longer on the mean count as broken down: 2 s is the shortest time that thesis
7.8 tells of as trouble. From the text alone; what other limits give is told beside."""
_IDLE_32_S = 1 / 6
_IDLE_10_S = _IDLE_32_S * 10 / 32
"""Published: 6 updates a second with 32 nodes, and latency is proportional to the nodes."""
_MUCH = 10.0
"""A slow-down that is ``>>`` another is so many times as large."""


def loaded_times_s(run: StackObservations) -> dict[int, list[float]]:
    """Times of all updates on moderately loaded nodes, by how many nodes there are."""
    chosen = run.chosen(sweep="loaded", load="moderate", variant="plain")
    found: dict[int, list[float]] = {}
    for case, nodes in zip(chosen.index, chosen["nodes"], strict=True):
        found.setdefault(int(nodes), []).extend(times_s(run, str(case)))
    return found


def _of_size(run: StackObservations, nodes: int) -> tuple[list[float], float]:
    """Times on so many loaded nodes, and the mean on as many idle ones."""
    times, quiet = loaded_times_s(run), idle(run)
    if nodes not in times or nodes not in quiet:
        raise MissingDataError(f"{nodes} nodes were not run both idle and loaded")
    return times[nodes], mean_s(run, quiet[nodes])


@MEASURES.of("mscs-gup-breakdown")
def breakdown(run: StackObservations) -> Measurement:
    """The size from which updates on loaded nodes take longer than 2 s on the mean."""
    means = {nodes: float(np.mean(times)) for nodes, times in loaded_times_s(run).items()}
    size = _first_beyond(means, BROKEN_DOWN_S)
    if size is None:
        raise MissingDataError(f"no update took longer than {BROKEN_DOWN_S:g} s on the mean")
    beyond = ", ".join(
        f"{limit_s:g} s from {_first_beyond(means, limit_s) or 'no size'} nodes on"
        for limit_s in (5.0, 10.0)
    )
    return Measurement(
        "mscs-gup-breakdown",
        value=size,
        detail=f"Means longer than {BROKEN_DOWN_S:g} s from {size} nodes on; {beyond}.",
    )


def _first_beyond(means_s: dict[int, float], limit_s: float) -> int | None:
    return next((nodes for nodes in sorted(means_s) if means_s[nodes] > limit_s), None)


@MEASURES.of("mscs-gup-loaded-10")
def loaded_10(run: StackObservations) -> Measurement:
    """The median time with 10 loaded nodes: what is frequent."""
    times, quiet_s = _of_size(run, 10)
    frequent = float(np.mean([2 <= took_s <= 5 for took_s in times]))
    return Measurement(
        "mscs-gup-loaded-10",
        value=float(np.median(times)),
        baseline=quiet_s,
        published_baseline=_IDLE_10_S,
        detail=f"{frequent:.0%} of {len(times)} updates took 2 to 5 s, one in ten "
        f"{np.quantile(times, 0.9):.1f} s or longer; idle ones {quiet_s * 1e3:.0f} ms.",
    )


@MEASURES.of("mscs-gup-loaded-32")
def loaded_32(run: StackObservations) -> Measurement:
    """The longest time with 32 loaded nodes."""
    times, quiet_s = _of_size(run, 32)
    return Measurement(
        "mscs-gup-loaded-32",
        value=max(times),
        baseline=quiet_s,
        published_baseline=_IDLE_32_S,
        detail=f"The longest of {len(times)} updates, {max(times):.1f} s; their mean is "
        f"{np.mean(times):.1f} s, idle {quiet_s * 1e3:.0f} ms.",
    )


@MEASURES.of("mscs-gup-variance")
def variance(run: StackObservations) -> Measurement:
    """Coefficient of variation of update times on loaded nodes over the number of nodes."""
    times = loaded_times_s(run)
    sizes = sorted(times)
    if len(sizes) < 3:
        raise MissingDataError("less than three sizes were run on loaded nodes")
    spreads_s = [float(np.std(times[nodes])) for nodes in sizes]
    relative = [
        spread / float(np.mean(times[nodes]))
        for nodes, spread in zip(sizes, spreads_s, strict=True)
    ]
    return Measurement(
        "mscs-gup-variance",
        holds=float(np.polyfit(sizes, relative, 1)[0]) > 0,
        detail=f"With {sizes[0]} to {sizes[-1]} nodes the standard deviation goes from "
        f"{spreads_s[0]:.2f} to {spreads_s[-1]:.2f} s, and from {relative[0]:.2f} to "
        f"{relative[-1]:.2f} of the mean.",
    )


# --- other protocols ------------------------------------------------------------------------


@MEASURES.of("mscs-load-asymmetry")
def load_asymmetry(run: StackObservations) -> Measurement:
    """How many times as long protocols take on loaded nodes."""
    times, quiet_s = _of_size(run, 16)
    slower = {"an update": float(np.mean(times)) / quiet_s, "a join": _join_slowdown(run)}
    begins = {
        load: [
            _detected_and_regrouped_s(run, case) for case in run.names(sweep="regroup", load=load)
        ]
        for load in ("idle", "moderate")
    }
    means = {load: np.mean(pairs, axis=0) for load, pairs in begins.items()}
    steady = dict(zip(("detection", "a regroup"), means["moderate"] / means["idle"], strict=True))
    told = ", ".join(f"{name} {factor:.3g}" for name, factor in (slower | steady).items())
    return Measurement(
        "mscs-load-asymmetry",
        holds=bool(min(slower.values()) >= _MUCH * max(steady.values())),
        detail=f"On loaded nodes these take so many times as long: {told}.",
    )


def _join_slowdown(run: StackObservations) -> float:
    """Of the trains of RPCs of joins, as far as they are completed.

    That is without discovery and without the wait for the first heartbeat, which a timer ends.
    """
    means = {}
    for load in ("idle", "moderate"):
        took = []
        for case in run.names(sweep="join", load=load):
            try:
                took += [
                    join.after_discovery_s - first_heartbeat_wait_s(run, case, join)
                    for join in joins(run, case)
                ]
            except MissingDataError:
                continue  # all of its attempts were aborted; the others are the lower bound
        if not took:
            raise MissingDataError(f"no join was completed on {load} nodes")
        means[load] = sum(took) / len(took)
    return means["moderate"] / means["idle"]


def _detected_and_regrouped_s(run: StackObservations, case: str) -> tuple[float, float]:
    """From the failure to its first suspicion; from a regroup's begin to its end, on the mean."""
    killed_s = run.fault_times_s(case, "kill")[0]
    suspicions = run.events(case, "suspicion")
    later = suspicions[suspicions["t_s"] > killed_s]["t_s"]
    if later.empty:
        raise MissingDataError(f"nobody suspected anybody in case {case}")
    took = completed(run, case)["took_s"]
    return float(later.min()) - killed_s, float(took.mean())
