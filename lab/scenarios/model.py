"""What a scenario file may say. The published schema is made from these models."""

from __future__ import annotations

import math
import random
import re
from collections.abc import Mapping
from functools import cached_property
from typing import Annotated, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator

from lab.fabric.adapter import AdapterCosts
from lab.fabric.params import FabricParams

Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{0,31}$")]
NodeName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{0,31}$")]
_RANGE = re.compile(r"^([a-z]+)([0-9]+)\.\.\1([0-9]+)$")


def _ranges(names: object) -> object:
    """``[n1..n3, n9]`` -> ``[n1, n2, n3, n9]``."""
    if not isinstance(names, list):
        return names
    found: list[object] = []
    for name in names:
        match = _RANGE.match(name) if isinstance(name, str) else None
        if match is None:
            found.append(name)
        else:
            numbers = range(int(match[2]), int(match[3]) + 1)
            found += [f"{match[1]}{number}" for number in numbers]
    return found


NodeNames = Annotated[list[NodeName], BeforeValidator(_ranges)]
Fraction = Annotated[float, Field(ge=0, le=1)]
Seconds = Annotated[float, Field(gt=0, le=86_400)]
FlowControl = Literal["quench", "link"]
Engine = Literal["emulation", "simulation"]
Reception = Literal["poll", "block", "upcall"]

MAX_MESSAGE_BYTES = 65_536
MessageBytes = Annotated[int, Field(ge=1, le=MAX_MESSAGE_BYTES)]


class Part(BaseModel):
    """Base of all parts of a scenario file."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, populate_by_name=True)


class Hosts(Part):
    """Which kinds of hosts the run uses."""

    containers: NodeNames = Field(
        default_factory=list,
        description="Hosts that are Docker containers; all others are Mininet-style hosts.",
    )


class Workload(Part):
    """What the streams carry."""

    message_bytes: MessageBytes = Field(
        description="Payload bytes of each message, where neither stream nor step says another."
    )


class Bursts(Part):
    """A source that is on and off by turns, each time for a heavy-tailed random while (Pareto)."""

    on_s: Seconds = Field(description="Mean length of a burst, virtual seconds.")
    off_s: Seconds = Field(description="Mean length of a silence, virtual seconds.")
    shape: float = Field(
        gt=1, le=10, description="Tail index of both; below 2 the lengths have no variance."
    )


class Stream(Part):
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
    route_seed: int | None = Field(
        default=None, description="Seed of what is left open of the route; None: the scenario's."
    )
    rate: Fraction = Field(
        default=1.0,
        description="Send rate as a part of the full rate where no step says another; "
        "1 sends as fast as the queue takes it.",
    )
    message_bytes: MessageBytes | None = Field(
        default=None, description="Payload bytes of its messages, whatever the steps say."
    )
    echo: bool = Field(
        default=False,
        description="Ping-pong: the receiver sends each message back, and the sender sends the "
        "next one when it has it; latencies are then round trips.",
    )
    bursts: Bursts | None = Field(
        default=None, description="Send in random bursts, at the stream's rate within each."
    )
    emulated: bool = Field(
        default=False, description="Its two endpoints are kernel-emulated ones (thesis 2.3.5)."
    )


class Layout(Part):
    """Streams that are drawn at random, one from each source (thesis 4.6.1)."""

    group: Name = Field(description="Group of the streams; they are called <group>-<source>.")
    kind: Literal["permutation", "uniform", "hotspot"] = Field(
        default="permutation",
        description="Destinations: each once; any, drawn anew for each stream; or the first one "
        "of the list with probability hot, else any.",
    )
    sources: NodeNames = Field(
        alias="from", min_length=1, description="Hosts that send; n1..n32 stands for all between."
    )
    to: NodeNames = Field(min_length=1, description="Hosts that receive.")
    seed: int = Field(ge=0, le=2**31 - 1, description="Of the destinations and the routes.")
    hot: Fraction = Field(default=0.0, description="Of kind hotspot: share of the first one.")
    each: int = Field(default=1, ge=1, le=256, description="Streams from each source.")
    rate: Fraction = Field(default=1.0, description="As that of a stream.")
    message_bytes: MessageBytes | None = Field(default=None, description="As that of a stream.")
    bursts: Bursts | None = Field(default=None, description="As that of a stream.")


class Pass(Part):
    """One run through the whole timeline with one kind of flow control."""

    name: Name = Field(description="Word that stands for this pass in tables and figures.")
    flow_control: FlowControl = Field(
        description="quench: Source Quench per VC; link: link-level control only."
    )
    groups: list[Name] = Field(
        default_factory=list, description="Groups that take part; empty: all."
    )
    fabric: dict[str, float] = Field(
        default_factory=dict, description="Parameters of the fabric that differ in this pass."
    )
    adapter: dict[str, float] = Field(
        default_factory=dict, description="Costs of the host adapter that differ in this pass."
    )
    reception: Reception = Field(
        default="block", description="How receiving processes learn of messages (thesis 2.3.1)."
    )


class Sweep(Part):
    """What varies from step to step: one of send rates, message sizes, or streams at work."""

    group: Name | None = Field(
        default=None, description="Group whose send rate is varied, or which is added to."
    )
    send_rates: list[Fraction] = Field(
        default_factory=list, max_length=64, description="Parts of the full rate, one per step."
    )
    message_bytes: list[MessageBytes] = Field(
        default_factory=list, max_length=64, description="Payload bytes, one per step."
    )
    adding: bool = Field(
        default=False,
        description="The first step has no stream of the group at work, each further one more.",
    )

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        kinds = [bool(self.send_rates), bool(self.message_bytes), self.adding]
        if sum(kinds) != 1:
            raise ValueError("a sweep has one of send_rates, message_bytes and adding: true")
        if self.group is None and not self.message_bytes:
            raise ValueError("a sweep of send rates, and one that adds streams, need a group")
        return self


class Step(Part):
    """One step that is written out."""

    name: str = Field(min_length=1, max_length=40, description="How figures call it.")
    rates: dict[Name, Fraction] = Field(
        default_factory=dict,
        description="Send rate by stream or group; the stream's own rate where neither is named.",
    )
    message_bytes: MessageBytes | None = Field(
        default=None, description="Payload bytes of streams that do not fix their own."
    )
    settle_s: Seconds | None = Field(default=None, description="In place of the timeline's.")
    measure_s: Seconds | None = Field(default=None, description="In place of the timeline's.")


class Timeline(Part):
    """The course of a pass, in virtual seconds. Every step settles, then is measured."""

    settle_s: Seconds = Field(description="Unmeasured first part of a step.")
    measure_s: Seconds = Field(description="Measured part of a step.")
    drain_s: Seconds = Field(description="Receivers stay on for this long after the senders.")
    bin_s: Seconds = Field(description="Width of the bins in which endpoints count.")
    sample_s: Seconds = Field(description="Interval at which the line cards sample.")
    sweep: Sweep | None = Field(default=None, description="Steps that follow a rule ...")
    steps: list[Step] = Field(
        default_factory=list, max_length=64, description="... or steps that are written out."
    )

    @model_validator(mode="after")
    def _one_course(self) -> Self:
        if (self.sweep is None) == (not self.steps):
            raise ValueError("a timeline has either a sweep or steps")
        return self

    @model_validator(mode="after")
    def _whole_bins(self) -> Self:
        for part in (self, *self.steps):
            for field_name in ("settle_s", "measure_s"):
                length_s = getattr(part, field_name)
                bins = 1 if length_s is None else length_s / self.bin_s
                if bins < 1 or not math.isclose(bins, round(bins), rel_tol=1e-6):
                    raise ValueError(
                        f"{field_name} must be a whole number of bins of {self.bin_s} s"
                    )
        if self.sample_s > self.measure_s:
            raise ValueError("sample_s must not be longer than measure_s")
        return self


class Observe(Part):
    """The place that the experiment is about."""

    switch: NodeName = Field(description="The switch under test.")
    contended_port: int = Field(ge=1, le=64, description="Its port that is overloaded.")


class Scenario(Part):
    """A whole experiment: network, placement, load, timeline, and the claims that it tests."""

    name: Name = Field(description="Same as the file's name without .yaml.")
    title: str = Field(min_length=1, max_length=120)
    source: str = Field(description="Where the experiment comes from.")
    description: str = Field(description="What it shows, for a reader who has not the source.")
    engines: list[Engine] = Field(
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
    adapter: AdapterCosts = Field(default_factory=AdapterCosts)
    exact_timing: bool = Field(
        default=False,
        description="Latencies are judged: a run is valid only when the emulation's own delays "
        "stay hidden below the modelled ones.",
    )
    workload: Workload
    streams: list[Stream] = Field(default_factory=list, max_length=4096)
    layouts: list[Layout] = Field(default_factory=list, max_length=64)
    passes: list[Pass] = Field(min_length=1, max_length=32)
    timeline: Timeline
    observe: Observe | None = Field(
        default=None, description="The place that the experiment is about, if there is one."
    )
    simulation: dict[str, object] = Field(
        default_factory=dict,
        description="What is different on the engine simulation, by the keys of this file, such "
        "as a longer timeline; nested mappings are merged.",
    )
    claims: list[str] = Field(
        default_factory=list, description="Ids in scenarios/claims.yaml that a run is judged by."
    )

    @field_validator("description", "source", "title")
    @classmethod
    def _trimmed(cls, value: str) -> str:
        return value.strip()

    @model_validator(mode="after")
    def _has_streams(self) -> Self:
        if not self.streams and not self.layouts:
            raise ValueError("a scenario needs streams or layouts")
        return self

    @cached_property
    def all_streams(self) -> tuple[Stream, ...]:
        """The streams of the file and those of its layouts."""
        return (*self.streams, *(s for layout in self.layouts for s in drawn(layout)))

    def streams_of(self, passing: Pass) -> tuple[Stream, ...]:
        """The streams that take part in a pass."""
        if not passing.groups:
            return self.all_streams
        return tuple(s for s in self.all_streams if s.group in passing.groups)

    def fabric_of(self, passing: Pass) -> FabricParams:
        """The fabric's parameters in a pass."""
        return FabricParams.model_validate({**self.fabric.model_dump(), **whole(passing.fabric)})

    def adapter_of(self, passing: Pass) -> AdapterCosts:
        """The costs of the host adapter in a pass."""
        return AdapterCosts.model_validate({**self.adapter.model_dump(), **whole(passing.adapter)})

    def stream(self, name: str) -> Stream:
        """The stream of that name; ``KeyError`` when there is none."""
        for stream in self.all_streams:
            if stream.name == name:
                return stream
        raise KeyError(name)

    def host_kind(self, host: str) -> Literal["container", "mininet"]:
        """Whether the scenario wants that host as a container."""
        return "container" if host in self.hosts.containers else "mininet"

    def used_hosts(self) -> list[str]:
        """Hosts on which a stream begins or ends, each once, in the order of the file."""
        return list(dict.fromkeys(h for s in self.all_streams for h in (s.source, s.to)))

    def plain(self) -> dict[str, object]:
        """The scenario as plain data with the keys of the file."""
        return self.model_dump(mode="json", by_alias=True)


def whole(numbers: Mapping[str, float]) -> dict[str, float]:
    """The same numbers, with those that are whole as int, as strict models want them."""
    return {k: int(v) if float(v).is_integer() else v for k, v in numbers.items()}


def drawn(layout: Layout) -> tuple[Stream, ...]:
    """The streams of a layout; the same seed draws the same."""
    rng = random.Random(layout.seed)  # noqa: S311 - repeatable, not secret
    streams = []
    for turn in range(layout.each):
        targets = _destinations(layout, rng)
        for source, to in zip(layout.sources, targets, strict=True):
            suffix = f"-{turn + 1}" if layout.each > 1 else ""
            streams.append(
                Stream.model_validate(
                    {
                        "name": f"{layout.group}-{source}{suffix}",
                        "group": layout.group,
                        "from": source,
                        "to": to,
                        "route_seed": layout.seed,
                        "rate": layout.rate,
                        "message_bytes": layout.message_bytes,
                        "bursts": layout.bursts,
                    }
                )
            )
    return tuple(streams)


def _destinations(layout: Layout, rng: random.Random) -> list[str]:
    if layout.kind == "permutation":
        if len(layout.to) < len(layout.sources):
            raise ValueError(f"layout {layout.group} has fewer destinations than sources")
        return rng.sample(layout.to, len(layout.sources))
    found = []
    for source in layout.sources:
        others = [host for host in layout.to if host != source]
        hot = layout.kind == "hotspot" and rng.random() < layout.hot and layout.to[0] != source
        found.append(layout.to[0] if hot else rng.choice(others))
    return found
