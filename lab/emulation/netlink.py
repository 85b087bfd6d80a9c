"""The few rtnetlink requests that a lab needs, in batches, each request's answer checked.

A tree of switches makes some thousand requests; sent a hundred at a time they cost a tenth
of a second, where one ``ip`` process each would cost seconds.
"""

import contextlib
import ctypes
import errno
import fcntl
import os
import socket
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from lab.errors import LabError

RTM_NEWLINK, RTM_DELLINK, RTM_GETLINK = 16, 17, 18
RTM_NEWADDR, RTM_DELADDR, RTM_NEWNEIGH = 20, 21, 28
NLM_F_REQUEST, NLM_F_ACK, NLM_F_EXCL, NLM_F_CREATE, NLM_F_DUMP = 0x1, 0x4, 0x200, 0x400, 0x300
NLM_F_REPLACE = 0x100
NLMSG_ERROR, NLMSG_DONE = 2, 3
IFLA_ADDRESS, IFLA_IFNAME, IFLA_MTU, IFLA_LINKINFO, IFLA_IFALIAS = 1, 3, 4, 18, 20
IFLA_GROUP, IFLA_NET_NS_FD, IFLA_EXT_MASK = 27, 28, 29
IFLA_NUM_TX_QUEUES, IFLA_NUM_RX_QUEUES = 31, 32
IFLA_INFO_KIND, IFLA_INFO_DATA, VETH_INFO_PEER = 1, 2, 1
RTEXT_FILTER_SKIP_STATS = 8
IFF_UP = 1
SOL_NETLINK, NETLINK_CAP_ACK = 270, 10
CLONE_NEWNET = 0x40000000
SIOCETHTOOL, ETHTOOL_STXCSUM = 0x8946, 0x17
SIOCSIFFLAGS = 0x8914
LOOPBACK_INDEX = 1
IFA_ADDRESS, IFA_LOCAL, NDA_DST, NDA_LLADDR, NUD_PERMANENT = 1, 2, 1, 2, 0x80

_HEADER = struct.Struct("=IHHII")
_IFINFO = struct.Struct("=BxHiII")
_IFADDR = struct.Struct("=BBBBI")
_NEIGHBOUR = struct.Struct("=BxxxiHBB")
_ATTRIBUTE = struct.Struct("=HH")
_BATCH = 100
_RECEIVE_BYTES = 1 << 17
_TIMEOUT_S = 30.0


@dataclass(frozen=True)
class LinkInfo:
    """One network interface."""

    index: int
    name: str
    alias: str
    group: int
    kind: str


def attribute(kind: int, payload: bytes) -> bytes:
    """Encode one attribute, padded to four bytes."""
    length = _ATTRIBUTE.size + len(payload)
    return _ATTRIBUTE.pack(length, kind) + payload + bytes(-length % 4)


def text(kind: int, value: str) -> bytes:
    """Encode a string attribute."""
    return attribute(kind, value.encode() + b"\0")


def number(kind: int, value: int) -> bytes:
    """Encode a 32-bit attribute."""
    return attribute(kind, struct.pack("=I", value))


def link_message(
    kind: int, attributes: bytes, *, index: int = 0, flags: int = 0, up: bool = False
) -> bytes:
    """Encode a request about one link, its sequence number still 0."""
    body = _IFINFO.pack(0, 0, index, IFF_UP if up else 0, IFF_UP if up else 0) + attributes
    flags |= NLM_F_REQUEST | NLM_F_ACK
    return _HEADER.pack(_HEADER.size + len(body), kind, flags, 0, 0) + body


def veth_message(
    name: str, peer: str, *, peer_netns_fd: int, mtu: int, group: int, peer_address: bytes = b""
) -> bytes:
    """Encode the making of a veth pair, its peer born in another namespace.

    ``peer_address`` is the peer's hardware address; drawn by the kernel when it is empty.
    """
    shared = number(IFLA_MTU, mtu) + number(IFLA_NUM_TX_QUEUES, 1) + number(IFLA_NUM_RX_QUEUES, 1)
    peer_end = (
        _IFINFO.pack(0, 0, 0, 0, 0)
        + text(IFLA_IFNAME, peer)
        + number(IFLA_NET_NS_FD, peer_netns_fd)
        + (attribute(IFLA_ADDRESS, peer_address) if peer_address else b"")
        + shared
    )
    info = text(IFLA_INFO_KIND, "veth") + attribute(
        IFLA_INFO_DATA, attribute(VETH_INFO_PEER, peer_end)
    )
    attributes = (
        text(IFLA_IFNAME, name)
        + number(IFLA_GROUP, group)
        + shared
        + attribute(IFLA_LINKINFO, info)
    )
    return link_message(RTM_NEWLINK, attributes, flags=NLM_F_CREATE | NLM_F_EXCL)


def address_message(kind: int, index: int, address: bytes, prefix_bits: int) -> bytes:
    """Encode adding (``RTM_NEWADDR``) or removing (``RTM_DELADDR``) an IPv4 address."""
    body = _IFADDR.pack(socket.AF_INET, prefix_bits, 0, 0, index)
    body += attribute(IFA_LOCAL, address) + attribute(IFA_ADDRESS, address)
    flags = NLM_F_REQUEST | NLM_F_ACK
    if kind == RTM_NEWADDR:
        flags |= NLM_F_CREATE | NLM_F_REPLACE
    return _HEADER.pack(_HEADER.size + len(body), kind, flags, 0, 0) + body


def neighbour_message(index: int, address: bytes, hardware: bytes) -> bytes:
    """Encode a permanent entry of the table of neighbours: who needs no ARP."""
    body = _NEIGHBOUR.pack(socket.AF_INET, index, NUD_PERMANENT, 0, 0)
    body += attribute(NDA_DST, address) + attribute(NDA_LLADDR, hardware)
    flags = NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE | NLM_F_REPLACE
    return _HEADER.pack(_HEADER.size + len(body), RTM_NEWNEIGH, flags, 0, 0) + body


def _parse_attributes(data: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at + _ATTRIBUTE.size <= len(data):
        length, kind = _ATTRIBUTE.unpack_from(data, at)
        if length < _ATTRIBUTE.size:
            return
        yield kind & 0x3FFF, data[at + _ATTRIBUTE.size : at + length]
        at += (length + 3) & ~3


def _parse_messages(data: bytes) -> Iterator[tuple[int, int, bytes]]:
    at = 0
    while at + _HEADER.size <= len(data):
        length, kind, _flags, sequence, _pid = _HEADER.unpack_from(data, at)
        yield kind, sequence, data[at + _HEADER.size : at + length]
        at += (length + 3) & ~3


def _parse_link(body: bytes) -> LinkInfo:
    index = _IFINFO.unpack_from(body)[2]
    name = alias = kind = ""
    group = 0
    for attr, value in _parse_attributes(body[_IFINFO.size :]):
        if attr == IFLA_IFNAME:
            name = value.rstrip(b"\0").decode()
        elif attr == IFLA_IFALIAS:
            alias = value.rstrip(b"\0").decode(errors="replace")
        elif attr == IFLA_GROUP:
            group = struct.unpack("=I", value)[0]
        elif attr == IFLA_LINKINFO:
            kinds = [v for a, v in _parse_attributes(value) if a == IFLA_INFO_KIND]
            kind = kinds[0].rstrip(b"\0").decode() if kinds else ""
    return LinkInfo(index, name, alias, group, kind)


class RouteSocket:
    """An rtnetlink socket of the namespace in which it is opened."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)
        self._socket.setsockopt(SOL_NETLINK, NETLINK_CAP_ACK, 1)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 * _RECEIVE_BYTES)
        self._socket.settimeout(_TIMEOUT_S)
        self._socket.bind((0, 0))
        self._sequence = 0

    def __enter__(self) -> "RouteSocket":
        return self

    def __exit__(self, *_exc: object) -> None:
        self._socket.close()

    def request(self, messages: Sequence[bytes]) -> list[int]:
        """Send requests in order and return the error number of each, 0 where it succeeded."""
        results: list[int] = []
        for start in range(0, len(messages), _BATCH):
            results.extend(self._batch(messages[start : start + _BATCH]))
        return results

    def _batch(self, messages: Sequence[bytes]) -> list[int]:
        first = self._sequence + 1
        blob = bytearray()
        for message in messages:
            self._sequence += 1
            padded = bytearray(message + bytes(-len(message) % 4))
            struct.pack_into("=I", padded, 8, self._sequence)
            blob += padded
        self._socket.send(blob)
        answers: dict[int, int] = {}
        while len(answers) < len(messages):
            for kind, sequence, body in _parse_messages(self._socket.recv(_RECEIVE_BYTES)):
                if kind == NLMSG_ERROR and sequence >= first:
                    answers[sequence] = -struct.unpack_from("=i", body)[0]
        return [answers[first + place] for place in range(len(messages))]

    def links(self) -> list[LinkInfo]:
        """Return all interfaces of the namespace."""
        self._sequence += 1
        body = _IFINFO.pack(0, 0, 0, 0, 0) + number(IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS)
        flags = NLM_F_REQUEST | NLM_F_DUMP
        self._socket.send(
            _HEADER.pack(_HEADER.size + len(body), RTM_GETLINK, flags, self._sequence, 0) + body
        )
        found: list[LinkInfo] = []
        while True:
            for kind, sequence, data in _parse_messages(self._socket.recv(_RECEIVE_BYTES)):
                if sequence != self._sequence:
                    continue
                if kind == NLMSG_DONE:
                    return found
                if kind == NLMSG_ERROR:
                    code = -struct.unpack_from("=i", data)[0]
                    raise OSError(code, f"listing interfaces: {os.strerror(code)}")
                found.append(_parse_link(data))


def check(results: Sequence[int], names: Sequence[str], what: str) -> None:
    """Raise LabError naming the first request of a batch that failed."""
    for name, code in zip(names, results, strict=True):
        if code:
            raise LabError(
                f"{what} {name}: {os.strerror(code)}",
                remedy="`lab down` removes what a lab left behind" if code == errno.EEXIST else "",
            )


_libc = ctypes.CDLL(None, use_errno=True)


def enter_netns(fd: int) -> None:
    """Move this thread into a network namespace."""
    if _libc.setns(fd, CLONE_NEWNET) != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"entering a network namespace: {os.strerror(code)}")


@contextlib.contextmanager
def inside(netns: Path) -> Iterator[None]:
    """Be in a network namespace for a while; sockets opened meanwhile stay in it."""
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        there = os.open(netns, os.O_RDONLY | os.O_CLOEXEC)
        try:
            enter_netns(there)
        finally:
            os.close(there)
        try:
            yield
        finally:
            enter_netns(home)
    finally:
        os.close(home)


def checksum_offload_off(names: Sequence[str]) -> None:
    """Have the interfaces of this thread's namespace send complete checksums."""
    value = ctypes.create_string_buffer(struct.pack("=II", ETHTOOL_STXCSUM, 0))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        for name in names:
            request = struct.pack("16sP16x", name.encode(), ctypes.addressof(value))
            fcntl.ioctl(control, SIOCETHTOOL, request)


def loopback_up() -> None:
    """Bring up the loopback interface of this thread's namespace."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        fcntl.ioctl(control, SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", IFF_UP))
