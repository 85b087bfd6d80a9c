"""A run on the simulator: every pass in virtual time, then the same tables and verdicts.

There is no network to build, no root to be and nothing to remove: the passes are threads of this
process, each inside the compiled model, so whatever ends the process ends them.
"""

import os
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field

from lab.engine import evaluate
from lab.engine.progress import Event, Follower
from lab.engine.run import SIMULATE, SIMULATE_S, Run
from lab.results.collect import write_vcs
from lab.results.manifest import note_digest
from lab.simulation.engine import Stopped, simulate_pass
from lab.simulation.plan import plan_passes, scenario_vcs
from lab.simulation.record import run_digest, write_pass

LOOK_S = 0.2


@dataclass
class Course:
    """How far the passes are, shared by their threads."""

    parts: dict[str, float]
    stopping: threading.Event = field(default_factory=threading.Event)
    started_s: float = field(default_factory=time.monotonic)

    def reached(self, name: str, fraction: float) -> None:
        """Note how much of a pass is done; ends its thread when the run is to stop."""
        self.parts[name] = fraction
        if self.stopping.is_set():
            raise Stopped

    @property
    def fraction(self) -> float:
        """Part of all passes that is done."""
        return sum(self.parts.values()) / len(self.parts)

    @property
    def left_s(self) -> float:
        """Real seconds that the passes will still take, at the pace so far."""
        elapsed_s = time.monotonic() - self.started_s
        return elapsed_s * (1 - self.fraction) / self.fraction if self.fraction else SIMULATE_S


def simulate(run: Run, on_event: Callable[[Event], None]) -> None:
    """Run a prepared run to its end: simulate, collect, analyse.

    Args:
        run: the prepared run.
        on_event: called with every progress event, in order.

    Raises:
        LabError: the simulation, or what follows it, failed.
        Interrupted: a signal arrived.
    """
    follower = Follower(run.dir)

    def pump() -> None:
        for event in follower.new_events():
            on_event(event)

    note_digest(run.dir, simulate_passes(run, pump))
    evaluate.collect(run)
    pump()
    evaluate.analyse(run)
    pump()


def simulate_passes(run: Run, look: Callable[[], None], *, tie_seed: int | None = None) -> str:
    """Simulate all passes of a run, as many at a time as there are cores.

    Args:
        run: where the observations go.
        look: called several times a second, after progress was reported.
        tie_seed: orders simultaneous events; None takes the scenario's seed.

    Returns:
        The digest over the events of all passes.
    """
    vcs = scenario_vcs(run.scenario)
    write_vcs(run.raw, vcs)
    plans = plan_passes(run.scenario, vcs, tie_seed=tie_seed)
    names = [plan.passing.name for plan in plans]
    course = Course(dict.fromkeys(names, 0.0))

    def one(index: int) -> int:
        record = simulate_pass(plans[index], lambda part: course.reached(names[index], part))
        write_pass(run.raw, names[index], record)
        return record.digest

    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        futures = [pool.submit(one, index) for index in range(len(plans))]
        try:
            while _pending(futures):
                _report(run, course)
                look()
                wait(futures, timeout=LOOK_S, return_when="FIRST_EXCEPTION")
            digests = _results(futures)
        finally:
            course.stopping.set()
            for future in futures:
                future.cancel()
    run.reporter().report(SIMULATE, f"{len(plans)} passes are simulated", 1.0)
    look()
    return run_digest(list(zip(names, digests, strict=True)))


def _report(run: Run, course: Course) -> None:
    done = sum(part >= 1 for part in course.parts.values())
    message = f"{done} of {len(course.parts)} passes done, {course.fraction:.0%} of the whole"
    run.reporter().report(SIMULATE, message, course.fraction, left_s=course.left_s)


def _pending(futures: Sequence[Future[int]]) -> bool:
    """Whether to wait on: some are not done, and none has failed."""
    failed = any(f.done() and not f.cancelled() and f.exception() for f in futures)
    return not failed and not all(future.done() for future in futures)


def _results(futures: Sequence[Future[int]]) -> list[int]:
    """What the threads returned; raises what the first that failed had raised."""
    for future in futures:
        if future.done() and (error := future.exception()) is not None:
            raise error
    return [future.result() for future in futures]
