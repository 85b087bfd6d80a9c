"""Talking to a running shell: what the lab's driver and the node's own commands use.

The shell's socket takes JSON lines and answers each with one, in the order in which answers come:

    {"id": 1, "request": "status", "arguments": {}}   -> {"id": 1, "ok": true, "value": ...}
    {"id": 2, "control": "faults"}                    -> {"id": 2, "ok": true, "value": null}
    {"id": 3, "control": "stop"}                      -> {"id": 3, "ok": true, "value": null}

A request goes to the core and is answered when the core does; when not ``ok``, ``value`` is a
sentence. The control ``faults`` makes the shell read the node's faults again, ``stop`` ends it.
"""

from __future__ import annotations

import socket
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Literal

import msgspec

from lab.errors import LabError
from lab.shell.faults import NodeFaults, write_faults

SOCKET = "node.sock"
CALL_TIMEOUT_S = 60.0

Control = Literal["faults", "stop"]


class Ask(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """A line to the shell: either a request or a control."""

    id: int
    request: str = ""
    arguments: dict[str, Any] = {}
    control: Control | None = None


class Answer(msgspec.Struct, frozen=True):
    """A line from the shell. ``id`` is that of the question, 0 when it could not be read."""

    id: int
    ok: bool
    value: Any = None


class NotRunningError(LabError):
    """Nobody listens at the node's socket."""


class NodeClient:
    """A connection to a node's shell; one call at a time."""

    def __init__(self, path: Path, timeout_s: float = CALL_TIMEOUT_S) -> None:
        self._path = path
        self._number = 0
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.settimeout(timeout_s)
        try:
            self._socket.connect(str(path))
        except OSError as error:
            self._socket.close()
            raise NotRunningError(
                f"no node answers at {path}: {error.strerror}", remedy="is its program running?"
            ) from error
        self._lines = self._socket.makefile("rb")

    def __enter__(self) -> NodeClient:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._lines.close()
        self._socket.close()

    def request(self, name: str, arguments: Mapping[str, Any] | None = None) -> Answer:
        """Ask the core for something and wait for its answer.

        Raises:
            LabError: the node ended, or does not answer in time.
        """
        return self._call(Ask(self._next(), request=name, arguments=dict(arguments or {})))

    def control(self, control: Control) -> None:
        """Tell the shell something; LabError when it refuses or has ended."""
        answer = self._call(Ask(self._next(), control=control))
        if not answer.ok:
            raise LabError(f"{self._path}: {control}: {answer.value}")

    def _next(self) -> int:
        self._number += 1
        return self._number

    def _call(self, ask: Ask) -> Answer:
        what = ask.request or ask.control
        try:
            self._socket.sendall(msgspec.json.encode(ask) + b"\n")
            line = self._lines.readline()
        except TimeoutError:
            raise LabError(f"the node at {self._path} does not answer to {what}") from None
        except OSError as error:
            raise NotRunningError(f"the node at {self._path} has ended: {error}") from error
        if not line:
            raise NotRunningError(f"the node at {self._path} ended before it answered to {what}")
        return msgspec.json.decode(line, type=Answer)


def set_faults(directory: Path, faults: NodeFaults, *, socket_path: Path | None = None) -> None:
    """Set a node's faults, whether it runs or not; a running one has them on return."""
    write_faults(directory, faults)
    try:
        with NodeClient(socket_path or directory / SOCKET) as client:
            client.control("faults")
    except NotRunningError:
        return
