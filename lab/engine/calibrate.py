"""Finding the smallest dilation at which this machine keeps up with a scenario.

``lab calibrate`` tries dilations on the real network: each trial brings the network up, runs the
scenario's heaviest moments for a few real seconds, and asks the fidelity certificate. The search
doubles or halves until it has a valid and an invalid dilation, then closes in geometrically, and
takes no answer that a second trial does not confirm.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from lab.engine.calibration import Calibration, Trial, fingerprint, remember
from lab.engine.drive import drive_pass
from lab.engine.lifecycle import clear_the_way, down, start, up
from lab.engine.playbook import interrupts_raise, interrupts_wait
from lab.engine.prepare import make_run
from lab.engine.run import Run
from lab.engine.trial import trial
from lab.errors import LabError
from lab.paths import RESULTS
from lab.scenarios import Scenario

CLOSE_ENOUGH = 1.2
"""The answer is at most so many times the smallest valid dilation."""
FARTHEST = 64.0
"""The search goes so far from the scenario's own dilation, up and down."""
LEAST, MOST = 0.1, 1e5
MOST_TRIALS = 16

Try = Callable[[float], bool]


@dataclass(frozen=True)
class Judged:
    """What a trial's certificate said."""

    valid: bool
    why: str


def rounded(dilation: float) -> float:
    """A dilation to two digits: more would pretend a precision that trials do not have."""
    if dilation <= 0:
        raise ValueError(f"a dilation cannot be {dilation}")
    digit = 10.0 ** (math.floor(math.log10(dilation)) - 1)
    return round(round(dilation / digit) * digit, 6)


def search(first: float, valid: Try) -> float:
    """The smallest valid dilation near ``first``, within :data:`CLOSE_ENOUGH`.

    Args:
        first: where to begin.
        valid: tries a dilation.

    Raises:
        LabError: no dilation is valid as far as the search goes.
    """
    good, bad = _bracket(rounded(first), valid)
    while bad is not None and good / bad > CLOSE_ENOUGH:
        middle = rounded(math.sqrt(good * bad))
        if middle in (good, bad):
            break
        if valid(middle):
            good = middle
        else:
            bad = middle
    # A trial that was valid by luck is the one at the edge: it has to be so twice.
    times = 1
    while times < 2:
        if valid(good):
            times += 1
            continue
        good, times = rounded(good * CLOSE_ENOUGH), 0
        if good > first * FARTHEST:
            raise _none(first)
    return good


def _bracket(first: float, valid: Try) -> tuple[float, float | None]:
    """A valid dilation and, unless the search ended at its limit, an invalid one below it."""
    if valid(first):
        good = first
        while (lower := rounded(good / 2)) >= max(LEAST, first / FARTHEST):
            if not valid(lower):
                return good, lower
            good = lower
        return good, None
    bad = first
    while (higher := rounded(bad * 2)) <= min(MOST, first * FARTHEST):
        if valid(higher):
            return higher, bad
        bad = higher
    raise _none(first)


def _none(first: float) -> LabError:
    return LabError(
        f"no dilation from {first:g} to {min(MOST, first * FARTHEST):g} gives a valid trial",
        remedy="see what the trials failed for; `lab doctor` says what this machine lacks",
    )


def calibrate(
    name: str,
    scenario: Scenario,
    on_trial: Callable[[Trial], None],
    *,
    results: Path = RESULTS,
) -> Calibration:
    """Find, note and return the smallest valid dilation of a scenario on this machine.

    Args:
        name: how the user named the scenario.
        scenario: as it would run.
        on_trial: told of each trial when it is done.
        results: where the answer is noted.

    Raises:
        LabError: it cannot be emulated here, or no dilation is valid.
    """
    trials: list[Trial] = []

    def valid(dilation: float) -> bool:
        if len(trials) >= MOST_TRIALS:
            raise LabError(
                f"after {MOST_TRIALS} trials there is no answer: they contradict each other",
                remedy="is the machine busy with something else?",
            )
        began_s = time.monotonic()
        judged = run_trial(name, trial(scenario, dilation))
        real_s = round(time.monotonic() - began_s, 1)
        trials.append(Trial(dilation, judged.valid, judged.why, real_s))
        on_trial(trials[-1])
        return judged.valid

    clear_the_way()
    with interrupts_raise():
        smallest = search(scenario.dilation, valid)
    found = Calibration(scenario.name, smallest, fingerprint(scenario), tuple(trials))
    remember(found, results)
    return found


def run_trial(name: str, scenario: Scenario) -> Judged:
    """Run a trial on the real network and judge it; leaves nothing behind.

    A pass that breaks off has failed the trial: so do processes on an overloaded machine.

    Raises:
        LabError: the network cannot be built.
    """
    with TemporaryDirectory(prefix="lab-calibrate-") as folder:
        run = make_run(name, {}, (scenario, "emulation"), results=Path(folder).resolve())
        try:
            up(run)
            start(run)
            try:
                drive_pass(run, scenario.passes[0].name)
            except LabError as error:
                return Judged(valid=False, why=error.message.splitlines()[0])
        finally:
            with interrupts_wait(lambda _: None):
                down(run)
        return _judge(run)


def _judge(run: Run) -> Judged:
    from lab.analysis.fidelity import certify
    from lab.analysis.run import observe
    from lab.results.collect import collect

    collect(run.dir, run.scenario)
    certificate = certify(observe(run.dir))
    return Judged(certificate.valid, certificate.why)
