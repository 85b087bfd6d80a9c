"""The node manager: which nodes belong to the cluster, and what they may do (thesis table 8.1).

Whether a node runs is for the membership to say. What its administrators want of it is in the
database: it is up, paused (keeps its groups, gets no more), or evicted, which takes two steps: the
fail-over manager moves its groups away, and then it halts and must not join any more.
"""

from __future__ import annotations

from collections.abc import Callable, Collection

import msgspec

from lab.errors import LabError
from lab.stacks.core import NodeId
from lab.stacks.mscs.context import Context
from lab.stacks.mscs.database import Database
from lab.stacks.mscs.event_processor import DatabaseChanged, EventProcessor
from lab.stacks.mscs.objects import Draft, Node, Objects


class NodeManager:
    """What this node knows of all nodes, itself included."""

    def __init__(
        self,
        ctx: Context,
        events: EventProcessor,
        database: Database,
        members: Callable[[], Collection[NodeId]],
    ) -> None:
        self._ctx = ctx
        self._objects = Objects(database)
        self._members = members
        events.subscribe(DatabaseChanged, self._database_changed)

    def why_not_join(self, node: NodeId) -> str:
        """Return why a node must not join the cluster; empty when it may."""
        found = self._objects.find(Node, str(node))
        if found is None:
            return f"node {node} does not belong to this cluster"
        if found.state in ("evicting", "evicted"):
            return f"node {node} was evicted"
        return ""

    def is_up(self, node: NodeId) -> bool:
        """Tell whether a node is a member that takes groups."""
        found = self._objects.find(Node, str(node))
        return node in self._members() and found is not None and found.state == "up"

    def pause(self, draft: Draft, node: NodeId) -> None:
        """Let a node get no more groups."""
        found = draft.get(Node, str(node))
        if found.state not in ("up", "paused"):
            raise LabError(f"node {node} was evicted")
        draft.put(msgspec.structs.replace(found, state="paused"))

    def resume(self, draft: Draft, node: NodeId) -> None:
        """Let a paused node take groups, or an evicted one join, again."""
        draft.put(msgspec.structs.replace(draft.get(Node, str(node)), state="up"))

    def evict(self, draft: Draft, node: NodeId) -> None:
        """Remove a node from the cluster, after its groups."""
        found = draft.get(Node, str(node))
        if not any(self.is_up(other) for other in self._members() if other != node):
            raise LabError(
                f"node {node} cannot be evicted: no other node is up to take its groups",
                remedy="resume or start another node first",
            )
        if found.state != "evicted":
            draft.put(msgspec.structs.replace(found, state="evicting"))

    def _database_changed(self, now_s: float, event: DatabaseChanged) -> None:
        for node in self._objects.all(Node):
            if node.handle in event.keys:
                self._ctx.emit("node", phase=node.state, peer=int(node.name))
        own = self._objects.find(Node, str(self._ctx.node))
        if own is not None and own.state == "evicted" and self._ctx.node in self._members():
            self._ctx.halt("evicted")
