"""What regroup needs of the other parts of its node."""

from __future__ import annotations

from collections.abc import Collection
from typing import Protocol

from lab.stacks.core import NodeId
from lab.stacks.mscs.regroup.state import Phase
from lab.stacks.mscs.view import View


class Network(Protocol):
    """What regroup needs of ClusNet."""

    def pick(self, node: NodeId | str) -> int:
        """Choose the network for the next datagram to a node."""

    def pick_for_all(self, nodes: Collection[NodeId]) -> int:
        """Choose the network for the next multicast to these nodes."""

    def accepts(self, node: NodeId, incarnation: int) -> bool:
        """Tell whether a node's datagrams are let in."""

    def suspected(self) -> list[NodeId]:
        """Return the nodes that are silent at present."""


class Host(Protocol):
    """What regroup needs of the membership manager; the answers come back at once or later."""

    def clean_up(self, now_s: float, phase: Phase, view: View) -> None:
        """Run a clean-up phase for a view, then call ``Regroup.cleaned``."""

    def ask_quorum(self, now_s: float, attempt: int) -> None:
        """Try to own the quorum resource, then call ``Regroup.quorum``."""
