"""Carrying out the faults of a plan on nodes in containers, and knowing which of them stand.

==============  =============================================================================
by programs     ``kill``, ``wipe``, ``restart``; ``pause`` and ``resume`` by signals
by the medium   whatever is between nodes, and ``network-load``
by the shell    ``slow-disk``, ``clock-step``, ``quorum-cut`` (:mod:`lab.shell.faults`)
by the kernel   ``cpu-load`` (:mod:`lab.emulation.cpu_load`)
==============  =============================================================================

What stands is a file of the lab, ``standing.json``, so that a command that comes later can tell it,
and heal it.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import msgspec

from lab.emulation import cpu_load, node_programs
from lab.emulation.client import MediumClient
from lab.emulation.state import LabState
from lab.engine.cluster.nodes import Nodes
from lab.engine.cluster.requests import Requests
from lab.ethernet.paths import PATH_FAULTS
from lab.shell.faults import HEALTHY, NodeFaults, read_faults, write_faults
from lab.stacks.plan import Fault, FaultKind

STANDING_FILE = "standing.json"
_BY_SHELL: dict[FaultKind, Callable[[NodeFaults, Fault], NodeFaults]] = {
    "slow-disk": lambda now, fault: msgspec.structs.replace(now, disk_delay_s=fault.value),
    "clock-step": lambda now, fault: msgspec.structs.replace(
        now, clock_ahead_s=now.clock_ahead_s + fault.value
    ),
    "quorum-cut": lambda now, _: msgspec.structs.replace(now, quorum_cut=True),
}


class Faults:
    """Carries out faults on the nodes of a lab."""

    def __init__(self, state: LabState, nodes: Nodes) -> None:
        self._state = state
        self._nodes = nodes
        self._requests = Requests(nodes.socket)
        self._medium = MediumClient(state.medium_socket)

    def close(self) -> None:
        """Close the connections; whatever stands stays."""
        self._requests.close()
        self._medium.close()

    def carry_out(self, fault: Fault) -> None:
        """Bring a fault about; LabError when that cannot be done."""
        nodes = fault.nodes or tuple(self._nodes.all)
        if fault.fault in PATH_FAULTS or fault.fault in {"network-load", "heal"}:
            peers = fault.peers or tuple(self._nodes.all)
            between = msgspec.structs.replace(fault, nodes=nodes, peers=peers)
            self._medium.call("fault", fault=msgspec.to_builtins(between))
        if fault.fault == "heal":
            self._heal(nodes)
        elif fault.fault in _BY_SHELL:
            for node in nodes:
                directory = self._nodes.directory(node)
                self._tell(node, _BY_SHELL[fault.fault](read_faults(directory), fault))
        else:
            self._to_programs(fault, nodes)
        write_standing(self._state, standing_after(read_standing(self._state), fault, nodes))

    def _to_programs(self, fault: Fault, nodes: Sequence[int]) -> None:
        match fault.fault:
            case "kill":
                self._nodes.kill(nodes)
            case "wipe":
                self._nodes.wipe(nodes)
            case "restart":
                for node in nodes:
                    self._nodes.start(node)
            case "pause":
                self._signal(nodes, signal.SIGSTOP)
            case "resume":
                self._signal(nodes, signal.SIGCONT)
            case "cpu-load":
                self._load(nodes, fault)

    def _signal(self, nodes: Iterable[int], number: signal.Signals) -> None:
        for node in nodes:
            node_programs.signal_programs(self._nodes.host(node), number)

    def _load(self, nodes: Iterable[int], fault: Fault) -> None:
        cpu_load.apply(
            self._state.lab_id,
            [self._nodes.host(node) for node in nodes],
            fault.level,
            nodes=self._nodes.count,
            dilation=self._state.dilation,
        )

    def _tell(self, node: int, faults: NodeFaults) -> None:
        write_faults(self._nodes.directory(node), faults)
        self._requests.control(node, "faults")

    def _heal(self, nodes: Sequence[int]) -> None:
        """Undo what is wrong with nodes; their clocks stay where they were put."""
        self._load(nodes, Fault("cpu-load"))  # first, so that none goes on as a loaded node does
        self._signal(nodes, signal.SIGCONT)
        for node in nodes:
            now = read_faults(self._nodes.directory(node))
            healed = msgspec.structs.replace(HEALTHY, clock_ahead_s=now.clock_ahead_s)
            if now != healed:
                self._tell(node, healed)


def standing_after(standing: Sequence[Fault], fault: Fault, nodes: Sequence[int]) -> list[Fault]:
    """Return the faults that stand after one more, on these nodes, was brought about.

    Healing nodes takes them out of each fault, and out of its peers.
    """
    if fault.fault == "heal":
        return _without(standing, set(nodes), lambda _: True)
    if fault.fault in {"resume", "kill", "wipe"}:  # a program that is gone is not paused either
        return _without(standing, set(nodes), lambda kind: kind == "pause")
    if fault.fault in {"restart", "clock-step"}:  # nothing that could be healed
        return list(standing)
    now = msgspec.structs.replace(fault, nodes=tuple(nodes))
    if fault.fault in {"cpu-load", "network-load"}:
        loads = _without(standing, set(nodes), lambda kind: kind == fault.fault)
        return loads if fault.level == "idle" else [*loads, now]
    return [*(other for other in standing if other != now), now]


def _without(
    standing: Sequence[Fault], nodes: set[int], concerned: Callable[[FaultKind], bool]
) -> list[Fault]:
    left = []
    for fault in standing:
        if not concerned(fault.fault):
            left.append(fault)
            continue
        of = tuple(node for node in fault.nodes if node not in nodes)
        peers = tuple(node for node in fault.peers if node not in nodes)
        if of and (peers or not fault.peers):
            left.append(msgspec.structs.replace(fault, nodes=of, peers=peers))
    return left


def read_standing(state: LabState) -> list[Fault]:
    """Return the faults that stand, in the order of their coming."""
    path = _standing_file(state)
    if not path.is_file():
        return []
    return msgspec.json.decode(path.read_bytes(), type=list[Fault])


def write_standing(state: LabState, faults: Sequence[Fault]) -> None:
    """Note which faults stand."""
    path = _standing_file(state)
    partial = path.with_suffix(".new")
    partial.write_bytes(msgspec.json.encode(list(faults)))
    partial.replace(path)


def _standing_file(state: LabState) -> Path:
    return state.directory / STANDING_FILE
