"""The keeper of addresses: programs on hosts take over addresses, and keep them while they live.

A program needs no right to take over an address: it asks the keeper, at the socket ``keeper.sock``
of its host's directory, with lines of JSON, each answered by one (:mod:`lab.shell.addresses` is the
other side):

    {"up": "10.1.0.250"}     -> {"ok": true}
    {"up": "10.9.9.9"}       -> {"ok": false, "detail": "..."}
    {"down": "10.1.0.250"}   -> {"ok": true}, also when it was not up

The host's interface of that network gets the address, and everybody there is told by a gratuitous
ARP, a frame like any other. The program keeps it until it gives it back or its connection ends: a
program that is killed holds nothing any more, as a machine that has lost its power.
"""

from __future__ import annotations

import ipaddress
import json
import os
import socket
from collections.abc import Callable, Sequence
from pathlib import Path
from selectors import EVENT_READ, BaseSelector
from typing import Any, TypeAlias

from lab.emulation import netlink
from lab.emulation.netlink import RouteSocket, inside
from lab.errors import LabError
from lab.stacks.addresses import LAST_MOVING, MOST_NODES

SOCKET = "keeper.sock"
_RECEIVE_BYTES = 65536
_HOST_BITS = 32

Announce: TypeAlias = Callable[[int, int, bytes], None]
"""Told host, network and address (4 bytes) when an address has moved to a host."""


class HostAddresses:
    """The addresses that programs of one host have taken over.

    Args:
        number: the host's.
        netns: its network namespace.
        prefixes: the first three numbers of the addresses of each network.
        announce: tells everybody.
    """

    def __init__(
        self, number: int, netns: Path, prefixes: Sequence[str], announce: Announce
    ) -> None:
        self._number = number
        self._netns = netns
        self._prefixes = prefixes
        self._announce = announce

    def up(self, address: str) -> None:
        """Add an address and tell everybody; LabError when it is none that may move."""
        prefix, _, last = address.rpartition(".")
        if prefix not in self._prefixes or not MOST_NODES < int(last) <= LAST_MOVING:
            raise LabError(f"{address} is no address that can move")
        network = self._prefixes.index(prefix)
        self._change(netlink.RTM_NEWADDR, network, address)
        self._announce(self._number, network, ipaddress.IPv4Address(address).packed)

    def down(self, address: str) -> None:
        """Remove an address that was taken over."""
        network = self._prefixes.index(address.rpartition(".")[0])
        self._change(netlink.RTM_DELADDR, network, address)

    def _change(self, kind: int, network: int, address: str) -> None:
        name = f"eth{network}"
        with inside(self._netns), RouteSocket() as route:
            index = socket.if_nametoindex(name)
            packed = ipaddress.IPv4Address(address).packed
            message = netlink.address_message(kind, index, packed, _HOST_BITS)
            netlink.check(route.request([message]), [name], "changing the address of")


class Holder:
    """One program's connection, and what it holds."""

    def __init__(self, stream: socket.socket, addresses: HostAddresses) -> None:
        self._stream = stream
        self._addresses = addresses
        self._held: set[str] = set()
        self._pending = b""

    def readable(self) -> bool:
        """Answer what has come; False when the program has ended, and then it holds nothing."""
        try:
            data = self._stream.recv(_RECEIVE_BYTES)
        except OSError:
            data = b""
        *lines, self._pending = (self._pending + data).split(b"\n")
        try:
            for line in lines:
                self._stream.sendall(json.dumps(self._answer(line)).encode() + b"\n")
        except OSError:
            data = b""
        if not data:
            self._drop_all()
        return bool(data)

    def _answer(self, line: bytes) -> dict[str, Any]:
        try:
            request = json.loads(line)
            if "up" in request:
                self._addresses.up(request["up"])
                self._held.add(request["up"])
            elif request["down"] in self._held:
                self._addresses.down(request["down"])
                self._held.discard(request["down"])
        except (LabError, ValueError, KeyError, TypeError, AttributeError, OSError) as error:
            return {"ok": False, "detail": str(error)}
        return {"ok": True}

    def _drop_all(self) -> None:
        for address in self._held:
            try:
                self._addresses.down(address)
            except (LabError, OSError):
                continue  # the host itself is gone, and its addresses with it
        self._held.clear()


def listen(path: Path, uid: int, addresses: HostAddresses, selector: BaseSelector) -> None:
    """Open a host's socket and serve its programs, run by ``uid``, from the selector's loop."""
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    path.chmod(0o600)
    os.chown(path, uid, uid)
    listener.listen(16)

    def accept() -> None:
        stream, _ = listener.accept()
        holder = Holder(stream, addresses)

        def readable() -> None:
            if not holder.readable():
                selector.unregister(stream)
                stream.close()

        selector.register(stream, EVENT_READ, readable)

    selector.register(listener, EVENT_READ, accept)
