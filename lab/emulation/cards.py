"""Starting the line-card process and telling it the network (see ``linecards`` for its side)."""

import contextlib
import os
import select
import socket
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from lab.emulation.client import LineCards
from lab.emulation.labels import ENV_LAB_ID, card_interface, host_dir
from lab.emulation.state import HostState, LabState
from lab.emulation.veth import NETNS_PATH
from lab.errors import LabError
from lab.signalling import Vc
from lab.topology import PortRef, Topology

LOG_FILE = "linecards.log"
_START_TIMEOUT_S = 30.0
_LOOK_EVERY_MS = 10
_LOG_TAIL_LINES = 15

_started: list["subprocess.Popen[bytes]"] = []
"""Line cards started by this process, kept so that their ends are collected."""


def start_linecards(state: LabState) -> int:
    """Start the line-card process in its namespace; return its number once it takes commands.

    LabError with the end of its log when it dies or stays silent.
    """
    collect_ended()
    log = state.directory / LOG_FILE
    with log.open("ab") as output:
        process = subprocess.Popen(
            [
                *("nsenter", f"--net={NETNS_PATH}", "--"),
                *(sys.executable, "-m", "lab.emulation.linecards"),
                *("--dir", str(state.directory)),
            ],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env={**os.environ, ENV_LAB_ID: state.lab_id},
            cwd="/",
            start_new_session=True,
        )
    _started.append(process)
    _wait_for_socket(process, state.control_socket, log)
    return process.pid


def _wait_for_socket(process: "subprocess.Popen[bytes]", path: Path, log: Path) -> None:
    """Return when the socket accepts; notice the death of the process at once."""
    deadline = time.monotonic() + _START_TIMEOUT_S
    fd = os.pidfd_open(process.pid)
    try:
        poller = select.poll()
        poller.register(fd, select.POLLIN)
        while not _accepts(path):
            if poller.poll(_LOOK_EVERY_MS):
                raise LabError(f"the line-card process died at its start{_tail(log)}")
            if time.monotonic() > deadline:
                raise LabError(
                    f"the line-card process is silent after {_START_TIMEOUT_S:.0f} s{_tail(log)}"
                )
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
    """Collect the exit status of line cards that this process started and that have ended."""
    _started[:] = [process for process in _started if process.poll() is None]


def configure(
    state: LabState,
    topology: Topology,
    fabric: Mapping[str, object],
    quantum_us: int,
) -> None:
    """Tell the line cards the network and open the U-Net service of every host.

    ``quantum_us`` is how long they sleep between two batches of frames, real time.
    """
    with LineCards(state.control_socket) as cards:
        cards.call(
            "configure",
            dilation=state.dilation,
            seed=state.seed,
            quantum_us=quantum_us,
            params=dict(fabric),
            nodes=_nodes(topology),
            links=[_link(link.a, link.b, topology) for link in topology.links],
        )
        for host in state.hosts.values():
            cards.call("host", **_host(state, host))


def _nodes(topology: Topology) -> list[dict[str, str]]:
    switches = [{"name": name, "kind": "switch"} for name in topology.switches]
    return switches + [{"name": name, "kind": "host"} for name in topology.hosts]


def _link(a: PortRef, b: PortRef, topology: Topology) -> dict[str, Any]:
    hosts = set(topology.hosts)

    def interface(end: PortRef) -> str | None:
        return None if end.node in hosts else card_interface(end.node, end.port)

    return {
        "a": a.node,
        "a_port": a.port,
        "a_if": interface(a),
        "b": b.node,
        "b_port": b.port,
        "b_if": interface(b),
    }


def _host(state: LabState, host: HostState) -> dict[str, Any]:
    return {
        "name": host.name,
        "netns_inode": host.netns_inode,
        "dir": str(host_dir(state.lab_id, host.name)),
        "uid": host.uid,
    }


def register_vcs(state: LabState, vcs: Iterable[Vc]) -> None:
    """Open circuits at the adapters of their two ends and in the line cards along them."""
    with LineCards(state.control_socket) as cards:
        cards.call("vcs", vcs=[asdict(vc) for vc in vcs])


def unregister_vcs(state: LabState, ids: Iterable[int]) -> None:
    """Close circuits at the adapters and line cards."""
    with LineCards(state.control_socket) as cards:
        cards.call("close", ids=list(ids))


def forget_vcs(state: LabState, ids: Iterable[int]) -> None:
    """Close circuits where that still works, after their opening failed."""
    with contextlib.suppress(LabError):
        unregister_vcs(state, ids)
