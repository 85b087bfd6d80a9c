"""What a joiner asks its sponsor: discovery, the five questions of phase 3, the database of phase 5
(thesis 7.7.1).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from lab.stacks.core import NodeId
from lab.stacks.mscs.config import Config
from lab.stacks.mscs.context import Context
from lab.stacks.mscs.database_manager import DatabaseManager
from lab.stacks.mscs.gup import Gup
from lab.stacks.mscs.join_lock import JoinLock
from lab.stacks.mscs.join_member import Respond
from lab.stacks.mscs.membership import Membership
from lab.stacks.mscs.objects import CLUSTER_GROUP, Network, Node, Objects
from lab.stacks.mscs.rpc import Rpc

PROBE, VERSION = "join probe", "join version"
CLUSTER, NODES, NETWORKS = "join ask cluster", "join ask nodes", "join ask networks"
INTERFACES, MEMBERS = "join ask interfaces", "join ask members"
QUESTIONS = (CLUSTER, NODES, NETWORKS, INTERFACES, MEMBERS)
"""The sequence of five RPCs by which a joiner learns of nodes, networks and interfaces."""
DATABASE_VERSION, DATABASE = "join database version", "join database"
PROTOCOL = 1
"""Nodes that speak another version of the protocol must not join."""


class SponsorAnswers:
    """Answers from what this node knows."""

    def __init__(
        self,
        ctx: Context,
        config: Config,
        *,
        rpc: Rpc,
        gup: Gup,
        membership: Membership,
        lock: JoinLock,
        databases: DatabaseManager,
    ) -> None:
        self._ctx = ctx
        self._config = config
        self._gup = gup
        self._membership = membership
        self._lock = lock
        self._databases = databases
        self._objects = Objects(databases.database)
        answers: dict[str, Callable[[], dict[str, Any]]] = {
            PROBE: self._probe,
            VERSION: lambda: {"protocol": PROTOCOL, "nodes": config.nodes},
            CLUSTER: lambda: {"cluster": gup.cluster},
            NODES: lambda: {"nodes": [node.name for node in self._objects.all(Node)]},
            NETWORKS: lambda: {"networks": [net.name for net in self._objects.all(Network)]},
            INTERFACES: lambda: {"interfaces": config.interfaces},
            MEMBERS: self._members,
            DATABASE_VERSION: lambda: {"version": databases.database.version},
            DATABASE: self._database,
        }
        for method, answer in answers.items():
            self._serve(rpc, method, answer)

    def _serve(self, rpc: Rpc, method: str, answer: Callable[[], dict[str, Any]]) -> None:
        def handler(
            now_s: float, source: NodeId, arguments: dict[str, Any], respond: Respond
        ) -> None:
            member = self._gup.within
            respond(now_s, {"ok": member, **(answer() if member else {})})

        rpc.serve(method, handler)

    def _probe(self) -> dict[str, Any]:
        owner = self._objects.state_of(CLUSTER_GROUP).owner
        return {"holds_address": owner == self._ctx.node}

    def _members(self) -> dict[str, Any]:
        view = self._membership.view
        return {"members": [] if view is None else list(view.nodes)}

    def _database(self) -> dict[str, Any]:
        """The replica, and its place in the order of updates."""
        return {
            "gup": self._gup.snapshot(),
            "lock": self._lock.snapshot(),
            "database": self._databases.snapshot(),
        }
