"""What the checks of the certificate of a stack's run look at: one value of one case each. Pure.

A probe returns its value and a clause about it, and raises ``MissingDataError`` when its instrument
recorded nothing.
"""

from __future__ import annotations

import math

import numpy as np

from lab.analysis.observations import MissingDataError
from lab.analysis.stacks.observations import StackObservations
from lab.results.cases import INVARIANTS

_ROUNDING_S = 1e-6


def unfinished(run: StackObservations, case: str) -> tuple[float, str]:
    """1 when the case did not come to its planned end."""
    ended_s, plan = run.ended_s(case), run.planned[case].plan
    if math.isnan(ended_s):
        return 1.0, "it was not carried out to its end"
    early = ended_s < plan.over_s - _ROUNDING_S and plan.settle_s is None
    return float(early), f"ended after {ended_s:g} of {plan.over_s:g} s"


def never_started(run: StackObservations, case: str) -> tuple[float, str]:
    """Nodes of the plan whose log has no start."""
    events = run.of_case("events", case)
    started = set(events.loc[events["kind"] == "started", "node"])
    missing = [n for n in range(1, run.planned[case].plan.nodes + 1) if n not in started]
    return float(len(missing)), f"{len(started)} nodes started"


def without_origin(run: StackObservations, case: str) -> tuple[float, str]:
    """Part of the datagrams received whose sending nobody logged."""
    rows = run.of_case("messages", case)
    sent = rows.loc[rows["direction"] == "send", "message"].to_numpy()
    received = rows.loc[rows["direction"] == "receive", "message"].to_numpy()
    if not len(received):
        raise MissingDataError("no datagram was received")
    lost = int((~np.isin(received, sent)).sum())
    return lost / len(received), f"{lost} of {len(received)} received datagrams have no sender"


def broken_invariants(run: StackObservations, case: str) -> tuple[float, str]:
    """Invariants of the stack that its checkers found broken."""
    count = run.instrument(case, INVARIANTS, "all")
    rows = run.of_case("instruments", case)
    told = rows.loc[(rows["where"] == INVARIANTS) & (rows["name"] != "all"), "name"]
    return count, "; ".join(told) or "every invariant held"


def digest_missing(run: StackObservations, _: str) -> tuple[float, str]:
    """1 when the run has no digest."""
    digest = run.digest
    return float(not digest), f"digest {digest}" if digest else "no digest was noted"
