"""Keeps a node that others may take for dead from going on as if nothing had happened.

Regroup halts whoever is in a partition that does not survive, or is pruned, but not at once: a node
that is alone waits for the maximum of phase 1, while the others see a single failure, are done
seven seconds sooner, and take its groups over (thesis 7.7.2). A pruned node learns of that from
somebody who already goes on. So that no group is on two nodes meanwhile, a node counts on those
members only that have heard it lately, as they say in their heartbeats: others suspect it no sooner
than a detection period after the last heartbeat that they heard. It takes its groups offline

- when the members that it counts on would not survive, for instance as it stood still;
- when a regroup has run for three broadcasts, and it has no contact in both directions with so many
  members that would survive, or not with all that are active, so that it may be pruned.

It has them online again when a regroup has found that it is a member, or the members hear it again.
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

CONTACT_BROADCASTS = 3
"""Of regroup's state: so many may be lost before a contact counts as missing."""
_CHECK, _CONTACTS = "isolation check", "isolation contacts"


class Network(Protocol):
    """What it needs of ClusNet."""

    def heard_by(self, since_s: float) -> list[NodeId]:
        """Return the watched nodes that have heard a heartbeat of this node sent since then."""


class Isolation:
    """Watches whether this node can still count on being a member.

    Args:
        ctx: the node.
        config: how long it takes to be suspected, and how often to look.
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
        membership.regroup.on_begun.append(self._regroup_begun)

    def start(self, now_s: float) -> None:
        """Begin to watch."""
        self._ctx.set_timer("service", _CHECK, now_s + self._config.check_s, self._check)

    def confirmed(self, now_s: float) -> None:
        """Take notice that a regroup has found this node to be a member."""
        self._ctx.cancel_timer(_CONTACTS)
        self._failover.set_quiet(now_s, quiet=False)

    def _check(self, now_s: float) -> None:
        """Look at who has heard this node lately."""
        self.start(now_s)
        view = self._membership.view
        if view is None:
            return
        group = mask(self._network.heard_by(now_s - self._config.detection_s))
        if not self._survives(now_s, view, group):
            self._failover.set_quiet(now_s, quiet=True)
        elif self._membership.regroup.run is None:
            self._failover.set_quiet(now_s, quiet=False)

    def _survives(self, now_s: float, view: View, group: int) -> bool:
        """Tell whether this node and a group of others survive, whatever the rest do."""
        members = mask(view.members)
        verdict = survival((group | bit(self._ctx.node)) & members, members, view.tie_breaker)
        return verdict == Survival.YES or (
            verdict == Survival.WITH_QUORUM and self._quorum.owned(now_s)
        )

    def _regroup_begun(self, now_s: float) -> None:
        config = self._config
        after_s = CONTACT_BROADCASTS * config.regroup_period_s
        if config.regroup_detector:  # others, activated a broadcast sooner, may be done by then
            after_s = min(after_s, config.regroup_early_s - config.regroup_period_s)
        self._look_at_contacts_at(now_s + after_s)

    def _look_at_contacts_at(self, at_s: float) -> None:
        self._ctx.set_timer("service", _CONTACTS, at_s, self._look_at_contacts)

    def _look_at_contacts(self, now_s: float) -> None:
        """Look at whom this node has contact with, until the run is over."""
        view, run = self._membership.view, self._membership.regroup.run
        if view is None or run is None:
            return
        self._look_at_contacts_at(now_s + self._config.regroup_period_s)
        active = (run.heard_in(Phase.ACTIVATE) & mask(view.members)) | bit(self._ctx.node)
        contacts = links(active, run.connectivity)[self._ctx.node]
        pruned = contacts | bit(self._ctx.node) != active
        if pruned or not self._survives(now_s, view, contacts):
            self._failover.set_quiet(now_s, quiet=True)
