"""Keeps a node that others may take for dead from going on as if nothing had happened.

Regroup halts whoever is in a partition that does not survive, but not at once: a node that is alone
waits for the maximum of phase 1, while the others see a single failure, are done seven seconds
sooner, and take its groups over (thesis 7.7.2). So that no group is on two nodes meanwhile, a node
takes its groups offline as soon as the nodes that it still hears could not survive without it
knowing, and has them online again when a regroup has found that it is a member.

The same holds after the node stood still for as long as it takes to be suspected.
"""

from __future__ import annotations

from typing import Protocol

from lab.stacks.core import NodeId
from lab.stacks.mscs.config import Config
from lab.stacks.mscs.context import Context
from lab.stacks.mscs.failover import FailoverManager
from lab.stacks.mscs.membership import Membership
from lab.stacks.mscs.quorum import Quorum
from lab.stacks.mscs.regroup.masks import mask
from lab.stacks.mscs.regroup.rules import Survival, survival

CHECK_S = 1.0
"""Between two looks at the clock."""
_CHECK = "isolation check"


class Network(Protocol):
    """What it needs of ClusNet."""

    def suspected(self) -> list[NodeId]:
        """Return the nodes that are silent at present."""


class Isolation:
    """Watches whether this node can still count on being a member.

    Args:
        ctx: the node.
        config: how long it takes to be suspected.
        network: ClusNet.
        quorum: the quorum resource, which a node of a cluster of two may survive with.
        failover: takes the node's groups offline, and online again.
        membership: knows the view, and can start a regroup.
    """

    def __init__(
        self,
        ctx: Context,
        config: Config,
        *,
        network: Network,
        quorum: Quorum,
        failover: FailoverManager,
        membership: Membership,
    ) -> None:
        self._ctx = ctx
        self._config = config
        self._network = network
        self._quorum = quorum
        self._failover = failover
        self._membership = membership
        quorum.on_lost.append(self.look)

    def start(self, now_s: float) -> None:
        """Begin to watch the clock."""
        due_s = now_s + CHECK_S
        self._ctx.set_timer("service", _CHECK, due_s, lambda at_s: self._check(at_s, due_s))

    def look(self, now_s: float) -> None:
        """Take notice that a node is suspected, or the quorum resource lost."""
        view = self._membership.view
        if view is None:
            return
        members = mask(view.members)
        heard = members & ~mask(self._network.suspected())
        verdict = survival(heard, members, view.tie_breaker)
        with_quorum = verdict == Survival.WITH_QUORUM and self._quorum.owned(now_s)
        if verdict != Survival.YES and not with_quorum:
            self._failover.set_quiet(now_s, quiet=True)

    def confirmed(self, now_s: float) -> None:
        """Take notice that a regroup has found this node to be a member."""
        self._failover.set_quiet(now_s, quiet=False)

    def _check(self, now_s: float, due_s: float) -> None:
        stood_still_s = now_s - due_s
        if (
            stood_still_s >= self._config.detection_s - CHECK_S
            and self._membership.view is not None
        ):
            self._failover.set_quiet(now_s, quiet=True)
            self._membership.regroup.demand(now_s, f"stood still for {stood_still_s:.1f} s")
        self.start(now_s)
