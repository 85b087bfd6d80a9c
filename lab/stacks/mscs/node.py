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
from lab.stacks.mscs.requests import Requests
from lab.stacks.mscs.rpc import Rpc

CHANNELS: dict[str, Level] = {clusnet.CHANNEL: "kernel", rpc_server.CHANNEL: "service"}


class Node:
    """The core of a node."""

    def __init__(self, config: Config, random: Random) -> None:
        self.config = config
        self.ctx = Context(config.node, random)
        self.requests = Requests(self.ctx)
        self.clusnet = ClusNet(self.ctx, config)
        self.port = ClusNetPort(self.ctx)
        self.rpc = Rpc(self.ctx, config, self.clusnet)
        self._now_s = 0.0
        self._receivers: dict[str, Callable[[float, Received], None]] = {
            clusnet.CHANNEL: self.clusnet.receive,
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
        }

    # --- between the parts -----------------------------------------------------------------

    def _start(self, now_s: float, item: Start) -> None:
        self.ctx.incarnation = item.incarnation
        self.clusnet.start(now_s)

    def _posted(self, now_s: float, level: Level, data: bytes) -> None:
        if level == "kernel":
            self.clusnet.command(now_s, msgspec.msgpack.decode(data, type=Command))
        else:
            self.port.notice(now_s, msgspec.msgpack.decode(data, type=Notice))
