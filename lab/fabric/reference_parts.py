"""What the readable kernel (`lab.fabric.reference`) is made of: frames, queues, ports, VCs."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from lab.fabric.setup import Change

MASK = (1 << 64) - 1


def mix(x: int) -> int:
    """Splitmix64: a number that looks as if drawn at random from another."""
    x = (x + 0x9E3779B97F4A7C15) & MASK
    x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9 & MASK
    x = (x ^ x >> 27) * 0x94D049BB133111EB & MASK
    return x ^ x >> 31


@dataclass
class Message:
    """One AAL5 PDU."""

    number: int
    cells: int


@dataclass
class Frame:
    """Some cells of a message that move together, or a quench or unquench cell."""

    vc: Vc
    hop: int
    cells: int
    message: Message | None = None
    part: int = 0
    last: bool = False
    damaged: bool = False
    about: tuple[Vc, int, bool] | None = None  # control: the VC, the congested hop, whether to stop


@dataclass
class Node:
    """A switch with so many cells of memory, or (0) a host."""

    number: int
    buffer_cells: int
    used_cells: int = 0
    active_queues: int = 0
    full: bool = False  # all its inputs are stopped
    inputs: list[Port] = field(default_factory=list)


@dataclass(eq=False)
class Port:
    """The transmitter of one direction of a link."""

    number: int
    node: Node
    peer: Node
    cell_ns: int
    least_ns: int
    propagation_ns: int
    control: deque[Frame] = field(default_factory=deque)
    ring: deque[Queue] = field(default_factory=deque)  # those with work, whose turn it is first
    sending: tuple[Queue | None, Frame] | None = None
    queued_cells: int = 0
    active_queues: int = 0
    input_cells: int = 0  # that came over this port and are stored in the node behind it
    full: bool = False  # the input behind it

    @property
    def stopped(self) -> bool:
        """By link-level control of the node behind it."""
        return self.full or self.peer.full


@dataclass(eq=False)
class Queue:
    """One VC's cells at one port."""

    port: Port
    input: Port | None  # the port before it; none at the source
    frames: deque[Frame] = field(default_factory=deque)
    cells: int = 0
    deficit: int = 0
    quenching: bool = False
    quenched_ns: int = 0


@dataclass(eq=False)
class Vc:
    """One direction of a circuit, with its source's adapter and its sink's reassembly."""

    number: int
    queues: list[Queue]
    reverse: Vc | None = None
    quenched_by: set[int] = field(default_factory=set)
    held: bool = False
    hold_until_ns: int = 0
    hold_timer: bool = False
    send_queue: deque[int] = field(default_factory=deque)  # bytes of each message
    in_adapter: int = 0
    sent: int = 0
    expected: Message | None = None
    part: int = 0
    spoilt: bool = False


@dataclass(eq=False)
class Flow:
    """A source that follows its list of changes."""

    vc: Vc
    changes: Sequence[Change]
    end_ns: int
    phase: float
    at: int = -1
    over: bool = False
    generation: int = 0
    base_ns: float = 0.0
    taken: int = 0
    blocked: bool = False

    @property
    def rate(self) -> float:
        """What it does now."""
        return 0.0 if self.over or self.at < 0 else self.changes[self.at].rate

    @property
    def next_ns(self) -> int:
        """When that ends."""
        later = [change.t_ns for change in self.changes[self.at + 1 : self.at + 2]]
        return min([*later, self.end_ns])
