"""Our processes: found by ``LAB_ID`` in their environment, ended through pidfds.

A pidfd stays with its process, so a number that was reused in between cannot hit another.
"""

import os
import select
import signal
import time
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from lab.emulation.labels import ENV_LAB_ID, is_lab_id

_ROUNDS = 5
_KILL_WAIT_S = 5.0


@dataclass(frozen=True)
class OurProcess:
    """A process that bears a lab's label."""

    pid: int
    lab_id: str
    name: str


def environment_of(pid: int) -> dict[str, str]:
    """Return the environment that a process was started with; empty when it is gone."""
    try:
        raw = Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return {}
    pairs = (entry.partition(b"=") for entry in raw.split(b"\0") if entry)
    return {key.decode(errors="replace"): value.decode(errors="replace") for key, _, value in pairs}


def _label_of(pid: int) -> str | None:
    try:
        raw = Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return None
    marker = f"{ENV_LAB_ID}=".encode()
    for entry in raw.split(b"\0"):
        if entry.startswith(marker):
            lab_id = entry.removeprefix(marker).decode(errors="replace")
            return lab_id if is_lab_id(lab_id) else None
    return None


def _parent_of(pid: int) -> int:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return 0
    return int(stat.rpartition(")")[2].split()[1])


def own_line() -> set[int]:
    """Return this process and its ancestors, which clean-up must spare."""
    line: set[int] = set()
    pid = os.getpid()
    while pid > 0 and pid not in line:
        line.add(pid)
        pid = _parent_of(pid)
    return line


def labelled_processes() -> list[OurProcess]:
    """Return the processes that bear a label, save this one and its ancestors."""
    spared = own_line()
    found: list[OurProcess] = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdecimal() or int(entry.name) in spared:
            continue
        lab_id = _label_of(int(entry.name))
        if lab_id is not None:
            name = _command_of(entry)
            found.append(OurProcess(int(entry.name), lab_id, name))
    return found


def _command_of(entry: Path) -> str:
    try:
        return (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")[:80]
    except OSError:
        return "?"


def end_processes(lab_ids: Collection[str]) -> int:
    """Kill the processes of some labs and wait for their end; return how many there were.

    Repeats while new ones appear: a process may have been starting another.
    """
    ended = 0
    for _ in range(_ROUNDS):
        targets = [process for process in labelled_processes() if process.lab_id in lab_ids]
        if not targets:
            break
        ended += _kill(targets)
    return ended


def _kill(targets: list[OurProcess]) -> int:
    waiting: dict[int, int] = {}
    poller = select.poll()
    for process in targets:
        try:
            fd = os.pidfd_open(process.pid)
        except ProcessLookupError:
            continue
        if _label_of(process.pid) != process.lab_id:
            os.close(fd)
            continue
        waiting[fd] = process.pid
        poller.register(fd, select.POLLIN)
        signal.pidfd_send_signal(fd, signal.SIGKILL)
    ended = len(waiting)
    deadline = time.monotonic() + _KILL_WAIT_S
    while waiting and (left_s := deadline - time.monotonic()) > 0:
        for fd, _ in poller.poll(left_s * 1000):
            poller.unregister(fd)
            os.close(fd)
            del waiting[fd]
    for fd in waiting:
        os.close(fd)
    return ended
