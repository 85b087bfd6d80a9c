"""All parts of join, put together: what a node is to those that join, and while it joins itself."""

from __future__ import annotations

from typing import Any

from lab.stacks.mscs.clusnet_port import ClusNetPort
from lab.stacks.mscs.config import Config
from lab.stacks.mscs.context import Context
from lab.stacks.mscs.gup import Gup
from lab.stacks.mscs.join import Joiner
from lab.stacks.mscs.join_lock import Attempt, JoinLock
from lab.stacks.mscs.join_member import JoinMember
from lab.stacks.mscs.managers import Managers
from lab.stacks.mscs.membership import Membership
from lab.stacks.mscs.procedure import Procedures
from lab.stacks.mscs.quorum import Quorum
from lab.stacks.mscs.rpc import Rpc
from lab.stacks.mscs.sponsor import Sponsor
from lab.stacks.mscs.sponsor_answers import SponsorAnswers


class Joining:
    """A node's parts in joins."""

    def __init__(
        self,
        ctx: Context,
        config: Config,
        *,
        rpc: Rpc,
        procedures: Procedures,
        gup: Gup,
        membership: Membership,
        port: ClusNetPort,
        quorum: Quorum,
        managers: Managers,
    ) -> None:
        self.lock = JoinLock(ctx, gup, membership)
        self.member = JoinMember(rpc, self.lock, membership, port)
        self.sponsor = Sponsor(
            ctx,
            config,
            rpc=rpc,
            procedures=procedures,
            gup=gup,
            membership=membership,
            port=port,
            lock=self.lock,
            member=self.member,
            why_not_join=managers.nodes.why_not_join,
        )
        self.answers = SponsorAnswers(
            ctx,
            config,
            rpc=rpc,
            gup=gup,
            membership=membership,
            lock=self.lock,
            databases=managers.databases,
        )
        self.joiner = Joiner(
            ctx,
            config,
            rpc=rpc,
            procedures=procedures,
            gup=gup,
            membership=membership,
            port=port,
            lock=self.lock,
            quorum=quorum,
            managers=managers,
        )
        self._managers = managers
        self.lock.on_released.append(self._released)

    def start(self, now_s: float) -> None:
        """Join a cluster, or form one."""
        self.joiner.start(now_s)

    def settled(self, now_s: float) -> None:
        """Take notice that a regroup is over, and global updates go on."""
        self.lock.look(now_s)

    def _released(self, now_s: float, attempt: Attempt, admitted: bool) -> None:
        if admitted:
            self._managers.members_changed(now_s, joined=[attempt.joiner])

    def state(self) -> dict[str, Any]:
        """Return the state as plain data."""
        return {
            "lock": self.lock.snapshot(),
            "member": self.member.state(),
            "sponsor": self.sponsor.state(),
            "joiner": self.joiner.state(),
        }
