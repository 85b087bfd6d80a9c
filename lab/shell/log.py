"""A node's event log as its shell writes it.

Lines are collected and written each time the shell has nothing left to do, so that a node that is
killed loses at most the events of the work it was in.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from lab.shell.clock import Clock
from lab.stacks.events import Event, event_line


class EventLog:
    """Adds time, node and incarnation to events and appends them to ``<node>.events.jsonl``."""

    def __init__(self, directory: Path, node: int, incarnation: int, clock: Clock) -> None:
        self._clock = clock
        self._node = node
        self._incarnation = incarnation
        self._lines: list[bytes] = []
        self._file = os.open(
            log_path(directory, node), os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644
        )
        _cut_half_line(self._file)

    def event(
        self,
        kind: str,
        phase: str = "",
        cause: str = "",
        fields: dict[str, Any] | None = None,
        *,
        t_s: float | None = None,
    ) -> None:
        """Note that something happened: now, if no time is given."""
        event = Event(
            t_s=self._clock.now_s() if t_s is None else t_s,
            node=self._node,
            kind=kind,
            phase=phase,
            cause=cause,
            incarnation=self._incarnation,
            fields=fields or {},
        )
        self._lines.append(event_line(event))

    def flush(self) -> None:
        """Write what was collected."""
        if self._lines:
            write_all(self._file, b"".join(self._lines))
            self._lines.clear()

    def close(self) -> None:
        """Write what was collected and close the file."""
        self.flush()
        os.close(self._file)


def log_path(directory: Path, node: int) -> Path:
    """Return where a node's log is."""
    return directory / f"{node}.events.jsonl"


def write_all(file: int, data: bytes) -> None:
    """Write all the data to a file."""
    view = memoryview(data)
    while view:
        view = view[os.write(file, view) :]


def _cut_half_line(file: int) -> None:
    """Cut off a line that the node's former program did not finish."""
    size = os.fstat(file).st_size
    end = size
    while end > 0 and os.pread(file, 1, end - 1) != b"\n":
        end -= 1
    if end != size:
        os.ftruncate(file, end)
