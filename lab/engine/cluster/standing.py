"""Building the Ethernet lab that nodes of a stack run on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

from lab.emulation import ethernet, net
from lab.emulation.node_programs import node_box
from lab.emulation.stack_images import make_stack_image
from lab.emulation.state import LabState, save_state
from lab.engine.cluster.nodes import node_name
from lab.errors import LabError
from lab.stacks.addresses import prefixes
from lab.stacks.plan import NetworkPlan
from lab.topology import Topology

CLIENT = "client"
"""The host of a cluster's topology that is no node of it."""
Progress = Callable[[str, float], None]


def up(
    topology: Topology,
    stack: str,
    nodes: int,
    *,
    dilation: float,
    seed: int,
    on_progress: Progress,
    networks: Sequence[NetworkPlan] = (),
    owner: Literal["run", "hand"] = "hand",
    run_dir: Path | None = None,
) -> LabState:
    """Build a lab with nodes 1..``nodes`` as containers, ready for the programs of a stack.

    The client's machine, where the topology has one, is there too. ``networks`` are those of
    the topology at their usual rates when none are given.

    Raises:
        LabError: the topology is none of Ethernet or has not so many hosts, the image cannot be
            made, or as for :func:`lab.emulation.net.up`.
    """
    boxed = [node_name(node) for node in range(1, nodes + 1)]
    most = sum(host != CLIENT for host in topology.hosts)
    if topology.forwarding != "ethernet" or not 1 <= nodes <= most:
        raise LabError(
            f"{topology.name} cannot carry {nodes} nodes of a stack",
            remedy=f"use cluster_lan or cluster_hub, with 1 to {most} nodes",
        )
    on_progress(f"making sure of the image of {stack}", 0.0)
    image = make_stack_image(stack)
    site = net.Site(
        topology,
        boxed,
        dilation=dilation,
        seed=seed,
        hosts=[*boxed, *(host for host in topology.hosts if host == CLIENT)],
        box=node_box(image),
        owner=owner,
        run_dir=run_dir,
    )
    state = net.up_lan(site, lan_plan(topology, networks), on_progress=on_progress)
    state.stack, state.nodes = stack, nodes
    save_state(state)
    return state


def lan_plan(topology: Topology, networks: Sequence[NetworkPlan] = ()) -> net.LanPlan:
    """Return addresses and networks of an Ethernet lab; its usual ones if none are given."""
    usual = ethernet.standing_networks(topology)
    return net.LanPlan(prefixes(len(topology.switches)), networks or usual)
