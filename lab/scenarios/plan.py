"""From a scenario to what each process has to do. Pure: no clock, no files.

Times are virtual; ``t_*_ns`` counts from the beginning of the pass.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from lab.scenarios.model import Pass, Scenario, Stream
from lab.signalling import VcRequest

Role = Literal["send", "receive"]

# Real milliseconds between an endpoint's looks at its queues: one waking per frame would starve
# the switches' main thread, which polls all ports on every turn.
POLL_MS = 20


@dataclass(frozen=True)
class Step:
    """One rate of the sweep: from its start, over the end of settling, to its end."""

    index: int
    send_rate: float
    t_start_ns: int
    t_settled_ns: int
    t_end_ns: int


@dataclass(frozen=True)
class EndpointPlan:
    """What one endpoint process does during one pass."""

    stream: str
    group: str
    role: Role
    host: str
    endpoint: str
    plan: dict[str, object]


def full_messages_per_s(scenario: Scenario) -> float:
    """Messages/s of one stream alone on its path, for the scenario's message size."""
    return scenario.fabric.full_messages_per_s(scenario.workload.message_bytes)


def steps(scenario: Scenario) -> tuple[Step, ...]:
    """The timeline of a pass; every pass has the same one."""
    timeline = scenario.timeline
    settle_ns = round(timeline.settle_s * 1e9)
    length_ns = settle_ns + round(timeline.measure_s * 1e9)
    return tuple(
        Step(
            index=index,
            send_rate=rate,
            t_start_ns=index * length_ns,
            t_settled_ns=index * length_ns + settle_ns,
            t_end_ns=(index + 1) * length_ns,
        )
        for index, rate in enumerate(timeline.sweep.send_rates)
    )


def end_s(scenario: Scenario) -> float:
    """When the senders of a pass stop, virtual seconds."""
    return steps(scenario)[-1].t_end_ns / 1e9


def pass_s(scenario: Scenario) -> float:
    """Length of a pass including the drain, virtual seconds."""
    return end_s(scenario) + scenario.timeline.drain_s


def real_s(scenario: Scenario) -> float:
    """Real seconds that all passes take, without bringing the lab up and down."""
    return pass_s(scenario) * scenario.dilation * len(scenario.passes)


def vc_requests(scenario: Scenario) -> tuple[VcRequest, ...]:
    """One duplex VC per stream, in the order of the file."""
    return tuple(
        VcRequest(
            name=stream.name,
            group=stream.group,
            a=stream.source,
            b=stream.to,
            via=tuple(stream.via),
        )
        for stream in scenario.streams
    )


def stream_rates(scenario: Scenario, stream: Stream) -> tuple[float, ...]:
    """The stream's send rate in each step, as a part of the full rate."""
    sweep = scenario.timeline.sweep
    if stream.group == sweep.group:
        return tuple(sweep.send_rates)
    return tuple(stream.rate for _ in sweep.send_rates)


def endpoint_plans(
    scenario: Scenario, passing: Pass, channels: Mapping[str, int]
) -> tuple[EndpointPlan, ...]:
    """Plans of all receivers, then of all senders, of one pass.

    Args:
        scenario: the experiment.
        passing: which of its passes.
        channels: stream name -> VC id, which is also the channel at both endpoints.
    """
    receivers = [_plan(scenario, passing, s, "receive", channels[s.name]) for s in scenario.streams]
    senders = [_plan(scenario, passing, s, "send", channels[s.name]) for s in scenario.streams]
    return (*receivers, *senders)


def _plan(
    scenario: Scenario, passing: Pass, stream: Stream, role: Role, channel: int
) -> EndpointPlan:
    full = full_messages_per_s(scenario)
    plan: dict[str, object] = {
        "pass": passing.name,
        "stream": stream.name,
        "group": stream.group,
        "role": role,
        "channel": channel,
        "message_bytes": scenario.workload.message_bytes,
        "steps": _rate_changes(steps(scenario), stream_rates(scenario, stream)),
        "full_messages_per_s": full,
        "end_s": end_s(scenario),
        "drain_s": scenario.timeline.drain_s,
        "bin_s": scenario.timeline.bin_s,
        "poll_ms": POLL_MS,
    }
    sends = role == "send"
    return EndpointPlan(
        stream=stream.name,
        group=stream.group,
        role=role,
        host=stream.source if sends else stream.to,
        endpoint=f"{stream.name}.{'a' if sends else 'b'}",
        plan=plan,
    )


def _rate_changes(timeline: Sequence[Step], rates: Sequence[float]) -> list[dict[str, object]]:
    """The steps at which a stream's rate changes; equal neighbours are merged."""
    changes: list[dict[str, object]] = []
    for step, rate in zip(timeline, rates, strict=True):
        if not changes or changes[-1]["rate"] != rate:
            changes.append(
                {"t_start_s": step.t_start_ns / 1e9, "rate": rate, "messages_per_s": None}
            )
    return changes
