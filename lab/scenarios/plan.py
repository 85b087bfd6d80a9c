"""From a scenario to what each process has to do. Pure: no clock, no files.

Times are virtual; ``t_*_ns`` counts from the beginning of the pass.
"""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from lab.scenarios.model import Bursts, Pass, Scenario, Stream
from lab.signalling import VcRequest
from lab.unet.kernel_path import KERNEL_ENDPOINT

Role = Literal["send", "receive", "ping", "pong"]

# Real milliseconds between an endpoint's looks at its queues: one waking per frame would starve
# the switches' main thread, which polls all ports on every turn.
POLL_MS = 20

# Real microseconds between two batches of the line cards. The longer, the fewer turns the switches'
# main thread takes, and the more it carries; but frames are late by up to a batch's length.
_EXACT_BATCH_US = 200
_BATCH_US = (2000, 10_000)
_BATCH_VIRTUAL_US = 20


@dataclass(frozen=True)
class Step:
    """One step of a pass: from its start, over the end of settling, to its end.

    ``value`` is what a figure's axis shows: the send rate, the message size, the number of streams
    at work, or the step's number. ``send_rate`` is that of the swept group, nan without one.
    """

    index: int
    name: str
    value: float
    send_rate: float
    message_bytes: int
    t_start_ns: int
    t_settled_ns: int
    t_end_ns: int


@dataclass(frozen=True)
class Change:
    """From ``t_ns`` on a source sends messages of that size at that part of the full rate."""

    t_ns: int
    rate: float
    message_bytes: int


@dataclass(frozen=True)
class EndpointPlan:
    """What one endpoint process does during one pass."""

    stream: str
    group: str
    role: Role
    host: str
    endpoint: str
    plan: dict[str, object]


def full_messages_per_s(scenario: Scenario, message_bytes: int | None = None) -> float:
    """Messages/s of one stream alone on its path, for a message size (the scenario's if None)."""
    size = scenario.workload.message_bytes if message_bytes is None else message_bytes
    return scenario.fabric.full_messages_per_s(size)


def steps(scenario: Scenario) -> tuple[Step, ...]:
    """The timeline of a pass; every pass has the same one."""
    timeline = scenario.timeline
    found: list[Step] = []
    start_ns = 0
    for index, what in enumerate(_courses(scenario)):
        settled_ns = start_ns + round((what.settle_s or timeline.settle_s) * 1e9)
        end_ns = settled_ns + round((what.measure_s or timeline.measure_s) * 1e9)
        found.append(
            Step(
                index,
                what.name,
                what.value,
                what.send_rate,
                what.message_bytes or scenario.workload.message_bytes,
                start_ns,
                settled_ns,
                end_ns,
            )
        )
        start_ns = end_ns
    return tuple(found)


@dataclass(frozen=True)
class _Course:
    """What is set in a step."""

    name: str
    value: float
    send_rate: float = math.nan
    message_bytes: int | None = None
    rates: Mapping[str, float] = field(default_factory=dict)
    settle_s: float | None = None
    measure_s: float | None = None


def _courses(scenario: Scenario) -> list[_Course]:
    timeline = scenario.timeline
    sweep = timeline.sweep
    if sweep is None:
        return [
            _Course(
                s.name,
                float(i),
                message_bytes=s.message_bytes,
                rates=s.rates,
                settle_s=s.settle_s,
                measure_s=s.measure_s,
            )
            for i, s in enumerate(timeline.steps)
        ]
    if sweep.message_bytes:
        return [
            _Course(f"{size} bytes", float(size), message_bytes=size)
            for size in sweep.message_bytes
        ]
    group = sweep.group or ""
    if sweep.adding:
        members = [s.name for s in scenario.all_streams if s.group == group]
        return [
            _Course(
                f"{count} streams",
                float(count),
                rates=dict.fromkeys(members[count:], 0.0),
            )
            for count in range(len(members) + 1)
        ]
    return [
        _Course(f"{group} at {rate:.0%}", rate, send_rate=rate, rates={group: rate})
        for rate in sweep.send_rates
    ]


def batch_us(scenario: Scenario) -> int:
    """How long the line cards sleep between two batches of frames, real microseconds."""
    if scenario.exact_timing:
        return _EXACT_BATCH_US
    shortest, longest = _BATCH_US
    return round(min(max(_BATCH_VIRTUAL_US * scenario.dilation, shortest), longest))


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
    """One duplex VC per stream: those of the file, then those of the layouts."""
    return tuple(
        VcRequest(
            name=stream.name,
            group=stream.group,
            a=stream.source,
            b=stream.to,
            via=tuple(stream.via),
            seed=stream.route_seed,
            a_endpoint=KERNEL_ENDPOINT if stream.emulated else "",
            b_endpoint=KERNEL_ENDPOINT if stream.emulated else "",
        )
        for stream in scenario.all_streams
    )


def stream_rates(scenario: Scenario, stream: Stream) -> tuple[float, ...]:
    """The stream's send rate in each step, as a part of the full rate."""
    return tuple(
        course.rates.get(stream.name, course.rates.get(stream.group, stream.rate))
        for course in _courses(scenario)
    )


def stream_sizes(scenario: Scenario, stream: Stream) -> tuple[int, ...]:
    """Payload bytes of the stream's messages in each step."""
    return tuple(stream.message_bytes or step.message_bytes for step in steps(scenario))


def changes(scenario: Scenario, stream: Stream) -> tuple[Change, ...]:
    """When the source of a stream sends what: its steps, cut into bursts where it has them."""
    found: list[Change] = []
    triples = zip(
        steps(scenario), stream_rates(scenario, stream), stream_sizes(scenario, stream), strict=True
    )
    for step, rate, size in triples:
        change = Change(step.t_start_ns, rate, size)
        if not found or (found[-1].rate, found[-1].message_bytes) != (rate, size):
            found.append(change)
    if stream.bursts is None:
        return tuple(found)
    return tuple(_in_bursts(scenario, stream, stream.bursts, found))


def _in_bursts(
    scenario: Scenario, stream: Stream, bursts: Bursts, wanted: Sequence[Change]
) -> list[Change]:
    """The wanted rates while a burst lasts, nothing between; drawn from seed and name."""
    rng = random.Random(f"{scenario.seed} {stream.name}")  # noqa: S311 - repeatable, not secret
    end_ns, t_ns = round(end_s(scenario) * 1e9), 0.0
    on = rng.random() < bursts.on_s / (bursts.on_s + bursts.off_s)
    found: list[Change] = []
    while t_ns < end_ns:
        mean_ns = (bursts.on_s if on else bursts.off_s) * 1e9
        # The mean of a Pareto variable that begins at 1 is shape / (shape - 1).
        until_ns = t_ns + rng.paretovariate(bursts.shape) * mean_ns * (1 - 1 / bursts.shape)
        found += _between(wanted, round(t_ns), min(round(until_ns), end_ns), on=on)
        t_ns, on = until_ns, not on
    return found


def _between(wanted: Sequence[Change], start_ns: int, until_ns: int, *, on: bool) -> list[Change]:
    """What holds from a time to another: the change in force at its start, then those inside."""
    before = [c for c in wanted if c.t_ns <= start_ns][-1]
    inside = [c for c in wanted if start_ns < c.t_ns < until_ns]
    return [
        Change(max(c.t_ns, start_ns), c.rate if on else 0.0, c.message_bytes)
        for c in (before, *inside)
    ]


def endpoint_plans(
    scenario: Scenario, passing: Pass, channels: Mapping[str, int]
) -> tuple[EndpointPlan, ...]:
    """Plans of all receivers, then of all senders, of one pass.

    Args:
        scenario: the experiment.
        passing: which of its passes.
        channels: stream name -> VC id, which is also the channel at both endpoints.
    """
    streams = scenario.streams_of(passing)
    sinks = [
        _plan(scenario, passing, s, "pong" if s.echo else "receive", channels[s.name])
        for s in streams
    ]
    sources = [
        _plan(scenario, passing, s, "ping" if s.echo else "send", channels[s.name]) for s in streams
    ]
    return (*sinks, *sources)


def _plan(
    scenario: Scenario, passing: Pass, stream: Stream, role: Role, channel: int
) -> EndpointPlan:
    fabric = scenario.fabric_of(passing)
    plan: dict[str, object] = {
        "pass": passing.name,
        "stream": stream.name,
        "group": stream.group,
        "role": role,
        "channel": channel,
        "changes": [
            {
                "t_start_s": change.t_ns / 1e9,
                "rate": change.rate,
                "message_bytes": change.message_bytes,
                "messages_per_s": change.rate * fabric.full_messages_per_s(change.message_bytes),
            }
            for change in changes(scenario, stream)
        ],
        "windows": [
            {"step": s.index, "t_start_s": s.t_settled_ns / 1e9, "t_end_s": s.t_end_ns / 1e9}
            for s in steps(scenario)
        ],
        "end_s": end_s(scenario),
        "drain_s": scenario.timeline.drain_s,
        "bin_s": scenario.timeline.bin_s,
        "poll_ms": POLL_MS,
        "reception": passing.reception,
        "emulated": stream.emulated,
        "adapter": scenario.adapter_of(passing).model_dump(),
    }
    sends = role in ("send", "ping")
    return EndpointPlan(
        stream=stream.name,
        group=stream.group,
        role=role,
        host=stream.source if sends else stream.to,
        endpoint=f"{stream.name}.{'a' if sends else 'b'}",
        plan=plan,
    )
