"""The fidelity certificate of a run of a stack: whether its own instruments vouch for its figures.

A simulated case cannot be late, but it can break off, lose a log, or break what the stack promises.
In containers, programs compete for a small machine: a shell that wakes too late, a medium that
holds frames back or a socket that drops them makes a protocol look slow or wrong that is not.
"""

from __future__ import annotations

from lab.analysis.certificate import Certificate, Check
from lab.analysis.stacks.observations import StackObservations
from lab.analysis.stacks.probes import (
    broken_invariants,
    digest_missing,
    never_started,
    unfinished,
    without_origin,
)
from lab.scenarios.model import Engine


def certify_stack(run: StackObservations) -> Certificate:
    """Judge a run by all checks that its engine asks for."""
    cases = list(run.planned)
    checks = [check for check in CHECKS if run.engine in check.engines and check.applies(run)]
    return Certificate(tuple(check.run(run, cases, "case") for check in checks))


_BOTH: tuple[Engine, ...] = ("emulation", "simulation")
_SIMULATION: tuple[Engine, ...] = ("simulation",)

CHECKS: tuple[Check[StackObservations], ...] = (
    Check(
        "cases-complete", unfinished, 0, "cases broken off",
        "what a case would still have shown is unknown", engines=_BOTH,
    ),
    Check(
        "nodes-started", never_started, 0, "nodes",
        "a node without a log may have done anything", engines=_BOTH,
    ),
    Check(
        "invariants", broken_invariants, 0, "broken",
        "figures of a protocol that breaks its own promises are not figures of that protocol",
        engines=_BOTH,
    ),
    Check(
        "logs-complete", without_origin, 0, "of the datagrams",
        "a world that loses lines of its own logs has lost count", engines=_SIMULATION,
    ),
    Check(
        "digest", digest_missing, 0, "missing",
        "without one nobody can show that the same seed gives the same run", engines=_SIMULATION,
    ),
)  # fmt: skip
