"""One node of the cluster: its parts, and who of them takes which input.

Two levels run in a node. ClusNet is part of the kernel; all else is the Cluster Service, a process
(thesis 7.5). They talk by posts.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

import msgspec

from lab.stacks.core import (
    DiskDone,
    EffectDone,
    Input,
    Level,
    Output,
    Posted,
    Received,
    Request,
    Start,
    TimerDue,
)
from lab.stacks.mscs import clusnet, rpc_server
from lab.stacks.mscs.clusnet import ClusNet
from lab.stacks.mscs.clusnet_port import ClusNetPort, Command, Notice
from lab.stacks.mscs.config import Config
from lab.stacks.mscs.context import Context
from lab.stacks.mscs.gup import Gup
from lab.stacks.mscs.isolation import Isolation
from lab.stacks.mscs.joining import Joining
from lab.stacks.mscs.managers import Managers
from lab.stacks.mscs.membership import Membership, ViewChange
from lab.stacks.mscs.procedure import Procedures
from lab.stacks.mscs.quorum import Quorum
from lab.stacks.mscs.regroup import engine
from lab.stacks.mscs.regroup.state import Phase
from lab.stacks.mscs.regroup.upcalls import AskQuorum, CleanUp, Upcall
from lab.stacks.mscs.requests import Requests
from lab.stacks.mscs.rpc import Rpc
from lab.stacks.mscs.workload import Workload

CHANNELS: dict[str, Level] = {
    clusnet.CHANNEL: "kernel",
    engine.CHANNEL: "service",
    engine.KERNEL_CHANNEL: "kernel",
    rpc_server.CHANNEL: "service",
}
PRESET = "preset"
"""Names the cluster of the members that the options tell."""


class Node:
    """The core of a node."""

    def __init__(self, config: Config, random: Random) -> None:
        self.config = config
        self.ctx = Context(config.node, random)
        self.requests = Requests(self.ctx)
        self.clusnet = ClusNet(self.ctx, config)
        self.port = ClusNetPort(self.ctx)
        self.rpc = Rpc(self.ctx, config, self.clusnet)
        self.quorum = Quorum(self.ctx, config)
        self.membership = Membership(
            self.ctx,
            config,
            clusnet=self.clusnet,
            port=self.port,
            calls=self.rpc,
            quorum=self.quorum,
        )
        self.procedures = Procedures(self.rpc, self.ctx)
        self.gup = Gup(self.ctx, config, self.rpc, self.procedures)
        self.managers = Managers(
            self.ctx,
            config,
            requests=self.requests,
            rpc=self.rpc,
            gup=self.gup,
            quorum=self.quorum,
        )
        self.isolation = Isolation(
            self.ctx,
            config,
            network=self.clusnet,
            quorum=self.quorum,
            failover=self.managers.failover,
            membership=self.membership,
        )
        self.joining = Joining(
            self.ctx,
            config,
            rpc=self.rpc,
            procedures=self.procedures,
            gup=self.gup,
            membership=self.membership,
            port=self.port,
            quorum=self.quorum,
            managers=self.managers,
        )
        self.workload = Workload(self.requests, self.procedures, self.gup)
        self.membership.on_clean_up_1.append(self._clean_up_1)
        self.membership.on_clean_up_2.append(self._clean_up_2)
        self.quorum.on_lost.append(self.membership.quorum_lost)
        self._now_s = 0.0
        self._receivers: dict[str, Callable[[float, Received], None]] = {
            clusnet.CHANNEL: self.clusnet.receive,
            engine.CHANNEL: self.membership.regroup.receive,
            engine.KERNEL_CHANNEL: self.membership.regroup.receive,
            rpc_server.CHANNEL: self.rpc.receive,
        }

    # --- the core's interface --------------------------------------------------------------

    def handle(self, now_s: float, item: Input) -> None:
        """Take in one input."""
        if self.ctx.halted:
            return
        if now_s < self._now_s:
            self.ctx.timers.shift(now_s - self._now_s)
        self._now_s = now_s
        match item:
            case Received():
                receiver = self._receivers.get(item.channel)
                if receiver is not None:
                    receiver(now_s, item)
            case TimerDue(level):
                self.ctx.timers.fire(now_s, level)
            case Posted(level, data):
                self._posted(now_s, level, data)
            case Request():
                self.requests.take(now_s, item)
            case DiskDone():
                self.ctx.disk_done(now_s, item)
            case EffectDone():
                self.ctx.effect_done(now_s, item)
            case Start():
                self._start(now_s, item)

    def take_outputs(self) -> list[Output]:
        """Return what has come out since the last call, in order."""
        return self.ctx.take_outputs()

    def next_timer_s(self, level: Level) -> float | None:
        """Return when this level wants to be woken."""
        return None if self.ctx.halted else self.ctx.timers.next_s(level)

    def state(self) -> dict[str, Any]:
        """Return the whole state as plain data."""
        return {
            "context": self.ctx.state(),
            "clusnet": self.clusnet.state(),
            "rpc": self.rpc.state(),
            "membership": self.membership.state(),
            "gup": self.gup.state(),
            "joining": self.joining.state(),
            "quorum": self.quorum.state(),
            "managers": self.managers.state(),
        }

    # --- between the parts -----------------------------------------------------------------

    def _start(self, now_s: float, item: Start) -> None:
        self.ctx.incarnation = item.incarnation
        self.membership.recall(item.disk)
        self.clusnet.start(now_s)
        self.isolation.start(now_s)
        self.managers.start(now_s)
        if self.ctx.node in self.config.members and item.incarnation == 1:
            self._be_preset(now_s)
        else:
            self.joining.start(now_s)

    def _be_preset(self, now_s: float) -> None:
        """Be a member of the cluster that the options tell."""
        members = self.config.members
        self.membership.found(now_s, PRESET, dict.fromkeys(members, 1))
        self.gup.found(now_s, PRESET, members, epoch=0)
        self.managers.found(now_s, min(members))
        self.managers.members_changed(now_s, joined=members)

    def _clean_up_1(self, now_s: float, change: ViewChange) -> None:
        if change.cause == "regroup":
            self.gup.install(now_s, change.view.attempt, change.view.nodes)

    def _clean_up_2(self, now_s: float, change: ViewChange) -> None:
        if change.cause == "regroup":
            self.gup.settle(now_s)
            self.joining.settled(now_s)
            self.isolation.confirmed(now_s)
            self.managers.members_changed(now_s, left=change.left)

    def _posted(self, now_s: float, level: Level, data: bytes) -> None:
        if level == "kernel":
            self.clusnet.command(now_s, msgspec.msgpack.decode(data, type=Command))
            return
        match msgspec.msgpack.decode(data, type=Notice | Upcall):
            case CleanUp(phase, view):
                self.membership.clean_up(now_s, Phase(phase), view)
            case AskQuorum(attempt):
                self.membership.ask_quorum(now_s, attempt)
            case notice:
                self.port.notice(now_s, notice)
