"""The simulated fabric of one pass: wiring, VCs and sources put into the compiled model."""

from __future__ import annotations

from dataclasses import dataclass, field

from lab.fabric.setup import native_params, setup_of
from lab.fabric.virtual import VirtualFabric
from lab.simulation.plan import PassPlan, stream_phase
from lab.topology import HOST_PORT, Link, PortRef


@dataclass
class SimulatedNetwork:
    """The fabric of a pass, and the names of what is in it.

    Attributes:
        plan: what it is for.
        fabric: the compiled model in virtual time.
        nodes: name -> the model's number.
        ports: transmitter -> the model's number, in the order of these.
        vcs: stream -> the model's number of its VC's way forward; the way back is the next.
    """

    plan: PassPlan
    fabric: VirtualFabric
    nodes: dict[str, int] = field(default_factory=dict)
    ports: dict[PortRef, int] = field(default_factory=dict)
    vcs: dict[str, int] = field(default_factory=dict)


def build(plan: PassPlan) -> SimulatedNetwork:
    """Build the network of a pass, with its traffic and its instruments, at time 0.

    Raises:
        LabError: there is not enough memory.
    """
    topology, hops = plan.topology, sum(2 * len(vc.forward) for vc in plan.vcs)
    fabric = VirtualFabric(
        native_params(plan.fabric, plan.passing.flow_control),
        setup_of(plan.fabric, plan.costs, tie_seed=plan.tie_seed, loss_seed=plan.scenario.seed),
        nodes=len(topology.switches) + len(topology.hosts),
        ports=2 * len(topology.links),
        vcs=2 * len(plan.vcs),
        queues=hops,
    )
    network = SimulatedNetwork(plan, fabric)
    _wire(network)
    timeline = plan.scenario.timeline
    fabric.observe(
        bin_ns=round(timeline.bin_s * 1e9),
        windows=[(step.t_settled_ns, step.t_end_ns) for step in plan.steps],
        sample_ns=round(timeline.sample_s * 1e9),
    )
    _open(network)
    return network


def _wire(network: SimulatedNetwork) -> None:
    """Add every node and both directions of every link."""
    topology, fabric = network.plan.topology, network.fabric
    for switch in topology.switches:
        network.nodes[switch] = fabric.add_switch(network.plan.fabric.buffer_cells)
    for host in topology.hosts:
        network.nodes[host] = fabric.add_host()
    for link in topology.links:
        _add_port(network, link, link.a, link.b)
        _add_port(network, link, link.b, link.a)


def _add_port(network: SimulatedNetwork, link: Link, here: PortRef, there: PortRef) -> None:
    params = network.plan.fabric
    # An adapter, whether it sends or receives, handles so many messages a second.
    at_host = HOST_PORT in (link.a.port, link.b.port)
    network.ports[here] = network.fabric.add_port(
        network.nodes[here.node],
        network.nodes[there.node],
        cell_ns=round(params.cell_bytes * 1e9 / params.link_bytes_per_s),
        least_ns=round(1e9 / params.host_messages_per_s) if at_host else 0,
        propagation_ns=params.propagation_ns,
    )


def _open(network: SimulatedNetwork) -> None:
    """Open the VCs of the pass and give each its source."""
    plan, fabric = network.plan, network.fabric
    for stream, vc in zip(plan.streams, plan.vcs, strict=True):
        there, back = (
            [network.ports[PortRef(hop.node, hop.out_port)] for hop in way[:-1]]
            for way in (vc.forward, vc.reverse)
        )
        native = network.vcs[stream.name] = fabric.add_vc(there, back)
        fabric.add_flow(
            native,
            plan.source(stream),
            end_ns=plan.end_ns,
            echo=stream.echo,
            phase=stream_phase(stream),
            host_send_ns=plan.host_send_ns(stream),
            host_receive_ns=plan.host_receive_ns(stream),
        )
