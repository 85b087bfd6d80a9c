"""Random cases of a stack, one a seed, on all cores, until one breaks an invariant."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass

from lab.engine.workers import worker_pool
from lab.errors import LabError
from lab.stacks.checking import Violation
from lab.stacks.plan import CasePlan
from lab.stacks.registry import find_exercise
from lab.world.swarm import SwarmCase, first_violation, run_swarm_case, shrink_case, swarm_case

_AHEAD = 16
"""Seeds handed out at a time: enough for all cores, few to drop when one fails."""


@dataclass(frozen=True)
class Trial:
    """What is tried: random cases of a stack."""

    stack: str
    nodes: int | None = None
    """How many nodes; None: as each seed draws."""
    faults: bool = True

    def case(self, seed: int) -> SwarmCase:
        """Return the case of a seed."""
        return swarm_case(
            self.stack, find_exercise(self.stack), seed, nodes=self.nodes, faults=self.faults
        )


@dataclass(frozen=True)
class Outcome:
    """What came of one seed."""

    seed: int
    nodes: int
    digest: str
    virtual_s: float
    real_s: float
    happened: int
    sent: int
    violation: Violation | None


def try_seed(trial: Trial, seed: int) -> Outcome:
    """Run the case of one seed."""
    plan = trial.case(seed).plan
    result = run_swarm_case(plan, find_exercise(trial.stack))
    return Outcome(
        seed=seed,
        nodes=plan.nodes,
        digest=result.digest,
        virtual_s=result.virtual_s,
        real_s=result.real_s,
        happened=result.happened,
        sent=result.sent,
        violation=first_violation(result),
    )


def try_seeds(trial: Trial, seeds: Iterable[int], *, keep_going: bool = False) -> Iterator[Outcome]:
    """Run the cases of many seeds and yield what comes out, until one fails or to the end.

    Raises:
        LabError: a process was ended from outside.
    """
    left = deque(seeds)
    with worker_pool() as pool:
        running: set[Future[Outcome]] = set()
        while left or running:
            while left and len(running) < _AHEAD:
                running.add(pool.submit(try_seed, trial, left.popleft()))
            done, running = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                outcome = future.result()
                yield outcome
                if outcome.violation is not None and not keep_going:
                    pool.shutdown(wait=False, cancel_futures=True)
                    return


def shrink_seed(trial: Trial, outcome: Outcome, *, most_runs: int) -> CasePlan:
    """Return the shortest case found that breaks the same invariant as a seed that failed."""
    violation = outcome.violation
    if violation is None:
        raise LabError(f"seed {outcome.seed} does not fail, there is nothing to shrink")
    return shrink_case(
        trial.case(outcome.seed), find_exercise(trial.stack), violation, most_runs=most_runs
    )
