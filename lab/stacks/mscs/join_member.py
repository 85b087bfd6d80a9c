"""What every active member does for a node that joins (thesis 7.7.1, phases 3 and 4).

A member takes part only in the join that has the global lock, and a joiner is prepared for only
after it has set up its network channels and its security context with this member. So what is left
of an attempt that was given up has no effect.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import msgspec

from lab.stacks.core import NodeId
from lab.stacks.mscs.clusnet_port import ClusNetPort
from lab.stacks.mscs.join_lock import Attempt, JoinLock
from lab.stacks.mscs.membership import Membership
from lab.stacks.mscs.rpc import Rpc, RpcResult

Respond: TypeAlias = Callable[[float, Any], None]

CONNECT, CONNECT_BACK = "join connect", "join connect back"
SECURITY, ANNOUNCE, ALIVE = "join security", "join announce", "join alive"


class JoinMember:
    """This node as one of the members that a joiner meets."""

    def __init__(self, rpc: Rpc, lock: JoinLock, membership: Membership, port: ClusNetPort) -> None:
        self._rpc = rpc
        self._lock = lock
        self._membership = membership
        self._port = port
        self._connected = ""
        """The attempt whose joiner and this node have channels to each other."""
        self._secured = ""
        """The attempt whose joiner and this node have a security context."""
        rpc.serve(CONNECT, self._connect)
        rpc.serve(SECURITY, self._secure)
        rpc.serve(ANNOUNCE, self._announce)
        rpc.serve(ALIVE, self._alive)

    # --- phase 3: for the joiner -----------------------------------------------------------

    def _connect(
        self, now_s: float, source: NodeId, arguments: dict[str, Any], respond: Respond
    ) -> None:
        """Open a channel for one interface; with the first, one back to the joiner."""
        attempt, interface = arguments["attempt"], arguments["interface"]

        def connected(at_s: float, result: RpcResult) -> None:
            if result.ok:
                self._connected = attempt
            respond(at_s, {"ok": result.ok})

        if not self._lock.is_held_by(attempt):
            respond(now_s, {"ok": False})
        elif interface == 0:
            self._rpc.call(now_s, source, CONNECT_BACK, {"attempt": attempt}, connected)
        else:
            respond(now_s, {"ok": self._connected == attempt})

    def _secure(
        self, now_s: float, source: NodeId, arguments: dict[str, Any], respond: Respond
    ) -> None:
        """Establish a security context with a node that has a channel to this one."""
        if self._lock.is_held_by(arguments["attempt"]) and self._connected == arguments["attempt"]:
            self._secured = arguments["attempt"]
        respond(now_s, {"ok": self._secured == arguments["attempt"]})

    # --- phase 4: for the sponsor ----------------------------------------------------------

    def prepare(self, attempt: Attempt) -> bool:
        """Take notice that a node is about to be a member (step 1)."""
        return (
            self._lock.is_held_by(attempt.id)
            and self._secured == attempt.id
            and self._membership.prepare(attempt.joiner, attempt.incarnation)
        )

    def admit(self, now_s: float, attempt: Attempt) -> bool:
        """Make it a member (step 4)."""
        return self._lock.is_held_by(attempt.id) and self._membership.admit(
            now_s, attempt.joiner, attempt.incarnation
        )

    def _announce(
        self, now_s: float, source: NodeId, arguments: dict[str, Any], respond: Respond
    ) -> None:
        attempt = msgspec.convert(arguments, Attempt)
        ok = self.prepare(attempt)
        if ok:
            self._port.watch(attempt.joiner, attempt.incarnation)
        respond(now_s, {"ok": ok})

    def _alive(
        self, now_s: float, source: NodeId, arguments: dict[str, Any], respond: Respond
    ) -> None:
        respond(now_s, {"ok": self.admit(now_s, msgspec.convert(arguments, Attempt))})

    def state(self) -> dict[str, Any]:
        """Return the state as plain data."""
        return {"connected": self._connected, "secured": self._secured}
