"""A member's part in the order of global updates: it applies them, and serves them to others.

See :mod:`lab.stacks.mscs.gup` for the protocol. Between two regroups lies an *epoch*: a member that
has installed a view (clean-up phase 1) refuses what was sent in an earlier epoch, and nobody sends
anything before all have installed it (clean-up phase 2). So whatever a dead sender left behind is
seen in the same state by all.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeAlias

import msgspec

from lab.stacks.core import NodeId
from lab.stacks.mscs.context import Context
from lab.stacks.mscs.gup_order import Answer, Circle, Log, Update
from lab.stacks.mscs.procedure import Await, Call, Do, Done, Sleep, Steps, Together
from lab.stacks.mscs.rpc import Rpc, RpcResult

Apply: TypeAlias = Callable[[float, Any, NodeId], Any]
"""Applies an update: time, payload, sender. Must do the same on every node; what it returns is told
to the sender, from its own application."""

STALE, DONE = "stale", "done"
RETRY_S = 0.3
"""Pause after a refusal by a node that has not come as far as this one."""


@dataclass
class Transmission:
    """An update on its way: who has it already, and what that took."""

    update: Update
    served: set[NodeId] = field(default_factory=set)
    rpcs: int = 0


def state_of(result: RpcResult) -> str:
    """Return what the called node said of itself; :data:`STALE` if the call failed."""
    return str(result.value["state"]) if result.ok else STALE


class Member:
    """This node in the order.

    Args:
        ctx: the node.
        rpc: the node's RPC.
        concurrent: serve all receivers at once, not one after the other.
    """

    def __init__(self, ctx: Context, rpc: Rpc, *, concurrent: bool) -> None:
        self.node = ctx.node
        self.cluster = ""
        """Which formed cluster the order belongs to; empty while this node has no part in any."""
        self.circle = Circle((), 0)
        self.log = Log()
        self.epoch = 0
        self.settled = False
        """Whether all members have installed the view of this epoch."""
        self.concurrent = concurrent
        self.on_applied: list[Callable[[float, Update, Any], None]] = []
        """Called with every update that this node has applied, and what came out of it."""
        self.answers_after_s = 0.0
        """So much later senders are answered: a node that is slow, and not failed (thesis 7.8)."""
        self._ctx = ctx
        self._apply: dict[str, Apply] = {}
        self._unsettled: list[Done] = []
        rpc.serve("gup apply", self._serve_apply)
        rpc.serve("gup last", self._serve_last)

    def register(self, kind: str, apply: Apply) -> None:
        """Say what updates of a kind do."""
        self._apply[kind] = apply

    @property
    def within(self) -> bool:
        """Whether this node takes part in the order."""
        return self.node in self.circle.members

    @property
    def is_locker(self) -> bool:
        """Whether this node is the locker node."""
        return self.within and self.circle.locker == self.node

    # --- coming, going, regroup ------------------------------------------------------------

    def begin(self, cluster: str, circle: Circle, log: Log, epoch: int) -> None:
        """Take a place in the order of a cluster."""
        self.cluster, self.circle, self.log, self.epoch = cluster, circle, log, epoch
        self.settled = True
        self._unsettled.clear()

    def install(self, epoch: int, alive: Collection[NodeId]) -> None:
        """Clean-up phase 1: an epoch is over."""
        self.epoch, self.settled = epoch, False
        self.circle.keep(alive)

    def settle(self, now_s: float) -> None:
        """Clean-up phase 2: all members have installed the view."""
        self.settled = True
        unsettled, self._unsettled = self._unsettled, []
        for go_on in unsettled:
            go_on(now_s, None)

    def until_settled(self) -> Steps[None]:
        """Wait for the end of a regroup, if there is one."""
        if not self.settled:
            yield Await(lambda now_s, done: self._unsettled.append(done))

    def pause(self) -> Steps[None]:
        """Wait after a failed call: for the regroup that follows, or for a node that is behind."""
        if self.settled:
            yield Sleep(RETRY_S)
        yield from self.until_settled()

    # --- applying --------------------------------------------------------------------------

    def credentials(self) -> dict[str, Any]:
        """Return what tells a receiver that the sender is in the same epoch."""
        return {"cluster": self.cluster, "epoch": self.epoch}

    def knows(self, arguments: dict[str, Any]) -> bool:
        """Tell whether a caller is in the same epoch of the same cluster."""
        return bool(
            self.within
            and arguments["cluster"] == self.cluster
            and arguments["epoch"] == self.epoch
        )

    def take_in(self, now_s: float, update: Update) -> bool:
        """Apply an update if it is the next; tell whether it has been applied by now."""
        if self.log.is_next(update):
            self.log.append(update)
            self.emit("applied", update)
            value = self._apply[update.kind](now_s, update.payload, update.sender)
            for told in self.on_applied:
                told(now_s, update, value)
        return self.log.find(update.id) is not None

    def emit(self, phase: str, update: Update, **fields: Any) -> None:
        """Log something about an update."""
        self._ctx.emit(
            "gup",
            phase=phase,
            update=update.id,
            sequence=update.sequence,
            kind=update.kind,
            sender=update.sender,
            cluster=self.cluster,
            **fields,
        )

    def _serve_apply(
        self, now_s: float, source: NodeId, arguments: dict[str, Any], answer: Answer
    ) -> None:
        update = msgspec.convert(arguments["update"], Update)
        taken = self.knows(arguments) and self.take_in(now_s, update)

        def tell(at_s: float) -> None:
            answer(at_s, {"state": DONE if taken else STALE})

        if self.answers_after_s:
            name = f"gup answer {update.id}"
            self._ctx.set_timer("service", name, now_s + self.answers_after_s, tell)
        else:
            tell(now_s)

    def _serve_last(
        self, now_s: float, source: NodeId, arguments: dict[str, Any], answer: Answer
    ) -> None:
        known = self.knows(arguments)
        answer(
            now_s,
            {"state": DONE if known else STALE, "update": msgspec.to_builtins(self.log.last)},
        )

    # --- serving others --------------------------------------------------------------------

    def serve_all(self, transmission: Transmission) -> Steps[bool]:
        """Let everybody apply an update; tells whether all have, which is not so when a call fails.

        Begins after the locker, which has the update; this node applies it when it comes to itself.
        """
        if self.concurrent:
            return (yield from self._serve_at_once(transmission))
        for node in self.circle.receivers():
            if node == self.node:
                yield Do(lambda now_s: self.take_in(now_s, transmission.update))
            elif node not in transmission.served:
                result: RpcResult = yield self._call(node, transmission)
                if state_of(result) != DONE:
                    return False
                transmission.served.add(node)
        return True

    def _serve_at_once(self, transmission: Transmission) -> Steps[bool]:
        nodes = [
            node
            for node in self.circle.receivers()
            if node != self.node and node not in transmission.served
        ]
        yield Do(lambda now_s: self.take_in(now_s, transmission.update))
        results: list[RpcResult] = yield Together(
            tuple(self._call(node, transmission) for node in nodes)
        )
        transmission.served.update(
            node for node, result in zip(nodes, results, strict=True) if state_of(result) == DONE
        )
        return transmission.served.issuperset(nodes)

    def _call(self, node: NodeId, transmission: Transmission) -> Call:
        transmission.rpcs += 1
        update = msgspec.to_builtins(transmission.update)
        return Call(node, "gup apply", {**self.credentials(), "update": update})

    def ask_last(self) -> Steps[bool]:
        """Learn of an update that others have and this node has not; tells whether all answered."""
        results: list[RpcResult] = yield Together(
            tuple(Call(node, "gup last", self.credentials()) for node in self.circle.receivers())
        )
        for result in results:
            if state_of(result) == STALE:
                return False
            if result.value["update"] is not None:
                update = msgspec.convert(result.value["update"], Update)
                yield Do(partial(self.take_in, update=update))
        return True
