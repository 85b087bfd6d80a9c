"""Where one node is: which one, in which life, and at what addresses and ports."""

from __future__ import annotations

from collections.abc import Iterable

from lab.errors import LabError
from lab.shell.plan import ShellPlan
from lab.stacks.core import NodeId


class Station:
    """One life of one node on the networks of a plan."""

    def __init__(
        self, plan: ShellPlan, node: NodeId, incarnation: int, channels: Iterable[str]
    ) -> None:
        self.plan = plan
        self.node = node
        self.incarnation = incarnation
        self.ports = plan.ports(channels)
        self.own_addresses = {k: plan.address(node, k) for k in range(len(plan.networks))}

    def address_of(self, to: NodeId | str, network: int) -> str | None:
        """Return where a core's name for a target is on a network; None when it is nowhere."""
        if isinstance(to, int):
            return self.plan.address(to, network)
        try:
            return self.plan.moving_address(to).get(network)
        except LabError:
            return None

    def is_node_at(self, node: NodeId, address: str, network: int) -> bool:
        """Tell whether an address is a node's own."""
        return self.is_node(node) and address == self.plan.address(node, network)

    def is_node(self, node: NodeId) -> bool:
        """Tell whether the plan has such a node."""
        return 1 <= node <= self.plan.nodes
