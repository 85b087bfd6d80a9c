"""From a scenario to what the simulator runs in each pass. Pure.

The endpoints' rules are those of the programs that an emulation starts: what they are told in a
plan file (``lab.scenarios.plan.endpoint_plans``) is told here to a source inside the model.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lab.fabric.adapter import AdapterCosts
from lab.fabric.params import FabricParams
from lab.fabric.setup import Change
from lab.scenarios.model import Pass, Scenario, Stream
from lab.scenarios.plan import Step, changes, end_s, pass_s, steps, vc_requests
from lab.signalling import Vc, open_vcs
from lab.topology import Topology, load_topology
from lab.unet.payload import stream_tag

GREEDY = 1.0


@dataclass(frozen=True)
class PassPlan:
    """One pass as the simulator runs it; ``vcs`` are those of its streams, in their order."""

    scenario: Scenario
    passing: Pass
    topology: Topology
    streams: tuple[Stream, ...]
    vcs: tuple[Vc, ...]
    tie_seed: int

    @property
    def fabric(self) -> FabricParams:
        """The fabric's parameters."""
        return self.scenario.fabric_of(self.passing)

    @property
    def costs(self) -> AdapterCosts:
        """What hosts and adapters spend on a message."""
        return self.scenario.adapter_of(self.passing)

    @property
    def steps(self) -> tuple[Step, ...]:
        """The timeline."""
        return steps(self.scenario)

    @property
    def end_ns(self) -> int:
        """When the sources stop."""
        return round(end_s(self.scenario) * 1e9)

    @property
    def over_ns(self) -> int:
        """When the sinks have drained."""
        return round(pass_s(self.scenario) * 1e9)

    def host_send_ns(self, stream: Stream) -> int:
        """Time of a process from wanting to send to the descriptor in the send queue."""
        return self.costs.host_send_ns + self._kernel_ns(stream)

    def host_receive_ns(self, stream: Stream) -> int:
        """Time of a process from the receive queue to having the message."""
        waits_for_signal = self.passing.reception != "poll"
        signal_ns = self.costs.signal_ns if waits_for_signal else 0
        return self.costs.host_receive_ns + signal_ns + self._kernel_ns(stream)

    def _kernel_ns(self, stream: Stream) -> int:
        return self.costs.kernel_ns if stream.emulated else 0

    def source(self, stream: Stream) -> tuple[Change, ...]:
        """What the source of a stream does when."""
        return tuple(
            Change(
                change.t_ns,
                change.rate,
                change.message_bytes,
                self._interval_ns(change.rate, change.message_bytes),
            )
            for change in changes(self.scenario, stream)
        )

    def greedy_ns(self, stream: Stream) -> int:
        """How long the source of a stream sends as fast as it can."""
        course = self.source(stream)
        ends = [*(change.t_ns for change in course[1:]), self.end_ns]
        return sum(
            end_ns - change.t_ns
            for change, end_ns in zip(course, ends, strict=True)
            if change.rate >= GREEDY
        )

    def _interval_ns(self, rate: float, message_bytes: int) -> float:
        if not 0 < rate < GREEDY:
            return 0.0
        return 1e9 / (rate * self.fabric.full_messages_per_s(message_bytes))


def stream_phase(stream: Stream) -> float:
    """Where in its interval a paced stream sends, 0..1; depends on its name alone."""
    return stream_tag(stream.name) / 2**32


def scenario_vcs(scenario: Scenario) -> tuple[Vc, ...]:
    """The VCs of all streams, on the same routes as in an emulation."""
    return open_vcs(load_topology(scenario.topology), vc_requests(scenario), scenario.seed)


def plan_passes(
    scenario: Scenario, vcs: Sequence[Vc], *, tie_seed: int | None = None
) -> tuple[PassPlan, ...]:
    """Plans of all passes.

    Args:
        scenario: as it was resolved for the simulation.
        vcs: of all its streams.
        tie_seed: orders simultaneous events; None takes the scenario's seed.
    """
    topology = load_topology(scenario.topology)
    seed = scenario.seed if tie_seed is None else tie_seed
    by_name = {vc.name: vc for vc in vcs}
    plans = []
    for passing in scenario.passes:
        streams = scenario.streams_of(passing)
        of_pass = tuple(by_name[stream.name] for stream in streams)
        plans.append(PassPlan(scenario, passing, topology, streams, of_pass, seed))
    return tuple(plans)
