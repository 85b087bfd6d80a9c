"""Invariants of membership and regroup, over the events of a case (thesis 7.2, 7.7)."""

from __future__ import annotations

import math
from typing import NamedTuple

from lab.stacks.checking import CheckerMaker, Running
from lab.stacks.core import NodeId
from lab.stacks.events import FAULT, HALTED, STARTED, Event

NOTICE_S = 1.0
"""A node that stood still is given so long, after it goes on, to see what it has missed."""
QUIET_S = 60.0
"""So long after the last fault all has come to rest: detection, a cautious regroup, another one."""


class _View(NamedTuple):
    cluster: str
    number: int
    attempt: int
    members: frozenset[NodeId]


def _view(event: Event) -> _View:
    fields = event.fields
    return _View(fields["cluster"], fields["id"], fields["attempt"], frozenset(fields["members"]))


class Views:
    """Follows which view each running node has, and whether it stands still."""

    KINDS = frozenset({"view"}) | Running.KINDS

    def __init__(self) -> None:
        self.running = Running()
        self.of: dict[NodeId, _View] = {}
        self.first: dict[NodeId, _View] = {}
        """The view by which each node became a member."""
        self._acts_from_s: dict[NodeId, float] = {}
        """Infinite for nodes that are paused."""

    def feed(self, event: Event) -> None:
        """Take the next event."""
        if event.kind == "view":
            self.of[event.node] = _view(event)
            self.first.setdefault(event.node, self.of[event.node])
            return
        self.running.feed(event)
        if event.kind == STARTED:
            self.of.pop(event.node, None)
            self.first.pop(event.node, None)
            self._acts_from_s.pop(event.node, None)
        elif event.kind == FAULT:
            self._pause(event)

    def acting(self, now_s: float) -> dict[NodeId, _View]:
        """Return the views of the nodes that run and do not stand still."""
        return {
            node: view
            for node, view in sorted(self.of.items())
            if node in self.running.nodes and now_s >= self._acts_from_s.get(node, 0.0)
        }

    def _pause(self, event: Event) -> None:
        nodes = set(event.fields["nodes"]) or set(self.running.nodes)
        if event.phase == "pause":
            self._acts_from_s.update(dict.fromkeys(nodes, math.inf))
        elif event.phase in ("resume", "heal"):
            for node in nodes & self._acts_from_s.keys():
                if self._acts_from_s[node] == math.inf:
                    self._acts_from_s[node] = event.t_s + NOTICE_S


class OnePartition:
    """Never do two partitions survive: no two nodes go on that have each excluded the other.

    Nobody has excluded a node that joined after his view: who was excluded and has not noticed yet
    does not know of those that came since.
    """

    name = "one partition survives"
    kinds = Views.KINDS

    def __init__(self) -> None:
        self._views = Views()

    def feed(self, event: Event) -> str | None:
        """Take the next event."""
        self._views.feed(event)
        return self._judge(event.t_s)

    def finish(self, now_s: float) -> str | None:
        """The case is over."""
        return self._judge(now_s)

    def _judge(self, now_s: float) -> str | None:
        acting = self._views.acting(now_s)
        for node, view in acting.items():
            for other, its in acting.items():
                if self._excludes(view, other) and self._excludes(its, node):
                    return (
                        f"node {node} goes on with {sorted(view.members)}, "
                        f"node {other} with {sorted(its.members)}"
                    )
        return None

    def _excludes(self, view: _View, node: NodeId) -> bool:
        first = self._views.first[node]
        came_later = first.cluster == view.cluster and first.number > view.number
        return node not in view.members and not came_later


class OneMembership:
    """All nodes that install the view of a number install the same one, in the same order."""

    name = "survivors see the same views in the same order"
    kinds = frozenset({"view", STARTED})

    def __init__(self) -> None:
        self._known: dict[tuple[str, int], frozenset[NodeId]] = {}
        self._last: dict[NodeId, _View] = {}

    def feed(self, event: Event) -> str | None:
        """Take the next event."""
        if event.kind == STARTED:
            self._last.pop(event.node, None)
            return None
        view, last = _view(event), self._last.get(event.node)
        self._last[event.node] = view
        known = self._known.setdefault((view.cluster, view.number), view.members)
        if known != view.members:
            return f"view {view.number} is {sorted(known)} and {sorted(view.members)}"
        if last is not None and last.cluster == view.cluster and last.number >= view.number:
            return f"node {event.node} installs view {view.number} after {last.number}"
        return None

    def finish(self, now_s: float) -> str | None:
        """The case is over."""
        return None


class OneDecision:
    """A run of regroup comes to one decision: nobody accepts two, no two nodes different ones."""

    name = "a regroup has one decision"
    kinds = frozenset({"view", "regroup", STARTED})

    def __init__(self) -> None:
        self._clusters: dict[NodeId, str] = {}
        self._decisions: dict[tuple[str, int], list[NodeId]] = {}

    def feed(self, event: Event) -> str | None:
        """Take the next event."""
        if event.kind == STARTED:
            self._clusters.pop(event.node, None)
        elif event.kind == "view":
            self._clusters[event.node] = event.fields["cluster"]
        elif event.phase == "pruning" and event.node in self._clusters:
            run = (self._clusters[event.node], event.fields["id"])
            members = list(event.fields["members"])
            known = self._decisions.setdefault(run, members)
            if known != members:
                return f"run {run[1]} decided on {known} and on {members}"
        return None

    def finish(self, now_s: float) -> str | None:
        """The case is over."""
        return None


class CleanUpInTwoPhases:
    """No node begins clean-up phase 2 before all members have finished phase 1."""

    name = "clean-up has two phases"
    kinds = frozenset({"view", "regroup"})

    def __init__(self) -> None:
        self._installed: dict[tuple[str, int], set[NodeId]] = {}
        self._views: dict[NodeId, _View] = {}

    def feed(self, event: Event) -> str | None:
        """Take the next event."""
        if event.kind == "view":
            view = _view(event)
            self._views[event.node] = view
            self._installed.setdefault((view.cluster, view.attempt), set()).add(event.node)
        elif event.phase == "cleanup-2" and event.node in self._views:
            view = self._views[event.node]
            missing = view.members - self._installed.get((view.cluster, event.fields["id"]), set())
            if missing:
                return f"node {event.node} is in phase 2, {sorted(missing)} not through phase 1"
        return None

    def finish(self, now_s: float) -> str | None:
        """The case is over."""
        return None


class HaltedIsSilent:
    """A node that has halted does nothing any more, until it starts anew."""

    name = "a halted node never acts"
    kinds = frozenset(
        {"send", "reply", "view", "regroup", "suspicion", "gup", "join", "group", "resource"}
    ) | {HALTED, STARTED}

    def __init__(self) -> None:
        self._halted: set[tuple[NodeId, int]] = set()

    def feed(self, event: Event) -> str | None:
        """Take the next event."""
        who = (event.node, event.incarnation)
        if event.kind == HALTED:
            self._halted.add(who)
        elif who in self._halted and event.kind != STARTED:
            return f"node {event.node} has halted, and then: {event.kind} {event.phase}".rstrip()
        return None

    def finish(self, now_s: float) -> str | None:
        """The case is over."""
        return None


class SurvivorsAgree:
    """When all has come to rest, running members have the view of each other member that runs."""

    name = "survivors agree on the membership"
    kinds = Views.KINDS

    def __init__(self) -> None:
        self._views = Views()
        self._changed_s = 0.0

    def feed(self, event: Event) -> str | None:
        """Take the next event."""
        self._views.feed(event)
        self._changed_s = event.t_s
        return None

    def finish(self, now_s: float) -> str | None:
        """The case is over."""
        if now_s - self._changed_s < QUIET_S:
            return None
        acting = self._views.acting(now_s)
        for node, view in acting.items():
            for member in sorted(view.members):
                other = acting.get(member)
                if other is None:
                    return f"node {node} counts on node {member}, which is no member"
                if other != view:
                    return f"nodes {node} and {member} have views {view.number}, {other.number}"
        return None


class AllAdmitted:
    """When all was healed and has come to rest, every node that runs is in the one cluster."""

    name = "a healed cluster admits every node"
    kinds = Views.KINDS

    def __init__(self) -> None:
        self._views = Views()

    def feed(self, event: Event) -> str | None:
        """Take the next event."""
        self._views.feed(event)
        return None

    def finish(self, now_s: float) -> str | None:
        """The case is over."""
        running = self._views.running.nodes
        acting = self._views.acting(now_s)
        outside = sorted(running - acting.keys())
        if outside:
            return f"nodes {outside} run and are no members"
        for node, view in acting.items():
            if view.members != running:
                return f"node {node} has the view {sorted(view.members)}, {sorted(running)} run"
        return None


MEMBERSHIP_CHECKERS: tuple[CheckerMaker, ...] = (
    OnePartition,
    OneMembership,
    OneDecision,
    CleanUpInTwoPhases,
    HaltedIsSilent,
    SurvivorsAgree,
)
