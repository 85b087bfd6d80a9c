"""The sponsor of a join: the member that a joiner petitions (thesis 7.7.1).

It takes the global lock, answers the joiner's questions, leads the petition in five steps, and
hands over its database. It gives a join up when phase 3, which is the joiner's, lasts longer than
``join_timeout_s`` (unless ``join_progress`` tells that it gets on), and when a call of the petition
fails or regroup runs; never because the petition takes long.

A join that is given up before step 4 leaves no trace. Later some members may hold the joiner to be
a member already, so regroup has to find out who belongs to the cluster; the joiner halts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from enum import Enum
from typing import Any

import msgspec

from lab.stacks.core import NodeId
from lab.stacks.mscs.clusnet_port import ClusNetPort
from lab.stacks.mscs.config import Config
from lab.stacks.mscs.context import Context
from lab.stacks.mscs.gup import Gup, GupResult
from lab.stacks.mscs.join_lock import ABORT, LOCK, Attempt, JoinFailedError, JoinLock
from lab.stacks.mscs.join_member import ALIVE, ANNOUNCE, JoinMember, Respond
from lab.stacks.mscs.membership import Membership, ViewChange
from lab.stacks.mscs.procedure import Await, Call, Do, Done, Procedures, Steps
from lab.stacks.mscs.rpc import Rpc, RpcResult

BEGIN, PROGRESS, GIVE_UP = "join begin", "join progress", "join give up"
PETITION, CONFIGURE, INSERTED = "join petition", "join configure", "join inserted"
_LEAD, _TIMEOUT = "join petition", "join time-out"


class Stage(Enum):
    """How far the sponsor has come with a join."""

    IDLE = "idle"
    LOCK = "lock"
    NETWORK = "network"
    PETITION = "petition"
    ADMISSION = "admission"
    """Steps 4 and 5: whoever gives up now leaves it to regroup."""
    INSERTED = "inserted"
    ABORT = "abort"


class Sponsor:
    """This node as the sponsor of one join at a time."""

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
        member: JoinMember,
        why_not_join: Callable[[NodeId], str],
    ) -> None:
        self.attempt: Attempt | None = None
        self.stage = Stage.IDLE
        self._ctx = ctx
        self._config = config
        self._procedures = procedures
        self._gup = gup
        self._membership = membership
        self._port = port
        self._member = member
        self._why_not_join = why_not_join
        self._petition: Respond | None = None
        """Answers the petition that is led at present."""
        self._alive: Done | None = None
        """Waits for the joiner's first heartbeat, or its absence."""
        self._rpcs = 0
        lock.on_released.append(self._released)
        port.on_alive.append(lambda now_s, node: self._heard(now_s, node, alive=True))
        port.on_suspected.append(lambda now_s, node: self._heard(now_s, node, alive=False))
        membership.on_clean_up_2.append(self._view_changed)
        rpc.serve(BEGIN, self._serve_begin)
        rpc.serve(PROGRESS, self._serve_progress)
        rpc.serve(GIVE_UP, self._serve_give_up)
        rpc.serve(PETITION, self._serve_petition)

    # --- phase 2: the lock -----------------------------------------------------------------

    def _serve_begin(
        self, now_s: float, source: NodeId, arguments: dict[str, Any], respond: Respond
    ) -> None:
        attempt = Attempt(
            id=arguments["attempt"],
            joiner=source,
            incarnation=arguments["incarnation"],
            sponsor=self._ctx.node,
            sponsor_incarnation=self._ctx.incarnation,
        )
        why_not = self._why_refuse(attempt)
        if why_not:
            respond(now_s, {"ok": False, "why": why_not})
            if self.attempt is not None and self.attempt.joiner == source:
                self._abort(now_s, "the joiner has begun anew")
            return
        self.attempt, self.stage, self._rpcs = attempt, Stage.LOCK, 0
        self._emit("begin")
        self._gup.update(
            now_s,
            LOCK,
            msgspec.to_builtins(attempt),
            lambda at_s, result: self._locked(at_s, attempt, result, respond),
        )

    def _why_refuse(self, attempt: Attempt) -> str:
        view = self._membership.view
        if view is None or not self._gup.within:
            return "no member"
        if attempt.joiner in view.members:
            return "regroup has not yet noticed that the node was restarted"
        if self.attempt is not None:
            return f"sponsors node {self.attempt.joiner} already"
        return self._why_not_join(attempt.joiner)

    def _locked(self, now_s: float, attempt: Attempt, result: GupResult, respond: Respond) -> None:
        if result.ok and result.value:
            self.stage, self._rpcs = Stage.NETWORK, result.rpcs
            self._emit("locked", rpcs=result.rpcs)
            self._allow_time(now_s)
            respond(now_s, {"ok": True, "rpcs": result.rpcs})
        else:
            why = "another node joins" if result.ok else "no member any more"
            self._end("refused", cause=why)
            respond(now_s, {"ok": False, "why": why})

    # --- phase 3: the joiner is in charge ----------------------------------------------------

    def _allow_time(self, now_s: float) -> None:
        at_s = now_s + self._config.join_timeout_s
        self._ctx.set_timer(
            "service", _TIMEOUT, at_s, lambda late_s: self._abort(late_s, "time-out")
        )

    def _serve_progress(
        self, now_s: float, source: NodeId, arguments: dict[str, Any], respond: Respond
    ) -> None:
        known = self._is_for(arguments, Stage.NETWORK)
        if known:
            self._allow_time(now_s)
        respond(now_s, {"ok": known})

    def _serve_give_up(
        self, now_s: float, source: NodeId, arguments: dict[str, Any], respond: Respond
    ) -> None:
        if self.attempt is not None and self.attempt.id == arguments["attempt"]:
            self._abort(now_s, "the joiner has given up")
        respond(now_s, {"ok": True})

    def _is_for(self, arguments: dict[str, Any], stage: Stage) -> bool:
        return (
            self.attempt is not None
            and self.attempt.id == arguments["attempt"]
            and self.stage is stage
        )

    # --- phase 4: the petition ---------------------------------------------------------------

    def _serve_petition(
        self, now_s: float, source: NodeId, arguments: dict[str, Any], respond: Respond
    ) -> None:
        if self.attempt is None or not self._is_for(arguments, Stage.NETWORK):
            # Given up in the meantime: the joiner was too late.
            respond(now_s, {"ok": False, "admitted": False, "rpcs": 0})
            return
        self.stage, self._rpcs = Stage.PETITION, 0
        self._petition = respond
        self._ctx.cancel_timer(_TIMEOUT)
        self._procedures.start(now_s, _LEAD, self._lead(self.attempt), self._led)

    def _led(self, now_s: float, failure: str) -> None:
        if failure:
            self._abort(now_s, failure)
        else:
            self.stage = Stage.INSERTED
            self._emit("inserted", rpcs=self._rpcs)
            self._answer(now_s, ok=True)

    def _answer(self, now_s: float, *, ok: bool) -> None:
        """Answer the petition, if it is not answered yet."""
        if self._petition is not None:
            respond, self._petition = self._petition, None
            admitted = self.stage in (Stage.ADMISSION, Stage.INSERTED)
            respond(now_s, {"ok": ok, "admitted": admitted, "rpcs": self._rpcs})

    def _lead(self, attempt: Attempt) -> Steps[str]:
        """Lead the petition; returns what has failed, if anything has."""
        try:
            yield from self._five_steps(attempt)
        except JoinFailedError as failure:
            return str(failure)
        return ""

    def _five_steps(self, attempt: Attempt) -> Steps[None]:
        view = self._membership.view
        prepared = yield Do(lambda now_s: self._member.prepare(attempt))
        if view is None or not prepared:
            raise JoinFailedError("the sponsor is in a regroup")
        others = [node for node in view.nodes if node != self._ctx.node]
        yield from self._broadcast(ANNOUNCE, others, attempt)
        joined = view.with_member(attempt.joiner, attempt.incarnation)
        configuration = {"attempt": attempt.id, "view": msgspec.to_builtins(joined)}
        yield from self._call(attempt.joiner, CONFIGURE, configuration)
        if not (yield Await(lambda now_s, done: self._await_heartbeat(attempt, done))):
            raise JoinFailedError("no heartbeat of the joiner")
        self.stage = Stage.ADMISSION
        if not (yield Do(lambda now_s: self._member.admit(now_s, attempt))):
            raise JoinFailedError("the sponsor is in a regroup")
        yield from self._broadcast(ALIVE, others, attempt)
        yield from self._call(attempt.joiner, INSERTED, {"attempt": attempt.id})

    def _broadcast(self, method: str, nodes: Iterable[NodeId], attempt: Attempt) -> Steps[None]:
        for node in nodes:
            yield from self._call(node, method, msgspec.to_builtins(attempt))

    def _call(self, node: NodeId, method: str, arguments: dict[str, Any]) -> Steps[None]:
        self._rpcs += 1
        result: RpcResult = yield Call(node, method, arguments)
        if not (result.ok and result.value["ok"]):
            raise JoinFailedError(f"{method} of node {node}: {result.error or 'refused'}")

    # --- step 3: the first heartbeat -----------------------------------------------------------

    def _await_heartbeat(self, attempt: Attempt, done: Done) -> None:
        self._alive = done
        self._port.watch(attempt.joiner, attempt.incarnation)

    def _heard(self, now_s: float, node: NodeId, *, alive: bool) -> None:
        """ClusNet has heard the joiner, or nothing of it for the detection period."""
        if self._alive is not None and self.attempt is not None and node == self.attempt.joiner:
            done, self._alive = self._alive, None
            done(now_s, alive)

    # --- ends ----------------------------------------------------------------------------------

    def _abort(self, now_s: float, why: str) -> None:
        """Give the join up, everywhere."""
        attempt = self.attempt
        if attempt is None or self.stage in (Stage.LOCK, Stage.ABORT):
            return
        self._stop(now_s)
        admitted = self.stage in (Stage.ADMISSION, Stage.INSERTED)
        self._emit("aborted", cause=why, during=self.stage.value)
        self.stage = Stage.ABORT
        self._gup.update(now_s, ABORT, attempt.id, lambda at_s, result: self._aborted(attempt))
        if admitted:
            self._membership.regroup.demand(now_s, f"join of node {attempt.joiner} aborted")

    def _stop(self, now_s: float) -> None:
        self._procedures.cancel(_LEAD)
        self._ctx.cancel_timer(_TIMEOUT)
        self._alive = None
        self._answer(now_s, ok=False)

    def _aborted(self, attempt: Attempt) -> None:
        if self.attempt == attempt:
            self._end("released")

    def _released(self, now_s: float, attempt: Attempt, admitted: bool) -> None:
        """The lock was given back: by the joiner, or by who thought this node gone."""
        if self.attempt == attempt and self.stage is not Stage.ABORT:
            self._stop(now_s)
            self._end("done" if admitted else "released")

    def _view_changed(self, now_s: float, change: ViewChange) -> None:
        attempt = self.attempt
        if attempt is None or change.cause != "regroup":
            return
        gone = change.view.members.get(attempt.joiner) != attempt.incarnation
        leading = self.stage in (Stage.PETITION, Stage.ADMISSION)
        if leading or (gone and self.stage is Stage.INSERTED):
            self._abort(now_s, "regroup")

    def _end(self, phase: str, *, cause: str = "") -> None:
        self._emit(phase, cause=cause)
        self.attempt, self.stage = None, Stage.IDLE

    def _emit(self, phase: str, *, cause: str = "", **fields: Any) -> None:
        assert self.attempt is not None  # noqa: S101 - told of an attempt only
        self._ctx.emit(
            "sponsor",
            phase=phase,
            cause=cause,
            attempt=self.attempt.id,
            joiner=self.attempt.joiner,
            **fields,
        )

    def state(self) -> dict[str, Any]:
        """Return the state as plain data."""
        attempt = None if self.attempt is None else self.attempt.id
        return {"attempt": attempt, "stage": self.stage.value}
