"""The checkpoint and log managers: the configuration database on the quorum volume (thesis 6.7.4).

The owner of the quorum resource writes there; so whoever forms the cluster next, which needs the
resource, finds what was decided last, even if it was down meanwhile. Of the volume are used:

================================ =================================================================
``checkpoint``                   the database without its volatile part, and the checkpoint's name
``log/<checkpoint>/<version>``   each update made since, by the version that it led to
================================ =================================================================

A new owner begins with a checkpoint of its own: its memory has every update that the members know,
while the log of the owner before may lack the last ones, or have one that nobody else got. As the
log's keys name their checkpoint, a log that was left behind is never mixed up with a newer one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import msgspec

from lab.stacks.core import DiskDone
from lab.stacks.mscs.context import Context
from lab.stacks.mscs.database import Database, Snapshot, Update, replay

Recovered: TypeAlias = Callable[[float, Snapshot | None], None]
"""Told once what the volume holds; None when it cannot be read."""
Logged: TypeAlias = Callable[[float, bool], None]

CHECKPOINT_EVERY = 64
"""Updates between checkpoints: bounds how much is replayed, and what a checkpoint costs each."""
RETRY_S = 1.0
_CHECKPOINT, _LOG, _RETRY = "checkpoint", "log/", "quorum log retry"
EMPTY = Snapshot(0, {})


class _Checkpoint(msgspec.Struct, frozen=True):
    name: str
    snapshot: Snapshot


class QuorumLog:
    """Keeps the quorum volume up with the database, while this node owns it."""

    def __init__(self, ctx: Context, database: Database) -> None:
        self.durable = 0
        """The database's version up to which everything that lasts is on the volume."""
        self._ctx = ctx
        self._database = database
        self._name = ""
        """Of the checkpoint that is logged to; empty while this node does not log."""
        self._named = 0
        self._checkpointing = False
        """The checkpoint is not there yet, so nothing is logged to it."""
        self._unsaved = 0
        """Updates since the last checkpoint was taken."""
        self._waiting: list[tuple[int, Logged]] = []

    # --- as the owner ----------------------------------------------------------------------

    @property
    def is_open(self) -> bool:
        """Whether this node logs."""
        return bool(self._name)

    def open(self, now_s: float) -> None:
        """Begin to log: this node has come to own the volume, and its database is current."""
        self.durable = 0
        self._begin_checkpoint(now_s)

    def close(self, now_s: float) -> None:
        """Log no more; who waits is told that it was not logged here."""
        self._name = ""
        self._ctx.cancel_timer(_RETRY)
        waiting, self._waiting = self._waiting, []
        for _, done in waiting:
            done(now_s, False)

    def append(self, now_s: float, update: Update) -> None:
        """Log an update that has just been made."""
        if not self._name or not update.lasts:
            return
        self._unsaved += 1
        if self._checkpointing:
            return
        if self._unsaved >= CHECKPOINT_EVERY:
            self._begin_checkpoint(now_s)
            return
        name, version = self._name, self._database.version

        def written(at_s: float, answer: DiskDone) -> None:
            if name != self._name:
                return
            if answer.ok:
                self._reach(at_s, version)
            else:
                self._failed(at_s)

        key = f"{_LOG}{name}/{version:012d}"
        self._ctx.disk("quorum", "write", key, msgspec.json.encode(update), written)

    def when_durable(self, now_s: float, version: int, done: Logged) -> None:
        """Tell when all up to a version is on the volume."""
        if not self._name or self.durable >= version:
            done(now_s, bool(self._name))
        else:
            self._waiting.append((version, done))

    def _begin_checkpoint(self, now_s: float) -> None:
        self._named += 1
        name = f"{self._ctx.node}.{self._ctx.incarnation}.{self._named}"
        self._name, self._checkpointing = name, True

        def listed(at_s: float, answer: DiskDone) -> None:
            if name != self._name:
                return
            if answer.ok:
                self._write_checkpoint(name, answer.data.decode().splitlines())
            else:
                self._failed(at_s)

        self._ctx.disk("quorum", "list", _LOG, b"", listed)

    def _write_checkpoint(self, name: str, outdated: list[str]) -> None:
        """Write a checkpoint, after which the logs that were there are not needed."""
        self._unsaved = 0
        snapshot = self._database.snapshot(lasting=True)

        def written(at_s: float, answer: DiskDone) -> None:
            if name != self._name:
                return
            if not answer.ok:
                self._failed(at_s)
                return
            for key in outdated:
                self._ctx.disk("quorum", "delete", key, b"", lambda deleted_s, deleted: None)
            self._checkpointing = False
            self._reach(at_s, snapshot.version)
            if self._unsaved:
                self._begin_checkpoint(at_s)

        data = msgspec.json.encode(_Checkpoint(name, snapshot))
        self._ctx.disk("quorum", "write", _CHECKPOINT, data, written)

    def _failed(self, now_s: float) -> None:
        """The volume did not take something: begin anew with a checkpoint, in a while."""
        self._name += "!"
        self._checkpointing = True
        self._ctx.set_timer("service", _RETRY, now_s + RETRY_S, self._begin_checkpoint)

    def _reach(self, now_s: float, version: int) -> None:
        self.durable = max(self.durable, version)
        self._ctx.emit("database", phase="logged", version=self.durable)
        waiting, self._waiting = self._waiting, []
        for wanted, done in waiting:
            self.when_durable(now_s, wanted, done)

    # --- when forming a cluster ------------------------------------------------------------

    def recover(self, now_s: float, done: Recovered) -> None:
        """Read what the volume holds: the last checkpoint, brought forward by its log."""
        _Recovery(self._ctx, done).begin()


class _Recovery:
    """Reads checkpoint and log, one after the other."""

    def __init__(self, ctx: Context, done: Recovered) -> None:
        self._ctx = ctx
        self._done = done
        self._checkpoint = _Checkpoint("", EMPTY)
        self._keys: list[str] = []
        self._updates: list[tuple[int, Update]] = []

    def begin(self) -> None:
        self._ctx.disk("quorum", "list", _CHECKPOINT, b"", self._listed)

    def _listed(self, now_s: float, answer: DiskDone) -> None:
        if not answer.ok:
            self._done(now_s, None)
        elif not answer.data:
            self._done(now_s, EMPTY)
        else:
            self._ctx.disk("quorum", "read", _CHECKPOINT, b"", self._read)

    def _read(self, now_s: float, answer: DiskDone) -> None:
        if not answer.ok:
            self._done(now_s, None)
            return
        self._checkpoint = msgspec.json.decode(answer.data, type=_Checkpoint)
        prefix = f"{_LOG}{self._checkpoint.name}/"
        self._ctx.disk("quorum", "list", prefix, b"", self._log_listed)

    def _log_listed(self, now_s: float, answer: DiskDone) -> None:
        if not answer.ok:
            self._done(now_s, None)
            return
        self._keys = answer.data.decode().splitlines()
        self._next(now_s)

    def _next(self, now_s: float) -> None:
        if len(self._updates) == len(self._keys):
            self._done(now_s, replay(self._checkpoint.snapshot, self._updates))
            return
        key = self._keys[len(self._updates)]
        self._ctx.disk("quorum", "read", key, b"", self._record_read)

    def _record_read(self, now_s: float, answer: DiskDone) -> None:
        if not answer.ok:
            self._done(now_s, None)
            return
        version = int(self._keys[len(self._updates)].rpartition("/")[2])
        self._updates.append((version, msgspec.json.decode(answer.data, type=Update)))
        self._next(now_s)
