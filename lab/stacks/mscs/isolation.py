"""Keeps a node that others may take for dead from going on as if nothing had happened.

Regroup halts whoever is in a partition that does not survive, or is pruned, but not at once: a node
that is alone waits for the maximum of phase 1, while the others see a single failure, are done
seven seconds sooner, and take its groups over (thesis 7.7.2). A pruned node learns of that from
somebody who already goes on. So that no group is on two nodes meanwhile, a node takes its groups
offline

- as soon as the members that are not silent would not survive;
- when a regroup has run for three broadcasts, and it has no contact in both directions with so many
  members that would survive, or not with all that are active, so that it may be pruned;
- when it stood still for as long as it takes to be suspected.

It has them online again when a regroup has found that it is a member.
"""

from __future__ import annotations

from typing import Protocol

from lab.stacks.core import NodeId
from lab.stacks.mscs.config import Config
from lab.stacks.mscs.context import Context
from lab.stacks.mscs.failover import FailoverManager
from lab.stacks.mscs.membership import Membership
from lab.stacks.mscs.quorum import Quorum
from lab.stacks.mscs.regroup.masks import bit, mask
from lab.stacks.mscs.regroup.rules import Survival, links, survival
from lab.stacks.mscs.regroup.state import Phase
from lab.stacks.mscs.view import View

CHECK_S = 1.0
"""Between two looks at the clock."""
CONTACT_BROADCASTS = 3
"""Of regroup's state: so many may be lost before a contact counts as missing."""
_CHECK, _CONTACTS = "isolation check", "isolation contacts"


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
        membership.regroup.on_begun.append(self._regroup_begun)

    def start(self, now_s: float) -> None:
        """Begin to watch the clock."""
        due_s = now_s + CHECK_S
        self._ctx.set_timer("service", _CHECK, due_s, lambda at_s: self._check(at_s, due_s))

    def look(self, now_s: float) -> None:
        """Take notice that a node is suspected, or the quorum resource lost."""
        view = self._membership.view
        if view is not None:
            self._judge(now_s, view, mask(view.members) & ~mask(self._network.suspected()))

    def confirmed(self, now_s: float) -> None:
        """Take notice that a regroup has found this node to be a member."""
        self._ctx.cancel_timer(_CONTACTS)
        self._failover.set_quiet(now_s, quiet=False)

    def _judge(self, now_s: float, view: View, group: int) -> None:
        """Let go unless a group of members survives in any case."""
        verdict = survival(group, mask(view.members), view.tie_breaker)
        with_quorum = verdict == Survival.WITH_QUORUM and self._quorum.owned(now_s)
        if verdict != Survival.YES and not with_quorum:
            self._failover.set_quiet(now_s, quiet=True)

    def _regroup_begun(self, now_s: float) -> None:
        self._look_at_contacts_at(now_s + CONTACT_BROADCASTS * self._config.regroup_period_s)

    def _look_at_contacts_at(self, at_s: float) -> None:
        self._ctx.set_timer("service", _CONTACTS, at_s, self._look_at_contacts)

    def _look_at_contacts(self, now_s: float) -> None:
        """Look at whom this node has contact with, until the run is over."""
        view, run = self._membership.view, self._membership.regroup.run
        if view is None or run is None:
            return
        self._look_at_contacts_at(now_s + self._config.regroup_period_s)
        active = run.heard_in(Phase.ACTIVATE) & mask(view.members)
        group = active | bit(self._ctx.node)
        contacts = links(group, run.connectivity)[self._ctx.node] | bit(self._ctx.node)
        if contacts != group:
            self._failover.set_quiet(now_s, quiet=True)
        else:
            self._judge(now_s, view, contacts)

    def _check(self, now_s: float, due_s: float) -> None:
        """Notice that the clock went on without this node."""
        stood_still_s = now_s - due_s
        suspected = stood_still_s >= self._config.detection_s - CHECK_S
        if suspected and self._membership.view is not None:
            self._failover.set_quiet(now_s, quiet=True)
            self._membership.regroup.demand(now_s, f"stood still for {stood_still_s:.1f} s")
        self.start(now_s)
