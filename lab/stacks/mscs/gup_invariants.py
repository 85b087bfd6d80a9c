"""Invariants of global updates, over the events of a case (thesis 7.8).

Survivors are nodes that hold the same view. What a node applied that later halts or crashes counts
for nothing: if nobody else has it, the update never happened.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from lab.stacks.checking import Running
from lab.stacks.core import NodeId
from lab.stacks.events import HALTED, STARTED, Event


class _Place:
    """What one node has applied since it entered a cluster's order."""

    def __init__(self, cluster: str, sequence: int, update: str) -> None:
        self.cluster = cluster
        self.sequence = sequence
        self.updates: dict[int, str] = {sequence: update}


class Orders:
    """Follows every node's place in the order, and its view."""

    KINDS = frozenset({"gup", "view"}) | Running.KINDS

    def __init__(self) -> None:
        self.places: dict[NodeId, _Place] = {}
        self._views: dict[NodeId, tuple[object, ...]] = {}
        self._running = Running()

    def feed(self, event: Event) -> str | None:
        """Take the next event; return what no order can contain."""
        if event.kind in Running.KINDS:
            self._running.feed(event)
            if event.kind == STARTED:
                self._forget(event.node)
        elif event.kind == "view":
            members = tuple(event.fields["members"])
            self._views[event.node] = (event.fields["id"], members)
        elif event.phase == "entered":
            fields = event.fields
            place = _Place(fields["cluster"], fields["sequence"], fields["update"])
            self.places[event.node] = place
        elif event.phase == "left":
            self._forget(event.node)
        elif event.phase == "applied":
            return self._apply(event)
        return None

    def survivors(self, node: NodeId) -> Iterator[NodeId]:
        """Return the other running nodes in the same order that hold the same view."""
        view, place = self._views.get(node), self.places.get(node)
        for other, its in self.places.items():
            if (
                place is not None
                and other != node
                and its.cluster == place.cluster
                and self._views.get(other) == view
                and other in self._running.nodes
            ):
                yield other

    def running(self) -> list[NodeId]:
        """Return the running nodes that are in an order."""
        return sorted(self.places.keys() & self._running.nodes)

    def _forget(self, node: NodeId) -> None:
        self.places.pop(node, None)
        self._views.pop(node, None)

    def _apply(self, event: Event) -> str | None:
        place, sequence = self.places.get(event.node), event.fields["sequence"]
        if place is None:
            return f"node {event.node} applied update {sequence} without a place in the order"
        if sequence != place.sequence + 1:
            return f"node {event.node} applied update {sequence} after {place.sequence}"
        place.sequence = sequence
        place.updates[sequence] = event.fields["update"]
        return None


class TotalOrder:
    """Survivors have applied the same updates in the same order."""

    name = "gup-total-order"
    kinds = Orders.KINDS

    def __init__(self) -> None:
        self._orders = Orders()
        self._conflicts: dict[NodeId, dict[NodeId, int]] = defaultdict(dict)
        """Where in the order two nodes differ; of no matter until they hold the same view."""

    def feed(self, event: Event) -> str | None:
        """Take the next event."""
        wrong = self._orders.feed(event)
        if event.kind in (STARTED, HALTED) or event.phase in ("left", "entered"):
            for other in self._conflicts.pop(event.node, {}):
                self._conflicts[other].pop(event.node, None)
        if event.kind == "gup" and event.phase in ("entered", "applied") and wrong is None:
            self._compare(event)
        if event.kind in ("gup", "view") and wrong is None:
            wrong = self._judge(event.node)
        return wrong

    def finish(self, now_s: float) -> str | None:
        """The case is over."""
        return next(filter(None, map(self._judge, self._orders.running())), None)

    def _compare(self, event: Event) -> None:
        node, sequence = event.node, event.fields["sequence"]
        place = self._orders.places[node]
        for other, its in self._orders.places.items():
            theirs = its.updates.get(sequence)
            if its.cluster == place.cluster and theirs not in (None, event.fields["update"]):
                self._conflicts[node][other] = self._conflicts[other][node] = sequence

    def _judge(self, node: NodeId) -> str | None:
        conflicts = self._conflicts.get(node)
        if conflicts:
            for other in self._orders.survivors(node):
                if other in conflicts:
                    sequence = conflicts[other]
                    return f"nodes {node} and {other} differ in update {sequence}, and both survive"
        return None


class OneAtATime:
    """No update gets the lock before all survivors have applied the one before it.

    So an update that one survivor has applied, all have, or nothing new begins.
    """

    name = "gup-one-at-a-time"
    kinds = Orders.KINDS

    def __init__(self) -> None:
        self._orders = Orders()

    def feed(self, event: Event) -> str | None:
        """Take the next event."""
        self._orders.feed(event)
        if event.kind == "gup" and event.phase == "locked":
            before = event.fields["sequence"] - 1
            for other in self._orders.survivors(event.node):
                has = self._orders.places[other].sequence
                if has < before:
                    return f"update {before + 1} began when node {other} had only applied {has}"
        return None

    def finish(self, now_s: float) -> str | None:
        """The case is over."""
        return None


class AllOrNone:
    """When a case has come to rest, survivors have applied equally many updates."""

    name = "gup-all-or-none"
    kinds = Orders.KINDS

    def __init__(self) -> None:
        self._orders = Orders()

    def feed(self, event: Event) -> str | None:
        """Take the next event."""
        self._orders.feed(event)
        return None

    def finish(self, now_s: float) -> str | None:
        """The case is over."""
        places = self._orders.places
        for node in self._orders.running():
            for other in self._orders.survivors(node):
                if places[node].sequence < places[other].sequence:
                    return (
                        f"node {node} has applied {places[node].sequence} updates, "
                        f"node {other} {places[other].sequence}"
                    )
        return None
