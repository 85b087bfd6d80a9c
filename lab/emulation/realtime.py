"""Starting the lab's real-time processes in their namespace (see ``serving`` for their side)."""

import os
import select
import socket
import subprocess
import sys
import time
from pathlib import Path

from lab.emulation.labels import ENV_LAB_ID
from lab.emulation.state import LabState
from lab.emulation.veth import NETNS_PATH
from lab.errors import LabError

_START_TIMEOUT_S = 30.0
_LOOK_EVERY_MS = 10
_LOG_TAIL_LINES = 15

_started: list["subprocess.Popen[bytes]"] = []
"""Processes started by this one, kept so that their ends are collected."""


def start(state: LabState, module: str, name: str, control_socket: Path) -> int:
    """Start a Python module in the namespace; return its number once it takes commands.

    Args:
        state: the lab; the module is given its directory.
        module: what to run.
        name: what it is called in messages, such as ``line-card process``.
        control_socket: where it will listen.

    LabError with the end of its log when it dies or stays silent.
    """
    collect_ended()
    log = state.directory / f"{module.rpartition('.')[2]}.log"
    with log.open("ab") as output:
        process = subprocess.Popen(
            [
                *("nsenter", f"--net={NETNS_PATH}", "--"),
                *(sys.executable, "-m", module, "--dir", str(state.directory)),
            ],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env={**os.environ, ENV_LAB_ID: state.lab_id},
            cwd="/",
            start_new_session=True,
        )
    _started.append(process)
    _wait_for_socket(process, name, control_socket, log)
    return process.pid


def _wait_for_socket(process: "subprocess.Popen[bytes]", name: str, path: Path, log: Path) -> None:
    """Return when the socket accepts; notice the death of the process at once."""
    deadline = time.monotonic() + _START_TIMEOUT_S
    fd = os.pidfd_open(process.pid)
    try:
        poller = select.poll()
        poller.register(fd, select.POLLIN)
        while not _accepts(path):
            if poller.poll(_LOOK_EVERY_MS):
                raise LabError(f"the {name} died at its start{_tail(log)}")
            if time.monotonic() > deadline:
                raise LabError(f"the {name} is silent after {_START_TIMEOUT_S:.0f} s{_tail(log)}")
    finally:
        os.close(fd)


def _accepts(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(str(path))
        except OSError:
            return False
        return True


def _tail(log: Path) -> str:
    lines = log.read_text(errors="replace").splitlines()[-_LOG_TAIL_LINES:]
    return "; end of its log:\n" + "\n".join(f"  {line}" for line in lines) if lines else ""


def collect_ended() -> None:
    """Collect the exit status of what this process started and what has ended."""
    _started[:] = [process for process in _started if process.poll() is None]
