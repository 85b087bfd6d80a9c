"""The programs of a node: started, ended, paused, all without asking Docker.

A container stands for a machine, and outlives its programs: its interfaces, addresses and files are
there when the node's program is killed and started again. The container's first process reads
command lines from a pipe, ``start`` in the host's directory, and runs each beside the others. So a
start takes as long as the program itself needs, and not Docker's tenths of a second.

========  ================================================================
start     the pipe
output    what the programs wrote, one after the other
ended     the exit status of the last program that has ended
========  ================================================================
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Sequence
from pathlib import Path

from lab.emulation import cgroups
from lab.emulation.docker_hosts import Box
from lab.emulation.labels import host_dir
from lab.emulation.state import HostState
from lab.errors import LabError

PIPE, OUTPUT, ENDED = "start", "output", "ended"
_NAME = "lab-node"
_SCRIPT = f"""
set -f
rm -f {PIPE}
mkfifo {PIPE}
exec 3<>{PIPE}
while read -r line <&3; do
    {{ $line >>{OUTPUT} 2>&1; echo $? >{ENDED}; }} &
done
"""
_START_TIMEOUT_S = 10.0
_END_TIMEOUT_S = 2.0
_LOOK_S = 0.002
_ROUNDS = 5


def node_box(image: str) -> Box:
    """Return what the container of a node is made of."""
    return Box(image, ("sh", "-c", _SCRIPT, _NAME), shared=True)


def start(lab_id: str, host: HostState, argv: Sequence[str]) -> None:
    """Start a program on a node; LabError when the node cannot be reached.

    Words with white space cannot be passed.
    """
    if any(not word or word.split() != [word] for word in argv):
        raise LabError(f"no word of a node's command may be empty or have white space: {argv}")
    line = " ".join(argv).encode() + b"\n"
    with contextlib.closing(_Pipe(host_dir(lab_id, host.name) / PIPE, host.name)) as pipe:
        pipe.write(line)


class _Pipe:
    """The writing end of a node's pipe, once the node reads from it."""

    def __init__(self, path: Path, name: str) -> None:
        deadline = time.monotonic() + _START_TIMEOUT_S
        while True:
            try:
                flags = os.O_WRONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC
                self._fd = os.open(path, flags)
            except OSError as error:
                if time.monotonic() > deadline:
                    raise LabError(
                        f"node {name} takes no commands: {error.strerror}",
                        remedy="is its container running? `lab down`, then build the lab again",
                    ) from None
                time.sleep(_LOOK_S)
            else:
                return

    def write(self, line: bytes) -> None:
        """Write a line, which is shorter than what a pipe takes at once."""
        os.write(self._fd, line)

    def close(self) -> None:
        """Close it."""
        os.close(self._fd)


def programs(host: HostState) -> list[int]:
    """Return the processes that run on a node, without the two that keep its container.

    LabError when it is no container: another host shares its processes with this machine.
    """
    if host.kind != "container":
        raise LabError(f"{host.name} is no container", remedy="name a container of the lab")
    try:
        group = cgroups.group_of_process(host.pid, "pids")
        home = Path(f"/proc/{host.pid}/ns/pid").stat().st_ino
    except OSError:
        return []
    return [pid for pid in cgroups.members(group) if _is_program(pid, host.pid, home)]


def _is_program(pid: int, first: int, pid_namespace: int) -> bool:
    if pid == first:
        return False
    try:
        # Work that competes for the processor may have been put into the group from outside.
        if Path(f"/proc/{pid}/ns/pid").stat().st_ino != pid_namespace:
            return False
        words = _words(pid)
    except OSError:
        return False
    return _NAME.encode() not in words


def _words(pid: int) -> list[bytes]:
    """Return a process's command line; empty once it has begun to end."""
    return [word for word in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0") if word]


def _is_ending(pid: int) -> bool:
    try:
        return not _words(pid)
    except OSError:
        return True


def signal_programs(host: HostState, number: signal.Signals) -> int:
    """Send a signal to all programs of a node, new ones too; return how many there were."""
    told: set[int] = set()
    for _ in range(_ROUNDS):
        # What is ending may also be the shell beside a program, which has told of that one's end.
        new = [pid for pid in programs(host) if pid not in told and not _is_ending(pid)]
        if not new:
            break
        for pid in new:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
        told.update(new)
    return len(told)


def kill(host: HostState) -> int:
    """End all programs of a node at once, as when it loses its power; return how many there were.

    Returns when they are gone: what they held, such as addresses and locks, is free then.
    """
    killed = signal_programs(host, signal.SIGKILL)
    deadline = time.monotonic() + _END_TIMEOUT_S
    while programs(host) and time.monotonic() < deadline:
        time.sleep(_LOOK_S)
    return killed


def output_tail(lab_id: str, host: str, lines: int = 5) -> str:
    """Return the last lines that the programs of a node wrote."""
    try:
        text = (host_dir(lab_id, host) / OUTPUT).read_text(errors="replace")
    except OSError:
        return ""
    return "\n".join(text.splitlines()[-lines:])
