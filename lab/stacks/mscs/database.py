"""The database manager's replica: the cluster's configuration and state, alike on all members.

Thesis 7.7.1, phase 5, and table 8.1. A database is a mapping from keys to plain JSON values. It
changes by :class:`Update` alone, which a global update brings to all members in one order, so that
replicas that have applied the same updates are equal.

An update says which versions of the keys it rests on. When one of them is no longer that version,
the update changes nothing, on every replica alike, and whoever made it looks again and tries again.
So a decision never rests on what another node has changed meanwhile, without any lock.

Keys under ``state/`` say what goes on now; they are in no checkpoint, for a cluster that starts
anew has none of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from hashlib import blake2b
from typing import Any

import msgspec

VOLATILE = "state/"
ABSENT = 0
"""The version of a key that is not there."""


class Entry(msgspec.Struct, frozen=True):
    """What a key holds, and the database's version when it was set."""

    value: Any
    version: int


class Update(msgspec.Struct, frozen=True, omit_defaults=True):
    """A change that is made as a whole or not at all."""

    expect: dict[str, int] = {}
    """The versions of keys that must still be current."""
    put: dict[str, Any] = {}
    delete: tuple[str, ...] = ()

    @property
    def lasts(self) -> bool:
        """Whether it changes anything that belongs in checkpoints and logs."""
        return any(not key.startswith(VOLATILE) for key in (*self.put, *self.delete))


class Snapshot(msgspec.Struct, frozen=True):
    """A whole database."""

    version: int
    entries: dict[str, Entry]


class Database:
    """One replica."""

    def __init__(self) -> None:
        self.version = 0
        """How many updates have come, those that changed nothing included."""
        self._entries: dict[str, Entry] = {}

    def apply(self, update: Update) -> bool:
        """Take the next update; return whether it was made."""
        self.version += 1
        if any(self.key_version(key) != version for key, version in update.expect.items()):
            return False
        for key in update.delete:
            self._entries.pop(key, None)
        for key, value in update.put.items():
            self._entries[key] = Entry(value, self.version)
        return True

    def get(self, key: str) -> Any:
        """Return a key's value; None when it is not there."""
        entry = self._entries.get(key)
        return None if entry is None else entry.value

    def key_version(self, key: str) -> int:
        """Return a key's version."""
        entry = self._entries.get(key)
        return ABSENT if entry is None else entry.version

    def keys(self, prefix: str = "") -> Iterator[str]:
        """Return the keys that begin with a prefix, in order."""
        return iter(sorted(key for key in self._entries if key.startswith(prefix)))

    def snapshot(self, *, lasting: bool = False) -> Snapshot:
        """Return all of it, or only what belongs in a checkpoint."""
        entries = {
            key: entry
            for key, entry in sorted(self._entries.items())
            if not (lasting and key.startswith(VOLATILE))
        }
        return Snapshot(self.version, entries)

    def restore(self, snapshot: Snapshot) -> None:
        """Become equal to what the snapshot was taken of."""
        self.version = snapshot.version
        self._entries = dict(snapshot.entries)

    def digest(self) -> str:
        """Return a short name of its whole content; equal replicas have equal ones."""
        return blake2b(
            msgspec.json.encode(self.snapshot(), order="sorted"), digest_size=8
        ).hexdigest()


def replay(snapshot: Snapshot, updates: Iterable[tuple[int, Update]]) -> Snapshot:
    """Return a checkpoint brought forward by the updates logged after it, each with its version.

    Only updates that were made are logged, so versions may be missing between them.
    """
    database = Database()
    database.restore(snapshot)
    for version, update in updates:
        database.version = version - 1
        database.apply(msgspec.structs.replace(update, expect={}))
    return database.snapshot(lasting=True)
