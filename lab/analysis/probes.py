"""What the checks of the fidelity certificate look at: one value of one pass each. Pure.

Here is what line cards, switches and the machine tell; what endpoints tell is in
:mod:`lab.analysis.endpoint_probes`. A probe returns its value and a clause about it, and raises
``MissingDataError`` when its instrument recorded nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lab.analysis.observations import MissingDataError, Observations
from lab.fabric.buckets import EXCESS_BUCKETS, LATENESS_BOUNDS_US, LATENESS_BUCKETS
from lab.results.collect import LINE_CARDS
from lab.scenarios.model import Pass

# A value of one pass and what it is about. Raises MissingDataError without data.
Probe = Callable[[Observations, str], tuple[float, str]]

_BUCKET_LIMITS_US = (*LATENESS_BOUNDS_US, math.inf)


def rows(observations: Observations, table: str, pass_name: str) -> pd.DataFrame:
    """The rows of a table that belong to a pass; ``MissingDataError`` when there is none."""
    frame = observations.tables[table]
    found = frame[frame["pass"] == pass_name]
    if found.empty:
        raise MissingDataError(f"the table {table} has no rows")
    return found


def _span_ns(observations: Observations, pass_name: str) -> tuple[int, int]:
    steps = rows(observations, "steps", pass_name)
    return int(steps["t_start_ns"].min()), int(steps["t_end_ns"].max())


def counter(observations: Observations, pass_name: str, where: str, name: str) -> float:
    """One counter; ``MissingDataError`` when it was not recorded."""
    value = observations.counter(pass_name, where, name)
    if value is None:
        raise MissingDataError(f"the counter {name} of {where} was not recorded")
    return value


def counters_sum(where: str, *names: str) -> Probe:
    """Sum of some counters of one place."""

    def probe(observations: Observations, pass_name: str) -> tuple[float, str]:
        values = {n: counter(observations, pass_name, where, n) for n in names}
        about = ", ".join(f"{name} {value:g}" for name, value in values.items())
        return sum(abs(value) for value in values.values()), f"{where}: {about}"

    return probe


def window_gaps(observations: Observations, pass_name: str) -> tuple[float, str]:
    """Part of the measured time in which the line cards took no sample."""
    sample_ns = round(observations.scenario.timeline.sample_s * 1e9)
    times = np.sort(rows(observations, "lateness", pass_name)["t_ns"].to_numpy())
    worst = 0.0
    for step in rows(observations, "steps", pass_name).itertuples(index=False):
        start, end = int(str(step.t_settled_ns)), int(str(step.t_end_ns))
        inside = times[(times > start) & (times < end)]
        edges = np.concatenate(([start], inside, [end]))
        # One interval between samples is no gap; what a longer one exceeds it by is.
        unseen = np.clip(np.diff(edges) - 2 * sample_ns, 0, None).sum()
        worst = max(worst, float(unseen) / (end - start))
    return worst, "largest part of a measuring window without a sample"


def delay_p99_us(what: str, told: str) -> Probe:
    """99th percentile of a delay of the emulation, virtual us (upper end of its bucket).

    Args:
        what: which, as in the lateness table: "late" or "crossing".
        told: how the certificate speaks of it.
    """

    def probe(observations: Observations, pass_name: str) -> tuple[float, str]:
        found = rows(observations, "lateness", pass_name)
        found = found[found["what"] == what]
        counts = found[list(LATENESS_BUCKETS)].sum().to_numpy(dtype=np.float64)
        if counts.sum() == 0:
            raise MissingDataError(f"the line cards recorded nothing of {told}")
        bucket = int(np.searchsorted(np.cumsum(counts), 0.99 * counts.sum()))
        real_us = _BUCKET_LIMITS_US[bucket]
        if math.isinf(real_us):  # the last bucket has no upper end but the largest value seen
            real_us = float(found["max_us"].max())
        mean_us = float(np.average(found["mean_us"], weights=found["frames"]))
        return (
            real_us / observations.scenario.dilation,
            f"99 % of frames within {real_us:g} us of real time, mean {mean_us:.0f} us",
        )

    return probe


def longest_delay_us(observations: Observations, pass_name: str) -> tuple[float, str]:
    """The longest that any frame was late or inside a switch while endpoints sent, virtual us."""
    _, end_ns = _span_ns(observations, pass_name)
    found = rows(observations, "lateness", pass_name)
    found = found[(found["t_ns"] <= end_ns) & (found["frames"] > 0)]
    if found.empty:
        raise MissingDataError("no delay of a frame was recorded")
    worst = found.sort_values("max_us").iloc[-1]
    return (
        float(worst["max_us"]) / observations.scenario.dilation,
        f"{worst['max_us']:.0f} us of real time ({worst['what']}) at {worst['t_ns'] / 1e6:.1f} ms",
    )


def ovs_balance(observations: Observations, pass_name: str) -> tuple[float, str]:
    """Frames that went into the switches on the way and did not come out."""
    into = observations.switch_counters(pass_name, "frames_in")
    out_of = observations.switch_counters(pass_name, "frames_out")
    used = set(observations.tables["vcs"]["node"]) & set(into) & set(out_of)
    switches = {n for n in observations.tables["vcs"]["node"] if n.startswith("s")}
    if not switches or used != switches:
        raise MissingDataError("the frames into and out of the switches were not recorded")
    lost = {node: into[node] - out_of[node] for node in used if into[node] != out_of[node]}
    about = ", ".join(f"{node} {count:+g}" for node, count in sorted(lost.items()))
    return sum(
        abs(n) for n in lost.values()
    ), f"{sum(into.values()):g} frames in; lost {about or 0}"


def ovs_ports(observations: Observations, pass_name: str) -> tuple[float, str]:
    """Drops and errors at the ports of the switches."""
    counters = observations.tables["counters"]
    found = counters[
        (counters["pass"] == pass_name)
        & counters["where"].str.match(r"^ovs s\d+$")
        & counters["name"].isin(["rx_dropped", "tx_dropped", "rx_errors", "tx_errors"])
    ]
    if found.empty:
        raise MissingDataError("the counters of the switches' ports were not recorded")
    return float(found["value"].sum()), "dropped by or faulty at ports of Open vSwitch"


def series_lost(observations: Observations, pass_name: str) -> tuple[float, str]:
    """Rows that the series had no room for."""
    kept = ["queues", "events", "links"]
    if observations.engine == "emulation":
        kept.append("lateness")
    names = [f"series_lost_{name}" for name in kept]
    return counters_sum(LINE_CARDS, *names)(observations, pass_name)


def cpu_p95(what: str) -> Probe:
    """95th percentile of the cores that a process used."""

    def probe(observations: Observations, pass_name: str) -> tuple[float, str]:
        cpu = _machine(observations, pass_name, what)
        p95 = float(np.percentile(cpu, 95))
        return p95, f"{what} used {cpu.mean():.2f} cores, {p95:.2f} at the 95th percentile"

    return probe


def _machine(observations: Observations, pass_name: str, what: str) -> NDArray[np.float64]:
    start_ns, end_ns = _span_ns(observations, pass_name)
    found = rows(observations, "machine", pass_name)
    times = found["t_s"]
    inside = found[(found["what"] == what) & (times >= start_ns / 1e9) & (times <= end_ns / 1e9)]
    if inside.empty:
        raise MissingDataError(f"the CPU use of {what} was not sampled")
    return inside["cpu"].to_numpy(dtype=np.float64)


def idle(observations: Observations, pass_name: str) -> tuple[float, str]:
    """Part of the cores that stood idle, or ran programs that give way to all others at once."""
    busy = float(_machine(observations, pass_name, "machine").mean())
    yielding = float(_machine(observations, pass_name, "low-priority").mean())
    part = 1 - (busy - yielding) / observations.cores
    return part, f"{part:.0%} of {observations.cores} cores idle or at low priority"


def steal(observations: Observations, pass_name: str) -> tuple[float, str]:
    """Part of the cores that a hypervisor took."""
    part = float(_machine(observations, pass_name, "steal").mean()) / observations.cores
    return part, f"{part:.1%} of the cores taken by other machines"


def throttled(observations: Observations, pass_name: str) -> tuple[float, str]:
    """Throttled periods of the containers that take part."""
    scenario = observations.scenario
    hosts = [h for h in scenario.used_hosts() if scenario.host_kind(h) == "container"]
    total = sum(counter(observations, pass_name, host, "nr_throttled") for host in hosts)
    return total, f"{total:g} throttled periods in {len(hosts)} containers"


def pass_of(observations: Observations, pass_name: str) -> Pass:
    """The pass of that name."""
    return next(p for p in observations.scenario.passes if p.name == pass_name)


def late_crossings(observations: Observations, pass_name: str) -> tuple[float, str]:
    """Part of the frames that took longer through a switch than the modelled switch takes."""
    crossings = rows(observations, "lateness", pass_name)
    counts = crossings.loc[crossings["what"] == "crossing", list(EXCESS_BUCKETS)].sum()
    total = float(counts.sum())
    if not total:
        raise MissingDataError("how long crossings took beyond the modelled time was not recorded")
    late = total - float(counts[EXCESS_BUCKETS[0]])
    most = float(crossings["exc_max_ns"].max())
    return late / total, f"{late:g} of {total:g} crossings were late, by {most:g} ns at most"


def late_sends(observations: Observations, pass_name: str) -> tuple[float, str]:
    """Part of the messages that an adapter saw only after the time at which to send them."""
    counters = observations.tables["counters"]
    found = counters[(counters["pass"] == pass_name) & (counters["name"] == "late_sends")]
    if found.empty:
        raise MissingDataError("the adapters did not count late sends")
    late = float(found["value"].sum())
    sent = float(rows(observations, "endpoints", pass_name)["injected"].sum())
    return late / max(sent, 1.0), f"{late:g} of {sent:g} messages were seen too late"


def model_broken(observations: Observations, pass_name: str) -> tuple[float, str]:
    """Whether the fabric model found its own books out of balance."""
    broken = counter(observations, pass_name, LINE_CARDS, "rules_broken")
    return broken, "cells entered, left and held in memory, counted three ways"


def digest_missing(observations: Observations, _: str) -> tuple[float, str]:
    """1 when the run has no digest of its events."""
    digest = observations.digest
    return float(not digest), f"digest {digest}" if digest else "no digest was noted"
