"""A cluster without a quorum resource ends: every member sees to that for itself (thesis 6.7.4).

Some member always owns the quorum resource, or is about to. When that takes too long, for instance
because another cluster has it by now, each member halts; whoever forms a cluster with the resource
waits for so long (see :mod:`lab.stacks.mscs.quorum`).

Who stood still for twice the detection period halts at once: either the others have excluded it, or
all stood still, and another cluster may be formed before their patience ends. The kernel watches
for that: the service of a loaded node would wait for the processor first, its groups online.
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

_TIMER, _CLOCK = "quorum patience", "quorum clock"
_LOOK_S = 1.0
"""Between two looks at the clock."""


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

    def start(self, now_s: float) -> None:
        """Begin to watch the clock."""
        due_s = now_s + _LOOK_S
        self._ctx.set_timer("kernel", _CLOCK, due_s, lambda at_s: self._check(at_s, due_s))

    def _check(self, now_s: float, due_s: float) -> None:
        stood_still_s = now_s - due_s
        if stood_still_s > 2 * self._config.detection_s and self._ctx.node in self._members():
            self._ctx.halt(f"stood still for {stood_still_s:.0f} s")
        self.start(now_s)

    def _look(self, now_s: float) -> None:
        members = self._members()
        state = self._objects.state_of(CLUSTER_GROUP)
        owned = state.owner in members and state.resources.get(QUORUM) == "online"
        if owned or self._ctx.node not in members:
            self._waiting = False
            self._ctx.cancel_timer(_TIMER)
        elif not self._waiting:
            self._waiting = True
            at_s = now_s + self._config.patience_s
            self._ctx.set_timer("service", _TIMER, at_s, self._give_up)

    def _give_up(self, now_s: float) -> None:
        self._ctx.halt("the cluster has no quorum resource")
