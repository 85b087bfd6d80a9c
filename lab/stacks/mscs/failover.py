"""The fail-over manager: which node owns which group, alike on all members (thesis part II, 7.5).

Everything that is decided is in the database (:class:`GroupState`), so all members know it in the
same order. Each node compares what the database says with what is, and does what it is in charge
of, until nothing is left to do; so a decision that got lost with a node is simply made again.

- The *owner* of a group runs it, reports how it fares, and hands it over to its target when all of
  its resources are offline, never before: that is why a group is online on one node at a time. When
  a resource has failed beyond its restart policy, the owner chooses the next node.
- The *coordinator*, the member with the lowest number, gives groups of nodes that have left to
  others, sends groups back to preferred nodes, and empties nodes that are to be evicted.
"""

from __future__ import annotations

from collections.abc import Callable, Collection

import msgspec

from lab.stacks.core import NodeId
from lab.stacks.mscs.context import Context
from lab.stacks.mscs.database_manager import DatabaseManager
from lab.stacks.mscs.event_processor import (
    DatabaseChanged,
    EventProcessor,
    LocalGroupChanged,
    MembersChanged,
)
from lab.stacks.mscs.objects import CLUSTER_GROUP, Draft, Group, GroupState, Node, Objects
from lab.stacks.mscs.placement import choose_owner, recent, should_fail_back
from lab.stacks.mscs.resources import ResourceManager


class FailoverManager:
    """A node's part in deciding where groups are."""

    def __init__(
        self,
        ctx: Context,
        events: EventProcessor,
        databases: DatabaseManager,
        resources: ResourceManager,
        members: Callable[[], Collection[NodeId]],
    ) -> None:
        self._ctx = ctx
        self._databases = databases
        self._objects = Objects(databases.database)
        self._resources = resources
        self._members = members
        """The nodes that take part; empty while this node has no part in a cluster."""
        self._proposing = False
        self._quiet = False
        events.subscribe(DatabaseChanged, self._database_changed)
        events.subscribe(LocalGroupChanged, lambda now_s, event: self._reconcile(now_s))
        events.subscribe(MembersChanged, lambda now_s, event: self._reconcile(now_s))

    def set_quiet(self, now_s: float, *, quiet: bool) -> None:
        """Take all groups of this node offline for the time being, or no longer.

        For a node that others may take for dead, and whose groups they are about to take over.
        """
        if quiet != self._quiet:
            self._quiet = quiet
            self._ctx.emit("quiet", phase="begin" if quiet else "end")
            self._reconcile(now_s)

    def best_target(self, group: Group) -> NodeId | None:
        """Return the best node for a group other than its owner."""
        state = self._objects.state_of(group.name)
        candidates = self._candidates(group, self._members()) - {state.owner}
        return choose_owner(group, candidates, self._load(self._objects))

    def _database_changed(self, now_s: float, event: DatabaseChanged) -> None:
        prefixes = (f"{Group.kind}/", f"{GroupState.kind}/")
        names = {k.rpartition("/")[2] for k in event.keys if k.startswith(prefixes)}
        for name in sorted(names):
            group, state = self._objects.find(Group, name), self._objects.state_of(name)
            self._ctx.emit(
                "group",
                phase=state.phase if group else "deleted",
                group=name,
                owner=state.owner,
                target=state.target,
                wanted=group is not None and group.online,
                resources=len(self._objects.resources_of(name)),
            )
        self._reconcile(now_s)

    # --- from what is to what should be ----------------------------------------------------

    def _reconcile(self, now_s: float) -> None:
        members = self._members()
        if self._ctx.node not in members:
            return
        self._run(now_s)
        if self._proposing:
            return
        draft = Draft(self._databases.database)
        self._report(now_s, draft, members)
        if self._ctx.node == min(members):
            self._coordinate(draft, members)
        if draft.changes:
            self._proposing = True
            self._databases.propose(now_s, draft.update(), self._proposed)

    def _proposed(self, now_s: float, made: bool) -> None:
        self._proposing = False
        self._reconcile(now_s)

    def _run(self, now_s: float) -> None:
        """Run the groups that this node owns, and no others."""
        running = set(self._resources.groups)
        for group in self._objects.all(Group):
            state = self._objects.state_of(group.name)
            owned = state.owner == self._ctx.node and state.target is None
            if owned and group.online and not self._quiet:
                resources = self._objects.resources_of(group.name)
                self._resources.run(now_s, group.name, resources, group.starts)
                running.discard(group.name)
        for name in sorted(running):
            self._resources.stop(now_s, name)

    # --- as an owner -----------------------------------------------------------------------

    def _report(self, now_s: float, draft: Draft, members: Collection[NodeId]) -> None:
        """Say how this node's groups fare, and let those go that are to move."""
        for state in self._objects.all(GroupState):
            if state.owner != self._ctx.node:
                continue
            group = self._objects.find(Group, state.name)
            new = self._as_it_is(state)
            if group is None:
                if new.phase == "offline":
                    draft.delete(state)
                continue
            if new.target is not None and new.target not in members:
                new = msgspec.structs.replace(new, target=None)
            elif new.target is not None and new.phase == "offline":
                new = msgspec.structs.replace(new, owner=new.target, target=None)
            elif new.target is None and new.phase == "failed":
                new = self._after_failure(now_s, group, new, members)
            if new != state:
                draft.put(new)

    def _as_it_is(self, state: GroupState) -> GroupState:
        phase = self._resources.phase(state.name)
        return msgspec.structs.replace(
            state,
            phase=phase,
            resources=self._resources.phases(state.name),
            tried=() if phase == "online" else state.tried,
        )

    def _after_failure(
        self, now_s: float, group: Group, state: GroupState, members: Collection[NodeId]
    ) -> GroupState:
        """Choose where a group goes that has failed here: where it was not tried yet, if possible.

        It goes nowhere if that has happened too often.
        """
        failovers_s = recent(state.failovers_s, now_s, group.failover_period_s)
        others = self._candidates(group, members) - {self._ctx.node}
        tried = {*state.tried, self._ctx.node}
        if others <= tried:
            tried = {self._ctx.node}
        target = choose_owner(group, others - tried, self._load(self._objects))
        if target is None or len(failovers_s) >= group.failover_threshold:
            return state
        return msgspec.structs.replace(
            state,
            target=target,
            away_from=tuple(sorted(members)),
            tried=tuple(sorted(tried)),
            failovers_s=(*failovers_s, now_s),
        )

    # --- as the coordinator ----------------------------------------------------------------

    def _coordinate(self, draft: Draft, members: Collection[NodeId]) -> None:
        load = self._load(draft)
        for group in self._objects.all(Group):
            state = draft.state_of(group.name)
            candidates = self._candidates(group, members)
            new = self._placed(group, state, members, candidates, load)
            if new != state and new.owner is not None:
                draft.put(new)
                load = self._load(draft)
        owners = {state.owner for state in draft.all(GroupState)}
        for node in self._objects.all(Node):
            if node.state == "evicting" and int(node.name) not in owners & set(members):
                draft.put(msgspec.structs.replace(node, state="evicted"))

    def _placed(
        self,
        group: Group,
        state: GroupState,
        members: Collection[NodeId],
        candidates: Collection[NodeId],
        load: dict[NodeId, int],
    ) -> GroupState:
        """Return where a group should be, or go."""
        owner = state.owner
        if owner is None or owner not in members:
            target = state.target if state.target in candidates else None
            return GroupState(
                name=group.name,
                owner=target or choose_owner(group, candidates, load),
                tried=state.tried,
                failovers_s=state.failovers_s,
            )
        away_from = tuple(node for node in state.away_from if node in members)
        target = state.target
        if target is None and self._objects.get(Node, str(owner)).state == "evicting":
            target = choose_owner(group, candidates, load)
        elif target is None:
            target = should_fail_back(group, owner, set(candidates) - set(away_from))
        return msgspec.structs.replace(state, target=target, away_from=away_from)

    def _candidates(self, group: Group, members: Collection[NodeId]) -> set[NodeId]:
        """Return the members that a group may go to; the cluster's own must be somewhere."""
        states = {node: self._objects.find(Node, str(node)) for node in members}
        up = {node for node, found in states.items() if found is None or found.state == "up"}
        if group.name == CLUSTER_GROUP and not up:
            return {n for n, found in states.items() if found is None or found.state == "paused"}
        return up

    def _load(self, objects: Objects) -> dict[NodeId, int]:
        """Return how many groups each node has, or is about to have."""
        load: dict[NodeId, int] = {}
        for state in objects.all(GroupState):
            node = state.target or state.owner
            if node is not None:
                load[node] = load.get(node, 0) + 1
        return load
