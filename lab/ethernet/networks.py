"""The networks that nodes are on: what a switch and a hub have in common."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from lab.ethernet.agenda import Agenda
from lab.ethernet.frames import Arrive, Frame
from lab.ethernet.hub import Hub, OnCollision
from lab.ethernet.switch import Switch
from lab.stacks.plan import LoadLevel, NetworkPlan


class Network(Protocol):
    """Carries frames between nodes."""

    lost: int
    """Frames that it dropped itself."""
    collisions: int

    def wire_ns(self, payload_bytes: int) -> int:
        """Return how long a datagram occupies a link."""

    def send(self, frame: Frame, targets: Sequence[int]) -> None:
        """Send one frame to one node, or, with one operation, to several."""

    def load(self, level: LoadLevel, nodes: Sequence[int]) -> None:
        """Let other traffic compete on the links of these nodes (a hub: on the segment)."""


def make_network(
    number: int,
    plan: NetworkPlan,
    *,
    nodes: int,
    agenda: Agenda,
    seed: int,
    arrive: Arrive,
    on_collision: OnCollision,
) -> Network:
    """Make the network that a plan describes."""
    if plan.kind == "hub":
        return Hub(number, plan, agenda=agenda, seed=seed, arrive=arrive, on_collision=on_collision)
    return Switch(plan, nodes=nodes, agenda=agenda, seed=seed, arrive=arrive)
