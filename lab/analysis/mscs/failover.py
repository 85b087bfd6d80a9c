"""Measurements of thesis part II, 6.7.4 and 7.2: fail-over, the quorum resource, agreement.

A client beside the cluster asks for the service again and again; an outage is the time between the
last answer before a failure and the first one after it, both by when they were asked for.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from lab.analysis.observations import MissingDataError
from lab.analysis.stacks.observations import StackMeasures, StackObservations
from lab.claims.judge import Measurement
from lab.stacks.client.core import ANSWERED, POLL, UNANSWERED

MEASURES = StackMeasures()

_FAILED = ("killed", "stalled", "cut-off")
"""Sweeps in which the owner is lost to its clients."""


@dataclass(frozen=True)
class Outage:
    """What the client of a case saw of a failure."""

    case: str
    before: int
    """The node that answered last before the failure."""
    after: int | None
    """The other node that answered first after it; None: none ever did."""
    lasted_s: float
    """The longest time without an answer, from the last one before the failure on."""
    unanswered: int
    """Questions that were not answered."""


def polls(run: StackObservations, case: str) -> pd.DataFrame:
    """What became of each question of the case's client, in the order they were asked.

    Returns:
        ``asked_s``, and ``server``, the node that answered; NaN where none did.

    Raises:
        MissingDataError: the case has no client.
    """
    parts = [run.events(case, POLL, phase) for phase in (ANSWERED, UNANSWERED)]
    found = [part.reindex(columns=["asked_s", "server"]) for part in parts if not part.empty]
    if not found:
        raise MissingDataError(f"no client asked for the service in case {case}")
    return pd.concat(found).sort_values("asked_s", ignore_index=True)


def outage(run: StackObservations, case: str, start_s: float) -> Outage:
    """What the client saw from a time on.

    Raises:
        MissingDataError: the service did not answer before.
    """
    asked = polls(run, case)
    answered = asked[asked["server"].notna()]
    before = answered[answered["asked_s"] < start_s]
    if before.empty:
        raise MissingDataError(f"the service did not answer before the failure in case {case}")
    owner = int(before["server"].iloc[-1])
    later = answered[answered["asked_s"] >= start_s]
    others = later.loc[later["server"] != owner, "server"]
    times = [before["asked_s"].iloc[-1], *later["asked_s"], asked["asked_s"].iloc[-1]]
    return Outage(
        case=case,
        before=owner,
        after=None if others.empty else int(others.iloc[0]),
        lasted_s=max(float(b - a) for a, b in itertools.pairwise(times)),
        unanswered=int((asked["server"].isna() & (asked["asked_s"] >= start_s)).sum()),
    )


@MEASURES.of("mscs-failover")
def failover(run: StackObservations) -> Measurement:
    """The service moves when its owner is lost, and stays when only a network is."""
    seen = {
        sweep: found
        for sweep in _FAILED
        if (found := [outage(run, case, _first_fault_s(run, case)) for case in _of(run, sweep)])
    }
    if "killed" not in seen:
        raise MissingDataError("the run has no case in which the owner is killed")
    lost = [one.case for some in seen.values() for one in some if one.after is None]
    disturbed = [case for case in run.names(sweep="one-network") if not _undisturbed(run, case)]
    told = ", ".join(f"{_mean(some)} when its node is {sweep}" for sweep, some in seen.items())
    wrong = f" Not so in {', '.join(lost + disturbed)}." if lost or disturbed else ""
    return Measurement(
        "mscs-failover",
        holds=not lost and not disturbed,
        detail=f"A client has no answer for {told}{_moved(run)}; it is always answered when the "
        f"nodes' other network fails.{wrong}{_own_network(run)}",
    )


def _of(run: StackObservations, sweep: str) -> list[str]:
    """The cases of a sweep that the run need not have."""
    return [str(case) for case in run.cases.index[run.cases["sweep"] == sweep]]


def _mean(some: Sequence[Outage]) -> str:
    ended = [one.lasted_s for one in some if one.after is not None]
    return f"{np.mean(ended):.1f} s" if ended else "good"


def _first_fault_s(run: StackObservations, case: str) -> float:
    times = run.fault_times_s(case, "kill", "pause", "cut")
    if not times:
        raise MissingDataError(f"nothing failed in case {case}")
    return times[0]


def _undisturbed(run: StackObservations, case: str) -> bool:
    """Whether ClusNet noticed a failed network, nobody was suspected, and all was answered."""
    seen = outage(run, case, _first_fault_s(run, case))
    noticed = not run.events(case, "network", "failed").empty
    served = seen.after is None and not seen.unanswered
    return noticed and served and run.events(case, "suspicion").empty


def _own_network(run: StackObservations) -> str:
    """What becomes of clients whose own network fails, where that was tried."""
    seen = [outage(run, case, _first_fault_s(run, case)) for case in _of(run, "clients-network")]
    if not seen:
        return ""
    moved = sum(one.after is not None for one in seen)
    return (
        f" When the network fails by which clients reach the node, the service moves in {moved} "
        f"of {len(seen)} cases (not judged: the thesis does not say)."
    )


def _moved(run: StackObservations) -> str:
    """How long a move by hand takes the service away, where that was tried."""
    seen = []
    for case in _of(run, "moved"):
        gone = run.events(case, "resource", "offline-pending")
        if not gone.empty:
            seen.append(outage(run, case, float(gone["t_s"].min())))
    return f", for {np.mean([one.lasted_s for one in seen]):.1f} s when it is moved" if seen else ""


# --- the quorum resource --------------------------------------------------------------------


@MEASURES.of("mscs-quorum-store")
def quorum_store(run: StackObservations) -> Measurement:
    """What was acknowledged before all failed, every member has when nodes start again."""
    told, fine = [], True
    for case in run.names():
        if run.planned[case].sweep:
            continue
        kept = _acknowledged(run, case)
        asked = run.requests(case, "groups")
        found = [set(_names(value)) for value in asked.loc[asked["ok"].eq(True), "value"]]
        good = bool(found) and bool(kept) and all(kept <= here for here in found)
        strange = set().union(*found) - kept - {"cluster", "web"}
        fine = fine and good and not strange
        told.append(
            f"{case}: {len(found)} members of {len(asked)} nodes have "
            f"{', '.join(sorted(kept)) or 'nothing'}"
        )
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
