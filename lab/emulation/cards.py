"""Starting the line-card process and telling it the network (see ``linecards`` for its side)."""

import contextlib
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any

from lab.emulation import realtime
from lab.emulation.client import LineCards
from lab.emulation.labels import card_interface, host_dir
from lab.emulation.state import HostState, LabState
from lab.errors import LabError
from lab.signalling import Vc
from lab.topology import PortRef, Topology


def start_linecards(state: LabState) -> int:
    """Start the line-card process in its namespace; return its number once it takes commands.

    LabError with the end of its log when it dies or stays silent.
    """
    return realtime.start(
        state, "lab.emulation.linecards", "line-card process", state.control_socket
    )


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
