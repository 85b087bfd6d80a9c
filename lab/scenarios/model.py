"""What a scenario file may say. The published schema is made from these models."""

from __future__ import annotations

import math
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from lab.fabric.params import FabricParams

Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{0,31}$")]
NodeName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{0,31}$")]
Fraction = Annotated[float, Field(ge=0, le=1)]
Seconds = Annotated[float, Field(gt=0, le=86_400)]
FlowControl = Literal["quench", "link"]

MAX_MESSAGE_BYTES = 8192


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, populate_by_name=True)


class Hosts(_Part):
    """Which kinds of hosts the run uses."""

    containers: list[NodeName] = Field(
        default_factory=list,
        description="Hosts that are Docker containers; all others are Mininet-style hosts.",
    )


class Workload(_Part):
    """What the streams carry."""

    message_bytes: int = Field(
        ge=4, le=MAX_MESSAGE_BYTES, description="Payload bytes of each message."
    )


class Stream(_Part):
    """One sender, one receiver and the duplex VC between them."""

    name: Name = Field(description="Unique; also names the endpoints, <name>.a and <name>.b.")
    group: Name = Field(description="Streams that play one part, such as background.")
    source: NodeName = Field(alias="from", description="Host of the sender.")
    to: NodeName = Field(description="Host of the receiver.")
    via: list[NodeName] = Field(
        default_factory=list,
        description="Switches that the route must cross, in this order; the rest is chosen by "
        "the seed.",
    )
    rate: Fraction = Field(
        default=1.0,
        description="Send rate as a part of the full rate when the group is not swept; "
        "1 sends as fast as the queue takes it.",
    )


class Pass(_Part):
    """One run through the whole timeline with one kind of flow control."""

    name: Name = Field(description="Word that stands for this pass in tables and figures.")
    flow_control: FlowControl = Field(
        description="quench: Source Quench per VC; link: link-level control only."
    )


class Sweep(_Part):
    """The rates that a group of streams steps through, one step each."""

    group: Name = Field(description="Group whose send rate is varied.")
    send_rates: list[Fraction] = Field(
        min_length=1, max_length=64, description="Parts of the full rate, one per step."
    )


class Timeline(_Part):
    """The course of a pass, in virtual seconds. Every step settles, then is measured."""

    settle_s: Seconds = Field(description="Unmeasured first part of a step.")
    measure_s: Seconds = Field(description="Measured part of a step.")
    drain_s: Seconds = Field(description="Receivers stay on for this long after the senders.")
    bin_s: Seconds = Field(description="Width of the bins in which endpoints count.")
    sample_s: Seconds = Field(description="Interval at which the line cards sample.")
    sweep: Sweep

    @model_validator(mode="after")
    def _whole_bins(self) -> Self:
        for field_name in ("settle_s", "measure_s"):
            bins = getattr(self, field_name) / self.bin_s
            if bins < 1 or not math.isclose(bins, round(bins), rel_tol=1e-6):
                raise ValueError(f"{field_name} must be a whole number of bins of {self.bin_s} s")
        if self.sample_s > self.measure_s:
            raise ValueError("sample_s must not be longer than measure_s")
        return self


class Observe(_Part):
    """The place that the experiment is about."""

    switch: NodeName = Field(description="The switch under test.")
    contended_port: int = Field(ge=1, le=64, description="Its port that the sweep overloads.")


class Scenario(_Part):
    """A whole experiment: network, placement, load, timeline, and the claims that it tests."""

    name: Name = Field(description="Same as the file's name without .yaml.")
    title: str = Field(min_length=1, max_length=120)
    source: str = Field(description="Where the experiment comes from.")
    description: str = Field(description="What it shows, for a reader who has not the source.")
    engines: list[Literal["emulation", "simulation"]] = Field(
        min_length=1, description="Engines that can run it, preferred first."
    )
    topology: str = Field(description="A file of topologies/, without .py.")
    playbook: str = Field(description="The experiment's playbook, a file of playbooks/.")
    seed: int = Field(ge=0, le=2**31 - 1, description="Seed of routes and ties.")
    dilation: float = Field(
        ge=1e-3, le=1e5, description="Real seconds per virtual second of the network."
    )
    hosts: Hosts = Field(default_factory=Hosts)
    fabric: FabricParams = Field(default_factory=FabricParams)
    workload: Workload
    streams: list[Stream] = Field(min_length=1, max_length=4096)
    passes: list[Pass] = Field(min_length=1, max_length=16)
    timeline: Timeline
    observe: Observe
    claims: list[str] = Field(
        default_factory=list, description="Ids in scenarios/claims.yaml that a run is judged by."
    )

    @field_validator("description", "source", "title")
    @classmethod
    def _trimmed(cls, value: str) -> str:
        return value.strip()

    def stream(self, name: str) -> Stream:
        """The stream of that name; ``KeyError`` when there is none."""
        for stream in self.streams:
            if stream.name == name:
                return stream
        raise KeyError(name)

    def host_kind(self, host: str) -> Literal["container", "mininet"]:
        """Whether the scenario wants that host as a container."""
        return "container" if host in self.hosts.containers else "mininet"

    def used_hosts(self) -> list[str]:
        """Hosts on which a stream begins or ends, each once, in the order of the file."""
        return list(dict.fromkeys(h for s in self.streams for h in (s.source, s.to)))

    def plain(self) -> dict[str, object]:
        """The scenario as plain data with the keys of the file."""
        return self.model_dump(mode="json", by_alias=True)
