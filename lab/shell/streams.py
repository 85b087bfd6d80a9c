"""Streams of a shell: TCP connections on which each end first says which node it is."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from asyncio import AbstractEventLoop, AbstractServer, Protocol, Transport
from collections.abc import Callable, Coroutine
from typing import Any, TypeAlias, cast

from lab.shell.station import Station
from lab.shell.wire import HEADER_BYTES, pack_hello, unpack_hello
from lab.stacks.core import (
    Input,
    NodeId,
    StreamClose,
    StreamClosed,
    StreamData,
    StreamOpen,
    StreamOpened,
    StreamSend,
)

_HELLO_TIMEOUT_S = 5.0
"""Real seconds until the other end has said who it is."""

Spawn: TypeAlias = Callable[[Coroutine[Any, Any, None]], None]


class _End(Protocol):
    """This node's end of one connection."""

    def __init__(self, streams: Streams, network: int, channel: str, number: int = 0) -> None:
        self.number = number
        """What the core calls the stream; 0 when it does not know it (yet, or any more)."""
        self._streams = streams
        self._network = network
        self._channel = channel
        self._inward = number == 0
        self._transport: Transport | None = None
        self._begun: bytes | None = b""
        """What has come of the peer's hello; None when it was read."""
        self._early: list[bytes] = []
        """What the core sent before there was a connection."""
        self._closed = False
        self._patience: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("Transport", transport)
        if self._closed:
            self._transport.abort()
            return
        sock: socket.socket = transport.get_extra_info("socket")
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._transport.write(b"".join([self._streams.hello, *self._early]))
        self._patience = self._streams.loop.call_later(_HELLO_TIMEOUT_S, self._transport.abort)
        self._streams.unnamed.add(self)

    def data_received(self, data: bytes) -> None:
        if self._begun is not None:
            self._begun += data
            if len(self._begun) < HEADER_BYTES:
                return
            data = self._begun[HEADER_BYTES:]
            peer = self._peer(self._begun[:HEADER_BYTES])
            self._begun = None
            self._named()
            if peer is None:
                self._streams.refused += 1
                self.abort()
                return
            if self._inward:
                self.number = self._streams.adopt(self)
            opened = StreamOpened(self.number, peer, self._channel, inward=self._inward)
            self._streams.enter(opened)
        if data and self.number:
            self._streams.enter(StreamData(self.number, data))

    def _peer(self, hello: bytes) -> NodeId | None:
        """Return who is at the other end; None when it is not whom it claims to be."""
        origin = unpack_hello(hello)
        if origin is None or self._transport is None:
            return None
        station = self._streams.station
        source = self._transport.get_extra_info("peername")[0]
        # The end that was opened may be at an address that moves.
        known = (
            station.is_node_at(origin.node, source, self._network)
            if self._inward
            else station.is_node(origin.node)
        )
        return origin.node if known else None

    def connection_lost(self, exc: Exception | None = None) -> None:
        self._closed = True
        self._named()
        self._streams.lost(self)

    def write(self, data: bytes) -> None:
        """Send bytes; after the stream's end they are lost."""
        if self._transport is None:
            self._early.append(data)
        elif not self._closed:
            self._transport.write(data)

    def close(self) -> None:
        """End it; what was sent before still goes out."""
        self._closed = True
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        """End it at once."""
        self._closed = True
        if self._transport is not None:
            self._transport.abort()

    def _named(self) -> None:
        self._streams.unnamed.discard(self)
        if self._patience is not None:
            self._patience.cancel()


class Streams:
    """All streams of a node.

    Args:
        enter: takes inputs for the core.
        spawn: runs something beside the rest.
    """

    def __init__(
        self,
        loop: AbstractEventLoop,
        station: Station,
        *,
        enter: Callable[[Input], None],
        spawn: Spawn,
    ) -> None:
        self.loop = loop
        self.station = station
        self.enter = enter
        self.hello = pack_hello(station.node, station.incarnation)
        self.refused = 0
        """Connections that were not a node's."""
        self.unnamed: set[_End] = set()
        self._ends: dict[int, _End] = {}
        self._spawn = spawn
        self._inward = 0
        self._servers: dict[str, list[AbstractServer]] = {}

    async def listen_at(self, name: str, addresses: dict[int, str]) -> None:
        """Accept streams at addresses; OSError when they are not here."""
        if name in self._servers:
            return
        servers = self._servers[name] = []
        try:
            for network, address in addresses.items():
                for channel, port in self.station.ports.items():
                    servers.append(await self._serve(network, channel, (address, port)))
        except OSError:
            self.leave(name)
            raise

    async def _serve(self, network: int, channel: str, at: tuple[str, int]) -> AbstractServer:
        return await self.loop.create_server(lambda: _End(self, network, channel), *at)

    def leave(self, name: str) -> None:
        """Accept nothing more at the addresses; streams that are open live on."""
        for server in self._servers.pop(name, []):
            server.close()

    def adopt(self, end: _End) -> int:
        """Number a stream that a peer has opened: from -1 down, a core's own are positive."""
        self._inward -= 1
        self._ends[self._inward] = end
        return self._inward

    def lost(self, end: _End) -> None:
        """Tell the core of the end of a stream, if it knew it and did not end it itself."""
        number, end.number = end.number, 0
        if self._ends.pop(number, None) is not None:
            self.enter(StreamClosed(number))

    def open(self, asked: StreamOpen) -> None:
        """Open a stream."""
        end = self._ends[asked.stream] = _End(self, asked.network, asked.channel, asked.stream)
        self._spawn(self._connect(end, asked))

    async def _connect(self, end: _End, asked: StreamOpen) -> None:
        address = self.station.address_of(asked.to, asked.network)
        if address is not None:
            own = (self.station.own_addresses[asked.network], 0)
            port = self.station.ports[asked.channel]
            with contextlib.suppress(OSError):
                await self.loop.create_connection(lambda: end, address, port, local_addr=own)
                return
        end.connection_lost()

    def send(self, send: StreamSend) -> None:
        """Send bytes; on a stream that has ended they are lost."""
        end = self._ends.get(send.stream)
        if end is not None:
            end.write(send.data)

    def end(self, close: StreamClose) -> None:
        """End a stream: what was sent before still arrives, nothing comes back."""
        end = self._ends.pop(close.stream, None)
        if end is not None:
            end.number = 0
            end.close()

    def close(self) -> None:
        """Close everything."""
        for name in list(self._servers):
            self.leave(name)
        ends = [*self._ends.values(), *self.unnamed]
        self._ends.clear()
        for end in ends:
            end.abort()
