"""Running a playbook for ``lab run``: Ansible as a child, its events as they come.

Ansible orders the phases; this module starts it, forwards interrupts, notices when it dies,
and makes sure that nothing of the run is left whichever way it ended.
"""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from lab.engine.inventory import INVENTORY_FILE
from lab.engine.progress import Event, Follower
from lab.engine.run import OWNER_VARIABLE, RUN_VARIABLE, AnyRun
from lab.engine.watch import log_tail
from lab.errors import LabError
from lab.paths import PLAYBOOKS

LOG_FILE = "ansible.log"
POLL_S = 0.2


class Interrupted(Exception):  # noqa: N818 - a condition, not an error
    """The user (or the system) asked the run to stop."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number


@dataclass(frozen=True)
class Failure:
    """Why a playbook failed, as its callback plugin or a phase told it."""

    message: str
    remedy: str = ""


def ansible_environment(run: AnyRun) -> dict[str, str]:
    """Environment of ansible-playbook: our plugins, no noise, one owner of the run."""
    return {
        **os.environ,
        "ANSIBLE_CONFIG": str(PLAYBOOKS / "ansible.cfg"),
        "ANSIBLE_LIBRARY": str(PLAYBOOKS / "modules"),
        "ANSIBLE_CALLBACK_PLUGINS": str(PLAYBOOKS / "callback_plugins"),
        "ANSIBLE_CONNECTION_PLUGINS": str(PLAYBOOKS / "connection_plugins"),
        "ANSIBLE_STDOUT_CALLBACK": "lab_lines",
        "ANSIBLE_LOCALHOST_WARNING": "False",
        "ANSIBLE_INVENTORY_UNPARSED_WARNING": "False",
        "ANSIBLE_RETRY_FILES_ENABLED": "False",
        "ANSIBLE_PIPELINING": "True",
        "ANSIBLE_NOCOLOR": "True",
        "LC_ALL": "C.UTF-8",
        OWNER_VARIABLE: str(os.getpid()),
        RUN_VARIABLE: run.dir.name,
    }


def command(run: AnyRun) -> list[str]:
    """The command line that runs the scenario's playbook for a prepared run."""
    program = Path(sys.executable).with_name("ansible-playbook")
    variables = {
        "run_dir": str(run.dir),
        "scenario": run.scenario.name,
        "experiment": run.scenario.playbook,
    }
    return [
        str(program),
        *("-i", str(run.dir / INVENTORY_FILE)),
        *("-e", json.dumps(variables)),
        str(PLAYBOOKS / "scenario.yml"),
    ]


@contextmanager
def interrupts_raise() -> Iterator[None]:
    """Turn SIGINT, SIGTERM and SIGHUP into :class:`Interrupted` inside the context."""

    def stop(number: int, _frame: FrameType | None) -> None:
        raise Interrupted(number)

    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, stop) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def interrupts_wait(say: Callable[[str], None]) -> Iterator[None]:
    """Let nothing interrupt the clean-up; a second Ctrl-C only says so."""

    def patience(_number: int, _frame: FrameType | None) -> None:
        say("still removing the lab; a moment")

    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, patience) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def play(run: AnyRun, on_event: Callable[[Event], None]) -> None:
    """Run the scenario's playbook to its end.

    Args:
        run: the prepared run.
        on_event: called with every progress event, in order.

    Raises:
        LabError: a phase failed; the message is that phase's own.
        Interrupted: a signal arrived; the processes of the run go on until they are ended.
    """
    follower = Follower(run.dir)
    failures: list[Failure] = []

    def pump() -> None:
        for event in follower.new_events():
            if event.kind == "error":
                failures.append(Failure(event.message, event.remedy))
            else:
                on_event(event)

    with (run.dir / LOG_FILE).open("wb") as log:
        process = subprocess.Popen(
            command(run),
            env=ansible_environment(run),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            process_group=0,
        )
        while process.poll() is None:
            pump()
            with suppress(subprocess.TimeoutExpired):
                process.wait(POLL_S)
    pump()
    if process.returncode != 0:
        raise _failure(run, process.returncode, failures)


def _failure(run: AnyRun, code: int, failures: list[Failure]) -> LabError:
    """The first cause of a failed playbook, in the words of whoever noticed it first."""
    if code < 0:
        name = signal.Signals(-code).name
        return LabError(
            f"ansible-playbook was ended by {name} during the run",
            remedy="run the scenario again; the lab has been removed",
        )
    found = failures or list(_callback_failures(run.dir / LOG_FILE))
    if found:
        return LabError(found[0].message, remedy=found[0].remedy)
    return LabError(
        f"ansible-playbook ended with code {code}{log_tail(run.dir / LOG_FILE)}",
        remedy=f"the whole log is {run.dir / LOG_FILE}",
    )


def _callback_failures(log: Path) -> Iterator[Failure]:
    for line in log.read_text(encoding="utf-8", errors="replace").splitlines():
        with suppress(ValueError, TypeError, KeyError):
            event: Mapping[str, str] = json.loads(line)
            if event["event"] == "failed":
                yield Failure(f"{event['task']}: {event['message']}", event.get("remedy", ""))
