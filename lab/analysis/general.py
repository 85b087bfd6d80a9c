"""Measurements that any scenario of the fabric allows, whatever its streams and steps are.

Thesis 4.3 (losslessness, flat flows, link rate, longest path), 4.7 (with quench never worse than
without) and 4.8 (no tree saturation, no head-of-line blocking of higher order).
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lab.analysis.endpoint_probes import endpoint_losses
from lab.analysis.loads import Loads, Port, loads
from lab.analysis.measuring import Measures
from lab.analysis.observations import LINK, QUENCH, MissingDataError, Observations
from lab.analysis.tree import standing_queues
from lab.claims.judge import Measurement
from lab.scenarios.model import Pass
from lab.scenarios.plan import steps, stream_sizes

MEASURES = Measures()
Numbers = NDArray[np.int64]
# "Equal" and "full" where the registry gives no tolerance (its note on fabric-link-rate).
EQUAL = 0.03
FULL = 0.97
# Quenches at ports that are not overloaded are accidents of timing up to this part.
STRAY = 0.01
FLAT_WINDOWS = 6
# A rate over a window is told from so many messages on.
_ENOUGH_MESSAGES = 20


# -- inputs ------------------------------------------------------------------------------


@MEASURES.of("fabric-topology")
def topology(run: Observations) -> Measurement:
    """Switches whose line cards reported."""
    name = run.scenario.passes[0].name
    count = len(run.switch_counters(name, "frames_in"))
    if not count:
        raise MissingDataError("no switch reported counters")
    return Measurement("fabric-topology", value=count, detail=f"{count} switches stood.")


@MEASURES.of("fabric-link-rate")
def link_rate(run: Observations) -> Measurement:
    """The configured rate."""
    value = run.scenario.fabric.link_bytes_per_s * 8 / 1e9
    full = run.full_mbyte_per_s
    return Measurement(
        "fabric-link-rate",
        value=value,
        detail=f"With cells and AAL5 a link carries {full:.1f} MByte/s of messages of "
        f"{run.scenario.workload.message_bytes} bytes.",
    )


@MEASURES.of("fabric-message-rate")
def message_rate(run: Observations) -> Measurement:
    """The configured rate of the host adapter."""
    value = run.scenario.fabric.host_messages_per_s
    return Measurement("fabric-message-rate", value=value, detail="Configured.")


# -- what moves through the fabric -------------------------------------------------------


@MEASURES.of("fabric-max-hops")
def max_hops(run: Observations) -> Measurement:
    """Switches that a message really went through, counted where no quench cells travel.

    The routes are planned; what is measured is how often a frame was put into a switch: over all
    streams, and over each stream whose switches no other uses. The longest counts. A mean within
    1 % of a whole number is that number: a pass cuts off the last messages on their way.
    """
    passing = run.passes(LINK)[0]
    frames = _frames_sent(run, passing)
    into = run.switch_counters(passing.name, "frames_in")
    names = [stream.name for stream in run.scenario.streams_of(passing)]
    vcs = run.tables["vcs"]
    vcs = vcs[vcs["stream"].isin(names) & vcs["node"].isin(list(into))]
    if not sum(frames.values()) or not sum(into.values()) or vcs.empty:
        raise MissingDataError("the frames put into switches were not counted")
    users = vcs.groupby("node")["stream"].nunique()
    lengths = [sum(into.values()) / sum(frames.values())]
    for stream, own in vcs.groupby("stream"):
        if (users[own["node"]] == 1).all() and frames.get(str(stream)):
            lengths.append(sum(into[node] for node in own["node"]) / frames[str(stream)])
    longest = max(lengths)
    whole = round(longest)
    near = abs(longest - whole) <= 0.01 * whole
    return Measurement(
        "fabric-max-hops",
        value=float(whole) if near else longest,
        detail=f"{sum(frames.values()):.0f} frames were put into a switch "
        f"{sum(into.values()):.0f} times, {longest:.3f} times on the longest routes.",
    )


def _frames_sent(run: Observations, passing: Pass) -> dict[str, float]:
    """Frames that the adapter of each stream's host put on its link, where it is the only sender.

    Streams that share a host count as one, under the name of the first.
    """
    used = run.rows("links", passing.name)
    by_port = used.groupby(["node", "port"])["frames"].sum()
    first = run.links_in(passing).drop_duplicates("stream").drop_duplicates(["node", "port"])
    return {
        str(stream): float(by_port.get((node, port), 0))
        for stream, node, port in zip(first["stream"], first["node"], first["port"], strict=True)
    }


@MEASURES.of("fabric-lossless")
def lossless(run: Observations) -> Measurement:
    """Cells sent and neither received nor under way, in all passes."""
    endpoints = run.tables["endpoints"]
    lost_cells, overflow, sent = 0.0, 0.0, 0.0
    for passing in run.scenario.passes:
        own = endpoints[endpoints["pass"] == passing.name]
        messages, _ = endpoint_losses(run, passing.name)
        messages += float(own[["missing", "corrupted", "duplicates"]].to_numpy().sum())
        fabric = run.scenario.fabric_of(passing)
        streams = run.scenario.streams_of(passing)
        largest = max(size for s in streams for size in stream_sizes(run.scenario, s))
        lost_cells += messages * fabric.message_cells(largest)
        overflow += sum(run.switch_counters(passing.name, "overflow_cells").values())
        sent += float(own["injected"].sum())
    return Measurement(
        "fabric-lossless",
        value=max(lost_cells, overflow),
        detail=f"{sent:.0f} messages sent in {len(run.scenario.passes)} passes; switches had "
        f"no room for {overflow:.0f} cells.",
    )


@MEASURES.of("fabric-background-alone")
def background_alone(run: Observations) -> Measurement:
    """The slowest undisturbed stream, against the best that any stream reached in the run."""
    alone = run.cells(QUENCH, run.steady, at_most=0.0)["mbyte_per_s"]
    best = float(run.cells(QUENCH, None)["mbyte_per_s"].max())
    return Measurement(
        "fabric-background-alone",
        value=float(alone.min()),
        baseline=best,
        published_baseline=112.0,
        detail=f"Slowest of {len(alone)} streams {alone.min():.1f}, best of the run {best:.1f} "
        "MByte/s.",
    )


@MEASURES.of("fabric-quench-flat")
def quench_flat(run: Observations) -> Measurement:
    """How much a throttled stream's rate varies over the windows of a measured step.

    Throttled are the streams that an overloaded port holds below what they ask for.
    """
    variations: list[float] = []
    for passing in run.passes(QUENCH):
        asked = loads(run, passing)
        flows = run.rows("flows", passing.name)
        flows = flows[flows["role"] == "recv"]
        by_stream = dict(iter(flows.groupby("stream")))
        for step in steps(run.scenario):
            if step.index not in asked:
                continue
            window_ns = max(run.bin_ns, (step.t_end_ns - step.t_settled_ns) // FLAT_WINDOWS)
            window_ns -= window_ns % run.bin_ns
            for stream in asked[step.index].bottleneck:
                own = by_stream.get(stream)
                if own is None:
                    raise MissingDataError(f"stream {stream} is silent in pass {passing.name}")
                windows = min(FLAT_WINDOWS, (step.t_end_ns - step.t_settled_ns) // window_ns)
                end_ns = step.t_settled_ns + windows * window_ns
                inside = own[own["t_ns"].between(step.t_settled_ns, end_ns - 1)]
                index = (inside["t_ns"].to_numpy() - step.t_settled_ns) // window_ns
                variations += _variation(index, inside["messages"].to_numpy(), windows)
    if not variations:
        raise MissingDataError("no throttled stream sent enough to tell its rate over time")
    return Measurement(
        "fabric-quench-flat",
        deviation=float(np.mean(variations)),
        detail=f"Standard deviation over mean in up to {FLAT_WINDOWS} windows of a step, mean of "
        f"{len(variations)} steps of throttled streams; the worst has {max(variations):.1%}.",
    )


def _variation(index: Numbers, messages: Numbers, windows: int) -> list[float]:
    """Standard deviation over mean of the messages per window; nothing where they are few."""
    counts = np.bincount(index, weights=messages, minlength=windows)
    if windows < 2 or counts.mean() < _ENOUGH_MESSAGES:
        return []
    return [float(counts.std() / counts.mean())]


# -- on against off ----------------------------------------------------------------------


@MEASURES.of("fabric-on-beats-off")
def on_beats_off(run: Observations) -> Measurement:
    """With quench against without: each group in every step, each stream over all of them.

    A single stream in a single window is not compared: a moment's delay of the machine shows there.
    """
    parts = []
    for on, off in run.pairs():
        parts += [
            _on_over_off(run, on, off, ["group", "step"]),
            _on_over_off(run, on, off, ["stream"]),
        ]
    ratios = pd.concat(parts)
    if ratios.empty:
        raise MissingDataError("the passes have no step in common")
    return Measurement(
        "fabric-on-beats-off",
        holds=float(ratios.min()) >= FULL,
        detail=f"Worst of {len(ratios)} comparisons: {ratios.idxmin()} has {ratios.min():.1%} of "
        "what it has without.",
    )


def _on_over_off(run: Observations, on: Pass, off: Pass, keys: list[str]) -> pd.Series[float]:
    """Throughput with quench over throughput without, by what is compared."""
    with_, without = (
        run.measured(passing.name).groupby(keys)["mbyte_per_s"].mean() for passing in (on, off)
    )
    ratios = (with_ / without[without > 0]).dropna()
    names = {step.index: step.name for step in steps(run.scenario)}
    ratios.index = pd.Index(
        [key if isinstance(key, str) else f"{key[0]}, {names[key[1]]}," for key in ratios.index]
    )
    return ratios


# -- hot-spots ---------------------------------------------------------------------------


@MEASURES.of("fabric-no-tree-saturation")
def no_tree_saturation(run: Observations) -> Measurement:
    """No stopped link, and congestion only where streams compete for a port in their own right.

    Quenches must come from ports that are asked for more than a link carries, and a stream may
    queue at the port only that holds it (see :mod:`lab.analysis.loads`), nowhere before.
    """
    stops, quenches, stray = 0, 0, 0
    standing, where = 0.0, ""
    for passing in run.passes(QUENCH):
        asked = loads(run, passing)
        events = run.rows("quenches", passing.name)
        stops += int((events["kind"] == "stop").sum())
        quenched = events[events["kind"] == "quench"]
        contended = frozenset[Port]().union(*(one.contended for one in asked.values()))
        by_port = quenched.groupby(["node", "port"]).size()
        stray += sum(int(n) for port, n in by_port.items() if port not in contended)
        quenches += len(quenched)
        most, at = _standing_elsewhere(run, passing, asked)
        if most > standing:
            standing, where = most, at
    if not quenches:
        raise MissingDataError("nothing was quenched, so there was no hot-spot to grow")
    threshold = run.scenario.fabric.vci_quench_cells
    return Measurement(
        "fabric-no-tree-saturation",
        holds=stops == 0 and stray <= STRAY * quenches and standing < threshold,
        detail=f"{stops} links stopped; {stray / quenches:.2%} of {quenches} quenches came from "
        "ports that are not overloaded; where no overloaded port holds it, a stream queues "
        f"{standing:.0f} cells on average at most{where} (a VCI is quenched at {threshold}).",
    )


def _standing_elsewhere(
    run: Observations, passing: Pass, asked: dict[int, Loads]
) -> tuple[float, str]:
    """Longest mean queue of a stream at a switch's port that is not its bottleneck, and where."""
    hosts = {host for s in run.scenario.streams_of(passing) for host in (s.source, s.to)}
    most, where = 0.0, ""
    queues = standing_queues(run, passing)
    rows = queues[["step", "node", "port", "stream", "cells"]].to_numpy().tolist()
    for step, node, port, stream, cells in rows:
        at_home = step in asked and asked[step].bottleneck.get(stream) == (node, int(port))
        if node not in hosts and not at_home and cells > most:
            most, where = cells, f" ({stream} at port {port} of {node})"
    return most, where


@MEASURES.of("fabric-no-higher-order-hol")
def no_higher_order_hol(run: Observations) -> Measurement:
    """Greedy streams off the hottest port get what an ideal fabric would give them.

    The hottest port is the one that holds most streams; where none holds two, nothing is hot.
    """
    worst, about = float("inf"), ""
    for passing in run.passes(QUENCH):
        asked = loads(run, passing)
        measured = run.measured(passing.name).set_index(["step", "stream"])["mbyte_per_s"]
        for step, one in asked.items():
            hot = _hottest(one)
            if hot is None:
                continue
            for stream, greedy in zip(one.streams, one.greedy, strict=True):
                if not greedy or one.bottleneck.get(stream) == hot:
                    continue
                part = float(measured[step, stream]) / one.fair_mbyte_per_s[stream]
                if part < worst:
                    name = steps(run.scenario)[step].name
                    worst, about = part, f"{stream}, {name}, while port {hot[1]} of {hot[0]} is hot"
    if not about:
        raise MissingDataError("no step has a hot port and streams beside it")
    return Measurement(
        "fabric-no-higher-order-hol",
        holds=worst >= FULL,
        detail=f"The stream worst off has {worst:.1%} of its fair share ({about}).",
    )


def _hottest(one: Loads) -> Port | None:
    held = list(one.bottleneck.values())
    hottest = max(set(held), key=lambda port: (held.count(port), port), default=None)
    return hottest if hottest is not None and held.count(hottest) >= 2 else None
