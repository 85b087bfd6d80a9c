"""The shape of every protocol stack: a core that the whole world enters and leaves as plain data.

A core is a state machine without sockets, clocks, files, threads or randomness of its own. Its
runtime hands it one input at a time together with the time, takes what comes out, and asks when it
wants to be woken. Because inputs are data, whatever entered a core can be written down (the
journal) and played again, and a core behaves alike in a container and in the simulated world.

Times are virtual seconds of the node's own clock, as the runtime tells them; a core never reads a
clock. All its randomness comes from the seed it is made with.
"""

from __future__ import annotations

from typing import Any, Literal, Protocol, TypeAlias

import msgspec

NodeId: TypeAlias = int
"""Nodes are numbered from 1."""

Level: TypeAlias = Literal["kernel", "service"]
"""Where a part of a stack runs: in the operating system's kernel, at once; or in a process that
competes for the processor with others, so that load on the node delays it."""

LEVELS: tuple[Level, ...] = ("kernel", "service")

Volume: TypeAlias = Literal["own", "quorum"]
"""A disk: the node's own, or the shared one that one node at a time may hold."""

DiskOperation: TypeAlias = Literal["read", "write", "delete", "list", "reserve", "renew", "release"]


class _Item(msgspec.Struct, frozen=True, tag=True):
    """An input or an output; its type's name is its tag on disk."""


# --- inputs ---------------------------------------------------------------------------------


class Start(_Item, frozen=True, tag=True):
    """The node's program starts; nothing was handed in before."""

    incarnation: int
    """Grows with every start of this node."""
    disk: dict[str, bytes]
    """All that the node's own disk holds."""


class Received(_Item, frozen=True, tag=True):
    """A datagram has arrived."""

    source: NodeId
    network: int
    channel: str
    data: bytes
    message: str
    """Names the datagram for logs, ``<node>.<incarnation>.<number>``; no protocol may use it."""


class TimerDue(_Item, frozen=True, tag=True):
    """The time that :meth:`Core.next_timer_s` told for this level has come."""

    level: Level


class Posted(_Item, frozen=True, tag=True):
    """What another level of the same node posted."""

    level: Level
    """The level that takes it, as in :class:`Post`."""
    data: bytes


class Request(_Item, frozen=True, tag=True):
    """Somebody on the node asks for something: a command, a client, a scenario's workload."""

    id: int
    name: str
    arguments: dict[str, Any]


class StreamOpened(_Item, frozen=True, tag=True):
    """A stream is ready: one that this node asked for, or one that a peer opened to it."""

    stream: int
    peer: NodeId
    channel: str
    inward: bool


class StreamData(_Item, frozen=True, tag=True):
    """Bytes of a stream, in order."""

    stream: int
    data: bytes


class StreamClosed(_Item, frozen=True, tag=True):
    """A stream ended, broke, or could not be opened."""

    stream: int


class DiskDone(_Item, frozen=True, tag=True):
    """A disk call is over. To read a key that is not there fails, to delete it does not. For list,
    ``data`` is the keys that begin with the call's key, in order, one a line."""

    token: int
    ok: bool
    data: bytes = b""


class EffectDone(_Item, frozen=True, tag=True):
    """An effect is over, or, for one that lasts (a program that runs), it ended by itself."""

    token: int
    ok: bool
    detail: str = ""


Input: TypeAlias = (
    Start | Received | TimerDue | Posted | Request | StreamOpened | StreamData | StreamClosed
    | DiskDone | EffectDone
)  # fmt: skip


# --- outputs --------------------------------------------------------------------------------


class Send(_Item, frozen=True, tag=True):
    """Send one datagram, which may be lost, doubled or overtaken."""

    to: NodeId | str
    """A node; or the name of an address that moves from node to node (see :class:`Effect`)."""
    network: int
    channel: str
    data: bytes
    label: str
    """What it is, for logs and diagrams, such as ``heartbeat`` or ``rpc lock``."""


class Multicast(_Item, frozen=True, tag=True):
    """Send one datagram to every other node of a network, with one operation."""

    network: int
    channel: str
    data: bytes
    label: str


class Post(_Item, frozen=True, tag=True):
    """Hand something to another level of this node: a crossing between kernel and process."""

    level: Level
    data: bytes


class Reply(_Item, frozen=True, tag=True):
    """The answer to a request; ``value`` is plain JSON data, a sentence when not ``ok``."""

    id: int
    ok: bool
    value: Any = None


class StreamOpen(_Item, frozen=True, tag=True):
    """Open a stream to a peer; the number is the core's to choose, and positive."""

    stream: int
    to: NodeId | str
    network: int
    channel: str


class StreamSend(_Item, frozen=True, tag=True):
    """Send bytes on a stream."""

    stream: int
    data: bytes


class StreamClose(_Item, frozen=True, tag=True):
    """Close a stream."""

    stream: int


class DiskCall(_Item, frozen=True, tag=True):
    """Use a disk; :class:`DiskDone` with the same token follows, a write is durable by then.

    ``reserve`` takes the quorum volume if nobody holds it or its holder has not renewed for a
    reservation period; ``renew`` keeps it; all other operations on it need the reservation.
    """

    token: int
    volume: Volume
    operation: DiskOperation
    key: str = ""
    data: bytes = b""


class Effect(_Item, frozen=True, tag=True):
    """Change something of the node outside the core, such as taking over an IP address.

    Every runtime knows ``address-up`` and ``address-down`` (arguments ``name``: an address that
    :class:`Send` can name). Others, such as ``program-start``, are the stack's and the shell's.
    """

    token: int
    name: str
    arguments: dict[str, Any]


class Emit(_Item, frozen=True, tag=True):
    """Something happened that is worth a line in the node's event log."""

    kind: str
    phase: str = ""
    cause: str = ""
    """What led to it: the name of a message, or the kind of an earlier event."""
    fields: dict[str, Any] = {}


class Halt(_Item, frozen=True, tag=True):
    """The node stops itself, at once: nothing that the core puts out later is carried out."""

    reason: str


Output: TypeAlias = (
    Send | Multicast | Post | Reply | StreamOpen | StreamSend | StreamClose | DiskCall | Effect
    | Emit | Halt
)  # fmt: skip


# --- the core -------------------------------------------------------------------------------


class Core(Protocol):
    """One node of a stack."""

    def handle(self, now_s: float, item: Input) -> None:
        """Take in one input. Raises nothing for whatever peers or users may send."""

    def take_outputs(self) -> list[Output]:
        """Return what has come out since the last call, in order."""

    def next_timer_s(self, level: Level) -> float | None:
        """When this level wants a :class:`TimerDue`; None for never. Earlier than now is now."""

    def state(self) -> dict[str, Any]:
        """Return the whole state as plain data, equal for cores that have lived the same."""


class Stack(Protocol):
    """What a runtime needs to know of a stack."""

    name: str
    channels: dict[str, Level]
    """The datagram and stream channels, and the level that takes what arrives there."""

    def make(self, node: NodeId, options: dict[str, Any], seed: int) -> Core:
        """Make the core of one node.

        Raises:
            LabError: an option is unknown or out of range; says which, and what is allowed.
        """
