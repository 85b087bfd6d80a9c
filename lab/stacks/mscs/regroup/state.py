"""Regroup's state: what a node knows during a run, and what of it nodes tell each other.

Thesis 7.7.2: a bitmask for each phase, shared so that hearsay counts, and a connectivity matrix.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum
from typing import Annotated, Any

import msgspec

from lab.stacks.core import NodeId
from lab.stacks.mscs.regroup.masks import bit, merged, nodes_in
from lab.stacks.mscs.view import View

Mask = Annotated[int, msgspec.Meta(ge=0)]
"""A set of nodes. In a message it has 64 bits, so that no cluster has more nodes."""


class Phase(IntEnum):
    """The five phases."""

    ACTIVATE = 1
    CLOSING = 2
    PRUNING = 3
    CLEANUP_1 = 4
    CLEANUP_2 = 5

    @property
    def label(self) -> str:
        """The phase's name in logs."""
        return self.name.lower().replace("_", "-")


class Message(msgspec.Struct, frozen=True, array_like=True):
    """The state message of a node."""

    incarnation: int
    attempt: int
    """Numbers the runs of regroup; the highest goes on."""
    origin: View
    """The newest membership that the sender knows to be decided: what survival is judged by."""
    joining: dict[NodeId, int]
    """Nodes with their incarnations that are about to be added to it."""
    cautious: bool
    phase: int
    heard: list[Mask]
    """For each phase the nodes that are known to be in it, or beyond: in phase 1 active, in 2 for
    this tie-breaker, in 3 in possession of the decision, in 4 and 5 done with the clean-up."""
    connectivity: list[Mask]
    """Row n-1: whom node n has heard itself."""
    suspects: Mask
    tie_breaker: NodeId
    """Whom the sender takes the decision of; 0 in phase 1. Once in a run, never another."""
    decision: View | None
    """The membership that the tie-breaker decided on."""

    def fits(self, nodes: int) -> bool:
        """Tell whether it speaks of the nodes 1..nodes only, as whatever a peer sends does."""
        sizes = (len(self.heard), len(self.connectivity))
        if sizes != (len(Phase), nodes) or not 0 <= self.tie_breaker <= nodes:
            return False
        named = [1, *self.origin.members, *self.joining]
        if self.decision is not None:
            named += self.decision.members
        masks = max(*self.heard, *self.connectivity, self.suspects)
        return masks.bit_length() <= nodes and min(named) >= 1 and max(named) <= nodes


@dataclass
class Run:
    """One run of regroup at one node."""

    attempt: int
    cautious: bool
    started_s: float
    nodes: int
    """How many are known."""
    members: int
    """The original membership."""
    audience: int = 0
    """Whom the state is sent to: until the decision is known to all, also those it excludes."""
    phase: Phase = Phase.ACTIVATE
    entered_s: float = 0.0
    """When it came into this phase."""
    collecting: bool = False
    """The clock has ticked since the activation: the timers can be trusted."""
    heard: list[int] = field(default_factory=lambda: [0] * len(Phase))
    known_s: float = 0.0
    """When the last member was heard of in phase 1."""
    connectivity: list[int] = field(default_factory=list)
    suspects: int = 0
    tie_breaker: NodeId = 0
    group: int = 0
    """Who was active when phase 1 ended."""
    has_quorum: bool = False
    asks_quorum: bool = False
    decision: View | None = None
    survivors: int = 0
    """Its members."""
    told: bool = False
    """That it is done with the last clean-up, it has told the others."""

    def __post_init__(self) -> None:
        self.entered_s = self.known_s = self.started_s
        self.audience = self.members
        self.connectivity = [0] * self.nodes

    def set_back(self, now_s: float) -> None:
        """Let no time-out wait for a time that the clock had before it was set back."""
        self.started_s, self.entered_s = min(self.started_s, now_s), min(self.entered_s, now_s)

    def enter(self, now_s: float, phase: Phase) -> None:
        """Go on to the next phase."""
        self.phase, self.entered_s = phase, now_s

    @property
    def counted_on(self) -> int:
        """Whom this run needs to go on, from phase 2 on."""
        return self.group if self.decision is None else self.survivors

    @property
    def decided(self) -> View:
        """The decision; phases 3 to 5 come with one."""
        assert self.decision is not None  # noqa: S101
        return self.decision

    def heard_in(self, phase: Phase) -> int:
        """Return who is known to be in a phase, or beyond it."""
        return self.heard[phase - 1]

    def note(self, node: NodeId, phase: Phase) -> None:
        """Note that a node is in a phase."""
        self.heard[phase - 1] |= bit(node)

    def merge(self, now_s: float, node: NodeId, source: NodeId, message: Message) -> None:
        """Take over what a message of the same run says.

        What it says of the later phases holds for those who wait for the same tie-breaker.
        """
        active = self.heard_in(Phase.ACTIVATE)
        self.connectivity = merged(self.connectivity, message.connectivity)
        self.connectivity[node - 1] |= bit(source)
        same = self.tie_breaker != 0 and self.tie_breaker == message.tie_breaker
        for index, told in enumerate(message.heard):
            if same or index == 0:
                self.heard[index] |= told
        self.note(source, Phase.ACTIVATE)
        if self.heard_in(Phase.ACTIVATE) != active:
            self.known_s = now_s
        self.suspects |= message.suspects
        self.cautious = self.cautious or message.cautious

    def state(self) -> dict[str, Any]:
        """Return it as plain data."""
        return {
            "attempt": self.attempt,
            "cautious": self.cautious,
            "phase": self.phase.label,
            "heard": [list(nodes_in(members)) for members in self.heard],
            "connectivity": list(self.connectivity),
            "suspects": list(nodes_in(self.suspects)),
            "tie_breaker": self.tie_breaker,
            "group": list(nodes_in(self.group)),
            "decision": None if self.decision is None else self.decision.plain(),
        }
