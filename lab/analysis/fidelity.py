"""The fidelity certificate: whether a run's own instruments vouch for its figures.

An emulation on a small machine can go wrong without failing: frames lost in a socket, a switch
that cannot keep up, a process that slept too long. Every such way has a check with a documented
bound in :data:`CHECKS`. A check whose instrument recorded nothing has failed.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lab.analysis.observations import MissingDataError, Observations
from lab.results.collect import LINE_CARDS
from lab.results.tables import LATENESS_BUCKETS

# Part of the contended port up to which paced senders cannot be held back by the network.
_UNCONTENDED = 0.9
_BUCKET_LIMITS_US = (500.0, 1000.0, 2000.0, 5000.0, 10_000.0, math.inf)


@dataclass(frozen=True)
class CheckResult:
    """One line of the certificate; ``value`` is None when nothing was recorded."""

    name: str
    value: float | None
    bound: str
    ok: bool
    why: str


@dataclass(frozen=True)
class Certificate:
    """All checks of a run; it is valid when every one of them is met."""

    checks: tuple[CheckResult, ...]

    @property
    def valid(self) -> bool:
        """Whether every check is met."""
        return bool(self.checks) and all(check.ok for check in self.checks)

    @property
    def why(self) -> str:
        """The checks that failed, in one line."""
        return "; ".join(f"{c.name}: {c.why}" for c in self.checks if not c.ok)

    def plain(self) -> dict[str, object]:
        """As fidelity.json holds it."""
        return {"valid": self.valid, "checks": [asdict(check) for check in self.checks]}


# A value of one pass and what it is about. Raises MissingDataError without data.
Probe = Callable[[Observations, str], tuple[float, str]]


@dataclass(frozen=True)
class Check:
    """A bound on one value; over all passes, the worst value counts.

    ``at_least`` turns the bound into a lower one. ``why`` is the reason for the bound.
    """

    name: str
    probe: Probe
    bound: float
    unit: str
    why: str
    at_least: bool = False

    @property
    def bound_text(self) -> str:
        """The bound in words."""
        sign = ">=" if self.at_least else "<="
        return f"{sign} {self.bound:g} {self.unit}".rstrip()

    def meets(self, value: float) -> bool:
        """Whether a value is within the bound."""
        return value >= self.bound if self.at_least else value <= self.bound


def certify(observations: Observations) -> Certificate:
    """Judge a run by all checks."""
    return Certificate(tuple(_run(check, observations) for check in CHECKS))


def _run(check: Check, observations: Observations) -> CheckResult:
    worst: float | None = None
    told = "the run has no pass"
    for passing in observations.scenario.passes:
        try:
            value, about = check.probe(observations, passing.name)
        except MissingDataError as error:
            why = f"pass {passing.name}: {error}, so this cannot be ruled out"
            return CheckResult(check.name, None, check.bound_text, ok=False, why=why)
        if not math.isfinite(value):
            value = -math.inf if check.at_least else math.inf
        if worst is None or (value < worst if check.at_least else value > worst):
            worst, told = value, f"pass {passing.name}: {about}"
    if worst is None:
        return CheckResult(check.name, None, check.bound_text, ok=False, why=told)
    value_shown = worst if math.isfinite(worst) else None
    why = f"{told} ({check.why})"
    return CheckResult(check.name, value_shown, check.bound_text, check.meets(worst), why)


# -- probes ------------------------------------------------------------------------------


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


def _counters_sum(where: str, *names: str) -> Probe:
    def probe(observations: Observations, pass_name: str) -> tuple[float, str]:
        values = {n: _counter(observations, pass_name, where, n) for n in names}
        about = ", ".join(f"{name} {value:g}" for name, value in values.items())
        return sum(abs(value) for value in values.values()), f"{where}: {about}"

    return probe


def _endpoints_complete(observations: Observations, pass_name: str) -> tuple[float, str]:
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


def _window_gaps(observations: Observations, pass_name: str) -> tuple[float, str]:
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


def _lateness_p99_us(observations: Observations, pass_name: str) -> tuple[float, str]:
    rows = _rows(observations, "lateness", pass_name)
    counts = rows[list(LATENESS_BUCKETS)].sum().to_numpy(dtype=np.float64)
    if counts.sum() == 0:
        raise MissingDataError("the line cards recorded no lateness")
    bucket = int(np.searchsorted(np.cumsum(counts), 0.99 * counts.sum()))
    real_us = _BUCKET_LIMITS_US[bucket]
    mean_us = float(np.average(rows["mean_us"], weights=rows["ticks"]))
    return (
        real_us / observations.scenario.dilation,
        f"99 % of frames within {real_us:g} us of real time, mean {mean_us:.0f} us",
    )


def _ovs_balance(observations: Observations, pass_name: str) -> tuple[float, str]:
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


def _ovs_ports(observations: Observations, pass_name: str) -> tuple[float, str]:
    counters = observations.tables["counters"]
    found = counters[
        (counters["pass"] == pass_name)
        & counters["where"].str.match(r"^ovs s\d+$")
        & counters["name"].isin(["rx_dropped", "tx_dropped", "rx_errors", "tx_errors"])
    ]
    if found.empty:
        raise MissingDataError("the counters of the switches' ports were not recorded")
    return float(found["value"].sum()), "dropped by or faulty at ports of Open vSwitch"


def _series_lost(observations: Observations, pass_name: str) -> tuple[float, str]:
    names = [f"series_lost_{name}" for name in ("queues", "events", "links", "lateness")]
    return _counters_sum(LINE_CARDS, *names)(observations, pass_name)


def _cpu_p95(what: str) -> Probe:
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


def _idle(observations: Observations, pass_name: str) -> tuple[float, str]:
    idle = 1 - float(_machine(observations, pass_name, "machine").mean()) / observations.cores
    return idle, f"{idle:.0%} of {observations.cores} cores idle"


def _steal(observations: Observations, pass_name: str) -> tuple[float, str]:
    steal = float(_machine(observations, pass_name, "steal").mean()) / observations.cores
    return steal, f"{steal:.1%} of the cores taken by other machines"


def _throttled(observations: Observations, pass_name: str) -> tuple[float, str]:
    scenario = observations.scenario
    hosts = [h for h in scenario.used_hosts() if scenario.host_kind(h) == "container"]
    total = sum(_counter(observations, pass_name, host, "nr_throttled") for host in hosts)
    return total, f"{total:g} throttled periods in {len(hosts)} containers"


def _endpoint_losses(observations: Observations, pass_name: str) -> tuple[float, str]:
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


def _endpoint_faults(observations: Observations, pass_name: str) -> tuple[float, str]:
    endpoints = _rows(observations, "endpoints", pass_name)
    faults = ("duplicates", "out_of_order", "corrupted", "missing", "drop_no_buffer")
    counts = {name: float(endpoints[name].sum()) for name in faults}
    counters = observations.tables["counters"]
    of_pass = counters[counters["pass"] == pass_name]
    for name in ("rejected", "drop_recv_full"):
        counts[name] = float(of_pass.loc[of_pass["name"] == name, "value"].sum())
    about = ", ".join(f"{name} {count:g}" for name, count in counts.items() if count)
    return sum(counts.values()), about or "no message damaged, repeated or refused"


def _greedy_blocked(observations: Observations, pass_name: str) -> tuple[float, str]:
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


def _paced_shortfall(observations: Observations, pass_name: str) -> tuple[float, str]:
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


CHECKS: tuple[Check, ...] = (
    Check(
        "endpoints-complete", _endpoints_complete, 0, "endpoints",
        "every stream needs a sender and a receiver that stayed to the end",
    ),
    Check(
        "windows-complete", _window_gaps, 0.05, "of a window",
        "figures of a window are means; a hole of 5 % can shift them by no more",
    ),
    Check(
        "linecards-lateness", _lateness_p99_us, 50, "us virtual",
        "late frames lengthen the quench round trip; 50 us is 118 cells on a link, a third of "
        "the distance between quench and unquench",
    ),
    Check(
        "ovs-frames-lost", _ovs_balance, 0, "frames",
        "what goes into a switch must come out: the modelled network loses nothing",
    ),
    Check(
        "ovs-port-drops", _ovs_ports, 0, "frames", "a full port is the first sign of livelock"
    ),
    Check(
        "socket-drops", _counters_sum(LINE_CARDS, "rx_drops", "tx_refused"), 0, "frames",
        "a frame lost between Open vSwitch and the line cards",
    ),
    Check(
        "veth-drops",
        _counters_sum("line cards", "veth_rx_dropped", "veth_tx_dropped"), 0, "frames",
        "a frame lost on the way through the kernel",
    ),
    Check(
        "softnet-drops", _counters_sum("kernel", "softnet_dropped"), 0, "frames",
        "the kernel's backlog was full",
    ),
    Check(
        "linecards-refused",
        _counters_sum(LINE_CARDS, "unknown", "malformed", "no_frame"), 0, "frames",
        "a frame that the line cards could not place",
    ),
    Check(
        "instrument-losses", _series_lost, 0, "rows", "a series that overflowed has holes"
    ),
    Check(
        "cpu-ovs", _cpu_p95("ovs-vswitchd"), 0.85, "cores",
        "beyond its capacity the user datapath collapses instead of saturating",
    ),
    Check(
        "cpu-linecards", _cpu_p95("linecards"), 0.85, "cores",
        "one thread serves all links; a busy one is late",
    ),
    Check(
        "machine-idle", _idle, 0.05, "of the cores",
        "on a machine without idle time, queues of the scheduler are part of the result",
        at_least=True,
    ),
    Check(
        "machine-steal", _steal, 0.05, "of the cores",
        "time that a hypervisor took cannot be told from the network's delay",
    ),
    Check(
        "container-throttling", _throttled, 0, "periods", "a throttled endpoint sends in bursts"
    ),
    Check(
        "endpoint-losses", _endpoint_losses, 0, "messages",
        "sent = received + in flight, by the endpoints' own counts",
    ),
    Check(
        "endpoint-faults", _endpoint_faults, 0, "messages",
        "the fabric keeps order and content, receivers keep up",
    ),
    Check(
        "greedy-senders", _greedy_blocked, 0.5, "of the pass",
        "a greedy sender that does not wait is itself the bottleneck", at_least=True,
    ),
    Check(
        "paced-senders", _paced_shortfall, 0.05, "of the rate",
        "below contention a sender must reach the rate it was told",
    ),
)  # fmt: skip
