"""Finding and ending the processes of a run, wherever Ansible put them.

Ansible gives every task a session of its own, so a signal to its process group does not
reach a running module. But everything that a run starts inherits ``LAB_RUN`` in its
environment, which is how it is found; what belongs to the standing lab itself (``LAB_ID``) is
left to the lab's own removal.
"""

import os
import signal
import time
from contextlib import suppress
from pathlib import Path

from lab.engine.run import RUN_VARIABLE


def processes_of(run_name: str) -> list[int]:
    """Processes started for a run, except this one and the members of the lab itself."""
    wanted = f"{RUN_VARIABLE}={run_name}".encode()
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            environment = (entry / "environ").read_bytes().split(b"\0")
        except OSError:
            continue
        if wanted in environment and not any(v.startswith(b"LAB_ID=") for v in environment):
            found.append(int(entry.name))
    return found


def end_processes(run_name: str, grace_s: float) -> None:
    """Interrupt the processes of a run, then kill those that are left after ``grace_s``."""
    deadline_s = time.monotonic() + grace_s
    _signal_all(run_name, signal.SIGINT)
    while processes_of(run_name):
        if time.monotonic() > deadline_s:
            _signal_all(run_name, signal.SIGKILL)
            deadline_s += grace_s
        time.sleep(0.05)


def _signal_all(run_name: str, number: signal.Signals) -> None:
    for pid in processes_of(run_name):
        with suppress(ProcessLookupError):
            os.kill(pid, number)
