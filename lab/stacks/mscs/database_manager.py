"""The database manager: changes of the replicated database, by global updates (thesis 7.7.1, 8).

It brings this node's replica, the global update protocol, and the log on the quorum volume
together. A change that somebody asked for counts as made when it is on the quorum volume too: then
it outlasts the loss of all nodes at once.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import msgspec

from lab.errors import LabError
from lab.stacks.core import NodeId
from lab.stacks.mscs.context import Context
from lab.stacks.mscs.database import Database, Snapshot, Update
from lab.stacks.mscs.event_processor import DatabaseChanged, EventProcessor
from lab.stacks.mscs.gup import Gup, GupResult
from lab.stacks.mscs.objects import CLUSTER_GROUP, Draft, Objects
from lab.stacks.mscs.quorum_log import QuorumLog
from lab.stacks.mscs.rpc import Rpc, RpcResult
from lab.stacks.mscs.rpc_server import Respond

Made: TypeAlias = Callable[[float, bool], None]
"""Told whether a change was made, or is durable."""
Changed: TypeAlias = Callable[[float, str], None]
"""Told why a change was not made; empty when it was."""

KIND = "database"
_DURABLE = "database durable"
RETRY_S = 1.0
"""Pause before the owner of the quorum volume is asked again, when there was none."""
_NOT_A_MEMBER = "this node has left the cluster"


class DatabaseManager:
    """A node's replica of the database, and the way to change them all."""

    def __init__(self, ctx: Context, rpc: Rpc, gup: Gup, events: EventProcessor) -> None:
        self.database = Database()
        self.log = QuorumLog(ctx, self.database)
        self._ctx = ctx
        self._rpc = rpc
        self._gup = gup
        self._events = events
        gup.register(KIND, self._apply)
        rpc.serve(_DURABLE, self._serve_durable)

    def propose(self, now_s: float, update: Update, made: Made) -> None:
        """Bring an update to all members; it is not made if it rests on outdated versions."""

        def done(at_s: float, result: GupResult) -> None:
            if result.ok:
                made(at_s, bool(result.value))

        self._gup.update(now_s, KIND, msgspec.to_builtins(update), done)

    def change(self, now_s: float, describe: Callable[[Draft], None], changed: Changed) -> None:
        """Make a change, described anew as often as others get in between.

        Raises:
            LabError: by ``describe``, the first time; later ``changed`` is told.
        """
        draft = Draft(self.database)
        describe(draft)
        update = draft.update()

        def done(at_s: float, result: GupResult) -> None:
            if not result.ok:
                changed(at_s, _NOT_A_MEMBER)
            elif result.value and update.lasts:
                self._until_durable(at_s, result.value, lambda then_s: changed(then_s, ""))
            elif result.value:
                changed(at_s, "")
            else:
                try:
                    self.change(at_s, describe, changed)
                except LabError as error:
                    changed(at_s, str(error))

        if draft.changes:
            self._gup.update(now_s, KIND, msgspec.to_builtins(update), done)
        else:
            changed(now_s, "")

    def _apply(self, now_s: float, payload: Any, origin: NodeId) -> int:
        """Take the next update; return the version that it led to, 0 if it was outdated."""
        update = msgspec.convert(payload, Update)
        made = self.database.apply(update)
        self._ctx.emit(
            "database",
            phase="applied" if made else "outdated",
            cluster=self._gup.cluster,
            version=self.database.version,
            digest=self.database.digest(),
        )
        if made:
            self.log.append(now_s, update)
            keys = frozenset((*update.put, *update.delete))
            self._events.publish(now_s, DatabaseChanged(keys))
        return self.database.version if made else 0

    # --- on the quorum volume --------------------------------------------------------------

    def _until_durable(self, now_s: float, version: int, done: Callable[[float], None]) -> None:
        """Wait until the quorum volume has a version; ask whoever owns it, as often as needed."""

        def answered(at_s: float, durable: bool) -> None:
            if durable:
                self._ctx.emit("database", phase="durable", version=version)
                done(at_s)
            else:
                self._ctx.set_timer("service", f"{_DURABLE} {version}", at_s + RETRY_S, ask)

        def ask(at_s: float) -> None:
            owner = Objects(self.database).state_of(CLUSTER_GROUP).owner
            if owner == self._ctx.node:
                self.log.when_durable(at_s, version, answered)
            elif owner is None:
                answered(at_s, False)
            else:
                self._rpc.call(at_s, owner, _DURABLE, {"version": version}, returned)

        def returned(at_s: float, result: RpcResult) -> None:
            answered(at_s, result.ok and bool(result.value["durable"]))

        ask(now_s)

    def _serve_durable(
        self, now_s: float, source: NodeId, arguments: dict[str, Any], answer: Respond
    ) -> None:
        self.log.when_durable(
            now_s, arguments["version"], lambda at_s, durable: answer(at_s, {"durable": durable})
        )

    # --- coming and going ------------------------------------------------------------------

    def snapshot(self) -> dict[str, Any]:
        """Return the whole database as plain data, for a node that joins."""
        data: dict[str, Any] = msgspec.to_builtins(self.database.snapshot())
        return data

    def restore(self, now_s: float, data: dict[str, Any]) -> None:
        """Take a sponsor's database over."""
        self.take_over(now_s, msgspec.convert(data, Snapshot))

    def take_over(self, now_s: float, snapshot: Snapshot) -> None:
        """Have another database than before."""
        self.database.restore(snapshot)
        self._ctx.emit("database", phase="restored", version=snapshot.version)
        self._events.publish(now_s, DatabaseChanged(frozenset(snapshot.entries)))
