"""Invariants of joins, over the events of a case (thesis 7.7.1)."""

from __future__ import annotations

from lab.stacks.checking import Running
from lab.stacks.core import NodeId
from lab.stacks.events import STARTED, Event


class _Locks:
    """Follows every node's replica of the global lock."""

    KINDS = frozenset({"join-lock"}) | Running.KINDS

    def __init__(self) -> None:
        self.running = Running()
        self.holders: dict[NodeId, tuple[str, NodeId]] = {}
        """For each node the attempt that has the lock, and its joiner."""

    def feed(self, event: Event) -> str | None:
        """Take the next event; return what the lock forbids."""
        if event.kind in Running.KINDS:
            self.running.feed(event)
            if event.kind == STARTED:
                self.holders.pop(event.node, None)
        elif event.phase == "held":
            attempt, joiner = event.fields["attempt"], event.fields["joiner"]
            before = self.holders.get(event.node)
            self.holders[event.node] = (attempt, joiner)
            if before is not None:
                return f"attempt {attempt} gets the lock at node {event.node}, {before[0]} has it"
        else:
            self.holders.pop(event.node, None)
        return None


class OneJoinAtATime:
    """One attempt at a time has the global lock, and members admit its joiner only."""

    name = "join-one-at-a-time"
    kinds = _Locks.KINDS | {"view"}

    def __init__(self) -> None:
        self._locks = _Locks()
        self._members: dict[NodeId, set[NodeId]] = {}

    def feed(self, event: Event) -> str | None:
        """Take the next event."""
        if event.kind != "view":
            if event.kind == STARTED:
                self._members.pop(event.node, None)
            return self._locks.feed(event)
        before = self._members.get(event.node, set())
        members = self._members[event.node] = set(event.fields["members"])
        if event.cause != "join" or event.node not in before:
            return None
        _, joiner = self._locks.holders.get(event.node, ("", 0))
        if members - before != {joiner}:
            return f"node {event.node} admits {members - before}, node {joiner} has the lock"
        return None

    def finish(self, now_s: float) -> str | None:
        """The case is over."""
        return None


class LockIsGivenBack:
    """When a case has come to rest, no join has the lock."""

    name = "join-lock-is-given-back"
    kinds = _Locks.KINDS

    def __init__(self) -> None:
        self._locks = _Locks()

    def feed(self, event: Event) -> str | None:
        """Take the next event."""
        self._locks.feed(event)
        return None

    def finish(self, now_s: float) -> str | None:
        """The case is over."""
        for node, (attempt, _) in sorted(self._locks.holders.items()):
            if node in self._locks.running.nodes:
                return f"attempt {attempt} still has the lock at node {node}"
        return None
