"""Datagrams of a shell: UDP sockets for each channel on each network, multicast included."""

from __future__ import annotations

import socket
import struct
import time
from asyncio import AbstractEventLoop
from collections.abc import Callable
from typing import Any

from lab.shell.clock import Clock
from lab.shell.log import EventLog
from lab.shell.station import Station
from lab.shell.wire import Origin, pack_datagram, unpack_datagram
from lab.stacks.core import Multicast, Received, Send
from lab.stacks.events import RECEIVE, SEND
from lab.stacks.lateness import Histogram

_SO_TIMESTAMPNS, _SO_RXQ_OVFL = 35, 40
"""Not in Python's socket module: when a datagram came; how many the socket had to drop."""
_TIMESPEC, _COUNT = struct.Struct("@qq"), struct.Struct("=I")
_ANCILLARY_BYTES = 96
_MOST_BYTES = 65536
_BATCH = 32
"""So many datagrams of one socket before others have their turn."""
_BUFFER_BYTES = 1 << 20


class Datagrams:
    """Sends and receives a node's datagrams, logs each, and counts what is lost or refused.

    Args:
        on_received: takes each datagram for the core.
    """

    def __init__(
        self,
        loop: AbstractEventLoop,
        station: Station,
        clock: Clock,
        log: EventLog,
        *,
        on_received: Callable[[Received], None],
    ) -> None:
        self.sent = self.received = 0
        self.unsent = 0
        """What the kernel would not take: no route, no room, too long."""
        self.refused = 0
        """What arrived and no shell had sent, or in another's name."""
        self.waited = Histogram()
        """How long datagrams lay in sockets."""
        self._loop = loop
        self._station = station
        self._clock = clock
        self._log = log
        self._on_received = on_received
        self._own: dict[tuple[int, str], socket.socket] = {}
        self._unread: list[tuple[socket.socket, int, str]] = []
        """Sockets that are open already, before anything is taken from them."""
        self._moving: dict[str, list[socket.socket]] = {}
        self._dropped: dict[socket.socket, int] = {}
        """Of each open socket, what the kernel had to drop."""
        self._dropped_before = 0

    # --- sockets -------------------------------------------------------------------------

    def open(self) -> None:
        """Open the node's own sockets, in which datagrams wait until :meth:`begin`.

        Raises:
            OSError: the node is not on its networks.
        """
        for network, own in self._station.own_addresses.items():
            group = self._station.plan.multicast_group(network)
            membership = socket.inet_aton(group) + socket.inet_aton(own)
            for channel, port in self._station.ports.items():
                sock = self._bind(network, channel, (own, port))
                sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(own))
                self._own[network, channel] = sock
                joined = self._bind(network, channel, (group, port), shared=True)
                joined.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, membership)

    def begin(self) -> None:
        """Take what comes."""
        for sock, network, channel in self._unread:
            self._loop.add_reader(sock, self._receive, sock, network, channel)
        self._unread.clear()

    def listen_at(self, name: str, addresses: dict[int, str]) -> None:
        """Take what is sent to an address that has moved here; OSError when it is not here."""
        if name in self._moving:
            return
        opened = self._moving[name] = []
        try:
            for network, address in addresses.items():
                for channel, port in self._station.ports.items():
                    opened.append(self._bind(network, channel, (address, port)))
            self.begin()
        except OSError:
            self.leave(name)
            raise

    def leave(self, name: str) -> None:
        """Let go of an address that moves."""
        for sock in self._moving.pop(name, []):
            self._close(sock)

    def close(self) -> None:
        """Close everything."""
        for sock in list(self._dropped):
            self._close(sock)

    def dropped(self) -> int:
        """Return how many datagrams the kernel had to drop because a socket's room was used up."""
        return self._dropped_before + sum(self._dropped.values())

    def _bind(
        self, network: int, channel: str, at: tuple[str, int], *, shared: bool = False
    ) -> socket.socket:
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        try:
            if shared:  # by nodes in the same namespace, as in tests
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER_BYTES)
            sock.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
            sock.setsockopt(socket.SOL_SOCKET, _SO_RXQ_OVFL, 1)
            sock.bind(at)
        except OSError:
            sock.close()
            raise
        self._dropped[sock] = 0
        self._unread.append((sock, network, channel))
        return sock

    def _close(self, sock: socket.socket) -> None:
        self._dropped_before += self._dropped.pop(sock)
        self._unread = [entry for entry in self._unread if entry[0] is not sock]
        self._loop.remove_reader(sock)
        sock.close()

    # --- sending -------------------------------------------------------------------------

    def send(self, send: Send) -> None:
        """Send one datagram; the log names the address where it goes to one that moves."""
        fields = {"peer": send.to} if isinstance(send.to, int) else {"peer": 0, "address": send.to}
        self._transmit(send, self._station.address_of(send.to, send.network), fields)

    def multicast(self, multicast: Multicast) -> None:
        """Send one datagram to all others."""
        group = self._station.plan.multicast_group(multicast.network)
        self._transmit(multicast, group, {"peer": 0})

    def _transmit(self, out: Send | Multicast, address: str | None, fields: dict[str, Any]) -> None:
        origin = Origin(self._station.node, self._station.incarnation, self.sent + 1)
        packed = pack_datagram(origin, out.label, out.data)
        sock = self._own[out.network, out.channel]
        sent_s = self._clock.now_s()  # before it can have arrived
        try:
            if address is not None:
                sock.sendto(packed, (address, self._station.ports[out.channel]))
        except OSError:
            address = None
        if address is None:
            self.unsent += 1
            return
        self.sent += 1
        fields |= {"network": out.network, "channel": out.channel}
        fields |= {"label": out.label, "bytes": len(out.data)}
        self._log.event(SEND, cause=origin.message, fields=fields, t_s=sent_s)

    # --- receiving -----------------------------------------------------------------------

    def _receive(self, sock: socket.socket, network: int, channel: str) -> None:
        for _ in range(_BATCH):
            if sock.fileno() < 0:
                return
            try:
                packed, ancillary, _flags, source = sock.recvmsg(_MOST_BYTES, _ANCILLARY_BYTES)
            except BlockingIOError:
                return
            except OSError:
                self.refused += 1
                return
            self._note_ancillary(sock, ancillary)
            self._take(packed, source[0], network, channel)

    def _note_ancillary(self, sock: socket.socket, ancillary: list[tuple[int, int, bytes]]) -> None:
        for _level, kind, data in ancillary:
            if kind == _SO_TIMESTAMPNS:
                seconds, nanoseconds = _TIMESPEC.unpack(data)
                waited_ns = time.time_ns() - seconds * 1_000_000_000 - nanoseconds
                self.waited.add(waited_ns / 1e9 / self._clock.dilation)
            elif kind == _SO_RXQ_OVFL:
                self._dropped[sock] = _COUNT.unpack(data)[0]

    def _take(self, packed: bytes, source: str, network: int, channel: str) -> None:
        datagram = unpack_datagram(packed)
        if datagram is None or not self._station.is_node_at(datagram.origin.node, source, network):
            self.refused += 1
            return
        origin, label, data = datagram
        if origin.node == self._station.node:
            return  # our own multicast
        self.received += 1
        fields = {
            "peer": origin.node,
            "network": network,
            "channel": channel,
            "label": label,
            "bytes": len(data),
        }
        self._log.event(RECEIVE, cause=origin.message, fields=fields)
        self._on_received(Received(origin.node, network, channel, data, origin.message))
