"""A run of a stack's scenario in the simulated world: every case in a process, then the verdicts.

There is nothing to build and nothing to remove. The cases are spread over as many processes as
there are cores, the largest first, so that none of them is left with a large case at the end.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, wait
from pathlib import Path

from lab.engine import evaluate
from lab.engine.progress import Event, Follower
from lab.engine.run import SIMULATE, SIMULATE_S, StackRun
from lab.engine.workers import worker_pool
from lab.results.cases import CaseRecord, Count, tabulate_case, write_case
from lab.results.manifest import note_digest
from lab.scenarios.cases import PlannedCase
from lab.stacks.plan import CasePlan

LOOK_S = 0.5
WORLD = "world"
"""Where among the instruments the simulated world's counts are."""


def simulate_run(run: StackRun, on_event: Callable[[Event], None]) -> None:
    """Run a prepared run to its end: simulate, collect, analyse.

    Args:
        run: the prepared run.
        on_event: called with every progress event, in order.

    Raises:
        LabError: a case, or what follows, failed.
        Interrupted: a signal arrived.
    """
    follower = Follower(run.dir)

    def pump() -> None:
        for event in follower.new_events():
            on_event(event)

    note_digest(run.dir, simulate_cases(run, pump))
    evaluate.collect(run)
    pump()
    evaluate.analyse(run)
    pump()


def simulate_cases(run: StackRun, look: Callable[[], None]) -> str:
    """Simulate all cases of a run.

    Args:
        run: where the logs and tables of the cases go.
        look: called several times a second, after progress was reported.

    Returns:
        The digest over the digests of all cases.
    """
    digests: dict[str, str] = {}
    started_s, work = time.monotonic(), {case.name: weight(case) for case in run.cases}
    with worker_pool() as pool:
        waiting: dict[Future[str], str] = {
            pool.submit(carry_out, case.plan, run.case_dir(case.name)): case.name
            for case in sorted(run.cases, key=lambda case: -work[case.name])
        }
        while waiting:
            _report(run, digests, work, time.monotonic() - started_s)
            look()
            done, _ = wait(waiting, timeout=LOOK_S, return_when=FIRST_COMPLETED)
            for future in done:
                digests[waiting.pop(future)] = future.result()
    run.reporter().report(SIMULATE, f"{len(digests)} cases are simulated", 1.0)
    look()
    return run_digest(digests)


def carry_out(plan: CasePlan, case_dir: Path) -> str:
    """Simulate one case, leave its tables and record, and return its digest."""
    from lab.stacks.registry import find_checkers
    from lab.world import run_case

    case_dir.mkdir(parents=True, exist_ok=True)
    result = run_case(plan, checkers=find_checkers(plan.stack), directory=case_dir)
    counts = {
        "sent": result.sent,
        "lost": result.lost,
        "collisions": result.collisions,
        "happened": result.happened,
    }
    write_case(
        case_dir,
        CaseRecord(
            ended_s=result.virtual_s,
            digest=result.digest,
            violations=tuple(violation.text for violation in result.violations),
            instruments=(
                *(Count(WORLD, name, float(value)) for name, value in counts.items()),
                *(Count(f"node {node}", "busy_s", s) for node, s in result.busy_s.items()),
            ),
        ),
    )
    tabulate_case(plan.name, case_dir, keep_logs=False)
    return result.digest


def weight(case: PlannedCase) -> float:
    """How much work a case is, beside others: nodes that talk to each other, for its time."""
    return case.plan.over_s * case.nodes**2


def run_digest(digests: Mapping[str, str]) -> str:
    """The digest of a run: of its cases by name."""
    text = "\n".join(f"{name} {digests[name]}" for name in sorted(digests))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _report(
    run: StackRun, digests: Mapping[str, str], work: Mapping[str, float], elapsed_s: float
) -> None:
    done = sum(work[name] for name in digests) / sum(work.values())
    left_s = elapsed_s * (1 - done) / done if done else SIMULATE_S
    message = f"{len(digests)} of {len(work)} cases done, {done:.0%} of the whole"
    run.reporter().report(SIMULATE, message, done, left_s=left_s)
