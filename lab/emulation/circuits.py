"""What signalling says of the open circuits beside what the switches really have."""

from collections.abc import Iterable
from dataclasses import dataclass

from lab.emulation import ovs
from lab.emulation.ovs import InstalledFlow
from lab.emulation.state import LabState
from lab.signalling import Hop, Vc
from lab.signalling.flows import CLASSES, DATA_CLASS, QUENCH_CLASS
from lab.topology import load_topology


@dataclass(frozen=True)
class TracedHop:
    """One hop as signalling planned it and as the switch has it.

    ``installed`` is None at the two hosts, which have no flow entry. ``packets`` counts the
    data frames that the hop has forwarded since it was installed, ``quench_cells`` the others
    (Open vSwitch brings its counts up to date about once in half a second).
    """

    direction: str
    hop: Hop
    installed: bool | None
    packets: int = 0
    quench_cells: int = 0
    problem: str = ""


@dataclass(frozen=True)
class ListedVc:
    """A circuit in the list, and how many of its flow entries the switches have."""

    vc: Vc
    entries_expected: int
    entries_installed: int

    @property
    def whole(self) -> bool:
        """Whether every entry is where it belongs."""
        return self.entries_expected == self.entries_installed


def compare(vc: Vc, flows: dict[str, list[InstalledFlow]]) -> list[TracedHop]:
    """Compare a circuit, hop by hop, with the entries that switches have."""
    return [
        _traced(vc, direction, hop, flows.get(hop.node))
        for direction, chain in (("forward", vc.forward), ("reverse", vc.reverse))
        for hop in chain
    ]


def _traced(vc: Vc, direction: str, hop: Hop, flows: list[InstalledFlow] | None) -> TracedHop:
    if flows is None:
        return TracedHop(direction, hop, None)
    at_input = {
        flow.traffic_class: flow
        for flow in flows
        if (flow.in_port, flow.in_label) == (hop.in_port, hop.in_label)
    }
    found = [at_input.get(DATA_CLASS), at_input.get(QUENCH_CLASS)]
    packets, quench_cells = (flow.packets if flow else 0 for flow in found)
    problems = [problem for flow in found if (problem := _problem(vc, hop, flow))]
    problem = "; ".join(dict.fromkeys(problems))
    return TracedHop(direction, hop, not problems, packets, quench_cells, problem)


def _problem(vc: Vc, hop: Hop, flow: InstalledFlow | None) -> str:
    if flow is None:
        return f"{hop.node} has no entry for this port and label"
    if flow.vc_id != vc.id:
        return f"the entry belongs to circuit {flow.vc_id}"
    if (flow.out_port, flow.out_label) != (hop.out_port, hop.out_label):
        return f"the entry sends to port {flow.out_port} with label {flow.out_label}"
    return ""


def _switches_of(vcs: Iterable[Vc]) -> set[str]:
    return {switch for vc in vcs for switch in vc.switches}


def list_vcs(state: LabState) -> list[ListedVc]:
    """Return all open circuits with how many of their entries the switches have."""
    flows = ovs.installed_flows(_switches_of(state.vcs))
    return [_listed(vc, flows) for vc in state.vcs]


def _listed(vc: Vc, flows: dict[str, list[InstalledFlow]]) -> ListedVc:
    hops = (*vc.forward[1:-1], *vc.reverse[1:-1])
    installed = sum(
        1
        for hop in hops
        for flow in flows[hop.node]
        if (flow.in_port, flow.in_label) == (hop.in_port, hop.in_label)
        and not _problem(vc, hop, flow)
    )
    return ListedVc(vc, len(hops) * len(CLASSES), installed)


def trace(state: LabState, vc_id: int) -> list[TracedHop]:
    """Return the hops of a circuit, forward and then reverse, checked against the switches."""
    vc = state.vc(vc_id)
    return compare(vc, ovs.installed_flows(vc.switches))


def stray_flows(state: LabState) -> dict[str, list[InstalledFlow]]:
    """Return the entries that belong to no open circuit, by switch."""
    known = {vc.id for vc in state.vcs}
    switches = load_topology(state.topology).switches
    strays = {
        switch: [flow for flow in flows if flow.vc_id not in known]
        for switch, flows in ovs.installed_flows(switches).items()
    }
    return {switch: flows for switch, flows in strays.items() if flows}
