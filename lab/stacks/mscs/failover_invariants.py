"""Invariants of the managers, over the events of a case (thesis part II, 6.7.4)."""

from __future__ import annotations

from lab.stacks.checking import Running
from lab.stacks.core import NodeId
from lab.stacks.events import FAULT, STARTED, Event

_AT_REST = ("offline", "failed")


def _arbitrates(event: Event) -> bool:
    """Tell whether a node tries to own the quorum resource, which takes nothing from anybody."""
    return bool(event.fields["type"] == "quorum-disk" and event.phase == "online-pending")


class OneNodeAtATime:
    """A resource is online, or on its way there or back, on one running node at a time.

    A node that stands still does nothing with its resources, and cannot know that others took them
    over. It is given ``NOTICE_S`` after it goes on to see that and to let go. A node whose CPU
    other programs compete for waits for it at each step, up to 3 s (thesis 7.7.1): it is given
    ``LOADED_S`` from when another node takes a resource over.
    """

    NOTICE_S = 1.0
    LOADED_S = 10.0
    name = "a resource is on one node at a time"
    kinds = frozenset({"resource"}) | Running.KINDS

    def __init__(self) -> None:
        self._running = Running()
        self._holders: dict[str, set[NodeId]] = {}
        self._excused_until_s: dict[NodeId, float] = {}
        self._loaded: set[NodeId] = set()
        self._shared_s: dict[str, float] = {}
        """Since when a resource has been on several nodes."""

    def feed(self, event: Event) -> str | None:
        """Take the next event."""
        if event.kind == "resource":
            holders = self._holders.setdefault(event.fields["resource"], set())
            if event.phase in _AT_REST or _arbitrates(event):
                holders.discard(event.node)
            else:
                holders.add(event.node)
        else:
            self._running.feed(event)
            if event.kind == FAULT:
                self._excuse(event)
            fresh = {event.node} if event.kind == STARTED else set()
            for others in self._holders.values():
                others.intersection_update(self._running.nodes - fresh)
        return self._judge(event.t_s)

    def finish(self, now_s: float) -> str | None:
        """The case is over."""
        return self._judge(now_s)

    def _excuse(self, event: Event) -> None:
        nodes = set(event.fields["nodes"]) or set(self._running.nodes)
        if event.phase == "pause":
            self._excused_until_s.update(dict.fromkeys(nodes, float("inf")))
        elif event.phase == "cpu-load" and event.fields["level"] != "idle":
            self._loaded |= nodes
        elif event.phase == "cpu-load":
            self._loaded -= nodes
        elif event.phase in ("resume", "heal"):
            for node in nodes & self._excused_until_s.keys():
                if self._excused_until_s[node] == float("inf"):
                    self._excused_until_s[node] = event.t_s + self.NOTICE_S
            if event.phase == "heal":
                self._loaded -= nodes

    def _judge(self, now_s: float) -> str | None:
        for resource, holders in self._holders.items():
            counted = [n for n in sorted(holders) if now_s >= self._excused_until_s.get(n, now_s)]
            if len(counted) < 2:
                self._shared_s.pop(resource, None)
                continue
            since_s = self._shared_s.setdefault(resource, now_s)
            if not self._loaded & holders or now_s - since_s > self.LOADED_S:
                return f"{resource} is on nodes {' and '.join(map(str, counted))}"
        return None


class ReplicasAgree:
    """Replicas of the database with the same version are equal, on all nodes that survive.

    What a node that dies had applied alone has never happened, so it is judged at the end.
    """

    name = "replicas of the database agree"
    kinds = frozenset({"database"}) | Running.KINDS

    def __init__(self) -> None:
        self._running = Running()
        self._digests: dict[NodeId, dict[tuple[str, int], str]] = {}

    def feed(self, event: Event) -> str | None:
        """Take the next event."""
        if event.kind != "database":
            self._running.feed(event)
            if event.kind == STARTED:
                self._digests.pop(event.node, None)
        elif event.phase == "restored":
            self._digests.pop(event.node, None)
        elif event.phase in ("applied", "outdated"):
            version = (event.fields["cluster"], event.fields["version"])
            self._digests.setdefault(event.node, {})[version] = event.fields["digest"]
        return None

    def finish(self, now_s: float) -> str | None:
        """The case is over."""
        seen: dict[tuple[str, int], tuple[NodeId, str]] = {}
        for node in sorted(self._digests.keys() & self._running.nodes):
            for version, digest in self._digests[node].items():
                other, its = seen.setdefault(version, (node, digest))
                if its != digest:
                    return f"nodes {other} and {node} differ in version {version[1]}"
        return None


class DurableIsRecovered:
    """A cluster that forms anew finds everything that was told to be durable (thesis 6.7.4)."""

    name = "what is durable is recovered"
    kinds = frozenset({"database"})

    def __init__(self) -> None:
        self._durable = 0

    def feed(self, event: Event) -> str | None:
        """Take the next event."""
        if event.phase == "durable":
            self._durable = max(self._durable, event.fields["version"])
        elif event.phase == "recovered" and event.fields["version"] < self._durable:
            found = event.fields["version"]
            return f"node {event.node} found version {found}, {self._durable} was durable"
        return None

    def finish(self, now_s: float) -> str | None:
        """Nothing is missing at the end of a case."""
        return None


class GroupsCameToRest:
    """When a case has come to rest, members agree on groups, and those meant to be online are so.

    What has failed for good stays as it is.
    """

    name = "groups are where all say that they are"
    kinds = frozenset({"group", "node", "resource"}) | Running.KINDS

    def __init__(self) -> None:
        self._running = Running()
        self._told: dict[str, dict[NodeId, Event]] = {}
        """The last event of each group, by node."""
        self._online: dict[NodeId, dict[str, set[str]]] = {}
        """The resources that are online on each node, by group."""
        self._states: dict[NodeId, str] = {}
        """What is wanted of each node: whether it takes groups."""

    def feed(self, event: Event) -> str | None:
        """Take the next event."""
        if event.kind == "group":
            self._told.setdefault(event.fields["group"], {})[event.node] = event
        elif event.kind == "node":
            self._states[event.fields["peer"]] = event.phase
        elif event.kind == "resource":
            groups = self._online.setdefault(event.node, {})
            online = groups.setdefault(event.fields["group"], set())
            online.discard(event.fields["resource"])
            if event.phase == "online":
                online.add(event.fields["resource"])
        else:
            self._running.feed(event)
            if event.kind == STARTED:
                self._online.pop(event.node, None)
                for told in self._told.values():
                    told.pop(event.node, None)
        return None

    def finish(self, now_s: float) -> str | None:
        """The case is over."""
        for group, events in sorted(self._told.items()):
            told = [event for node, event in events.items() if node in self._running.nodes]
            wrong = self._disagreement(group, told) or (told and self._misplaced(group, told[0]))
            if wrong:
                return wrong
        return None

    def _disagreement(self, group: str, told: list[Event]) -> str | None:
        for event in told[1:]:
            if (event.phase, event.fields) != (told[0].phase, told[0].fields):
                return f"nodes {told[0].node} and {event.node} differ about {group}"
        return None

    def _misplaced(self, group: str, said: Event) -> str | None:
        """Compare where a group is said to be with where it is."""
        owner = said.fields["owner"]
        nobody_takes_it = owner is None and not self._up()
        if not said.fields["wanted"] or said.phase in ("failed", "partial") or nobody_takes_it:
            return None
        if said.phase != "online" or owner not in self._running.nodes:
            return f"{group} is {said.phase} at node {owner}"
        for node in sorted(self._running.nodes):
            online = len(self._online.get(node, {}).get(group, ()))
            if online != (said.fields["resources"] if node == owner else 0):
                return f"{group} is online at node {owner}, and node {node} has {online} resources"
        return None

    def _up(self) -> list[NodeId]:
        """Return the running nodes that take groups."""
        return [node for node in self._running.nodes if self._states.get(node) == "up"]
