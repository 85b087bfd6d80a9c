"""Repeating an invalid emulation with a larger dilation, a few times at most."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from lab.emulation.cpu_load import LoadTooSlowError
from lab.engine.calibrate import rounded
from lab.engine.engines import EMULATION
from lab.engine.progress import Event
from lab.engine.supervise import Request, RunOutcome, run_scenario
from lab.results.files import read_json
from lab.results.manifest import read_manifest

FACTORS = (1.5, 2.0, 2.0)
"""By how much each repetition is slower than the one before: six times in all."""

Runner = Callable[[Request, Callable[[Event], None], Callable[[str], None]], RunOutcome]


def run_until_valid(
    request: Request,
    on_event: Callable[[Event], None],
    say: Callable[[str], None],
    run: Runner = run_scenario,
) -> RunOutcome:
    """Run a scenario, and again slower as long as its certificate is not valid.

    A simulation is not repeated: it would do the same again. Every run is kept.

    Args:
        request: what to run first.
        on_event: receives the progress events.
        say: tells the user a sentence.
        run: runs one request.

    Raises:
        LabError: a run could not start or did not complete.
    """
    outcome = run(request, on_event, say)
    for factor in FACTORS:
        if outcome.valid or outcome.interrupted_by:
            break
        manifest = read_manifest(outcome.run_dir)
        if manifest.engine != EMULATION:
            break
        slower = rounded(manifest.dilation * factor)
        say(
            f"run {outcome.run_dir.name} is invalid at dilation {manifest.dilation:g} "
            f"({failed_checks(outcome)}); again at {slower:g}"
        )
        try:
            outcome = run(replace(request, dilation=slower), on_event, say)
        except LoadTooSlowError as error:
            say(f"it cannot be slower: {error.message}")
            break
    return outcome


def failed_checks(outcome: RunOutcome) -> str:
    """The names of the checks that a run did not meet."""
    fidelity = read_json(outcome.run_dir / "fidelity.json")
    checks = fidelity["checks"] if isinstance(fidelity, dict) else []
    return ", ".join(str(check["name"]) for check in checks if not check["ok"]) or "no check met"
