"""Faults that an experiment injects, and their undoing.

Supported: ``kill``, ``pause``, ``resume`` of the endpoint processes of a host (a container is
frozen as a whole), ``cut`` and ``heal`` of a link between two nodes, both directions, at the
line cards of its two ends. What was paused or cut is noted in the lab's directory, so that it
is healed at the end, whoever ends it.
"""

import json
import os
import signal
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from lab.emulation.client import LineCards
from lab.emulation.labels import container_name
from lab.emulation.state import HostState, LabState
from lab.errors import LabError
from lab.topology import load_topology

FAULTS_FILE = "faults.json"
ACTIONS = ("kill", "pause", "resume", "cut", "heal")
_UNDO = {"pause": "resume", "cut": "heal"}
_UNDONE = {"resume": "pause", "heal": "cut"}
DOCKER_TIMEOUT_S = 10


@dataclass(frozen=True)
class Fault:
    """One fault: an action on a host (``n5``) or on a link (``s40-s17``, ``n5-s2``).

    ``at_s`` is virtual seconds after the pass began; it only counts when the fault is given
    to a pass, a fault on its own happens at once.
    """

    action: str
    target: str
    at_s: float = 0.0


def parse_fault(text: str | dict[str, object]) -> Fault:
    """Check a fault given by a playbook; LabError naming what is allowed."""
    if not isinstance(text, dict):
        raise LabError(f"a fault is a mapping with action, target and at_s, not {text!r}")
    fault = Fault(
        str(text.get("action", "")), str(text.get("target", "")), float(str(text.get("at_s", 0)))
    )
    if fault.action not in ACTIONS:
        raise LabError(
            f"there is no fault {fault.action!r}", remedy=f"choose one of {', '.join(ACTIONS)}"
        )
    if not fault.target:
        raise LabError(f"fault {fault.action} names no target", remedy="a host or a link a-b")
    return fault


def changes(standing: Sequence[Fault], fault: Fault) -> bool:
    """Whether a fault would change anything: not a second pause, nor healing what is whole."""
    there = [(other.action, other.target) for other in standing]
    if fault.action in _UNDO:
        return (fault.action, fault.target) not in there
    return fault.action == "kill" or (_UNDONE[fault.action], fault.target) in there


def inject(state: LabState, fault: Fault) -> bool:
    """Do it now. Returns whether anything changed (a second pause changes nothing).

    Raises:
        LabError: the target does not exist, or nothing on it can suffer this fault.
    """
    standing = read_faults(state)
    if not changes(standing, fault):
        return False
    doers: dict[str, Callable[[LabState, str], None]] = {
        "kill": _kill,
        "pause": _pause,
        "resume": _resume,
        "cut": _cut,
        "heal": _heal,
    }
    doers[fault.action](state, fault.target)
    if fault.action in _UNDO:
        _write(state, [*standing, replace(fault, at_s=0.0)])
    elif fault.action in _UNDONE:
        undone = Fault(_UNDONE[fault.action], fault.target)
        _write(state, [other for other in standing if other != undone])
    return True


def heal_all(state: LabState) -> list[Fault]:
    """Undo every standing fault; returns what was undone."""
    standing = read_faults(state)
    for fault in reversed(standing):
        inject(state, Fault(_UNDO[fault.action], fault.target))
    return standing


def read_faults(state: LabState) -> list[Fault]:
    """The faults that stand now, in the order of their injection."""
    path = state.directory / FAULTS_FILE
    if not path.is_file():
        return []
    return [Fault(**item) for item in json.loads(path.read_text(encoding="utf-8"))]


def _write(state: LabState, faults: list[Fault]) -> None:
    text = json.dumps([asdict(fault) for fault in faults])
    (state.directory / FAULTS_FILE).write_text(text, encoding="utf-8")


def _endpoint_pids(host: HostState) -> list[int]:
    """Endpoint programs in the network namespace of the host."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            inside = (entry / "ns" / "net").stat().st_ino == host.netns_inode
            program = b"stream.py\0" in (entry / "cmdline").read_bytes()
        except OSError:
            continue
        if inside and program:
            found.append(int(entry.name))
    return found


def _signal(state: LabState, target: str, number: signal.Signals) -> None:
    pids = _endpoint_pids(state.host(target))
    if not pids:
        raise LabError(f"no endpoint process runs on {target}")
    for pid in pids:
        os.kill(pid, number)


def _kill(state: LabState, target: str) -> None:
    _signal(state, target, signal.SIGKILL)


def _pause(state: LabState, target: str) -> None:
    host = state.host(target)
    if host.kind == "container":
        _docker("pause", host)
    else:
        _signal(state, target, signal.SIGSTOP)


def _resume(state: LabState, target: str) -> None:
    host = state.host(target)
    if host.kind == "container":
        _docker("unpause", host)
    else:
        for pid in _endpoint_pids(host):
            os.kill(pid, signal.SIGCONT)


def _cut(state: LabState, target: str) -> None:
    _configure_link(state, target, cut=True)


def _heal(state: LabState, target: str) -> None:
    _configure_link(state, target, cut=False)


def _configure_link(state: LabState, target: str, *, cut: bool) -> None:
    a, _, b = target.partition("-")
    port = load_topology(state.topology).port_to(a, b)
    with LineCards(state.control_socket) as cards:
        cards.call("cut", node=a, port=port, cut=cut)


def _docker(verb: str, host: HostState) -> None:
    argv = ["docker", verb, container_name(host.name)]
    try:
        done = subprocess.run(
            argv, capture_output=True, text=True, timeout=DOCKER_TIMEOUT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise LabError(f"`{' '.join(argv)}` failed: {error}") from None
    if done.returncode != 0:
        raise LabError(f"`{' '.join(argv)}` failed: {done.stderr.strip()}")
