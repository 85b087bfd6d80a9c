"""What the certificate asks of the endpoints: complete, without loss, at the rate they were told.

One value of one pass each, on both engines. Pure. See :mod:`lab.analysis.probes`.
"""

from __future__ import annotations

import math

from lab.analysis.loads import loads
from lab.analysis.observations import MissingDataError, Observations
from lab.analysis.probes import counter, pass_of, rows
from lab.results.collect import LINE_CARDS
from lab.scenarios.plan import changes, end_s, stream_rates, stream_sizes

# Part of an equal share up to which paced senders cannot be held back by the network.
_UNCONTENDED = 0.9
# With less than this to send in a window, one message more or less says nothing about the rate.
_ENOUGH_MESSAGES = 8


def endpoints_complete(observations: Observations, pass_name: str) -> tuple[float, str]:
    """Endpoints that left no result or ended before their plan did."""
    endpoints = rows(observations, "endpoints", pass_name)
    expected = {
        (stream.name, role)
        for stream in observations.scenario.streams_of(pass_of(observations, pass_name))
        for role in (("ping", "pong") if stream.echo else ("send", "recv"))
    }
    absent = expected - set(zip(endpoints["stream"], endpoints["role"], strict=True))
    counters = observations.tables["counters"]
    early = counters[
        (counters["pass"] == pass_name)
        & (counters["name"] == "ended_early")
        & (counters["value"] != 0)
    ]
    return len(absent) + len(early), f"{len(absent)} without a result, {len(early)} ended early"


def windows_reported(observations: Observations, pass_name: str) -> tuple[float, str]:
    """Measured parts of which a receiver tells nothing."""
    steps = rows(observations, "steps", pass_name)["step"]
    windows = rows(observations, "windows", pass_name)
    expected = {
        (stream.name, "ping" if stream.echo else "recv", int(step))
        for stream in observations.scenario.streams_of(pass_of(observations, pass_name))
        for step in steps
    }
    told = set(zip(windows["stream"], windows["role"], windows["step"].astype(int), strict=True))
    return len(expected - told), f"{len(expected & told)} of {len(expected)} windows reported"


def losses_on_purpose(observations: Observations, pass_name: str) -> float:
    """Cells that the scenario's own planned loss and corruption took."""
    names = ("cells_lost_on_purpose", "cells_corrupted_on_purpose")
    found = [observations.counter(pass_name, LINE_CARDS, name) for name in names]
    return sum(value for value in found if value is not None)


def endpoint_losses(observations: Observations, pass_name: str) -> tuple[float, str]:
    """Messages that were sent and neither received nor on their way at the end.

    Each message that a planned loss took has lost a cell at least.
    """
    endpoints = rows(observations, "endpoints", pass_name)
    echo = endpoints["role"].isin(["ping", "pong"])
    sent = float(endpoints.loc[echo | (endpoints["role"] == "send"), "injected"].sum())
    received = float(endpoints.loc[echo | (endpoints["role"] == "recv"), "messages"].sum())
    in_flight = counter(observations, pass_name, LINE_CARDS, "in_flight")
    overflow = counter(observations, pass_name, LINE_CARDS, "overflow")
    planned = losses_on_purpose(observations, pass_name)
    about = f"sent {sent:g}, received {received:g}, in flight {in_flight:g}"
    if overflow:
        about += f", refused for lack of memory {overflow:g}"
    if planned:
        about += f", cells lost on purpose {planned:g}"
    unexplained = max(0.0, sent - received - in_flight - overflow - planned)
    return unexplained + max(0.0, received - sent), about


def endpoint_faults(observations: Observations, pass_name: str) -> tuple[float, str]:
    """Messages that endpoints found damaged, repeated, out of order or refused."""
    endpoints = rows(observations, "endpoints", pass_name)
    faults = ["duplicates", "out_of_order", "corrupted", "drop_no_buffer"]
    if not losses_on_purpose(observations, pass_name):
        faults.append("missing")
    counts = {name: float(endpoints[name].sum()) for name in faults}
    counters = observations.tables["counters"]
    of_pass = counters[counters["pass"] == pass_name]
    for name in ("rejected", "drop_recv_full"):
        counts[name] = float(of_pass.loc[of_pass["name"] == name, "value"].sum())
    about = ", ".join(f"{name} {count:g}" for name, count in counts.items() if count)
    return sum(counts.values()), about or "no message damaged, repeated or refused"


def greedy_blocked(observations: Observations, pass_name: str) -> tuple[float, str]:
    """Least part of its greedy time for which a sender had more to send than the queue took."""
    endpoints = rows(observations, "endpoints", pass_name)
    greedy_s = _greedy_seconds(observations, pass_name)
    senders = endpoints[(endpoints["role"] == "send") & endpoints["stream"].isin(list(greedy_s))]
    if len(senders) != len(greedy_s):
        raise MissingDataError("a greedy sender left no result")
    if not greedy_s:
        return 1.0, "no sender is ever greedy"
    part = {
        str(stream): float(blocked) / greedy_s[str(stream)]
        for stream, blocked in zip(senders["stream"], senders["blocked_s"], strict=True)
    }
    least = min(part, key=lambda stream: part[stream])
    return part[least], f"sender {least} waited for {part[least]:.0%} of its greedy time"


def _greedy_seconds(observations: Observations, pass_name: str) -> dict[str, float]:
    """Stream -> how long it sends as fast as it can, of those that do."""
    scenario = observations.scenario
    end_ns = round(end_s(scenario) * 1e9)
    found = {}
    for stream in scenario.streams_of(pass_of(observations, pass_name)):
        course = changes(scenario, stream)
        ends = [*(change.t_ns for change in course[1:]), end_ns]
        greedy_ns = sum(
            end - change.t_ns for change, end in zip(course, ends, strict=True) if change.rate >= 1
        )
        if greedy_ns and not stream.echo:
            found[stream.name] = greedy_ns / 1e9
    return found


def paced_shortfall(observations: Observations, pass_name: str) -> tuple[float, str]:
    """How far a paced sender fell behind its rate in a step where the network leaves it room.

    One message more or less in a window is no shortfall.
    """
    scenario = observations.scenario
    passing = pass_of(observations, pass_name)
    fabric = scenario.fabric_of(passing)
    bursty = {s.name for s in scenario.streams_of(passing) if s.bursts is not None}
    paced = {
        stream.name: (stream_rates(scenario, stream), stream_sizes(scenario, stream))
        for stream in scenario.streams_of(passing)
        if any(0 < rate < 1 for rate in stream_rates(scenario, stream))
    }
    if not paced:
        return 0.0, "no sender is paced"
    free = {
        step: set(found.unhindered(_UNCONTENDED)) - bursty
        for step, found in loads(observations, passing).items()
    }
    sent = observations.sent[observations.sent["pass"] == pass_name]
    if sent.empty or observations.rows("flows", pass_name).empty:
        raise MissingDataError("what the paced senders sent was not recorded")
    length_s = _window_seconds(observations, pass_name)
    worst, about = -math.inf, "no step leaves a paced sender room of its own"
    for step, stream, messages in zip(sent["step"], sent["stream"], sent["messages"], strict=True):
        if stream not in free[int(step)] or stream not in paced:
            continue
        rates, sizes = paced[stream]
        wanted = rates[step] * fabric.full_messages_per_s(sizes[step]) * length_s[int(step)]
        short = (wanted - 1 - float(messages)) / wanted if wanted >= _ENOUGH_MESSAGES else 0.0
        if short > worst:
            worst, about = short, f"in step {step} sender {stream} fell {max(short, 0):.1%} short"
    return max(worst, 0.0), about


def _window_seconds(observations: Observations, pass_name: str) -> dict[int, float]:
    steps = observations.rows("steps", pass_name)
    lengths = (steps["t_end_ns"] - steps["t_settled_ns"]) / 1e9
    return dict(zip(steps["step"].astype(int), lengths.astype(float), strict=True))
