"""How the Cluster Service and ClusNet talk: what crosses between process and kernel, and the
service's end of it (thesis 7.5, 7.6).
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from lab.stacks.core import NodeId
from lab.stacks.mscs.context import Context


class Watch(msgspec.Struct, frozen=True, array_like=True, tag=True):
    """To the kernel: exchange heartbeats with this incarnation of a node."""

    node: NodeId
    incarnation: int


class Unwatch(msgspec.Struct, frozen=True, array_like=True, tag=True):
    """To the kernel: no longer do so."""

    node: NodeId


class Filter(msgspec.Struct, frozen=True, array_like=True, tag=True):
    """To the kernel: drop whatever this incarnation of a node, or an earlier one, still sends."""

    node: NodeId
    incarnation: int


class Suspected(msgspec.Struct, frozen=True, array_like=True, tag=True):
    """To the service: a node has been silent for the detection period."""

    node: NodeId


class Alive(msgspec.Struct, frozen=True, array_like=True, tag=True):
    """To the service: a watched node was heard for the first time."""

    node: NodeId


Command = Watch | Unwatch | Filter
Notice = Suspected | Alive

NodeNotice = Callable[[float, NodeId], None]
"""Told of a node at a time."""


class ClusNetPort:
    """ClusNet as the managers of the Cluster Service see it."""

    def __init__(self, ctx: Context) -> None:
        self.on_suspected: list[NodeNotice] = []
        """Called when a watched node is suspected to have failed."""
        self.on_alive: list[NodeNotice] = []
        """Called once for each node that is watched, when it is heard; checked each 600 ms."""
        self._ctx = ctx

    def watch(self, node: NodeId, incarnation: int) -> None:
        """Exchange heartbeats with an incarnation of a node; the node must do so, too."""
        self._post(Watch(node, incarnation))

    def unwatch(self, node: NodeId) -> None:
        """Exchange no more heartbeats with a node."""
        self._post(Unwatch(node))

    def filter(self, node: NodeId, incarnation: int) -> None:
        """Let nothing in that an incarnation of a node, or an earlier one, still sends."""
        self._post(Filter(node, incarnation))

    def notice(self, now_s: float, notice: Notice) -> None:
        """Take what ClusNet tells."""
        listeners = self.on_alive if isinstance(notice, Alive) else self.on_suspected
        for listener in listeners:
            listener(now_s, notice.node)

    def _post(self, command: Command) -> None:
        self._ctx.post("kernel", msgspec.msgpack.encode(command))
