"""What the checks of the fidelity certificate look at: one value of one pass each. Pure.

A probe returns its value and a clause about it, and raises ``MissingDataError`` when its
instrument recorded nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lab.analysis.observations import MissingDataError, Observations
from lab.results.collect import LINE_CARDS
from lab.results.tables import LATENESS_BUCKETS

# A value of one pass and what it is about. Raises MissingDataError without data.
Probe = Callable[[Observations, str], tuple[float, str]]

# Part of the contended port up to which paced senders cannot be held back by the network.
_UNCONTENDED = 0.9
_BUCKET_LIMITS_US = (500.0, 1000.0, 2000.0, 5000.0, 10_000.0, math.inf)


def _rows(observations: Observations, table: str, pass_name: str) -> pd.DataFrame:
    frame = observations.tables[table]
    found = frame[frame["pass"] == pass_name]
    if found.empty:
        raise MissingDataError(f"the table {table} has no rows")
    return found


def _span_ns(observations: Observations, pass_name: str) -> tuple[int, int]:
    steps = _rows(observations, "steps", pass_name)
    return int(steps["t_start_ns"].min()), int(steps["t_end_ns"].max())


def _counter(observations: Observations, pass_name: str, where: str, name: str) -> float:
    value = observations.counter(pass_name, where, name)
    if value is None:
        raise MissingDataError(f"the counter {name} of {where} was not recorded")
    return value


def counters_sum(where: str, *names: str) -> Probe:
    """Sum of some counters of one place."""

    def probe(observations: Observations, pass_name: str) -> tuple[float, str]:
        values = {n: _counter(observations, pass_name, where, n) for n in names}
        about = ", ".join(f"{name} {value:g}" for name, value in values.items())
        return sum(abs(value) for value in values.values()), f"{where}: {about}"

    return probe


def endpoints_complete(observations: Observations, pass_name: str) -> tuple[float, str]:
    """Endpoints that left no result or ended before their plan did."""
    endpoints = _rows(observations, "endpoints", pass_name)
    expected = {(s, role) for s in observations.streams["stream"] for role in ("send", "recv")}
    absent = expected - set(zip(endpoints["stream"], endpoints["role"], strict=True))
    counters = observations.tables["counters"]
    early = counters[
        (counters["pass"] == pass_name)
        & (counters["name"] == "ended_early")
        & (counters["value"] != 0)
    ]
    return len(absent) + len(early), f"{len(absent)} without a result, {len(early)} ended early"


def window_gaps(observations: Observations, pass_name: str) -> tuple[float, str]:
    """Part of the measured time in which the line cards took no sample."""
    sample_ns = round(observations.scenario.timeline.sample_s * 1e9)
    times = np.sort(_rows(observations, "lateness", pass_name)["t_ns"].to_numpy())
    worst = 0.0
    for step in _rows(observations, "steps", pass_name).itertuples(index=False):
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
        rows = _rows(observations, "lateness", pass_name)
        rows = rows[rows["what"] == what]
        counts = rows[list(LATENESS_BUCKETS)].sum().to_numpy(dtype=np.float64)
        if counts.sum() == 0:
            raise MissingDataError(f"the line cards recorded nothing of {told}")
        bucket = int(np.searchsorted(np.cumsum(counts), 0.99 * counts.sum()))
        real_us = _BUCKET_LIMITS_US[bucket]
        if math.isinf(real_us):  # the last bucket has no upper end but the largest value seen
            real_us = float(rows["max_us"].max())
        mean_us = float(np.average(rows["mean_us"], weights=rows["frames"]))
        return (
            real_us / observations.scenario.dilation,
            f"99 % of frames within {real_us:g} us of real time, mean {mean_us:.0f} us",
        )

    return probe


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
    """Rows that the series of the line cards had no room for."""
    names = [f"series_lost_{name}" for name in ("queues", "events", "links", "lateness")]
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
    rows = _rows(observations, "machine", pass_name)
    inside = rows[
        (rows["what"] == what) & (rows["t_s"] >= start_ns / 1e9) & (rows["t_s"] <= end_ns / 1e9)
    ]
    if inside.empty:
        raise MissingDataError(f"the CPU use of {what} was not sampled")
    return inside["cpu"].to_numpy(dtype=np.float64)


def idle(observations: Observations, pass_name: str) -> tuple[float, str]:
    """Part of the cores that stood idle."""
    part = 1 - float(_machine(observations, pass_name, "machine").mean()) / observations.cores
    return part, f"{part:.0%} of {observations.cores} cores idle"


def steal(observations: Observations, pass_name: str) -> tuple[float, str]:
    """Part of the cores that a hypervisor took."""
    part = float(_machine(observations, pass_name, "steal").mean()) / observations.cores
    return part, f"{part:.1%} of the cores taken by other machines"


def throttled(observations: Observations, pass_name: str) -> tuple[float, str]:
    """Throttled periods of the containers that take part."""
    scenario = observations.scenario
    hosts = [h for h in scenario.used_hosts() if scenario.host_kind(h) == "container"]
    total = sum(_counter(observations, pass_name, host, "nr_throttled") for host in hosts)
    return total, f"{total:g} throttled periods in {len(hosts)} containers"


def endpoint_losses(observations: Observations, pass_name: str) -> tuple[float, str]:
    """Messages that were sent and neither received nor on their way at the end."""
    endpoints = _rows(observations, "endpoints", pass_name)
    sent = float(endpoints.loc[endpoints["role"] == "send", "injected"].sum())
    received = float(endpoints.loc[endpoints["role"] == "recv", "messages"].sum())
    queued = _counter(observations, pass_name, LINE_CARDS, "queued_cells")
    in_flight = _counter(observations, pass_name, LINE_CARDS, "in_flight") if queued else 0.0
    overflow = _counter(observations, pass_name, LINE_CARDS, "overflow")
    about = f"sent {sent:g}, received {received:g}, in flight {in_flight:g}"
    if overflow:
        about += f", refused for lack of memory {overflow:g}"
    return abs(sent - received - in_flight - overflow), about


def endpoint_faults(observations: Observations, pass_name: str) -> tuple[float, str]:
    """Messages that endpoints found damaged, repeated, out of order or refused."""
    endpoints = _rows(observations, "endpoints", pass_name)
    faults = ("duplicates", "out_of_order", "corrupted", "missing", "drop_no_buffer")
    counts = {name: float(endpoints[name].sum()) for name in faults}
    counters = observations.tables["counters"]
    of_pass = counters[counters["pass"] == pass_name]
    for name in ("rejected", "drop_recv_full"):
        counts[name] = float(of_pass.loc[of_pass["name"] == name, "value"].sum())
    about = ", ".join(f"{name} {count:g}" for name, count in counts.items() if count)
    return sum(counts.values()), about or "no message damaged, repeated or refused"


def greedy_blocked(observations: Observations, pass_name: str) -> tuple[float, str]:
    """Least part of a pass for which a greedy sender had more to send than the queue took."""
    endpoints = _rows(observations, "endpoints", pass_name)
    start_ns, end_ns = _span_ns(observations, pass_name)
    greedy = {
        s.name
        for s in observations.scenario.streams
        if s.group != observations.swept and s.rate >= 1
    }
    senders = endpoints[(endpoints["role"] == "send") & endpoints["stream"].isin(greedy)]
    if len(senders) != len(greedy):
        raise MissingDataError("a greedy sender left no result")
    if not greedy:
        return 1.0, "no sender is greedy throughout"
    waited_s = dict(zip(senders["stream"], senders["blocked_s"], strict=True))
    least = min(waited_s, key=lambda stream: float(waited_s[stream]))
    part = float(waited_s[least]) / ((end_ns - start_ns) / 1e9)
    return part, f"sender {least} waited for {part:.0%} of the pass"


def paced_shortfall(observations: Observations, pass_name: str) -> tuple[float, str]:
    """How far a paced sender fell behind in the lowest step, while the contended port is free."""
    senders = int((observations.streams["group"] == observations.swept).sum())
    rates = observations.scenario.timeline.sweep.send_rates
    free = [rate for rate in rates if 0 < rate * senders <= _UNCONTENDED]
    if not free:
        return 0.0, "no step has paced senders and a contended port with room"
    rows = observations.sent[
        (observations.sent["pass"] == pass_name)
        & (observations.sent["group"] == observations.swept)
        & (observations.sent["send_rate"] == min(free))
    ]
    if rows.empty or observations.tables["flows"].empty:
        raise MissingDataError("what the paced senders sent was not recorded")
    wanted = min(free) * observations.full_mbyte_per_s
    worst = float(1 - rows["mbyte_per_s"].min() / wanted)
    return worst, f"at {min(free):.0%} the slowest sender fell {worst:.1%} short"
