"""The locker node of global updates: grants the lock, and completes what the dead have left.

See :mod:`lab.stacks.mscs.gup` for the protocol.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import msgspec

from lab.stacks.core import NodeId
from lab.stacks.mscs.gup_member import DONE, STALE, Member, Transmission
from lab.stacks.mscs.gup_order import Answer, Lock, Update, Waiter
from lab.stacks.mscs.procedure import Procedures, Steps
from lab.stacks.mscs.rpc import Rpc

GRANTED, COMPLETE, MISSED = "granted", "complete", "missed"
"""The lock is yours; the update is done already; what you have missed is not to be had."""
_COMPLETE = "gup complete"


class Locker:
    """What a node does while it is the locker node.

    Args:
        member: this node in the order.
        rpc: the node's RPC.
        procedures: runs what the node does.
    """

    def __init__(self, member: Member, rpc: Rpc, procedures: Procedures) -> None:
        self.lock = Lock()
        self._member = member
        self._procedures = procedures
        self._takes_over = False
        """The last update may be incomplete, and nobody but this node will complete it."""
        rpc.serve("gup lock", self._serve_lock)
        rpc.serve("gup unlock", self._serve_unlock)

    def reset(self) -> None:
        """Forget everything: this node has no part in an order, or begins one."""
        self._procedures.cancel(_COMPLETE)
        self._takes_over, self.lock = False, Lock()

    # --- the lock --------------------------------------------------------------------------

    def request(self, now_s: float, waiter: Waiter) -> None:
        """Take a request for the lock; it is answered when its turn has come."""
        holder = self.lock.holder
        if holder is not None and holder.id == waiter.update.id and not self._takes_over:
            waiter.answer(now_s, {"state": GRANTED, "sequence": holder.sequence, "missed": []})
            return
        self.lock.wait(waiter)
        self._grant_next(now_s)

    def release(self, now_s: float, update_id: str) -> None:
        """Take the lock back from an update."""
        if not self._takes_over and self.lock.release(update_id):
            self._grant_next(now_s)

    def _serve_lock(
        self, now_s: float, source: NodeId, arguments: dict[str, Any], answer: Answer
    ) -> None:
        update = msgspec.convert(arguments["update"], Update)
        if self._member.is_locker and self._member.knows(arguments):
            applied = arguments["applied"]
            self.request(now_s, Waiter(update, applied and tuple(applied), answer))
        else:
            answer(now_s, {"state": STALE})

    def _serve_unlock(
        self, now_s: float, source: NodeId, arguments: dict[str, Any], answer: Answer
    ) -> None:
        self.release(now_s, arguments["update"])
        answer(now_s, {"state": DONE})

    def _grant_next(self, now_s: float) -> None:
        """Give the lock to whoever waits for it first, if it is free."""
        member = self._member
        while member.settled and not self._takes_over and (waiter := self.lock.next()) is not None:
            applied = member.log.find(waiter.update.id)
            if applied is None:
                self._grant(now_s, waiter)
            else:
                waiter.answer(now_s, {"state": COMPLETE, "sequence": applied.sequence})

    def _grant(self, now_s: float, waiter: Waiter) -> None:
        member = self._member
        missed = [] if waiter.applied is None else member.log.since(*waiter.applied)
        if missed is None:
            waiter.answer(now_s, {"state": MISSED})
            return
        update = msgspec.structs.replace(waiter.update, sequence=member.log.sequence + 1)
        self.lock.holder = update
        member.emit("locked", update)
        member.take_in(now_s, update)
        granted = {"sequence": update.sequence, "missed": msgspec.to_builtins(missed)}
        waiter.answer(now_s, {"state": GRANTED, **granted})

    # --- failures --------------------------------------------------------------------------

    def install(self, alive: Collection[NodeId], *, was_locker: bool) -> None:
        """Clean-up phase 1: see whether there is something that this node has to complete."""
        if not self._member.is_locker:
            return
        self.lock.keep(alive)
        holder = self.lock.holder
        if not was_locker or (holder is not None and holder.sender not in alive):
            self._takes_over = True

    def settle(self, now_s: float) -> None:
        """Clean-up phase 2: complete it, then grant the lock again."""
        if self._takes_over and not self._procedures.runs(_COMPLETE):
            self._procedures.start(now_s, _COMPLETE, self._complete(), self._completed)
        self._grant_next(now_s)

    def _complete(self) -> Steps[Transmission | None]:
        """Let everybody apply the last update that anybody here has."""
        member = self._member
        transmission: Transmission | None = None
        while True:
            yield from member.until_settled()
            if not member.concurrent or (yield from member.ask_last()):
                last = member.log.last
                if last is None:
                    return None
                if transmission is None or transmission.update.id != last.id:
                    transmission = Transmission(last)
                if (yield from member.serve_all(transmission)):
                    return transmission
            yield from member.pause()

    def _completed(self, now_s: float, transmission: Transmission | None) -> None:
        self._takes_over, self.lock.holder = False, None
        if transmission is not None:
            self._member.emit("completed", transmission.update, rpcs=transmission.rpcs)
        self._grant_next(now_s)
