"""What a shell puts before the bytes of a core: who sends, and the message's name for the logs.

A datagram is ``header, label, data``; a stream begins, in both directions, with a header alone,
that of the end that sends it. Both are written by shells only; whatever does not look like one, or
comes from another address than its node's, is refused.
"""

from __future__ import annotations

from struct import Struct
from typing import NamedTuple

from lab.stacks.core import NodeId

_HEADER = Struct(">2sBHIQ")
"""Magic, length of the label, node, incarnation, number of the message."""
_MAGIC = b"lb"
HEADER_BYTES = _HEADER.size
MOST_LABEL_BYTES = 255


class Origin(NamedTuple):
    """Who sent something."""

    node: NodeId
    incarnation: int
    number: int

    @property
    def message(self) -> str:
        """The name of the message in logs."""
        return f"{self.node}.{self.incarnation}.{self.number}"


class Datagram(NamedTuple):
    """A datagram taken apart."""

    origin: Origin
    label: str
    data: bytes


def pack_datagram(origin: Origin, label: str, data: bytes) -> bytes:
    """Put the header and the label before the data; a label that is too long is cut."""
    name = label.encode()[:MOST_LABEL_BYTES]
    return _HEADER.pack(_MAGIC, len(name), *origin) + name + data


def unpack_datagram(packed: bytes) -> Datagram | None:
    """Take a datagram apart; None when it is none of ours."""
    if len(packed) < HEADER_BYTES:
        return None
    magic, length, *origin = _HEADER.unpack_from(packed)
    end = HEADER_BYTES + length
    if magic != _MAGIC or len(packed) < end:
        return None
    label = packed[HEADER_BYTES:end].decode(errors="replace")
    return Datagram(Origin(*origin), label, packed[end:])


def pack_hello(node: NodeId, incarnation: int) -> bytes:
    """Return what the end of a stream says first."""
    return pack_datagram(Origin(node, incarnation, 0), "", b"")


def unpack_hello(begun: bytes) -> Origin | None:
    """Take the first ``HEADER_BYTES`` bytes of a stream apart; None when they are none of ours."""
    hello = unpack_datagram(begun)
    return None if hello is None or hello.label or hello.data else hello.origin
