"""All invariants of the stack: what must hold at all times, and what once all has come to rest."""

from __future__ import annotations

from lab.stacks.checking import CheckerMaker
from lab.stacks.mscs.failover_invariants import (
    DurableIsRecovered,
    GroupsCameToRest,
    OneNodeAtATime,
    ReplicasAgree,
)
from lab.stacks.mscs.gup_invariants import AllOrNone, OneAtATime, TotalOrder
from lab.stacks.mscs.join_invariants import LockIsGivenBack, OneJoinAtATime
from lab.stacks.mscs.membership_invariants import MEMBERSHIP_CHECKERS, AllAdmitted

CHECKERS: tuple[CheckerMaker, ...] = (
    *MEMBERSHIP_CHECKERS,
    TotalOrder,
    OneAtATime,
    OneJoinAtATime,
    OneNodeAtATime,
    DurableIsRecovered,
)
CONVERGED: tuple[CheckerMaker, ...] = (
    AllAdmitted,
    AllOrNone,
    LockIsGivenBack,
    ReplicasAgree,
    GroupsCameToRest,
)
