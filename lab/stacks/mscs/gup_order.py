"""What the global update protocol is about: updates, circle of receivers, lock (thesis 7.8).

Plain state machines without time or messages; :mod:`lab.stacks.mscs.gup` is the protocol.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any, TypeAlias

import msgspec

from lab.stacks.core import NodeId

LOG_LENGTH = 1000
"""Updates that each node keeps: what a joiner may have missed since its snapshot was taken."""


class Update(msgspec.Struct, frozen=True):
    """One global update."""

    id: str
    """Unique in the cluster, the same in every attempt to send it."""
    kind: str
    payload: Any
    sender: NodeId
    sequence: int = 0
    """Its place in the total order; 0 until the locker node gives it one."""


class Circle:
    """The nodes that take part, in a circle ordered by node id, and which of them is the locker."""

    def __init__(self, members: Collection[NodeId], locker: NodeId) -> None:
        self.members = set(members)
        self.locker = locker
        """0 when nobody is left."""

    def receivers(self) -> list[NodeId]:
        """Return all but the locker, in the order in which a sender serves them."""
        ordered = sorted(self.members - {self.locker})
        start = bisect_right(ordered, self.locker)
        return ordered[start:] + ordered[:start]

    def keep(self, alive: Collection[NodeId]) -> None:
        """Remove who is no longer alive; the next node of the list follows a dead locker."""
        following = self.receivers()
        self.members &= set(alive)
        if self.locker not in self.members:
            self.locker = next((node for node in following if node in self.members), 0)


class Log:
    """The updates that a node has applied, the latest of them kept."""

    def __init__(self, sequence: int = 0, last_id: str = "") -> None:
        self.sequence = sequence
        """Of the last update applied."""
        self._before = last_id
        """The update before those that are kept."""
        self._kept: deque[Update] = deque()

    @property
    def last(self) -> Update | None:
        """The last update applied; None if there was none since this node is in the order."""
        return self._kept[-1] if self._kept else None

    @property
    def last_id(self) -> str:
        """The id of the last update applied, empty if there was none ever."""
        return self._kept[-1].id if self._kept else self._before

    def is_next(self, update: Update) -> bool:
        """Tell whether an update is the one to be applied next."""
        return update.sequence == self.sequence + 1

    def append(self, update: Update) -> None:
        """Note that the next update was applied."""
        self.sequence += 1
        self._kept.append(update)
        if len(self._kept) > LOG_LENGTH:
            self._before = self._kept.popleft().id

    def find(self, update_id: str) -> Update | None:
        """Return a kept update."""
        return next((kept for kept in reversed(self._kept) if kept.id == update_id), None)

    def since(self, sequence: int, update_id: str) -> list[Update] | None:
        """Return all updates after the one at a place in the order.

        None if they are no longer kept, or if another update is at that place: the one that was
        asked for died with all that had it, and never happened.
        """
        first = len(self._kept) - (self.sequence - sequence)
        if not 0 <= first <= len(self._kept):
            return None
        kept = list(self._kept)
        before = kept[first - 1].id if first else self._before
        return kept[first:] if before == update_id else None


Answer: TypeAlias = Callable[[float, dict[str, Any]], None]
"""Answers an RPC, at once or later."""


@dataclass(frozen=True)
class Waiter:
    """A sender that waits for the lock."""

    update: Update
    applied: tuple[int, str] | None
    """The last update that a sender has which is still to enter the order; None for others."""
    answer: Answer


class Lock:
    """The transmission lock, as the locker node keeps it: a holder, and a queue of waiters."""

    def __init__(self) -> None:
        self.holder: Update | None = None
        self._queue: deque[Waiter] = deque()

    def wait(self, waiter: Waiter) -> None:
        """Join the queue; who asks again for the same update keeps its place."""
        for index, other in enumerate(self._queue):
            if other.update.id == waiter.update.id:
                self._queue[index] = waiter
                return
        self._queue.append(waiter)

    def next(self) -> Waiter | None:
        """Take out the head of the queue, if the lock is free and somebody waits."""
        return self._queue.popleft() if self.holder is None and self._queue else None

    def release(self, update_id: str) -> bool:
        """Free the lock if that update holds it."""
        if self.holder is None or self.holder.id != update_id:
            return False
        self.holder = None
        return True

    def keep(self, alive: Collection[NodeId]) -> None:
        """Forget waiters that are no longer alive."""
        self._queue = deque(waiter for waiter in self._queue if waiter.update.sender in alive)

    def waiting(self) -> list[str]:
        """Return the ids of the updates that wait, in order."""
        return [waiter.update.id for waiter in self._queue]
