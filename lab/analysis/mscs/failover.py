"""Measurements of thesis part II, 6.7.4 and 7.2: fail-over, the quorum resource, agreement.

A client has the service while a running node that is not stalled or cut off has it online; the
outage is what lies between, from the logs of resources and faults.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from lab.analysis.observations import MissingDataError
from lab.analysis.stacks.observations import StackMeasures, StackObservations
from lab.claims.judge import Measurement

MEASURES = StackMeasures()

SERVICE = "service"
"""The resource that clients use; all others of its group are online before it."""
_FAILED = ("killed", "stalled", "cut-off")
"""Sweeps in which the owner is lost to its clients."""


@dataclass(frozen=True)
class Move:
    """Where the service was before a failure, and where after it."""

    case: str
    before: int
    after: int | None
    """None: it is nowhere."""
    outage_s: float
    """From the failure, or the begin of a move, until clients have it again."""


def move_of(run: StackObservations, case: str, start_s: float) -> Move:
    """What became of the service after a time.

    Raises:
        MissingDataError: it was nowhere before.
    """
    changes = list(_changes(run, case))
    before = [node for t_s, node, phase in changes if t_s < start_s and phase == "online"]
    if not before:
        raise MissingDataError(f"the service was not online before the failure in case {case}")
    for t_s, node, phase in changes:
        if t_s >= start_s and phase == "online" and node != before[-1]:
            return Move(case, before[-1], node, t_s - start_s)
    return Move(case, before[-1], None, float("nan"))


def _changes(run: StackObservations, case: str) -> Iterator[tuple[float, int, str]]:
    events = run.events(case, "resource")
    if events.empty:
        return
    events = events[events["resource"] == SERVICE]
    for t_s, node, phase in zip(events["t_s"], events["node"], events["phase"], strict=True):
        yield float(t_s), int(node), str(phase)


@MEASURES.of("mscs-failover")
def failover(run: StackObservations) -> Measurement:
    """The service moves when its owner is lost, and stays when only a network is."""
    moves: dict[str, list[Move]] = {}
    for sweep in _FAILED:
        if not (run.cases["sweep"] == sweep).any():
            continue
        for case in run.names(sweep=sweep):
            moves.setdefault(sweep, []).append(move_of(run, case, _first_fault_s(run, case)))
    if "killed" not in moves:
        raise MissingDataError("the run has no case in which the owner is killed")
    lost = [move.case for some in moves.values() for move in some if move.after is None]
    disturbed = [case for case in run.names(sweep="one-network") if not _undisturbed(run, case)]
    told = ", ".join(f"{_outage(some)} when its node is {sweep}" for sweep, some in moves.items())
    wrong = f" Not so in {', '.join(lost + disturbed)}." if lost or disturbed else ""
    return Measurement(
        "mscs-failover",
        holds=not lost and not disturbed,
        detail=f"Clients are without the service for {told}{_moved(run)}, and never when one of "
        f"its networks is.{wrong}",
    )


def _outage(moves: Sequence[Move]) -> str:
    ended = [move.outage_s for move in moves if move.after is not None]
    return f"{np.mean(ended):.1f} s" if ended else "for good"


def _first_fault_s(run: StackObservations, case: str) -> float:
    times = run.fault_times_s(case, "kill", "pause", "cut")
    if not times:
        raise MissingDataError(f"nothing failed in case {case}")
    return times[0]


def _undisturbed(run: StackObservations, case: str) -> bool:
    """Whether ClusNet noticed a failed network, nobody was suspected, and the service stayed."""
    start_s = _first_fault_s(run, case)
    noticed = not run.events(case, "network", "failed").empty
    stayed = all(t_s < start_s for t_s, _, _ in _changes(run, case))
    return noticed and stayed and run.events(case, "suspicion").empty


def _moved(run: StackObservations) -> str:
    """How long a move by hand takes the service away, where that was tried."""
    outages = []
    for case in run.cases.index[run.cases["sweep"] == "moved"]:
        gone = [t_s for t_s, _, phase in _changes(run, str(case)) if phase == "offline-pending"]
        if gone:
            outages.append(move_of(run, str(case), gone[0]).outage_s)
    return f", {np.mean(outages) * 1e3:.0f} ms when it is moved" if outages else ""


# --- the quorum resource --------------------------------------------------------------------


@MEASURES.of("mscs-quorum-store")
def quorum_store(run: StackObservations) -> Measurement:
    """What was acknowledged before all failed is there when any nodes start again."""
    told, fine = [], True
    for case in run.names():
        if run.planned[case].sweep:
            continue
        kept = _acknowledged(run, case)
        found = [set(_names(value)) for value in run.requests(case, "groups")["value"]]
        good = bool(found) and bool(kept) and all(kept <= here for here in found)
        strange = set().union(*found) - kept - {"cluster", "web"}
        fine = fine and good and not strange
        told.append(f"{case}: {len(found)} nodes have {', '.join(sorted(kept)) or 'nothing'}")
    if not told:
        raise MissingDataError("the run has no case in which all fail")
    return Measurement("mscs-quorum-store", holds=fine, detail=f"{'; '.join(told)}.")


def _acknowledged(run: StackObservations, case: str) -> set[str]:
    """The groups whose creation a node acknowledged."""
    asked = run.requests(case, "create-group")
    rows = zip(asked["arguments"], asked["ok"], strict=True)
    return {json.loads(arguments)["group"] for arguments, ok in rows if ok is True}


def _names(value: object) -> list[str]:
    """The groups in a node's answer; none where it gave no answer."""
    if not isinstance(value, str):
        return []
    answer = json.loads(value)
    rows = answer if isinstance(answer, list) else []
    return [str(row["group"]) for row in rows]


# --- agreement ------------------------------------------------------------------------------


@MEASURES.of("mscs-membership-agreement", "mscs-failover")
def agreement(run: StackObservations) -> Measurement:
    """Views of one cluster by number: all that install one have the same members in it."""
    wrong, seen = 0, 0
    for case in run.names():
        if not run.planned[case].sweep:
            continue  # where all fail, another cluster begins to count anew
        views = run.events(case, "view")
        for _, same in views.groupby("id"):
            different = {tuple(members) for members in same["members"]}
            wrong, seen = wrong + (len(different) > 1), seen + 1
    if not seen:
        raise MissingDataError("nobody installed a view")
    return Measurement(
        "mscs-membership-agreement",
        holds=wrong == 0,
        detail=f"{seen} views, {wrong} of which nodes saw differently.",
    )
