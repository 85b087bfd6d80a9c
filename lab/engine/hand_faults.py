"""Faults that a user brings about on a standing lab, whatever kind of lab it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from lab.emulation.state import LabState
from lab.engine import faults as fabric
from lab.engine.cluster import by_hand
from lab.engine.cluster.nodes import node_name
from lab.errors import LabError
from lab.stacks.plan import Fault


@dataclass(frozen=True)
class HandFault:
    """What was asked for, as it was typed."""

    kind: str
    nodes: Sequence[str] = ()
    peers: Sequence[str] = ()
    network: int | None = None
    value: float | None = None
    level: str | None = None


def inject_by_hand(state: LabState, wanted: HandFault) -> None:
    """Bring it about now; LabError when it is not possible here."""
    if not state.medium_pid:
        for each in _on_fabric(state, wanted):
            fabric.inject(state, each)
        return
    nodes = by_hand.cluster_of(state)
    fault = by_hand.make_fault(
        nodes,
        wanted.kind,
        wanted.nodes,
        wanted.peers,
        network=wanted.network,
        value=wanted.value,
        level=wanted.level,
    )
    by_hand.inject(state, fault)


def _on_fabric(state: LabState, wanted: HandFault) -> list[fabric.Fault]:
    """The fabric's faults: of hosts, and of links given as two nodes."""
    if wanted.kind == "heal" and not wanted.nodes:
        undo = {"pause": "resume", "cut": "heal"}
        return [fabric.Fault(undo[f.action], f.target) for f in fabric.read_faults(state)]
    if wanted.kind not in fabric.ACTIONS or not wanted.nodes:
        raise LabError(
            f"on {state.topology} there is no fault {wanted.kind}"
            + ("" if wanted.nodes else " of all nodes"),
            remedy=f"there are {', '.join(fabric.ACTIONS)}: `lab fault cut s1 s17`",
        )
    if wanted.kind in {"cut", "heal"}:
        if not wanted.peers:
            raise LabError("a link has two ends", remedy="`lab fault cut s1 s17`")
        return [fabric.Fault(wanted.kind, f"{a}-{b}") for a in wanted.nodes for b in wanted.peers]
    return [fabric.Fault(wanted.kind, host) for host in wanted.nodes]


def standing_by_hand(state: LabState) -> list[dict[str, Any]]:
    """The faults that stand, each as plain data with the same keys."""
    if state.medium_pid:
        return [_of_cluster(fault) for fault in by_hand.standing(state)]
    return [
        {**_NOTHING, "fault": fault.action, "nodes": fault.target.split("-")}
        for fault in fabric.read_faults(state)
    ]


_NOTHING: dict[str, Any] = {
    "fault": "", "nodes": [], "peers": [], "network": None, "value": None, "level": None,
}  # fmt: skip


def _of_cluster(fault: Fault) -> dict[str, Any]:
    return {
        "fault": fault.fault,
        "nodes": [node_name(node) for node in fault.nodes],
        "peers": [node_name(node) for node in fault.peers],
        "network": fault.network,
        "value": fault.value or None,
        "level": fault.level if fault.level != "idle" else None,
    }
