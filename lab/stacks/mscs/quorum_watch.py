"""A cluster without a quorum resource ends: every member sees to that for itself (thesis 6.7.4).

Some member always owns the quorum resource, or is about to. When that takes too long, for instance
because another cluster has it by now, each member halts; whoever forms a cluster with the resource
waits for so long (see :mod:`lab.stacks.mscs.quorum`).
"""

from __future__ import annotations

from collections.abc import Callable, Collection

from lab.stacks.core import NodeId
from lab.stacks.mscs.config import Config
from lab.stacks.mscs.context import Context
from lab.stacks.mscs.database import Database
from lab.stacks.mscs.event_processor import DatabaseChanged, EventProcessor, MembersChanged
from lab.stacks.mscs.initial import QUORUM
from lab.stacks.mscs.objects import CLUSTER_GROUP, Objects

_TIMER = "quorum patience"


class QuorumWatch:
    """Halts this node when its cluster has been without the quorum resource for too long."""

    def __init__(
        self,
        ctx: Context,
        config: Config,
        events: EventProcessor,
        database: Database,
        members: Callable[[], Collection[NodeId]],
    ) -> None:
        self._ctx = ctx
        self._config = config
        self._objects = Objects(database)
        self._members = members
        self._waiting = False
        events.subscribe(DatabaseChanged, lambda now_s, event: self._look(now_s))
        events.subscribe(MembersChanged, lambda now_s, event: self._look(now_s))

    def _look(self, now_s: float) -> None:
        members = self._members()
        state = self._objects.state_of(CLUSTER_GROUP)
        owned = state.owner in members and state.resources.get(QUORUM) == "online"
        if owned or self._ctx.node not in members:
            self._waiting = False
            self._ctx.cancel_timer(_TIMER)
        elif not self._waiting:
            self._waiting = True
            at_s = now_s + self._config.quorum_patience_s
            self._ctx.set_timer("service", _TIMER, at_s, self._give_up)

    def _give_up(self, now_s: float) -> None:
        self._ctx.halt("the cluster has no quorum resource")
