"""Joining a cluster, or forming one: the joiner's side of the six phases (thesis 7.7.1).

========== ==================================================================== ==================
phase      what is done                                                          serial RPCs
========== ==================================================================== ==================
discovery  probe all known nodes at once; the holder of the cluster's address    none
           sponsors (``cluster_address_first``: ask the address, then no others)
lock       ask the sponsor for its version, then to take the global lock         2, and n-1 of GUP
network    five questions to the sponsor; then for each of n active nodes one    5 + 3n
           RPC an interface, with one back, and one for a security context
petition   one that the sponsor answers after its five steps: two broadcasts     1 + 2(n-1) + 2
           to the other members, configuration and notification of the joiner
database   ask for its version, then for it and its place in the order           2
unlock     a global update, by which the newcomer enters the order, too          n+1 of GUP
========== ==================================================================== ==================

That is 10 + 7n when the sponsor is the locker node of global updates, as the node is that formed
the cluster; one more otherwise. The events ``join`` tell what was counted: one at the end of each
phase, with ``rpcs`` made in it by any node (those that others made for this join are counted where
they arrive, or told in answers), and ``took_s``; ``done`` has the sums.

A joiner that fails before the petition tries again after a pause. Later it may be a member for
some, and must not be one for itself: it halts, so that they find out, and has to be started again.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import msgspec

from lab.stacks.core import NodeId
from lab.stacks.mscs.clusnet_port import ClusNetPort
from lab.stacks.mscs.config import Config
from lab.stacks.mscs.context import Context
from lab.stacks.mscs.gup import Gup, GupResult
from lab.stacks.mscs.initial import CLUSTER_ADDRESS
from lab.stacks.mscs.join_lock import UNLOCK, JoinFailedError, JoinLock
from lab.stacks.mscs.join_member import CONNECT, CONNECT_BACK, SECURITY, Respond
from lab.stacks.mscs.managers import Managers
from lab.stacks.mscs.membership import Membership, ViewChange
from lab.stacks.mscs.procedure import Await, Call, Do, Done, Procedures, Sleep, Steps, Together
from lab.stacks.mscs.quorum import Quorum
from lab.stacks.mscs.rpc import Rpc, RpcResult
from lab.stacks.mscs.sponsor import BEGIN, CONFIGURE, GIVE_UP, INSERTED, PETITION, PROGRESS
from lab.stacks.mscs.sponsor_answers import (
    DATABASE,
    DATABASE_VERSION,
    PROBE,
    PROTOCOL,
    QUESTIONS,
    VERSION,
)
from lab.stacks.mscs.view import View

_JOIN = "join"


class Tally:
    """Counts the RPCs of an attempt, phase by phase, and tells of them."""

    def __init__(self, ctx: Context) -> None:
        self.phase = ""
        """What is under way."""
        self._ctx = ctx
        self._attempt = ""
        self._rpcs = self._sum = 0
        self._began_s = self._phase_s = 0.0

    def begin(self, now_s: float, attempt: str) -> None:
        """An attempt begins, with discovery."""
        self.phase, self._attempt = "discovery", attempt
        self._rpcs = self._sum = 0
        self._began_s = self._phase_s = now_s
        self._ctx.emit("join", phase="begin", attempt=attempt)

    def count(self, rpcs: int = 1) -> None:
        """Note that RPCs were made."""
        self._rpcs += rpcs

    def end(self, now_s: float, following: str, **fields: Any) -> None:
        """A phase is over; RPCs of discovery are not in the sum, as they are no series."""
        took_s = now_s - self._phase_s
        self._emit(self.phase, took_s=took_s, rpcs=self._rpcs, **fields)
        self._sum += 0 if self.phase == "discovery" else self._rpcs
        self.phase, self._rpcs, self._phase_s = following, 0, now_s

    def done(self, now_s: float, phase: str, **fields: Any) -> None:
        """All of it is over."""
        self._emit(phase, took_s=now_s - self._began_s, rpcs=self._sum, **fields)
        self.phase = ""

    def _emit(self, phase: str, **fields: Any) -> None:
        self._ctx.emit("join", phase=phase, attempt=self._attempt, **fields)


class Joiner:
    """This node before it is a full member."""

    def __init__(
        self,
        ctx: Context,
        config: Config,
        *,
        rpc: Rpc,
        procedures: Procedures,
        gup: Gup,
        membership: Membership,
        port: ClusNetPort,
        lock: JoinLock,
        quorum: Quorum,
        managers: Managers,
    ) -> None:
        self._ctx = ctx
        self._config = config
        self._rpc = rpc
        self._procedures = procedures
        self._gup = gup
        self._membership = membership
        self._port = port
        self._lock = lock
        self._quorum = quorum
        self._managers = managers
        self._tally = Tally(ctx)
        self._attempts = 0
        self._attempt = ""
        self._sponsor: NodeId = 0
        self._configured = False
        """Some may hold this node to be a member by now, or soon."""
        membership.on_clean_up_1.append(self._view_changed)
        rpc.serve(CONNECT_BACK, self._serve_connect_back)
        rpc.serve(CONFIGURE, self._serve_configure)
        rpc.serve(INSERTED, self._serve_inserted)

    def start(self, now_s: float) -> None:
        """Look for a cluster, and join it or form one; as often as it takes."""
        self._procedures.start(now_s, _JOIN, self._run(), lambda at_s, result: None)

    def _run(self) -> Steps[None]:
        while True:
            try:
                yield from self._once()
            except JoinFailedError as failure:
                yield Do(partial(self._failed, why=str(failure)))
            else:
                return
            yield Sleep(self._config.join_retry_s * (1 + self._ctx.random.random()))

    def _once(self) -> Steps[None]:
        yield Do(self._begin)
        sponsor = yield from self._discover()
        if sponsor is None:
            yield from self._form()
            return
        self._sponsor = sponsor
        yield from self._take_lock()
        yield from self._enable_network()
        yield from self._petition()
        yield from self._synchronise()
        yield from self._unlock()

    def _begin(self, now_s: float) -> None:
        self._attempts += 1
        self._attempt = f"{self._ctx.node}.{self._ctx.incarnation}.{self._attempts}"
        self._sponsor = 0
        self._tally.begin(now_s, self._attempt)

    def _failed(self, now_s: float, why: str) -> None:
        self._tally.done(now_s, "aborted", cause=why, during=self._tally.phase)
        if self._configured:
            self._ctx.halt(f"join: {why}")
        elif self._sponsor:
            arguments = {"attempt": self._attempt}
            self._rpc.call(now_s, self._sponsor, GIVE_UP, arguments, lambda at_s, result: None)

    def _end_phase(self, following: str, **fields: Any) -> Do:
        return Do(lambda now_s: self._tally.end(now_s, following, **fields))

    def _call(self, node: NodeId, method: str, **arguments: Any) -> Steps[dict[str, Any]]:
        """Make a call of this attempt, and return what was answered."""
        self._tally.count()
        result: RpcResult = yield Call(node, method, {"attempt": self._attempt, **arguments})
        if not result.ok:
            raise JoinFailedError(f"{method} of node {node}: {result.error}")
        answer: dict[str, Any] = result.value
        if not answer["ok"]:
            raise JoinFailedError(f"{method} of node {node}: {answer.get('why', 'refused')}")
        return answer

    # --- phase 1: discovery ------------------------------------------------------------------

    def _discover(self) -> Steps[NodeId | None]:
        """Find a member to sponsor this node; None if nobody answers who is one."""
        sponsor = None
        if self._config.cluster_address_first:
            self._tally.count()
            timeout_s = self._config.cluster_address_timeout_s
            held: RpcResult = yield Call(CLUSTER_ADDRESS, PROBE, timeout_s=timeout_s)
            sponsor = held.source if held.ok and held.value["ok"] else None
        if sponsor is None:
            sponsor = yield from self._probe_all()
        yield self._end_phase("lock" if sponsor else "forming", sponsor=sponsor)
        return sponsor

    def _probe_all(self) -> Steps[NodeId | None]:
        """Probe all known nodes at once, and wait until each has answered or is given up."""
        self._tally.count(len(self._config.others))
        timeout_s = self._config.discovery_timeout_s
        results: list[RpcResult] = yield Together(
            tuple(Call(node, PROBE, timeout_s=timeout_s) for node in self._config.others)
        )
        members = [result for result in results if result.ok and result.value["ok"]]
        holders = [result for result in members if result.value["holds_address"]]
        return min((result.source for result in holders or members), default=None)

    def _form(self) -> Steps[None]:
        """Form a cluster, if the quorum resource can be had."""
        if not (yield Await(self._quorum.arbitrate)):
            raise JoinFailedError("no cluster, and the quorum resource cannot be owned")
        before: str | None = yield Await(self._quorum.last_formed)
        if before:
            yield from self._let_others_end()
        usable = before is not None and (yield Await(self._managers.recover))
        usable = usable and (yield Await(self._note_formed))
        if not (usable and (yield Do(self._found))):
            yield Do(self._quorum.release)
            raise JoinFailedError("the quorum resource cannot be used")

    def _let_others_end(self) -> Steps[None]:
        """Give the members of a cluster that was formed before time to answer, or to halt."""
        now_s: float = yield Do(lambda at_s: at_s)
        end_s = now_s + self._config.grace_s
        while now_s < end_s:
            if (yield from self._probe_all()) is not None:
                yield Do(self._quorum.release)
                raise JoinFailedError("there is a cluster after all")
            yield Sleep(self._config.quorum_probe_s)
            now_s = yield Do(lambda at_s: at_s)

    def _note_formed(self, now_s: float, done: Done) -> None:
        self._quorum.note_formed(now_s, self._attempt, done)

    def _found(self, now_s: float) -> bool:
        if not self._quorum.owned(now_s):
            return False
        self._tally.done(now_s, "formed")
        node = self._ctx.node
        self._membership.found(now_s, self._attempt, {node: self._ctx.incarnation})
        self._lock.restore(None)
        self._gup.found(now_s, self._attempt, [node], epoch=0)
        self._managers.members_changed(now_s, joined=[node])
        return True

    # --- phase 2: lock -----------------------------------------------------------------------

    def _take_lock(self) -> Steps[None]:
        version = yield from self._call(self._sponsor, VERSION)
        if version["protocol"] != PROTOCOL:
            raise JoinFailedError(f"the cluster speaks version {version['protocol']}")
        incarnation = self._ctx.incarnation
        begun = yield from self._call(self._sponsor, BEGIN, incarnation=incarnation)
        self._tally.count(begun["rpcs"])
        yield self._end_phase("network")

    # --- phase 3: enable network ---------------------------------------------------------------

    def _enable_network(self) -> Steps[None]:
        """Set up channels, then security contexts, with one node after the other."""
        answers: dict[str, Any] = {}
        for question in QUESTIONS:
            answers |= yield from self._call(self._sponsor, question)
        told_s: float = yield Do(lambda now_s: now_s)
        for node in answers["members"]:
            for interface in range(answers["interfaces"]):
                yield from self._call(node, CONNECT, interface=interface)
            told_s = yield from self._report(told_s)
        for node in answers["members"]:
            yield from self._call(node, SECURITY)
            told_s = yield from self._report(told_s)
        yield self._end_phase("petition")

    def _report(self, told_s: float) -> Steps[float]:
        """Tell the sponsor of progress, if it is time to; returns when it was told last."""
        now_s: float = yield Do(lambda now_s: now_s)
        if not self._config.join_progress or now_s - told_s < self._config.join_progress_s:
            return told_s
        yield from self._call(self._sponsor, PROGRESS)
        return now_s

    def _serve_connect_back(
        self, now_s: float, source: NodeId, arguments: dict[str, Any], respond: Respond
    ) -> None:
        known = arguments["attempt"] == self._attempt and self._tally.phase == "network"
        if known:
            self._tally.count()
        respond(now_s, {"ok": known})

    # --- phase 4: petition ---------------------------------------------------------------------

    def _petition(self) -> Steps[None]:
        self._tally.count()
        arguments = {"attempt": self._attempt}
        result: RpcResult = yield Call(self._sponsor, PETITION, arguments)
        if result.ok:
            self._tally.count(result.value["rpcs"])
        if not (result.ok and result.value["ok"]):
            if result.ok and not result.value["admitted"]:
                self._configured = False
                yield Do(lambda now_s: self._membership.leave())
            raise JoinFailedError(f"petition: {result.error or 'aborted by the sponsor'}")
        yield self._end_phase("database")

    def _serve_configure(
        self, now_s: float, source: NodeId, arguments: dict[str, Any], respond: Respond
    ) -> None:
        """Step 2: know the membership, and begin to send heartbeats."""
        known = arguments["attempt"] == self._attempt and self._tally.phase == "petition"
        if known:
            view = msgspec.convert(arguments["view"], View)
            self._configured = True
            self._membership.expect(view)
            for node, incarnation in view.members.items():
                if node != self._ctx.node:
                    self._port.watch(node, incarnation)
        respond(now_s, {"ok": known})

    def _serve_inserted(
        self, now_s: float, source: NodeId, arguments: dict[str, Any], respond: Respond
    ) -> None:
        """Step 5: be a member."""
        known = arguments["attempt"] == self._attempt and self._configured
        respond(now_s, {"ok": known and self._membership.enter(now_s)})

    def _view_changed(self, now_s: float, change: ViewChange) -> None:
        """A regroup while this node is no full member yet: nobody can say what it has missed."""
        if change.cause == "regroup" and self._configured:
            self._failed(now_s, "regroup")

    # --- phases 5 and 6: database, unlock --------------------------------------------------------

    def _synchronise(self) -> Steps[None]:
        yield from self._call(self._sponsor, DATABASE_VERSION)
        replica = yield from self._call(self._sponsor, DATABASE)
        if not (yield Do(lambda now_s: self._take_over(now_s, replica))):
            raise JoinFailedError("the sponsor's state is of another membership")
        yield self._end_phase("unlock")

    def _take_over(self, now_s: float, replica: dict[str, Any]) -> bool:
        view = self._membership.view
        if view is None or replica["gup"]["epoch"] != view.attempt:
            return False
        self._gup.restore(replica["gup"], view.nodes)
        self._lock.restore(replica["lock"])
        self._managers.databases.restore(now_s, replica["database"])
        return True

    def _unlock(self) -> Steps[None]:
        def enter(now_s: float, done: Done) -> None:
            self._gup.enter(now_s, UNLOCK, self._attempt, done)

        result: GupResult = yield Await(enter)
        if not (result.ok and result.value):
            raise JoinFailedError("the order of updates cannot be entered")
        self._tally.count(result.rpcs)
        self._configured = False
        yield self._end_phase("")
        yield Do(lambda now_s: self._tally.done(now_s, "done", sponsor=self._sponsor))

    def state(self) -> dict[str, Any]:
        """Return the state as plain data."""
        return {
            "attempt": self._attempt,
            "phase": self._tally.phase,
            "configured": self._configured,
        }
