"""What travels on a network, and the size it has there."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from lab.stacks.plan import LoadLevel

_HEADERS_BYTES = 28 + 14 + 4 + 8 + 12
"""UDP and IP; Ethernet's header, checksum, preamble and gap."""
_LEAST_BYTES = 84
_PAYLOAD_BYTES = 1472
FRAGMENT_BYTES = _PAYLOAD_BYTES + _HEADERS_BYTES

UTILISATION: dict[LoadLevel, float] = {"idle": 0.0, "moderate": 0.3, "heavy": 0.8}
"""Which part of a link or segment other traffic takes up (fault ``network-load``)."""


def wire_bytes(payload_bytes: int) -> int:
    """Return what a datagram occupies on the wire; a long one is sent in fragments."""
    fragments = -(-payload_bytes // _PAYLOAD_BYTES) or 1
    return max(_LEAST_BYTES, payload_bytes + fragments * _HEADERS_BYTES)


class Frame:
    """One datagram, or a part of a stream, on its way."""

    __slots__ = ("item", "label", "network", "source", "wire_ns")

    def __init__(self, source: int, network: int, wire_ns: int, item: Any, label: str) -> None:
        self.source = source
        self.network = network
        self.wire_ns = wire_ns
        """How long it occupies a link."""
        self.item = item
        """What its receiver is handed."""
        self.label = label


Arrive: TypeAlias = Callable[[int, Frame], None]
"""Takes a target and a frame."""
