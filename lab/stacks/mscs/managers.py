"""The managers above membership and global updates, put together (thesis 7.5, table 8.1).

administration: the commands
fail-over manager    node manager    quorum watch
resource manager: controllers        database manager: replica, log on the quorum volume
event processor: tells them what happened
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any

from lab.errors import LabError
from lab.stacks.core import NodeId
from lab.stacks.mscs.administration import Administration
from lab.stacks.mscs.config import Config
from lab.stacks.mscs.context import Context
from lab.stacks.mscs.database import Snapshot
from lab.stacks.mscs.database_manager import DatabaseManager
from lab.stacks.mscs.event_processor import EventProcessor, LocalGroupChanged, MembersChanged
from lab.stacks.mscs.failover import FailoverManager
from lab.stacks.mscs.gup import Gup
from lab.stacks.mscs.initial import GroupOption, initial_database, reformed_database
from lab.stacks.mscs.node_manager import NodeManager
from lab.stacks.mscs.placement import dependency_order
from lab.stacks.mscs.quorum import Quorum
from lab.stacks.mscs.quorum_watch import QuorumWatch
from lab.stacks.mscs.requests import Requests
from lab.stacks.mscs.resource_types import check_resource, make_controllers
from lab.stacks.mscs.resources import ResourceManager
from lab.stacks.mscs.rpc import Rpc


class Managers:
    """What makes a member useful; a node that has no part in a cluster does nothing here."""

    def __init__(
        self,
        ctx: Context,
        config: Config,
        *,
        requests: Requests,
        rpc: Rpc,
        gup: Gup,
        quorum: Quorum,
    ) -> None:
        self.events = EventProcessor()
        self.databases = DatabaseManager(ctx, rpc, gup, self.events)
        database = self.databases.database
        self._ctx = ctx
        self._config = config
        self._gup = gup
        controllers = make_controllers(ctx, quorum, self.databases.log, lambda: gup.cluster)
        _check_groups(config.groups, controllers)
        self.resources = ResourceManager(
            ctx,
            controllers,
            lambda now_s, group: self.events.publish(now_s, LocalGroupChanged(group)),
        )
        self.nodes = NodeManager(ctx, self.events, database, self._members)
        self.failover = FailoverManager(
            ctx, self.events, self.databases, self.resources, self._members
        )
        self._watch = QuorumWatch(ctx, config, self.events, database, self._members)
        administration = Administration(
            node=ctx.node,
            rpc=rpc,
            gup=gup,
            databases=self.databases,
            nodes=self.nodes,
            resources=self.resources,
            failover=self.failover,
            controllers=controllers,
        )
        administration.serve(requests)

    def start(self, now_s: float) -> None:
        """Begin, with the node."""
        self._watch.start(now_s)

    # --- where the database comes from -----------------------------------------------------

    def found(self, now_s: float, first: NodeId) -> None:
        """Have the database of a new cluster; ``first`` owns the cluster's own group."""
        config = self._config
        snapshot = initial_database(config.nodes, config.networks, config.groups, first)
        self.databases.take_over(now_s, snapshot)

    def recover(self, now_s: float, done: Callable[[float, bool], None]) -> None:
        """Have the database that the quorum volume holds, which this node owns, to form a cluster.

        A new volume gives a new one. ``done`` is told whether it could be read.
        """

        def recovered(at_s: float, snapshot: Snapshot | None) -> None:
            if snapshot is None:
                done(at_s, False)
                return
            self._ctx.emit("database", phase="recovered", version=snapshot.version)
            if snapshot.entries:
                again = reformed_database(snapshot, self._config.nodes, self._ctx.node)
                self.databases.take_over(at_s, again)
            else:
                self.found(at_s, self._ctx.node)
            done(at_s, not self.nodes.why_not_join(self._ctx.node))

        self.databases.log.recover(now_s, recovered)

    # --- who takes part --------------------------------------------------------------------

    def members_changed(
        self, now_s: float, joined: Iterable[NodeId] = (), left: Iterable[NodeId] = ()
    ) -> None:
        """Take notice that other nodes than before take part in global updates."""
        self.events.publish(now_s, MembersChanged(frozenset(joined), frozenset(left)))

    def state(self) -> dict[str, Any]:
        """Return the state as plain data."""
        database = self.databases.database
        return {
            "database": [database.version, database.digest()],
            "logged": self.databases.log.durable,
            "groups": {name: self.resources.phases(name) for name in self.resources.groups},
        }

    def _members(self) -> Collection[NodeId]:
        return self._gup.member.circle.members if self._gup.within else ()


def _check_groups(groups: Iterable[GroupOption], controllers: Mapping[str, Any]) -> None:
    """Raise LabError when the groups of the options cannot be."""
    for group in groups:
        try:
            for resource in dependency_order(group.resources):
                check_resource(controllers, resource)
        except LabError as error:
            raise LabError(f"mscs: option groups: {group.name}: {error}") from error
