"""One case of an experiment on a stack: what a runtime is asked to do, as plain data.

Containers and the simulated world carry out the same plan and leave the same logs, one
``<node>.events.jsonl`` a node (:mod:`lab.stacks.events`) in a directory of the case. What the
runtime itself does to the case (faults, load, requests) is logged there too: node 0 is the runtime.

All times are virtual seconds since the case began.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, Protocol, TypeAlias

import msgspec

FaultKind: TypeAlias = Literal[
    "kill",  # the program ends, as by kill -9; the disk stays, as all was written so far
    "wipe",  # kill, and the disk is lost
    "restart",  # the program starts, if it does not run; the node's interfaces have survived
    "pause",
    "resume",
    "cut",  # between nodes and peers, both ways
    "one-way-cut",  # what nodes send does not reach peers
    "loss",  # value: part of the datagrams between nodes and peers that is lost, 0..1
    "duplicate",  # value: part that arrives twice, 0..1
    "delay",  # value: seconds more for each datagram
    "jitter",  # value: mean of a random delay in seconds, so that datagrams overtake each other
    "clog",  # what nodes send to peers waits until it is healed, then arrives
    "slow-disk",  # value: seconds more for each disk call
    "cpu-load",  # level: other programs compete for the nodes' processors
    "network-load",  # level: other traffic competes for the networks
    "clock-step",  # value: seconds that the nodes' clocks jump
    "quorum-cut",  # nodes cannot reach the quorum volume
    "heal",  # undo what is wrong with these nodes and their paths (none named: all); starts nothing
]
LoadLevel: TypeAlias = Literal["idle", "moderate", "heavy"]


class Fault(msgspec.Struct, frozen=True, omit_defaults=True, tag=True):
    """Something that is done to nodes; ``nodes`` empty means all, ``peers`` empty all others."""

    fault: FaultKind
    nodes: tuple[int, ...] = ()
    peers: tuple[int, ...] = ()
    network: int | None = None
    """The network that it concerns; None: all."""
    value: float = 0.0
    level: LoadLevel = "idle"


class Ask(msgspec.Struct, frozen=True, omit_defaults=True, tag=True):
    """A request to nodes; what they answer is in their logs (``request``, ``reply``)."""

    request: str
    nodes: tuple[int, ...] = ()
    """One after the other in this order, at the same time; empty: all."""
    arguments: dict[str, Any] = {}


class Seen(msgspec.Struct, frozen=True, omit_defaults=True):
    """An event of the nodes' logs that an action waits for."""

    kind: str
    phase: str = ""
    """Empty: any."""
    nodes: tuple[int, ...] = ()
    """Each of these nodes must have logged it; empty: any node."""
    at_most_s: float = 60.0
    """The wait is over when that much time has passed, whatever was seen."""


class Action(msgspec.Struct, frozen=True, omit_defaults=True):
    """Something that the runtime does at a time, or after something."""

    at_s: float
    does: Fault | Ask
    after: Seen | None = None
    """If given, this action follows the one before it in the plan: from the moment that one was
    carried out the event is waited for, and ``at_s`` counts from the end of that wait."""


class NetworkPlan(msgspec.Struct, frozen=True):
    """One of the redundant networks; all nodes are on all of them."""

    kind: Literal["switch", "hub"] = "switch"
    rate_bytes_per_s: float = 12.5e6
    """Fast Ethernet; of every node's link, and of a hub's shared segment."""
    delay_s: float = 50e-6
    """One way, apart from the time that the bytes take."""


class ClientPlan(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A node that uses a service which the others keep available (:mod:`lab.stacks.client`)."""

    address: str
    """Where it asks: an address that moves from node to node, written out."""
    port: int = 80
    every_s: float = 0.1
    timeout_s: float = 1.0
    """After so long it gives up waiting for an answer."""


class CasePlan(msgspec.Struct, frozen=True):
    """A case: so many nodes of a stack on so many networks, and what happens to them."""

    name: str
    stack: str
    nodes: int
    """Nodes 1..nodes; each is started by an action ``restart``, or at 0 when it has none."""
    over_s: float
    options: dict[str, Any] = {}
    """Of the stack; the same for all nodes."""
    networks: tuple[NetworkPlan, ...] = (NetworkPlan(), NetworkPlan())
    addresses: tuple[str, ...] = ("cluster",)
    """The names of addresses that move from node to node."""
    actions: tuple[Action, ...] = ()
    seed: int = 1
    dilation: float = 1.0
    """Real seconds a virtual second; of no meaning to the simulated world."""
    settle_s: float | None = None
    """If given, the case ends so long after its last action, where that is before ``over_s``."""
    clients: tuple[ClientPlan, ...] = ()
    """The last nodes are no part of the stack but use a service of it."""


CLIENT = "client"
"""The stack that clients run."""


class _Staffed(Protocol):
    """Whatever says which node runs what."""

    @property
    def stack(self) -> str: ...
    @property
    def nodes(self) -> int: ...
    @property
    def options(self) -> dict[str, Any]: ...
    @property
    def clients(self) -> Sequence[ClientPlan]: ...


def stack_nodes(plan: _Staffed) -> range:
    """Return the nodes that run the plan's stack."""
    return range(1, plan.nodes - len(plan.clients) + 1)


def program_of(plan: _Staffed, node: int) -> tuple[str, dict[str, Any]]:
    """Return the name of the stack that a node runs, and its options."""
    own = stack_nodes(plan)
    if node in own:
        return plan.stack, plan.options
    return CLIENT, msgspec.structs.asdict(plan.clients[node - own.stop])


def starting_nodes(plan: CasePlan) -> list[int]:
    """Return the nodes whose program starts at 0: those that no restart starts, or one at 0."""
    ordered: dict[int, list[Action]] = {}
    for action in plan.actions:
        if isinstance(action.does, Fault) and action.does.fault == "restart":
            for node in action.does.nodes or range(1, plan.nodes + 1):
                ordered.setdefault(node, []).append(action)
    return [
        node
        for node in range(1, plan.nodes + 1)
        if node not in ordered
        or any(action.at_s == 0 and action.after is None for action in ordered[node])
    ]
