"""The membership manager: this node's view, how it changes, and who is told (thesis 7.7).

A view changes when a cluster is formed, when a node joins, and by regroup. Other managers subscribe
to it twice: at clean-up phase 1 the view is installed and the nodes that left are dead to this one;
at phase 2, which for regroup begins when all members have finished phase 1, everybody knows.

A join changes the views of the members one after the other, under its sponsor's control (7.7.1).
That is safe in two steps: first all members *prepare* for the joiner, then they *admit* it. In
between a partition survives only if it does so with and without the joiner. A regroup ends a join:
whoever was not admitted by any survivor is forgotten.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, Protocol, TypeAlias

import msgspec

from lab.stacks.core import NodeId
from lab.stacks.mscs.clusnet import ClusNet
from lab.stacks.mscs.clusnet_port import ClusNetPort
from lab.stacks.mscs.config import Config
from lab.stacks.mscs.context import Context
from lab.stacks.mscs.last_word import LastWord, Quorum
from lab.stacks.mscs.regroup.collaborators import Host
from lab.stacks.mscs.regroup.engine import Regroup
from lab.stacks.mscs.regroup.state import Phase
from lab.stacks.mscs.regroup.upcalls import Upcalls
from lab.stacks.mscs.view import View, formed

Cause: TypeAlias = Literal["formed", "join", "regroup"]
VIEW_KEY = "view"
"""On the node's own disk: the last view that it installed."""


class ViewChange(msgspec.Struct, frozen=True):
    """A new view, and how it differs from the last one of this node."""

    cause: Cause
    view: View
    left: dict[NodeId, int]
    """Nodes with their incarnations."""
    joined: dict[NodeId, int]


ViewNotice: TypeAlias = Callable[[float, ViewChange], None]
"""Told of a view change at a time."""


class Calls(Protocol):
    """What membership needs of RPC."""

    def fail_calls(self, now_s: float, node: NodeId) -> None:
        """Fail what is called of a node."""


class Membership:
    """One node's view of the cluster."""

    def __init__(
        self,
        ctx: Context,
        config: Config,
        *,
        clusnet: ClusNet,
        port: ClusNetPort,
        calls: Calls,
        quorum: Quorum,
    ) -> None:
        self.view: View | None = None
        """None: not a member."""
        self.last_view: View | None = None
        """The last that this node installed in its life, restarts included."""
        self.on_clean_up_1: list[ViewNotice] = []
        self.on_clean_up_2: list[ViewNotice] = []
        self._ctx = ctx
        self._port = port
        self._calls = calls
        self._last_word = LastWord(ctx, quorum)
        self._prepared: dict[NodeId, int] = {}
        self._change: ViewChange | None = None
        """The last change."""
        in_kernel = config.regroup_level == "kernel"
        host: Host = Upcalls(ctx) if in_kernel else self
        self.regroup = Regroup(ctx, config, clusnet, host)
        (clusnet if in_kernel else port).on_suspected.append(self.regroup.suspect)

    def recall(self, disk: dict[str, bytes]) -> None:
        """Take over what this node's disk has from earlier incarnations."""
        if VIEW_KEY in disk:
            self.last_view = msgspec.json.decode(disk[VIEW_KEY], type=View)

    # --- forming and joining -----------------------------------------------------------------

    def found(self, now_s: float, cluster: str, members: dict[NodeId, int]) -> None:
        """Form a cluster; all of its first members do so with the same arguments."""
        self._install_at_once(now_s, "formed", formed(cluster, members))

    def prepare(self, node: NodeId, incarnation: int) -> bool:
        """Note that a node is about to join (petition, step 1); False during regroup."""
        if self.view is None or self.regroup.run is not None:
            return False
        self._prepared[node] = self.regroup.joining[node] = incarnation
        return True

    def withdraw(self, node: NodeId) -> None:
        """A join that was prepared for does not take place."""
        self._prepared.pop(node, None)
        if self.regroup.run is None:
            self.regroup.joining.pop(node, None)
        if self.view is None or node not in self.view.members:
            self._port.unwatch(node)

    def admit(self, now_s: float, node: NodeId, incarnation: int) -> bool:
        """Add a node that was prepared for (step 4); False when regroup came in between."""
        view = self.view
        if view is not None and view.members.get(node) == incarnation:
            return True
        ready = self.regroup.run is None and self.regroup.joining.get(node) == incarnation
        if view is None or not ready:
            return False
        self._install_at_once(now_s, "join", view.with_member(node, incarnation))
        return True

    def expect(self, view: View) -> None:
        """As the joiner, take the configuration of the membership algorithm (step 2).

        From now on this node takes part in regroup when those ask it to who have admitted it.
        """
        self.regroup.origin = view

    def enter(self, now_s: float) -> bool:
        """As the joiner, be a member (step 5); False when regroup is about to decide on that."""
        expected = self.regroup.origin
        if self.view is not None:
            return True
        if expected is None or self.regroup.run is not None:
            return False
        self._install_at_once(now_s, "join", expected)
        return True

    def leave(self) -> None:
        """Be no member and expect to be none: a join has failed before this node was admitted."""
        for node in self.regroup.origin.members if self.regroup.origin else ():
            self._port.unwatch(node)
        self.view = None
        self.regroup.leave()

    def _install_at_once(self, now_s: float, cause: Cause, view: View) -> None:
        self.regroup.origin = view
        self.regroup.joining = {
            node: incarnation
            for node, incarnation in self.regroup.joining.items()
            if node not in view.members
        }
        change = self._install(now_s, cause, view)
        self._notify(now_s, self.on_clean_up_1, change)
        self._notify(now_s, self.on_clean_up_2, change)

    # --- regroup -----------------------------------------------------------------------------

    def clean_up(self, now_s: float, phase: Phase, view: View) -> None:
        """Run a clean-up phase."""
        if phase == Phase.CLEANUP_1:
            change = self._install(now_s, "regroup", view)
            self._notify(now_s, self.on_clean_up_1, change)
            for node in sorted(change.left):
                self._calls.fail_calls(now_s, node)
        elif self._change is not None and self._change.view == view:
            self._notify(now_s, self.on_clean_up_2, self._change)
        self.regroup.cleaned(now_s, phase, view.attempt)

    def ask_quorum(self, now_s: float, attempt: int) -> None:
        """Try to survive by the quorum resource."""
        origin = self.regroup.origin
        if origin is not None:

            def judged(at_s: float, survives: bool) -> None:
                self.regroup.quorum(at_s, attempt, survives)

            self._last_word.ask(now_s, origin, attempt, judged)

    def quorum_lost(self, now_s: float) -> None:
        """The quorum resource, which this node owned, may be another node's by now.

        A single member has survived by it alone, so it must not go on without.
        """
        if self.view is not None and len(self.view.members) == 1:
            self._ctx.halt("a single node has lost the quorum resource")

    # --- installing --------------------------------------------------------------------------

    def _install(self, now_s: float, cause: Cause, view: View) -> ViewChange:
        before = {} if self.view is None else self.view.members
        left = {
            node: incarnation
            for node, incarnation in before.items()
            if view.members.get(node) != incarnation
        }
        joined = {
            node: incarnation
            for node, incarnation in view.members.items()
            if before.get(node) != incarnation
        }
        self.view = self.last_view = view
        self._change = ViewChange(cause, view, left, joined)
        self._ctx.disk("own", "write", VIEW_KEY, msgspec.json.encode(view), lambda *_: None)
        self._ctx.emit(
            "view",
            cause=cause,
            id=view.number,
            members=list(view.nodes),
            cluster=view.cluster,
            attempt=view.attempt,
            tie_breaker=view.tie_breaker,
        )
        self._set_network(self._change)
        return self._change

    def _set_network(self, change: ViewChange) -> None:
        """Have ClusNet watch the members, and filter out whoever is no longer one."""
        for node, incarnation in sorted(change.left.items()):
            self._port.unwatch(node)
            self._port.filter(node, incarnation)
        for node, incarnation in sorted(change.joined.items()):
            if node != self._ctx.node:
                self._port.watch(node, incarnation)
        if change.cause == "regroup":
            for node in sorted(self._prepared.keys() - change.view.members.keys()):
                self._port.unwatch(node)
            self._prepared.clear()
        for node in change.joined:
            self._prepared.pop(node, None)

    def _notify(self, now_s: float, listeners: list[ViewNotice], change: ViewChange) -> None:
        for listener in listeners:
            if not self._ctx.halted:
                listener(now_s, change)

    def state(self) -> dict[str, Any]:
        """Return the state as plain data."""
        return {
            "view": None if self.view is None else self.view.plain(),
            "last_view": None if self.last_view is None else self.last_view.plain(),
            "prepared": {str(node): number for node, number in sorted(self._prepared.items())},
            "regroup": self.regroup.state(),
        }
