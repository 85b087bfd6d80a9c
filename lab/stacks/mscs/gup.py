"""The global update protocol: every member applies every update, in one order (thesis 7.8).

A sender asks the locker node for the lock, together with its update; the locker applies and stores
it. The sender then serves the others, one RPC after the other, in a circle that begins after the
locker, and unlocks: n RPCs in a cluster of n for a sender that is not the locker itself. (With
``gup_concurrent`` it serves all at once, the variant that thesis 7.9.4 asks for.)

Failures are handled as the thesis lists them. Whatever call fails, the sender waits until regroup
has installed a membership, and goes on over that.

1. The sender fails: the locker has the update, and completes it.
2. A receiver fails: the sender goes on without it.
3. The locker fails: the next node of the list is locker, and the sender asks that one for the lock.
4. Sender and locker fail: as receivers are served from after the locker on, the new locker has the
   update if any other survivor has it; it completes the last update that it has, in any case.
   (Concurrent: the order says nothing, so the new locker asks everybody first.)
5. All that have the update fail: nobody knows of it, and its place in the order is given anew.

A node that joins is not in the circle. It takes over a sponsor's state, whatever was applied until
then, and *enters* with an update of its own: with the grant of the lock comes what it has missed,
and as nobody else has the lock then, the update that lets it in is the first that it takes part in.
(A snapshot may hold an update that dies with all that had it: then the newcomer has to start anew.)
It is a member before that, but should the locker fail just then, nobody knows whether the newcomer
or the node after it is the next locker. The newcomer gives up in this case, and joins again.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection
from dataclasses import dataclass
from functools import partial
from typing import Any

import msgspec

from lab.stacks.core import NodeId
from lab.stacks.mscs.config import Config
from lab.stacks.mscs.context import Context
from lab.stacks.mscs.gup_locker import COMPLETE, GRANTED, MISSED, Locker
from lab.stacks.mscs.gup_member import STALE, Apply, Member, Transmission
from lab.stacks.mscs.gup_order import Circle, Log, Update, Waiter
from lab.stacks.mscs.procedure import Await, Call, Do, Done, Procedures, Steps
from lab.stacks.mscs.rpc import Rpc, RpcResult

_SEND = "gup send"


class GupResult(msgspec.Struct, frozen=True):
    """What became of an update."""

    ok: bool
    """False: this node has left the cluster, or was not let in; the update may have happened."""
    sequence: int = 0
    value: Any = None
    """What :data:`~lab.stacks.mscs.gup_member.Apply` returned on this node."""
    rpcs: int = 0
    """What it took."""


@dataclass
class _Own:
    """An update of this node, from its request to its end."""

    transmission: Transmission
    done: Done
    entry: bool
    value: Any = None


class Gup:
    """Global updates, as a node's managers use them."""

    def __init__(self, ctx: Context, config: Config, rpc: Rpc, procedures: Procedures) -> None:
        self.member = Member(ctx, rpc, concurrent=config.gup_concurrent)
        self.member.on_applied.append(self._applied)
        self.on_applied = self.member.on_applied
        """Called with the time, every update that this node has applied, and what came of it."""
        self.locker = Locker(self.member, rpc, procedures)
        self._ctx = ctx
        self._procedures = procedures
        self._own: deque[_Own] = deque()
        """What this node wants to send; the head is being sent while the procedure runs."""
        self._numbered = 0

    @property
    def cluster(self) -> str:
        """Which formed cluster this node takes part in; empty if in none."""
        return self.member.cluster

    @property
    def within(self) -> bool:
        """Whether this node takes part in the order."""
        return self.member.within

    @property
    def circle(self) -> Circle:
        """The nodes that take part."""
        return self.member.circle

    @property
    def is_locker(self) -> bool:
        """Whether this node is the locker node."""
        return self.member.is_locker

    def register(self, kind: str, apply: Apply) -> None:
        """Say what updates of a kind do."""
        self.member.register(kind, apply)

    def update(self, now_s: float, kind: str, payload: Any, done: Done) -> None:
        """Let every member apply an update; ``done`` gets a :class:`GupResult`.

        A node's own updates are applied in the order in which it asked for them. Those of a node
        that is not within yet wait until it is.
        """
        self._own.append(self._make(kind, payload, done, entry=False))
        self._send_next(now_s)

    # --- coming and going ------------------------------------------------------------------

    def found(self, now_s: float, cluster: str, members: Collection[NodeId], epoch: int) -> None:
        """Begin an order among the first members of a cluster."""
        self._begin(cluster, Circle(members, min(members)), Log(), epoch)
        self._tell("entered")
        self._send_next(now_s)

    def snapshot(self) -> dict[str, Any]:
        """Return what a joiner must know of the order, as plain data."""
        member = self.member
        return {
            "cluster": member.cluster,
            "members": sorted(member.circle.members),
            "locker": member.circle.locker,
            "sequence": member.log.sequence,
            "last": member.log.last_id,
            "epoch": member.epoch,
        }

    def restore(self, snapshot: dict[str, Any], alive: Collection[NodeId]) -> None:
        """Take over a sponsor's place in the order, at a member that is yet to enter."""
        circle = Circle(snapshot["members"], snapshot["locker"])
        circle.keep(alive)
        log = Log(snapshot["sequence"], snapshot["last"])
        self._begin(snapshot["cluster"], circle, log, snapshot["epoch"])

    def enter(self, now_s: float, kind: str, payload: Any, done: Done) -> None:
        """Enter the order with an update that everybody applies, this node included.

        Whoever applies it calls :meth:`admit`.
        """
        self._own.appendleft(self._make(kind, payload, done, entry=True))
        self._send_next(now_s)

    def admit(self, node: NodeId) -> None:
        """Count a node in, from the update on that is being applied."""
        self.member.circle.members.add(node)

    def leave(self, now_s: float) -> None:
        """Have no part in any order from now on; what waits for one ends without success."""
        self._procedures.cancel(_SEND)
        if self.member.cluster:
            self._tell("left")
        self._begin("", Circle((), 0), Log(), 0)
        waiting, self._own = self._own, deque()
        for own in waiting:
            own.done(now_s, GupResult(ok=False))

    def _begin(self, cluster: str, circle: Circle, log: Log, epoch: int) -> None:
        self.locker.reset()
        self.member.begin(cluster, circle, log, epoch)

    def _tell(self, phase: str) -> None:
        member, log = self.member, self.member.log
        self._ctx.emit(
            "gup",
            phase=phase,
            cluster=member.cluster,
            update=log.last_id,
            sequence=log.sequence,
        )

    # --- regroup ---------------------------------------------------------------------------

    def install(self, now_s: float, epoch: int, alive: Collection[NodeId]) -> None:
        """Clean-up phase 1: a view is installed."""
        member = self.member
        if not member.cluster:
            return
        locker, was_locker = member.circle.locker, member.is_locker
        member.install(epoch, alive)
        if self._entering and member.within and member.circle.locker != locker:
            self.leave(now_s)
        else:
            self.locker.install(alive, was_locker=was_locker)

    def settle(self, now_s: float) -> None:
        """Clean-up phase 2: all members have installed the view."""
        if self.member.cluster and not self.member.settled:
            self.member.settle(now_s)
            self.locker.settle(now_s)

    @property
    def _entering(self) -> bool:
        return bool(self._own) and self._own[0].entry

    # --- as a sender -----------------------------------------------------------------------

    def _make(self, kind: str, payload: Any, done: Done, *, entry: bool) -> _Own:
        self._numbered += 1
        update_id = f"{self._ctx.node}.{self._ctx.incarnation}.{self._numbered}"
        update = Update(update_id, kind, payload, self._ctx.node)
        return _Own(Transmission(update), done, entry)

    def _send_next(self, now_s: float) -> None:
        if self._procedures.runs(_SEND) or not self._own:
            return
        own = self._own[0]
        if self.member.within or own.entry:
            self.member.emit("asked", own.transmission.update)
            self._procedures.start(now_s, _SEND, self._send(own), self._sent)

    def _sent(self, now_s: float, result: GupResult) -> None:
        own = self._own.popleft()
        rpcs = own.transmission.rpcs
        self.member.emit("done" if result.ok else "refused", own.transmission.update, rpcs=rpcs)
        own.done(now_s, msgspec.structs.replace(result, rpcs=rpcs))
        self._send_next(now_s)

    def _applied(self, now_s: float, update: Update, value: Any) -> None:
        if self._own and self._own[0].transmission.update.id == update.id:
            self._own[0].value = value

    def _send(self, own: _Own) -> Steps[GupResult]:
        """Send one update, from the lock to the unlock, over as many views as it takes."""
        transmission = own.transmission
        while True:
            yield from self.member.until_settled()
            answer: dict[str, Any] = yield from self._ask_lock(own)
            if answer["state"] == COMPLETE:
                return GupResult(True, answer["sequence"], own.value)
            if answer["state"] == MISSED:
                return GupResult(False)
            if answer["state"] == GRANTED:
                self._number(transmission, answer["sequence"])
                yield from self._catch_up(own, answer["missed"])
                if (yield from self.member.serve_all(transmission)):
                    yield from self._unlock(transmission)
                    return GupResult(True, answer["sequence"], own.value)
            yield from self.member.pause()

    def _ask_lock(self, own: _Own) -> Steps[dict[str, Any]]:
        member, transmission = self.member, own.transmission
        applied = (member.log.sequence, member.log.last_id) if own.entry else None
        if member.is_locker:
            waiter = (transmission.update, applied)
            answer: dict[str, Any] = yield Await(
                lambda now_s, done: self.locker.request(now_s, Waiter(*waiter, done))
            )
            return answer
        transmission.rpcs += 1
        result: RpcResult = yield Call(
            member.circle.locker,
            "gup lock",
            {
                **member.credentials(),
                "update": msgspec.to_builtins(transmission.update),
                "applied": applied,
            },
        )
        return dict(result.value) if result.ok else {"state": STALE}

    def _number(self, transmission: Transmission, sequence: int) -> None:
        """Note the place in the order that the locker gave; a new one is news to all."""
        if transmission.update.sequence != sequence:
            transmission.update = msgspec.structs.replace(transmission.update, sequence=sequence)
            transmission.served.clear()

    def _catch_up(self, own: _Own, missed: list[Any]) -> Steps[None]:
        """Apply what was missed, and one's own update: only then is a newcomer in the circle."""
        if own.entry and not self.member.within:
            self._tell("entered")
            for update in (*msgspec.convert(missed, list[Update]), own.transmission.update):
                yield Do(partial(self.member.take_in, update=update))

    def _unlock(self, transmission: Transmission) -> Steps[None]:
        """Give the lock back; a locker that has failed meanwhile needs no telling."""
        update_id = transmission.update.id
        if self.member.is_locker:
            yield Do(lambda now_s: self.locker.release(now_s, update_id))
        else:
            transmission.rpcs += 1
            yield Call(self.member.circle.locker, "gup unlock", {"update": update_id})

    # --- for the core ----------------------------------------------------------------------

    def state(self) -> dict[str, Any]:
        """Return the state as plain data."""
        member, lock = self.member, self.locker.lock
        return {
            **self.snapshot(),
            "settled": member.settled,
            "own": [own.transmission.update.id for own in self._own],
            "holder": None if lock.holder is None else lock.holder.id,
            "waiting": lock.waiting(),
        }
