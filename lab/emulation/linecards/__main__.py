"""``python -m lab.emulation.linecards --dir DIR``: run the line cards of the lab in DIR.

Started by the lab inside the line cards' network namespace; not meant to be called by hand.
"""

import argparse
import json
import os
import resource
import selectors
import signal
import socket
import sys
from collections.abc import Callable
from pathlib import Path

from lab._native import lib
from lab.emulation.linecards.control import Control
from lab.errors import LabError

SOCKET_NAME = "linecards.sock"


class Connection:
    """One control connection: requests are lines, answered in order."""

    def __init__(self, stream: socket.socket, control: Control) -> None:
        self._stream = stream
        self._control = control
        self._pending = b""

    def readable(self) -> bool:
        """Answer what has come; False when the other side has closed."""
        try:
            data = self._stream.recv(1 << 20)
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


def serve(directory: Path) -> None:
    """Listen in ``directory`` and run the loop until told to stop."""
    selector = selectors.EpollSelector()
    control = Control(selector)
    listener = socket.socket(socket.AF_UNIX)
    path = directory / SOCKET_NAME
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
        wait_for_control(control, selector)
        for key, _ in selector.select(0):
            callback: Callable[[], None] = key.data
            callback()


def notice_signals(selector: selectors.EpollSelector) -> None:
    """Let a signal end the compiled loop, so that its Python handler gets to run."""
    told, teller = socket.socketpair()
    for end in (told, teller):
        end.setblocking(False)
    signal.set_wakeup_fd(teller.fileno())
    selector.register(told, selectors.EVENT_READ, lambda: (told.recv(64), teller))


def wait_for_control(control: Control, selector: selectors.EpollSelector) -> None:
    """Run the fabric until there is control work; only wait while there is no fabric yet."""
    if control.network is None:
        selector.select()
        return
    error = lib.lc_run(control.network.cards, selector.fileno())
    if error:
        raise LabError(f"the line cards' loop broke: {os.strerror(-error)}")


def prefer() -> None:
    """Ask to run before ordinary work: what is late here is late for the whole network."""
    try:
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))
    except OSError:
        os.nice(-10)


def allow_many_files() -> None:
    """Every attached endpoint costs four descriptors; take all that the machine grants."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def main() -> int:
    """Run; the exit status is 0 after ``stop`` or SIGTERM."""
    parser = argparse.ArgumentParser(prog="lab.emulation.linecards", description=__doc__)
    parser.add_argument("--dir", type=Path, required=True, help="the lab's directory")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda _signal, _frame: sys.exit(0))
    prefer()
    allow_many_files()
    try:
        serve(arguments.dir)
    except LabError as error:
        print(f"error: {error}", file=sys.stderr, flush=True)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
