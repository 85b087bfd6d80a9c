"""The Microsoft Cluster Service as thesis chapter 7 describes it, in the shape of a pure core.

:mod:`~lab.stacks.mscs.node` puts a node together. In the kernel: ``clusnet``. In the Cluster
Service: ``rpc``, ``membership`` with ``regroup``, ``join``, ``gup``, and the other managers.
"""

from __future__ import annotations

from random import Random
from typing import Any

from lab.stacks.core import Core, Level, NodeId
from lab.stacks.mscs.config import make_config
from lab.stacks.mscs.node import CHANNELS, Node


class Mscs:
    """The stack."""

    name = "mscs"
    channels: dict[str, Level] = CHANNELS

    def make(self, node: NodeId, options: dict[str, Any], seed: int) -> Core:
        """Make the core of one node; LabError when an option is wrong."""
        return Node(make_config(node, options), Random(seed))  # noqa: S311 - repeatable


STACK = Mscs()
