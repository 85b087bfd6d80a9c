"""Watching processes through pidfds: a death is noticed at once, and named.

The drive phase polls one descriptor per process (line cards, OVS, Docker, hosts,
endpoints), which costs nothing while all is well.
"""

import os
import select
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from lab.errors import LabError

LOG_TAIL_LINES = 12
CAUSE_GRACE_S = 0.3


@dataclass(frozen=True)
class Watched:
    """A process whose end matters: what the user calls it and where its log is."""

    what: str
    pid: int
    log: Path | None = None
    remedy: str = ""
    may_end: Callable[[], bool] | None = None


def log_tail(path: Path | None, lines: int = LOG_TAIL_LINES) -> str:
    """Return the last ``lines`` of a log, indented, or "" when there is nothing to show."""
    if path is None or not path.is_file():
        return ""
    with path.open("rb") as file:
        file.seek(0, os.SEEK_END)
        file.seek(max(0, file.tell() - 64_000))
        text = file.read().decode("utf-8", "replace")
    tail = [line for line in text.splitlines() if line.strip()][-lines:]
    if not tail:
        return ""
    return "\n".join([f"\nlast lines of {path}:", *(f"  {line}" for line in tail)])


class Watch:
    """A set of watched processes; use it as a context manager."""

    def __init__(self) -> None:
        self._poll = select.poll()
        self._by_fd: dict[int, tuple[int, Watched]] = {}
        self._added = 0

    def __enter__(self) -> "Watch":
        return self

    def __exit__(self, *_: object) -> None:
        for fd in self._by_fd:
            os.close(fd)
        self._by_fd.clear()

    def add(self, process: Watched) -> None:
        """Start to watch; a process that is already gone counts as dead at once.

        Add first what others depend on: of several deaths the first added is told.

        Raises:
            LabError: the process does not exist.
        """
        try:
            fd = os.pidfd_open(process.pid)
        except ProcessLookupError:
            if process.may_end is None or not process.may_end():
                raise death(process) from None
            return
        self._by_fd[fd] = (self._added, process)
        self._added += 1
        self._poll.register(fd, select.POLLIN)

    def wait(self, timeout_s: float) -> None:
        """Sleep up to ``timeout_s`` real seconds; wake early when a process ends.

        Raises:
            LabError: a process ended that should not have; names it and shows its log.
        """
        dead = self._ended(timeout_s)
        if not dead:
            return
        # One death drags others along, and the cause need not be the first to be gone: look
        # again shortly, and name what was added to the watch first, the more fundamental.
        while more := self._ended(CAUSE_GRACE_S):
            dead |= more
        raise death(dead[min(dead)])

    def _ended(self, timeout_s: float) -> dict[int, Watched]:
        """Processes that ended within ``timeout_s`` and should not have, by rank."""
        dead: dict[int, Watched] = {}
        for fd, _ in self._poll.poll(max(0.0, timeout_s) * 1000):
            rank, process = self._by_fd.pop(fd)
            self._poll.unregister(fd)
            os.close(fd)
            if process.may_end is None or not process.may_end():
                dead[rank] = process
        return dead


def death(process: Watched) -> LabError:
    """Describe the unexpected end of ``process``."""
    return LabError(
        f"{process.what} (process {process.pid}) died during the run{log_tail(process.log)}",
        remedy=process.remedy or "run the scenario again; the lab has been removed",
    )
