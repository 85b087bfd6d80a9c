"""The shell's socket: takes requests for the core, and controls for the shell itself.

:mod:`lab.shell.client` says what lines go over it.
"""

from __future__ import annotations

import asyncio
import itertools
from asyncio import AbstractEventLoop, AbstractServer
from collections.abc import Callable
from pathlib import Path
from typing import cast

import msgspec

from lab.errors import LabError
from lab.shell.client import Answer, Ask, Control
from lab.stacks.core import Reply, Request

_MOST_LINE_BYTES = 1 << 20


class _Connection(asyncio.Protocol):
    """One program that asks."""

    def __init__(self, socket: ControlSocket) -> None:
        self._socket = socket
        self._begun = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        *lines, self._begun = (self._begun + data).split(b"\n")
        for line in lines:
            self._socket.take(line, self)
        if len(self._begun) > _MOST_LINE_BYTES and self._transport is not None:
            self._transport.abort()

    def answer(self, answer: Answer) -> None:
        """Send a line back, if somebody is still there."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(msgspec.json.encode(answer) + b"\n")


class ControlSocket:
    """Listens for requests and controls.

    Args:
        on_request: takes requests for the core.
        on_control: carries out controls; LabError when it cannot.
    """

    def __init__(
        self,
        loop: AbstractEventLoop,
        path: Path,
        *,
        on_request: Callable[[Request], None],
        on_control: Callable[[Control], None],
    ) -> None:
        self._loop = loop
        self._path = path
        self._on_request = on_request
        self._on_control = on_control
        self._numbers = itertools.count(1)
        self._waiting: dict[int, tuple[_Connection, int]] = {}
        """Who asked each request that the core has not answered, and under which number."""
        self._server: AbstractServer | None = None

    async def open(self) -> None:
        """Begin to listen; takes the place of a former life's socket."""
        self._path.unlink(missing_ok=True)
        self._server = await self._loop.create_unix_server(lambda: _Connection(self), self._path)
        self._path.chmod(0o666)  # whoever is on the node, and the lab, may ask

    def reply(self, reply: Reply) -> None:
        """Hand a core's answer on to who asked; one that nobody waits for is dropped."""
        connection, number = self._waiting.pop(reply.id, (None, 0))
        if connection is not None:
            connection.answer(Answer(number, reply.ok, reply.value))

    def close(self) -> None:
        """Listen no more."""
        if self._server is not None:
            self._server.close()
            self._path.unlink(missing_ok=True)

    def take(self, line: bytes, connection: _Connection) -> None:
        """Take one line."""
        try:
            ask = msgspec.json.decode(line, type=Ask)
        except msgspec.DecodeError as error:
            connection.answer(Answer(0, ok=False, value=f"this is no question: {error}"))
            return
        if ask.control is None:
            number = next(self._numbers)
            self._waiting[number] = (connection, ask.id)
            self._on_request(Request(number, ask.request, ask.arguments))
            return
        try:
            self._on_control(ask.control)
        except LabError as error:
            connection.answer(Answer(ask.id, ok=False, value=str(error)))
        else:
            connection.answer(Answer(ask.id, ok=True))
