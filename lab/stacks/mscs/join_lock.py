"""The global lock of joins: one join at a time in the whole cluster (thesis 7.7.1, phases 2 and 6).

The lock is replicated: every member knows who has it, because it is taken and given back by global
updates. A sponsor takes it for a joiner; the joiner gives it back with the update by which it
enters the order of updates; if that does not come about, the sponsor gives it back, and if the
sponsor is gone, whoever is locker node of global updates by then.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import msgspec

from lab.stacks.core import NodeId
from lab.stacks.mscs.context import Context
from lab.stacks.mscs.gup import Gup
from lab.stacks.mscs.membership import Membership

LOCK, UNLOCK, ABORT = "join lock", "join unlock", "join abort"


class JoinFailedError(Exception):
    """An attempt to join comes to nothing; says why."""


class Attempt(msgspec.Struct, frozen=True):
    """One attempt of a node to join."""

    id: str
    joiner: NodeId
    incarnation: int
    sponsor: NodeId
    sponsor_incarnation: int


Released: TypeAlias = Callable[[float, Attempt, bool], None]
"""Told that an attempt is over, and whether the node is a full member now."""


class JoinLock:
    """This node's replica of the lock."""

    def __init__(self, ctx: Context, gup: Gup, membership: Membership) -> None:
        self.holder: Attempt | None = None
        self.on_released: list[Released] = []
        self._ctx = ctx
        self._gup = gup
        self._membership = membership
        self._aborting = ""
        """The attempt that this node ends, in its sponsor's place."""
        gup.register(LOCK, self._lock)
        gup.register(UNLOCK, self._unlock)
        gup.register(ABORT, self._abort)
        gup.on_applied.append(lambda now_s, update, value: self.look(now_s))

    def is_held_by(self, attempt_id: str) -> bool:
        """Tell whether an attempt has the lock."""
        return self.holder is not None and self.holder.id == attempt_id

    def look(self, now_s: float) -> None:
        """End the join of a sponsor that is gone, if that is for this node to do."""
        holder, view = self.holder, self._membership.view
        if holder is None or view is None or not self._gup.is_locker:
            return
        orphaned = view.members.get(holder.sponsor) != holder.sponsor_incarnation
        if orphaned and self._aborting != holder.id:
            self._aborting = holder.id
            self._gup.update(now_s, ABORT, holder.id, lambda at_s, result: None)

    # --- replication -----------------------------------------------------------------------

    def _lock(self, now_s: float, payload: Any, origin: NodeId) -> bool:
        if self.holder is not None:
            return False
        self.holder = msgspec.convert(payload, Attempt)
        self._emit("held", self.holder)
        return True

    def _unlock(self, now_s: float, payload: Any, origin: NodeId) -> bool:
        attempt, view = self.holder, self._membership.view
        if attempt is None or attempt.id != payload:
            return False
        lives = view is not None and view.members.get(attempt.joiner) == attempt.incarnation
        if lives:
            self._gup.admit(attempt.joiner)
        self._release(now_s, attempt, admitted=lives)
        return True

    def _abort(self, now_s: float, payload: Any, origin: NodeId) -> bool:
        attempt = self.holder
        if attempt is None or attempt.id != payload:
            return False
        self._release(now_s, attempt, admitted=False)
        return True

    def _release(self, now_s: float, attempt: Attempt, *, admitted: bool) -> None:
        self.holder = None
        self._emit("released", attempt, admitted=admitted)
        if not admitted:
            self._membership.withdraw(attempt.joiner)
        for told in self.on_released:
            told(now_s, attempt, admitted)

    def _emit(self, phase: str, attempt: Attempt, **fields: Any) -> None:
        self._ctx.emit(
            "join-lock", phase=phase, attempt=attempt.id, joiner=attempt.joiner, **fields
        )

    def snapshot(self) -> dict[str, Any] | None:
        """Return it as plain data."""
        return None if self.holder is None else msgspec.to_builtins(self.holder)

    def restore(self, snapshot: dict[str, Any] | None) -> None:
        """Take over a sponsor's replica, or forget it all."""
        self.holder = None if snapshot is None else msgspec.convert(snapshot, Attempt)
