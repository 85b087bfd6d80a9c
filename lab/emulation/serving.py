"""What the lab's real-time processes have in common: a control socket, and being preferred.

Such a process runs its loop until its selector says that somebody wants something; then what
connections ask is done, between two turns of the loop. Requests are lines of JSON, answered in
order; :mod:`lab.emulation.client` is the other side.
"""

import json
import os
import selectors
import signal
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from lab.errors import LabError

_RECEIVE_BYTES = 1 << 20


class Control(Protocol):
    """Does what is asked."""

    stopping: bool
    """Whether the process is to end."""

    def handle(self, request: dict[str, Any]) -> dict[str, Any]:
        """Do one operation; LabError when it cannot be done."""


class Connection:
    """One control connection: requests are lines, answered in order."""

    def __init__(self, stream: socket.socket, control: Control) -> None:
        self._stream = stream
        self._control = control
        self._pending = b""

    def readable(self) -> bool:
        """Answer what has come; False when the other side has closed."""
        try:
            data = self._stream.recv(_RECEIVE_BYTES)
        except OSError:
            return False
        if not data:
            return False
        *lines, self._pending = (self._pending + data).split(b"\n")
        return all(self._answer(line) for line in lines)

    def _answer(self, line: bytes) -> bool:
        try:
            answer = {"ok": True, **self._control.handle(json.loads(line))}
        except LabError as error:
            answer = {"ok": False, "error": error.message}
        except ValueError as error:
            answer = {"ok": False, "error": f"not a request: {error}"}
        try:
            self._stream.sendall(json.dumps(answer).encode() + b"\n")
        except OSError:
            return False
        return True


def serve(
    path: Path,
    control: Control,
    selector: selectors.BaseSelector,
    run: Callable[[], None],
) -> None:
    """Listen at ``path`` until told to stop; ``run`` is the loop between control work.

    ``run`` returns when the selector, whose file number it can wait for, has something ready.
    """
    listener = socket.socket(socket.AF_UNIX)
    path.unlink(missing_ok=True)
    listener.bind(str(path))
    path.chmod(0o600)
    listener.listen(16)

    def accept() -> None:
        stream, _ = listener.accept()
        connection = Connection(stream, control)

        def readable() -> None:
            if not connection.readable():
                selector.unregister(stream)
                stream.close()

        selector.register(stream, selectors.EVENT_READ, readable)

    selector.register(listener, selectors.EVENT_READ, accept)
    notice_signals(selector)
    while not control.stopping:
        run()
        for key, _ in selector.select(0):
            callback: Callable[[], None] = key.data
            callback()


def notice_signals(selector: selectors.BaseSelector) -> None:
    """Let a signal end the loop, so that its Python handler gets to run."""
    told, teller = socket.socketpair()
    for end in (told, teller):
        end.setblocking(False)
    signal.set_wakeup_fd(teller.fileno())
    selector.register(told, selectors.EVENT_READ, lambda: (told.recv(64), teller))


def prefer() -> None:
    """Ask to run before ordinary work: what is late here is late for the whole network."""
    try:
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))
    except OSError:
        os.nice(-10)


def run_process(serving: Callable[[], None]) -> int:
    """Run such a process: the exit status is 0 after ``stop`` or SIGTERM, 1 after an error."""
    signal.signal(signal.SIGTERM, lambda _signal, _frame: sys.exit(0))
    prefer()
    try:
        serving()
    except LabError as error:
        print(f"error: {error}", file=sys.stderr, flush=True)
        return 1
    return 0
