"""What a short trial of a scenario is: its heaviest moments, one after the other. Pure.

Whether a dilation is large enough depends on the load at the worst moment, not on the length of
an experiment. A trial therefore runs one pass with one or two steps: the one with the most frames
a second and the one with the largest messages. Its steps take a fixed *real* time, because what
is being tried is this machine.
"""

from __future__ import annotations

import math

from lab.scenarios.model import Pass, Scenario, Step, Stream, Timeline
from lab.scenarios.plan import steps, stream_rates, stream_sizes

SETTLE_REAL_S = 2.0
MEASURE_REAL_S = 4.0
_ECHO_NS = 10_000
"""Least round trip of a ping-pong stream, virtual: it has one message under way at a time."""
_NAME_LENGTH = 40


def frames_per_s(scenario: Scenario, passing: Pass, stream: Stream, step: int) -> float:
    """Frames a virtual second that a stream offers the network in a step of a pass."""
    fabric = scenario.fabric_of(passing)
    size = stream_sizes(scenario, stream)[step]
    messages_per_s = stream_rates(scenario, stream)[step] * fabric.full_messages_per_s(size)
    if stream.echo and messages_per_s:
        messages_per_s = min(
            2 * messages_per_s, 2e9 / (_ECHO_NS + 2 * fabric.service_time_ns(size))
        )
    return messages_per_s * math.ceil(fabric.message_cells(size) / fabric.frame_cells)


def heaviest(scenario: Scenario) -> tuple[Pass, tuple[int, ...]]:
    """The pass that offers the most frames a second, and its steps worth trying."""
    timeline = steps(scenario)
    loads: dict[tuple[int, int], float] = {}
    largest: dict[tuple[int, int], int] = {}
    for number, passing in enumerate(scenario.passes):
        streams = scenario.streams_of(passing)
        for step in timeline:
            at = (number, step.index)
            loads[at] = sum(frames_per_s(scenario, passing, s, step.index) for s in streams)
            largest[at] = max(
                (
                    stream_sizes(scenario, s)[step.index]
                    for s in streams
                    if stream_rates(scenario, s)[step.index] > 0
                ),
                default=0,
            )
    # Of equals the first pass counts, and the last step, to which all others may lead up.
    number, busiest = max(loads, key=lambda at: (loads[at], -at[0], at[1]))
    biggest = max((step.index for step in timeline), key=lambda index: largest[number, index])
    chosen = {busiest}
    if largest[number, biggest] > largest[number, busiest]:
        chosen.add(biggest)
    return scenario.passes[number], tuple(sorted(chosen))


def trial(scenario: Scenario, dilation: float) -> Scenario:
    """The scenario's heaviest moments at a dilation; never longer than the scenario itself."""
    passing, chosen = heaviest(scenario)
    timeline, streams = steps(scenario), scenario.streams_of(passing)
    course = scenario.timeline
    measure_s = _whole_bins(MEASURE_REAL_S / dilation, course.measure_s, course.bin_s)
    shortened = Timeline(
        settle_s=_whole_bins(SETTLE_REAL_S / dilation, course.settle_s, course.bin_s),
        measure_s=measure_s,
        drain_s=course.drain_s,
        bin_s=course.bin_s,
        sample_s=min(course.sample_s, measure_s),
        steps=[
            Step(
                name=timeline[index].name[:_NAME_LENGTH],
                rates={s.name: stream_rates(scenario, s)[index] for s in streams},
                message_bytes=timeline[index].message_bytes,
            )
            for index in chosen
        ],
    )
    return scenario.model_copy(
        update={"dilation": dilation, "passes": [passing], "timeline": shortened, "simulation": {}}
    )


def _whole_bins(wanted_s: float, most_s: float, bin_s: float) -> float:
    """The wanted time as whole bins: at least one, at most as many as the scenario has."""
    return max(1, min(math.ceil(wanted_s / bin_s), round(most_s / bin_s))) * bin_s
