"""The lab's side of its real-time processes' control connections.

Requests and replies are lines of JSON over a Unix stream socket; see ``linecards.control`` and
``medium.control`` for the operations.
"""

import json
import socket
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from lab.errors import LabError


class _Client:
    """A control connection to a standing process.

    Args:
        socket_path: where it listens.
        timeout_s: how long one answer may take, real seconds.

    Raises:
        LabError: nobody listens there.
    """

    name = "process"

    def __init__(self, socket_path: Path, timeout_s: float = 30.0) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(timeout_s)
        try:
            self._socket.connect(str(socket_path))
        except OSError as error:
            self._socket.close()
            raise LabError(
                f"the {self.name} does not answer at {socket_path}: {error.strerror}",
                remedy="lab down",
            ) from error
        self._lines = self._socket.makefile("rb")

    def call(self, op: str, **arguments: Any) -> dict[str, Any]:
        """Have one operation done and return its answer.

        Raises:
            LabError: the process refuses, or has died.
        """
        try:
            self._socket.sendall(json.dumps({"op": op, **arguments}).encode() + b"\n")
            line = self._lines.readline()
        except OSError as error:
            raise LabError(f"the {self.name} broke off: {error}", remedy="lab down") from error
        if not line:
            raise LabError(f"the {self.name} died during {op!r}", remedy="lab down")
        answer: dict[str, Any] = json.loads(line)
        if not answer.pop("ok"):
            raise LabError(f"{self.name}, {op}: {answer['error']}")
        return answer

    def close(self) -> None:
        """Close the connection; the process stays."""
        self._lines.close()
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class LineCards(_Client):
    """A connection to the line cards (``<lab directory>/linecards.sock``)."""

    name = "line-card process"


class MediumClient(_Client):
    """A connection to the medium of an Ethernet lab (``<lab directory>/medium.sock``)."""

    name = "medium process"
