"""What a scenario of a protocol stack may say: the file has a key ``stack``.

The published schema is made from these models and those of :mod:`lab.scenarios.model`.
"""

from __future__ import annotations

import re
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, field_validator, model_validator

from lab.scenarios.model import Engine, Name, Part, Seconds
from lab.stacks.plan import FaultKind, LoadLevel

Medium = Literal["switch", "hub"]
MAX_NODES = 512
NodeCount = Annotated[int, Field(ge=1, le=MAX_NODES)]
ParameterName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,31}$")]
ParameterValue = int | float | str
CaseName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_.-]{0,63}$")]
PLAIN = "plain"
"""The variant that changes nothing; it needs no declaration."""

Reference = Annotated[str, Field(pattern=r"^\$[a-z][a-z0-9_]{0,31}$")]
Quantity = Annotated[float, Field(ge=0, le=1e9)] | Reference
"""A number, or ``$name`` for a parameter of the case."""

_END = r"(-?[1-9][0-9]{0,3}|\$[a-z][a-z0-9_]{0,31})"
NODE_ITEM = re.compile(rf"^{_END}(?:\.\.{_END})?$")


def _node_items(given: object) -> object:
    """``all`` -> ``["1..-1"]``, ``3`` -> ``["3"]``, ``[1..3, -1]`` -> ``["1..3", "-1"]``."""
    if given == "all":
        return ["1..-1"]
    if not isinstance(given, list):
        given = [given]
    plain = [not isinstance(item, bool) and isinstance(item, (int, str)) for item in given]
    return [str(item) if fine else item for item, fine in zip(given, plain, strict=True)]


def _is_node_item(item: str) -> str:
    if NODE_ITEM.match(item) is None:
        raise ValueError(f"{item!r} is no node: say 3, -1 (the last), 2..5, $name or all")
    return item


NodeItem = Annotated[
    str, AfterValidator(_is_node_item), Field(json_schema_extra={"pattern": NODE_ITEM.pattern})
]
NodeSet = Annotated[list[NodeItem], BeforeValidator(_node_items)]
"""Nodes: ``all``, numbers, ranges ``2..5``; negative numbers count from the last node, -1."""

_NEEDS_VALUE = ("loss", "duplicate", "delay", "jitter", "slow-disk", "clock-step")
_NEEDS_LEVEL = ("cpu-load", "network-load")
_BETWEEN_NODES = ("cut", "one-way-cut", "loss", "duplicate", "delay", "jitter", "clog")
_PARTS = ("loss", "duplicate")


class OneByOne(Part):
    """The event after which the next of a series follows."""

    kind: str = Field(min_length=1, description="Its kind in the node's log, such as join.")
    phase: str = Field(default="", description="Its phase; empty: any.")
    at_most_s: Seconds = Field(default=60.0, description="The next follows then at the latest.")
    then_s: Quantity = Field(default=0.0, description="Virtual seconds between event and next.")


class TimelineEntry(Part):
    """A fault or a request, once or as a series."""

    at_s: Quantity = Field(default=0.0, description="Virtual seconds since the case began.")
    fault: FaultKind | None = Field(default=None, description="What is done to the nodes ...")
    ask: str | None = Field(default=None, min_length=1, description="... or asked of them.")
    nodes: NodeSet = Field(
        default_factory=lambda: ["1..-1"],
        description="Nodes that it concerns: all, or numbers and ranges; -1 is the last node.",
    )
    peers: NodeSet | None = Field(
        default=None, description="Of a fault between nodes: the others. Without it all others."
    )
    network: int | None = Field(
        default=None, ge=0, le=15, description="The network that a fault concerns, from 0; or all."
    )
    value: Annotated[float, Field(ge=-1e6, le=1e6)] | Reference | None = Field(
        default=None, description="Part lost or doubled; seconds of a delay or a clock's step."
    )
    level: LoadLevel | None = Field(default=None, description="Of cpu-load and network-load.")
    arguments: dict[str, object] = Field(
        default_factory=dict, description="Of a request; $name stands for a parameter of the case."
    )
    every_s: Quantity | None = Field(
        default=None, description="A series: again after so many virtual seconds, to until_s."
    )
    until_s: Quantity | None = Field(
        default=None, description="End of a series; or that of the case."
    )
    one_by_one: OneByOne | None = Field(
        default=None,
        description="A series: node after node, the next when the former has logged this event.",
    )
    times: Annotated[int, Field(ge=1, le=100_000)] | Reference = Field(
        default=1, description="With one_by_one: how often it goes through the nodes."
    )

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if (self.fault is None) == (self.ask is None):
            raise ValueError("an entry of a timeline has one of fault and ask")
        if self.every_s is not None and self.one_by_one is not None:
            raise ValueError("a series has one of every_s and one_by_one")
        if self.until_s is not None and self.every_s is None:
            raise ValueError("until_s ends a series and needs every_s")
        if self.times != 1 and self.one_by_one is None:
            raise ValueError("times needs one_by_one")
        if self.fault is None:
            self._only_of_faults()
        elif self.arguments:
            raise ValueError("arguments belong to a request, not to a fault")
        else:
            self._fault_fits(self.fault)
        return self

    def _only_of_faults(self) -> None:
        for key in ("peers", "network", "value", "level"):
            if getattr(self, key) is not None:
                raise ValueError(f"{key} belongs to a fault, not to a request")

    def _fault_fits(self, fault: str) -> None:
        for key, faults in (("value", _NEEDS_VALUE), ("level", _NEEDS_LEVEL)):
            if (getattr(self, key) is not None) != (fault in faults):
                verb = "needs a" if fault in faults else "has no"
                raise ValueError(f"fault {fault} {verb} {key}")
        if self.peers is not None and fault not in _BETWEEN_NODES:
            raise ValueError(f"fault {fault} has no peers")
        if fault in _PARTS and isinstance(self.value, (int, float)) and not 0 <= self.value <= 1:
            raise ValueError(f"the value of {fault} is a part, from 0 to 1")
        if fault != "clock-step" and isinstance(self.value, (int, float)) and self.value < 0:
            raise ValueError(f"the value of {fault} must not be negative")


class Settings(Part):
    """What may be said for the whole scenario, for a sweep, or for a case; the nearest counts."""

    over_s: Seconds | None = Field(default=None, description="Length of a case, virtual seconds.")
    settle_s: Seconds | None = Field(
        default=None,
        description="The case ends so long after the last entry of its timeline, if that is before "
        "over_s.",
    )
    load_from_s: float | None = Field(
        default=None,
        ge=0,
        le=86_400,
        description="When the loads of a case begin, virtual seconds; 0 if not given.",
    )
    members: NodeSet | None = Field(
        default=None,
        description="Nodes that start as members of a formed group, if the stack can do so.",
    )
    late: NodeSet | None = Field(
        default=None,
        description="Nodes that do not start with the case but by a restart of its timeline.",
    )
    timeline: list[TimelineEntry] | None = Field(
        default=None, max_length=256, description="Faults and requests."
    )


class Variant(Part):
    """A named set of options of the stack."""

    name: Name = Field(description="How sweeps, tables and figures call it.")
    title: str = Field(default="", max_length=120, description="In a few words, for figures.")
    options: dict[str, object] = Field(description="Options of the stack.")


class Sweep(Settings):
    """All combinations of the values that are given."""

    name: Name | None = Field(default=None, description="The names of its cases begin with it.")
    nodes: list[NodeCount] = Field(min_length=1, max_length=64)
    load: list[LoadLevel] = Field(
        default=["idle"], min_length=1, description="Work that competes for the processors."
    )
    network_load: list[LoadLevel] = Field(
        default=["idle"], min_length=1, description="Traffic that competes for the networks."
    )
    medium: list[Medium] = Field(default=["switch"], min_length=1)
    variant: list[Name] = Field(default=[PLAIN], min_length=1)
    parameters: dict[ParameterName, list[ParameterValue]] = Field(
        default_factory=dict, description="Words that options and timeline may name as $word."
    )
    repetitions: int = Field(
        default=1, ge=1, le=10_000, description="Each case again with another seed."
    )


class Case(Settings):
    """A case that is written out."""

    name: CaseName = Field(description="How tables and figures call it.")
    nodes: NodeCount
    load: LoadLevel = "idle"
    network_load: LoadLevel = "idle"
    medium: Medium = "switch"
    variant: Name = PLAIN
    parameters: dict[ParameterName, ParameterValue] = Field(default_factory=dict)
    options: dict[str, object] = Field(
        default_factory=dict, description="Options of the stack that differ in this case."
    )
    repetitions: int = Field(default=1, ge=1, le=10_000)


class Network(Part):
    """One of the redundant networks; the case says whether they are switches or hubs."""

    rate_bytes_per_s: float = Field(default=12.5e6, gt=0, description="Of every link; or of a hub.")
    delay_s: float = Field(default=50e-6, ge=0, le=10, description="One way, without the bytes.")


class ServiceClient(Part):
    """A machine beside the nodes that keeps asking a service of theirs over HTTP."""

    address: str = Field(description="An address that moves between nodes, such as 10.1.0.201.")
    port: int = Field(default=80, ge=1, le=65535)
    every_s: float = Field(default=0.1, gt=0, le=3600, description="How often it asks.")
    timeout_s: float = Field(default=1.0, gt=0, le=3600, description="How long it waits.")


class StackScenario(Settings):
    """An experiment on a protocol stack: its cases, what happens in them, the claims it tests."""

    name: Name = Field(description="Same as the file's name without .yaml.")
    title: str = Field(min_length=1, max_length=120)
    source: str = Field(description="Where the experiment comes from.")
    description: str = Field(description="What it shows, for a reader who has not the source.")
    engines: list[Engine] = Field(
        min_length=1, description="Engines that can run it, preferred first."
    )
    stack: str = Field(description="The protocol stack, such as mscs.")
    topology: str = Field(description="A file of topologies/, without .py.")
    playbook: str = Field(description="The experiment's playbook, a file of playbooks/.")
    seed: int = Field(ge=0, le=2**31 - 1, description="The seeds of all cases follow from it.")
    dilation: float = Field(
        default=1.0, ge=1e-3, le=1e5, description="Real seconds per virtual second in containers."
    )
    options: dict[str, object] = Field(
        default_factory=dict, description="Options of the stack in all cases."
    )
    networks: list[Network] = Field(
        default_factory=lambda: [Network(), Network()], min_length=1, max_length=4
    )
    clients: list[ServiceClient] = Field(
        default_factory=list,
        max_length=8,
        description="Clients in every case; they are numbered after the case's nodes.",
    )
    variants: list[Variant] = Field(default_factory=list, max_length=32)
    sweeps: list[Sweep] = Field(default_factory=list, max_length=32)
    cases: list[Case] = Field(default_factory=list, max_length=512)
    simulation: dict[str, object] = Field(
        default_factory=dict,
        description="What is different on the engine simulation, by the keys of this file, such "
        "as more repetitions; nested mappings are merged, lists are replaced.",
    )
    emulation: dict[str, object] = Field(
        default_factory=dict,
        description="What is different in containers, where a case takes its real time.",
    )
    journal: bool = Field(
        default=False,
        description="In containers each node writes down all that enters its core, for lab replay.",
    )
    claims: list[str] = Field(
        default_factory=list, description="Ids in scenarios/claims.yaml that a run is judged by."
    )

    @field_validator("description", "source", "title")
    @classmethod
    def _trimmed(cls, value: str) -> str:
        return value.strip()

    @model_validator(mode="after")
    def _has_cases(self) -> Self:
        if not self.sweeps and not self.cases:
            raise ValueError("a scenario of a stack needs sweeps or cases")
        return self

    def plain(self) -> dict[str, object]:
        """The scenario as plain data with the keys of the file."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)
