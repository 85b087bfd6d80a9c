"""Ethernet frames: whose they are, for whom, and how long they occupy a link.

A host's hardware address says which host and network it belongs to, so nothing has to be learned:
``02:4c:41:<network>:00:<number>``.
"""

from __future__ import annotations

_PREFIX = bytes.fromhex("024c41")
_ADDRESS_BYTES = 6
_CHECKSUM_PREAMBLE_GAP_BYTES = 4 + 8 + 12
_LEAST_BYTES = 84
BROADCAST = b"\xff" * _ADDRESS_BYTES
_MULTICAST_BIT = 1
_ARP_TYPE, _IPV4_TYPE = b"\x08\x06", b"\x08\x00"
_IGMP = 2
_PROTOCOL_AT = 23
"""Where an IPv4 frame says its protocol."""


def hardware_address(number: int, network: int) -> bytes:
    """Return the address of host ``number`` on a network."""
    return _PREFIX + bytes((network, 0, number))


def text_of(address: bytes) -> str:
    """Return a hardware address as people write it."""
    return address.hex(":")


def number_of(address: bytes, network: int) -> int:
    """Return the host that an address belongs to, 0 when it is none of this network."""
    if address[:3] != _PREFIX or address[3] != network:
        return 0
    return address[5]


def target_of(frame: bytes) -> bytes:
    """Return the address that a frame goes to."""
    return frame[:_ADDRESS_BYTES]


def source_of(frame: bytes) -> bytes:
    """Return the address that a frame comes from."""
    return frame[_ADDRESS_BYTES : 2 * _ADDRESS_BYTES]


def is_for_many(frame: bytes) -> bool:
    """Tell whether a frame is a broadcast or a multicast."""
    return bool(frame[0] & _MULTICAST_BIT)


def is_group_report(frame: bytes) -> bool:
    """Tell whether a frame is IGMP: what hosts tell routers of the groups that they are in."""
    return frame[12:14] == _IPV4_TYPE and len(frame) > _PROTOCOL_AT and frame[_PROTOCOL_AT] == _IGMP


def wire_bytes(frame: bytes) -> int:
    """Return what a frame occupies on the wire, its preamble and the gap after it included."""
    return max(_LEAST_BYTES, len(frame) + _CHECKSUM_PREAMBLE_GAP_BYTES)


def gratuitous_arp(hardware: bytes, address: bytes) -> bytes:
    """Return the broadcast that tells everybody whose an IPv4 address (4 bytes) is now."""
    ethernet_ipv4_request = bytes.fromhex("0001 0800 06 04 0001")
    asked = bytes(_ADDRESS_BYTES)
    return (
        BROADCAST + hardware + _ARP_TYPE
        + ethernet_ipv4_request + hardware + address + asked + address
    )  # fmt: skip
