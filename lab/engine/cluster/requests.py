"""Handing requests to nodes: at once, without waiting for what they answer.

The answers are in the nodes' own logs. A node that is paused finds its requests when it goes on;
one whose program does not run refuses them.
"""

from __future__ import annotations

import contextlib
import selectors
import socket
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from lab.shell.client import Ask, Control

_RECEIVE_BYTES = 1 << 16
_CONNECT_TIMEOUT_S = 0.5


class Requests:
    """Connections to the shells of nodes.

    Args:
        socket_of: where a node takes requests.
    """

    def __init__(self, socket_of: Callable[[int], Path]) -> None:
        self._socket_of = socket_of
        self._open: dict[int, socket.socket] = {}
        self._numbers: dict[int, int] = {}
        self._answers = selectors.DefaultSelector()

    def ask(self, node: int, name: str, arguments: Mapping[str, Any]) -> bool:
        """Hand in a request; tell whether there was anybody to take it."""
        return self._send(node, Ask(self._number(node), request=name, arguments=dict(arguments)))

    def control(self, node: int, control: Control) -> bool:
        """Tell a shell something; tell whether there was anybody to take it."""
        return self._send(node, Ask(self._number(node), control=control))

    def drop_answers(self) -> None:
        """Read what has been answered so far, so that no shell has to wait for us."""
        for key, _ in self._answers.select(0):
            node: int = key.data
            try:
                ended = not self._open[node].recv(_RECEIVE_BYTES)
            except BlockingIOError:
                continue
            except OSError:
                ended = True
            if ended:
                self._close(node)

    def close(self) -> None:
        """Close all connections."""
        for node in list(self._open):
            self._close(node)
        self._answers.close()

    def _number(self, node: int) -> int:
        self._numbers[node] = self._numbers.get(node, 0) + 1
        return self._numbers[node]

    def _send(self, node: int, ask: Ask) -> bool:
        line = msgspec.json.encode(ask) + b"\n"
        self.drop_answers()
        try:
            self._connection(node).sendall(line)
        except OSError:
            # It may have ended and started again since the last request.
            self._close(node)
            try:
                self._connection(node).sendall(line)
            except OSError:
                self._close(node)
                return False
        return True

    def _connection(self, node: int) -> socket.socket:
        if node not in self._open:
            stream = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            stream.settimeout(_CONNECT_TIMEOUT_S)
            try:
                stream.connect(str(self._socket_of(node)))
            except OSError:
                stream.close()
                raise
            stream.setblocking(False)
            self._open[node] = stream
            self._answers.register(stream, selectors.EVENT_READ, node)
        return self._open[node]

    def _close(self, node: int) -> None:
        stream = self._open.pop(node, None)
        if stream is not None:
            with contextlib.suppress(KeyError, ValueError):
                self._answers.unregister(stream)
            stream.close()
