"""How fast the simulator is: hops per second on one core, on the 64-node tree of thesis 4.2.

32 streams go from the front half to the back half, partners and routes drawn at random, greedy,
with flow control on: hot-spots, quenches and full queues are part of the work. Counted are hops
of cells (cell mode, messages of 2 KByte) or of messages (message mode): each link that one of
them has crossed.
"""

from __future__ import annotations

import random
import time
from dataclasses import dataclass

from lab.fabric.adapter import AdapterCosts
from lab.fabric.params import FabricParams
from lab.fabric.setup import Change, native_params, setup_of
from lab.fabric.virtual import VirtualFabric
from lab.signalling import Vc, VcRequest, open_vcs
from lab.topology import HOST_PORT, PortRef, Topology, load_topology

TREE = "fat_tree"
STREAMS = 32
MESSAGE_BYTES = 2048
MESSAGE_MODE_CELLS = FabricParams().frame_cells
END_NS = 10**12


@dataclass(frozen=True)
class KernelSpeed:
    """What one measurement found.

    Attributes:
        hops: of cells or messages.
        events: that the simulator handled.
        seconds: real time, by the clock of the process.
        virtual_s: time that passed in the model.
        digest: what was simulated, for comparing runs.
    """

    hops: int
    events: int
    seconds: float
    virtual_s: float
    digest: int

    @property
    def hops_per_s(self) -> float:
        """Hops per second of one core."""
        return self.hops / self.seconds


def front_to_back(topology: Topology, seed: int) -> tuple[Vc, ...]:
    """One circuit from each host of the front half to one of the back half, at random."""
    half = len(topology.hosts) // 2
    front, back = topology.hosts[:half], list(topology.hosts[half:])
    random.Random(seed).shuffle(back)  # noqa: S311 - repeatable, not secret
    requests = [
        VcRequest(name=f"s{i}", group="streams", a=a, b=b)
        for i, (a, b) in enumerate(zip(front[:STREAMS], back, strict=False))
    ]
    return open_vcs(topology, requests, seed)


def build(frame_cells: int, *, message_bytes: int = MESSAGE_BYTES, seed: int = 1) -> VirtualFabric:
    """Return the tree with greedy streams on it, flow control on."""
    params = FabricParams(frame_cells=frame_cells)
    topology = load_topology(TREE)
    fabric = VirtualFabric(
        native_params(params, "quench"), setup_of(params, AdapterCosts(), tie_seed=seed)
    )
    nodes = {name: fabric.add_switch(params.buffer_cells) for name in topology.switches}
    nodes |= {name: fabric.add_host() for name in topology.hosts}
    cell_ns = round(params.cell_bytes * 1e9 / params.link_bytes_per_s)
    ports: dict[PortRef, int] = {}
    for link in topology.links:
        at_host = HOST_PORT in {link.a.port, link.b.port}
        for own, far in ((link.a, link.b), (link.b, link.a)):
            ports[own] = fabric.add_port(
                nodes[own.node],
                nodes[far.node],
                cell_ns=cell_ns,
                least_ns=round(1e9 / params.host_messages_per_s) if at_host else 0,
                propagation_ns=params.propagation_ns,
            )
    for vc in front_to_back(topology, seed):
        there, back = (
            [ports[PortRef(hop.node, hop.out_port)] for hop in way[:-1]]
            for way in (vc.forward, vc.reverse)
        )
        fabric.add_flow(fabric.add_vc(there, back), [Change(0, 1.0, message_bytes)], end_ns=END_NS)
    return fabric


def measure(frame_cells: int, virtual_s: float, *, warm_up_s: float = 0.002) -> KernelSpeed:
    """Simulate for a while and tell how fast that went; the warm-up does not count.

    Args:
        frame_cells: 1 is cell mode, `MESSAGE_MODE_CELLS` message mode.
        virtual_s: how long, in the model's time.
        warm_up_s: before that, until the queues are full.
    """
    fabric = build(frame_cells)
    start_ns = round(warm_up_s * 1e9)
    fabric.run(start_ns)
    before, events = fabric.counters()["frame_hops"], fabric.events_done
    began_s = time.process_time()
    fabric.run(start_ns + round(virtual_s * 1e9))
    seconds = time.process_time() - began_s
    if fabric.broken:
        raise AssertionError(fabric.broken)
    return KernelSpeed(
        hops=fabric.counters()["frame_hops"] - before,
        events=fabric.events_done - events,
        seconds=seconds,
        virtual_s=virtual_s,
        digest=fabric.digest,
    )


def cell_speed(virtual_s: float = 0.05) -> KernelSpeed:
    """Cell mode: every cell of 53 bytes is an event of its own."""
    return measure(1, virtual_s)


def packet_speed(virtual_s: float = 1.0) -> KernelSpeed:
    """Message mode: what moves is a message."""
    return measure(MESSAGE_MODE_CELLS, virtual_s)
