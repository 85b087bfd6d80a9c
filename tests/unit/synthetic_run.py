"""A plausible run of switch-port-contention, computed instead of measured.

Streams get what a fluid model gives them: below contention everything passes; above it the
congestion streams share the contended port, and a background stream has what they leave of its
input link (quench on) or falls to the rate of its congestion stream (quench off). Tests change
the tables, or the knobs here, to provoke what they are about.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd

from lab.analysis import Certificate, analyse
from lab.analysis.front_to_back import alone
from lab.analysis.loads import Loads, loads
from lab.analysis.observations import Observations
from lab.claims import Verdict
from lab.fabric.buckets import EXCESS_BUCKETS, LATENESS_BUCKETS
from lab.located_yaml import apply_options, read, validate
from lab.results.runs import RunDir, create_run
from lab.results.tables import SCHEMAS, conform, empty_table, write_table
from lab.scenarios.loader import load_scenario
from lab.scenarios.model import Engine, Pass, Scenario
from lab.scenarios.plan import Step, full_messages_per_s, steps, stream_sizes, vc_requests
from lab.signalling import Vc, open_vcs
from lab.topology import load_topology

SCENARIO = Path(__file__).resolve().parents[2] / "scenarios" / "switch-port-contention.yaml"
SHORT = {
    "timeline.settle_s": "0.005",
    "timeline.measure_s": "0.03",
    "timeline.drain_s": "0.005",
    "timeline.sample_s": "0.0005",
}
CYCLE_NS = 4_000_000  # of a congestion stream: 1 ms on, 3 ms quenched
ON_NS = 1_000_000

Tables = dict[str, pd.DataFrame]


def short_scenario(**options: str) -> Scenario:
    """The scenario with a short timeline, so that its tables are small."""
    document = read(SCENARIO)
    apply_options(document, {**SHORT, **options})
    return validate(Scenario, document)


@dataclass(frozen=True)
class Fluid:
    """The rates of one pass, MByte/s, by send rate."""

    scenario: Scenario
    passing: Pass

    @property
    def full(self) -> float:
        messages_per_s = full_messages_per_s(self.scenario)
        return messages_per_s * self.scenario.workload.message_bytes / 1e6

    def congestion(self, rate: float) -> float:
        return min(rate, 1 / 7) * self.full

    def background(self, rate: float) -> float:
        if self.passing.flow_control == "link" and rate > 0.16:
            return self.congestion(rate) * 1.02
        return self.full - self.congestion(rate)


@dataclass(frozen=True)
class Synthetic:
    """A scenario with its made-up tables."""

    scenario: Scenario
    tables: Tables

    engine: Engine = "emulation"
    digest: str | None = None

    def observations(self) -> Observations:
        return Observations(self.scenario, self.tables, 2, self.engine, self.digest)

    def simulated(self) -> Synthetic:
        """The same run as a simulation leaves it: nothing of an emulation's instruments."""
        counters = self.tables["counters"]
        kept = counters["where"].str.match(r"^(linecards|s\d+|endpoint .*)$")
        emulations = ("lateness", "machine")
        tables = {**self.tables, "counters": counters[kept]} | {
            n: empty_table(n) for n in emulations
        }
        return replace(self, tables=tables, engine="simulation", digest="5f0c")

    def changed(self, **tables: pd.DataFrame) -> Synthetic:
        return replace(self, tables={**self.tables, **tables})


def synthetic(scenario: Scenario | None = None) -> Synthetic:
    """A run in which everything goes as it should."""
    scenario = scenario or short_scenario()
    vcs = open_vcs(load_topology(scenario.topology), vc_requests(scenario), scenario.seed)
    tables: dict[str, list[pd.DataFrame]] = {name: [] for name in SCHEMAS}
    tables["vcs"].append(_vcs(vcs))
    for passing in scenario.passes:
        fluid = Fluid(scenario, passing)
        flows = _flows(scenario, fluid)
        made = {
            "flows": flows,
            "endpoints": _endpoints(scenario, flows),
            "windows": _windows(scenario, flows),
            "latency": _latency(scenario, flows),
            "steps": _steps(scenario),
            "queues": _queues(scenario, fluid, vcs),
            "quenches": _quenches(scenario, fluid, vcs),
            "links": _links(scenario, fluid, vcs),
            "lateness": _lateness(scenario),
            "machine": _machine(scenario),
        }
        made["counters"] = _counters(scenario, made["links"])
        for name, frame in made.items():
            labels = {"pass": passing.name, "flow_control": passing.flow_control}
            tables[name].append(frame.assign(**labels))
    return Synthetic(
        scenario,
        {n: conform(n, pd.concat(frames, ignore_index=True)) for n, frames in tables.items()},
    )


def write_run(root: Path, run: Synthetic, *, at: datetime | None = None) -> RunDir:
    """Put a synthetic run on disk, as if it had been collected."""
    made = create_run(run.scenario, root=root, now=at or datetime.now(UTC))
    for name, table in run.tables.items():
        write_table(made.path, name, table)
    made.finish(ok=True)
    return made


def analysed_run(
    root: Path, run: Synthetic | None = None
) -> tuple[RunDir, Certificate, Mapping[str, Verdict]]:
    """A synthetic run on disk with its certificate and scorecard."""
    made = write_run(root, run or synthetic())
    certificate, verdicts = analyse(made.path)
    return made, certificate, {verdict.claim: verdict for verdict in verdicts}


def _sample_times(scenario: Scenario) -> np.ndarray:
    sample_ns = round(scenario.timeline.sample_s * 1e9)
    end_ns = steps(scenario)[-1].t_end_ns
    return np.arange(sample_ns, end_ns + 1, sample_ns, dtype=np.int64)


def _rate_at(scenario: Scenario, t_ns: np.ndarray) -> np.ndarray:
    timeline = steps(scenario)
    index = np.searchsorted([step.t_end_ns for step in timeline], t_ns, side="left")
    return np.array([step.send_rate for step in timeline])[np.minimum(index, len(timeline) - 1)]


def _flows(scenario: Scenario, fluid: Fluid) -> pd.DataFrame:
    bin_ns = round(scenario.timeline.bin_s * 1e9)
    size = scenario.workload.message_bytes
    times = np.arange(0, steps(scenario)[-1].t_end_ns, bin_ns, dtype=np.int64)
    rates = _rate_at(scenario, times + 1)
    frames = []
    for number, stream in enumerate(scenario.streams):
        of = fluid.congestion if stream.group == "congestion" else fluid.background
        per_bin = np.array([of(rate) for rate in rates]) * 1e6 * bin_ns / 1e9 / size
        whole = np.floor(np.cumsum(per_bin) + number / 16)
        messages = np.diff(whole, prepend=np.floor(number / 16)).astype(np.int64)
        for role in ("send", "recv"):
            frames.append(
                pd.DataFrame(
                    {
                        "stream": stream.name,
                        "group": stream.group,
                        "role": role,
                        "t_ns": times,
                        "messages": messages,
                        "bytes": messages * size,
                        "latency_sum_ns": messages * 400_000,
                    }
                )
            )
    return pd.concat(frames, ignore_index=True)


def _endpoints(scenario: Scenario, flows: pd.DataFrame) -> pd.DataFrame:
    totals = flows.groupby(["stream", "role"])[["messages", "bytes"]].sum()
    end_s = steps(scenario)[-1].t_end_ns / 1e9
    rows = []
    for number, stream in enumerate(scenario.streams):
        for role, host in (("send", stream.source), ("recv", stream.to)):
            messages, n_bytes = (int(x) for x in totals.loc[(stream.name, role)])
            sends = role == "send"
            rows.append(
                {
                    "stream": stream.name,
                    "group": stream.group,
                    "role": role,
                    "host": host,
                    "host_kind": scenario.host_kind(host),
                    "pid": 1000 + 2 * number + sends,
                    "messages": messages + (3 if sends else 0),
                    "bytes": n_bytes,
                    "injected": messages if sends else 0,
                    "in_send_queue": 3 if sends else 0,
                    "blocked_s": 0.95 * end_s if sends else 0.0,
                    **dict.fromkeys(
                        ("duplicates", "out_of_order", "corrupted", "missing", "drop_no_buffer"), 0
                    ),
                }
            )
    return pd.DataFrame(rows)


def _steps(scenario: Scenario) -> pd.DataFrame:
    rows = [vars(step) for step in steps(scenario)]
    return pd.DataFrame(rows).rename(columns={"index": "step"})


def _window_sums(scenario: Scenario, flows: pd.DataFrame) -> pd.DataFrame:
    """Messages, bytes and latency that sinks had in the measured part of each step."""
    received = flows[flows["role"] == "recv"]
    parts = []
    for step in steps(scenario):
        inside = received["t_ns"].between(step.t_settled_ns, step.t_end_ns, inclusive="left")
        keys = ["stream", "group", "role"]
        sums = received[inside].groupby(keys)[["messages", "bytes", "latency_sum_ns"]].sum()
        parts.append(sums.reset_index().assign(step=step.index))
    return pd.concat(parts, ignore_index=True)


def _windows(scenario: Scenario, flows: pd.DataFrame) -> pd.DataFrame:
    """Evenly spaced arrivals, all of the same latency."""
    sums = _window_sums(scenario, flows)
    lengths = {step.index: step.t_end_ns - step.t_settled_ns for step in steps(scenario)}
    gaps = np.maximum(sums["messages"] - 1, 0)
    gap_ns = sums["step"].map(lengths) // np.maximum(sums["messages"], 1)
    latency_ns = sums["latency_sum_ns"] // np.maximum(sums["messages"], 1)
    return sums.assign(
        latency_min_ns=latency_ns,
        latency_max_ns=latency_ns,
        gaps=gaps,
        gap_sum_ns=gaps * gap_ns,
        gap_square_sum_us2=gaps * (gap_ns / 1e3) ** 2,
        gap_min_ns=gap_ns,
        gap_max_ns=gap_ns,
    )


def _latency(scenario: Scenario, flows: pd.DataFrame) -> pd.DataFrame:
    sums = _window_sums(scenario, flows)
    low_ns = sums["latency_sum_ns"] // np.maximum(sums["messages"], 1)
    columns = ["stream", "group", "role", "step", "messages"]
    return sums[columns].assign(low_ns=low_ns, high_ns=low_ns + 1)


def _vcs(vcs: tuple[Vc, ...]) -> pd.DataFrame:
    rows = [
        {
            "vc": vc.id,
            "stream": vc.name,
            "group": vc.group,
            "src": vc.a,
            "dst": vc.b,
            "hop": number,
            **vars(hop),
        }
        for vc in vcs
        for number, hop in enumerate(vc.forward)
    ]
    return pd.DataFrame(rows)


def _hop_before(vc: Vc, switch: str) -> tuple[str, int]:
    index = next(i for i, hop in enumerate(vc.forward) if hop.node == switch)
    return vc.forward[index - 1].node, vc.forward[index - 1].out_port


def _queues(scenario: Scenario, fluid: Fluid, vcs: tuple[Vc, ...]) -> pd.DataFrame:
    times = _sample_times(scenario)
    rates = _rate_at(scenario, times)
    switch, hot = scenario.observe.switch, scenario.observe.contended_port
    quench = fluid.passing.flow_control == "quench"
    depth = 480 if quench else 900
    busy, loaded = times[rates > 1 / 7], times[rates > 0]
    frames = []
    for vc in vcs:
        if vc.group == "congestion":
            own = pd.DataFrame({"t_ns": busy, "node": switch, "port": hot, "cells": depth})
        else:
            node, port = _hop_before(vc, switch)
            own = pd.DataFrame({"t_ns": loaded, "node": node, "port": port, "cells": depth})
        frames.append(own.assign(vc=vc.id))
    queues = pd.concat(frames, ignore_index=True)
    totals = queues.groupby(["t_ns", "node", "port"])["cells"].sum().reset_index()
    return pd.concat([queues, totals.assign(vc=0)], ignore_index=True)


def _cycles(scenario: Scenario, vc: Vc) -> np.ndarray:
    """Beginnings of the times in which a congestion stream sends, on the plateau."""
    end = steps(scenario)[-1].t_end_ns
    start = next((step.t_start_ns for step in steps(scenario) if step.send_rate > 1 / 7), end)
    return np.arange(start + vc.id * 40_000, end - CYCLE_NS, CYCLE_NS)


def _quenches(scenario: Scenario, fluid: Fluid, vcs: tuple[Vc, ...]) -> pd.DataFrame:
    switch, hot = scenario.observe.switch, scenario.observe.contended_port
    rows: list[tuple[int, str, int, int, str]] = []
    for vc in vcs:
        index = next(i for i, hop in enumerate(vc.forward) if hop.node == switch)
        before = vc.forward[index - 1]
        for begin in _cycles(scenario, vc):
            if fluid.passing.flow_control == "link":
                for hop in vc.forward[1:index]:
                    rows.append((begin, hop.node, hop.out_port, 0, "stop"))
                    rows.append((begin + ON_NS, hop.node, hop.out_port, 0, "go"))
                continue
            congested = vc.group == "congestion"
            node, port = (switch, hot) if congested else (before.node, before.out_port)
            rows.append((begin + ON_NS, node, port, vc.id, "quench"))
            rows.append((begin + CYCLE_NS, node, port, vc.id, "unquench"))
    frame = pd.DataFrame(rows, columns=["t_ns", "node", "port", "vc", "kind"])
    return frame.sort_values("t_ns", kind="stable")


def _links(scenario: Scenario, fluid: Fluid, vcs: tuple[Vc, ...]) -> pd.DataFrame:
    """Every link that a VC uses, busy by its streams' rates; quenched sources stand still."""
    sample_ns = round(scenario.timeline.sample_s * 1e9)
    times = _sample_times(scenario)
    rates = _rate_at(scenario, times)
    loads: dict[tuple[str, int], np.ndarray] = {}
    for vc in vcs:
        of = fluid.congestion if vc.group == "congestion" else fluid.background
        share = np.array([of(rate) for rate in rates]) / fluid.full
        for hop in vc.forward[:-1]:
            own = share
            if hop.node == vc.a and vc.group == "congestion":
                phase = (times - _cycles(scenario, vc)[:1].sum()) % CYCLE_NS
                sends = (phase <= ON_NS) & (phase >= sample_ns)
                own = np.where(rates > 1 / 7, np.where(sends, 0.57, 0.0), share)
            key = (hop.node, max(hop.out_port, 0))
            loads[key] = loads.get(key, np.zeros(len(times))) + own
    frames = []
    for (node, port), load in loads.items():
        busy = np.minimum(load, 1.0) * sample_ns
        cells = np.rint(busy / 424)
        frame = pd.DataFrame(
            {
                "t_ns": times,
                "node": node,
                "port": port,
                "frames": np.rint(cells / 43),
                "cells": cells,
                "busy_ns": np.rint(busy),
                "control_cells": 0,
                "wait_ns": 0,
            }
        )
        frames.append(frame[frame["busy_ns"] > 0])
    return pd.concat(frames, ignore_index=True)


def _lateness(scenario: Scenario) -> pd.DataFrame:
    counts = dict.fromkeys(LATENESS_BUCKETS, 0) | {
        "le_500": 60,
        "le_1000": 30,
        "le_2000": 9,
        "le_5000": 1,
    }
    excess = dict(zip(EXCESS_BUCKETS, (100, 0, 0, 0, 0), strict=True))
    frame = pd.DataFrame({"t_ns": _sample_times(scenario)}).assign(
        frames=100,
        mean_us=480.0,
        max_us=2400.0,
        exc_max_ns=0.0,
        exc_mean_ns=0.0,
        **counts,
        **excess,
    )
    return pd.concat([frame.assign(what=what) for what in ("late", "crossing")], ignore_index=True)


def _machine(scenario: Scenario) -> pd.DataFrame:
    times = np.arange(0, steps(scenario)[-1].t_end_ns / 1e9, 0.2 / scenario.dilation)
    used = {"ovs-vswitchd": 0.5, "linecards": 0.3, "endpoints": 0.2, "machine": 1.2}
    used |= {"low-priority": 0.1, "steal": 0.0}
    frames = [pd.DataFrame({"t_s": times, "what": what, "cpu": cpu}) for what, cpu in used.items()]
    return pd.concat(frames, ignore_index=True)


def _counters(scenario: Scenario, links: pd.DataFrame) -> pd.DataFrame:
    topology = load_topology(scenario.topology)
    frames_sent = int(links.loc[links["node"].isin(topology.hosts), "frames"].sum())
    rows: list[tuple[str, str, float]] = []
    switches = topology.switches
    for switch in switches:
        frames = frames_sent if switch in switches[-5:] else 0  # every message crosses five
        rows += [(switch, "frames_in", frames), (switch, "frames_out", frames)]
        rows += [(switch, "overflow_cells", 0), (f"ovs {switch}", "rx_dropped", 0)]
        rows += [(f"ovs {switch}", name, 0) for name in ("tx_dropped", "rx_errors", "tx_errors")]
    zero = (
        "rx_drops",
        "tx_refused",
        "unknown",
        "malformed",
        "no_frame",
        "overflow",
        "rules_broken",
    )
    lost = tuple(f"series_lost_{name}" for name in ("queues", "events", "links", "lateness"))
    rows += [("linecards", name, 0) for name in (*zero, *lost, "in_flight", "queued_cells")]
    rows += [("line cards", "veth_rx_dropped", 0), ("line cards", "veth_tx_dropped", 0)]
    rows += [("kernel", "softnet_dropped", 0)]
    for host in scenario.hosts.containers:
        rows += [(host, "nr_throttled", 0), (host, "throttled_s", 0)]
    for stream in scenario.streams:
        for role in ("send", "recv"):
            where = f"endpoint {stream.name} {role}"
            rows += [(where, "ended_early", 0), (where, "late_sends", 0)]
    return pd.DataFrame(rows, columns=["where", "name", "value"])


# -- any scenario ------------------------------------------------------------------------


def fluid_run(
    name: str,
    without_quench: Callable[[str, int], float] = lambda _group, _step: 1.0,
    *,
    short: bool = True,
    **options: str,
) -> Synthetic:
    """A run of a scenario whose streams have their max-min fair shares.

    Args:
        name: the scenario.
        without_quench: part of it that is left without quench, by group and step; streams that
            share no link keep all.
        short: with a short timeline.
        options: what else is different from the file.
    """
    scenario = load_scenario(name, {**(SHORT if short else {}), **options})
    vcs = open_vcs(load_topology(scenario.topology), vc_requests(scenario), scenario.seed)
    tables: dict[str, list[pd.DataFrame]] = {table: [] for table in SCHEMAS}
    tables["vcs"].append(_vcs(vcs))
    known = {"vcs": conform("vcs", tables["vcs"][0])}
    ids = {vc.name: vc for vc in vcs}
    for passing in scenario.passes:
        labels = {"pass": passing.name, "flow_control": passing.flow_control}
        timeline = _steps(scenario).assign(**labels)
        run = Observations(scenario, {**known, "steps": timeline})
        asked = loads(run, passing)
        quench = passing.flow_control == "quench"
        left = (lambda _group, _step: 1.0) if quench else without_quench
        flows = _shared_flows(run, passing, asked, left)
        made = {
            "flows": flows,
            "endpoints": _shared_endpoints(scenario, passing, flows),
            "windows": _shared_windows(run, flows),
            "steps": timeline,
            "queues": _held(scenario, asked, ids, _queue_rows, spreading=not quench),
            "quenches": _held(scenario, asked, ids, _event_rows, spreading=not quench),
            "links": _host_links(ids, flows),
        }
        made["counters"] = _shared_counters(run, ids, flows)
        for table, frame in made.items():
            tables[table].append(frame.assign(**labels))
    return Synthetic(
        scenario,
        {
            n: conform(n, pd.concat(frames, ignore_index=True)) if frames else empty_table(n)
            for n, frames in tables.items()
        },
    )


def _shared_flows(
    run: Observations,
    passing: Pass,
    asked: Mapping[int, Loads],
    left: Callable[[str, int], float],
) -> pd.DataFrame:
    bin_ns, timeline = run.bin_ns, steps(run.scenario)
    times = np.arange(0, timeline[-1].t_end_ns, bin_ns, dtype=np.int64)
    index = np.searchsorted([step.t_end_ns for step in timeline], times, side="right")
    lone = alone(run, passing)
    frames = []
    for stream in run.scenario.streams_of(passing):
        sizes = np.array(stream_sizes(run.scenario, stream))[index]
        rates = [
            one.fair_messages_per_s.get(stream.name, 0.0)
            * (1.0 if stream.name in lone else left(stream.group, step))
            for step, one in sorted(asked.items())
        ]
        whole = np.floor(np.cumsum(np.array(rates)[index] * bin_ns / 1e9) + 0.5)
        messages = np.diff(whole, prepend=0.0).astype(np.int64)
        latency_ns = 5000 + 1000 * run.switches_passed[stream.name]
        base = pd.DataFrame({"t_ns": times, "messages": messages, "bytes": messages * sizes})
        base = base.assign(stream=stream.name, group=stream.group)
        base = base.assign(latency_sum_ns=messages * latency_ns)
        frames += [base.assign(role="send"), base.assign(role="recv")]
    return pd.concat(frames, ignore_index=True)


def _shared_endpoints(scenario: Scenario, passing: Pass, flows: pd.DataFrame) -> pd.DataFrame:
    totals = flows.groupby(["stream", "role"])[["messages", "bytes"]].sum()
    zero = ("duplicates", "out_of_order", "corrupted", "missing", "drop_no_buffer")
    rows = []
    for stream in scenario.streams_of(passing):
        for role, host in (("send", stream.source), ("recv", stream.to)):
            messages, n_bytes = (int(x) for x in totals.loc[(stream.name, role)])
            sent = messages if role == "send" else 0
            row = {"stream": stream.name, "group": stream.group, "role": role, "host": host}
            row |= {"host_kind": "mininet", "pid": 1, "messages": messages, "bytes": n_bytes}
            row |= {"injected": sent, "in_send_queue": 0, "blocked_s": 1.0}
            rows.append({**row, **dict.fromkeys(zero, 0)})
    return pd.DataFrame(rows)


def _shared_windows(run: Observations, flows: pd.DataFrame) -> pd.DataFrame:
    """Windows with the gaps of the ideal flow, not of the bins it was counted in."""
    windows = _windows(run.scenario, flows)
    length_ns = {s.index: s.t_end_ns - s.t_settled_ns for s in steps(run.scenario)}
    fabric = run.scenario.fabric
    sizes = windows["bytes"] / np.maximum(windows["messages"], 1)
    full_ns = np.array([1e9 / fabric.full_messages_per_s(max(int(size), 1)) for size in sizes])
    mean_ns = windows["step"].map(length_ns) / np.maximum(windows["messages"], 1)
    greedy = run.scenario.name == "fabric-baseline"
    gap_ns = np.where(greedy & (windows["step"] >= 8), full_ns, mean_ns)
    gap_sum = np.rint(windows["gaps"] * gap_ns)
    return windows.assign(
        gap_sum_ns=gap_sum, gap_square_sum_us2=windows["gaps"] * (gap_ns / 1e3) ** 2
    )


Rows = list[tuple[object, ...]]


def _held(
    scenario: Scenario,
    asked: Mapping[int, Loads],
    ids: Mapping[str, Vc],
    make: Callable[[Step, Vc, tuple[str, int], list[tuple[str, int]]], Rows],
    *,
    spreading: bool,
) -> pd.DataFrame:
    """Rows about every stream that a port holds back; spreading: and about the links before it."""
    rows: Rows = []
    for step in steps(scenario):
        for stream, port in asked[step.index].bottleneck.items():
            path = [(hop.node, max(hop.out_port, 0)) for hop in ids[stream].forward[:-1]]
            before = path[1 : path.index(port)] if spreading else []
            rows += make(step, ids[stream], port, before)
    columns = ["t_ns", "node", "port", "vc"]
    frame = pd.DataFrame(rows, columns=[*columns, "cells" if make is _queue_rows else "kind"])
    return frame if rows else frame.astype({"t_ns": "int64", "port": "int64", "vc": "int64"})


def _queue_rows(step: Step, vc: Vc, port: tuple[str, int], before: list[tuple[str, int]]) -> Rows:
    rows: Rows = []
    for t_ns in range(step.t_settled_ns + 500_000, step.t_end_ns + 1, 500_000):
        for node, number in (port, *before):
            rows += [(t_ns, node, number, vc.id, 600), (t_ns, node, number, 0, 4200)]
    return rows


def _event_rows(step: Step, vc: Vc, port: tuple[str, int], before: list[tuple[str, int]]) -> Rows:
    if before:
        return [(step.t_start_ns + 1000, node, number, 0, "stop") for node, number in before]
    times = range(step.t_settled_ns + 1_000_000 + vc.id, step.t_end_ns, 4_000_000)
    return [(t_ns, *port, vc.id, "quench") for t_ns in times]


def _host_links(ids: Mapping[str, Vc], flows: pd.DataFrame) -> pd.DataFrame:
    sent = flows[flows["role"] == "send"].groupby("stream")["messages"].sum()
    rows = [
        {"t_ns": 1, "node": ids[str(s)].a, "port": 0, "frames": int(n), "cells": int(n)}
        for s, n in sent.items()
    ]
    return pd.DataFrame(rows).assign(busy_ns=1, control_cells=0, wait_ns=0)


def _shared_counters(run: Observations, ids: Mapping[str, Vc], flows: pd.DataFrame) -> pd.DataFrame:
    sent = flows[flows["role"] == "send"].groupby("stream")["messages"].sum()
    into: dict[str, float] = dict.fromkeys(load_topology(run.scenario.topology).switches, 0.0)
    for stream, messages in sent.items():
        for hop in ids[str(stream)].forward[1:-1]:
            into[hop.node] += float(messages)
    rows = [(node, "frames_in", frames) for node, frames in into.items()]
    rows += [(node, "overflow_cells", 0.0) for node in into]
    rows += [("linecards", name, 0.0) for name in ("in_flight", "queued_cells", "overflow")]
    return pd.DataFrame(rows, columns=["where", "name", "value"])
