"""One run from request to scorecard, whatever happens to it on the way.

This is what ``lab run`` does: prepare in this process, let Ansible order the phases of an
emulation or simulate in this process, and when anything ends early - a failed phase, Ctrl-C, a
killed Ansible - end what is left and remove the lab.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from lab.engine.calibration import warning
from lab.engine.engines import SIMULATION, choose_engine
from lab.engine.lifecycle import clear_the_way, down
from lab.engine.playbook import Interrupted, interrupts_raise, interrupts_wait, play
from lab.engine.prepare import make_run, parse_overrides, resolve
from lab.engine.processes import end_processes
from lab.engine.progress import Event
from lab.engine.run import AnyRun, StackRun
from lab.errors import LabError
from lab.results.manifest import finish_manifest
from lab.scenarios import Scenario, load_any

GRACE_S = 3.0


@dataclass(frozen=True)
class Request:
    """What the user asked for."""

    name: str
    overrides: tuple[str, ...] = ()
    seed: int | None = None
    dilation: float | None = None
    engine: str | None = None


@dataclass(frozen=True)
class RunOutcome:
    """How a run ended: its directory, whether its certificate is valid, the signal if any."""

    run_dir: Path
    valid: bool
    interrupted_by: int = 0


def run_scenario(
    request: Request, on_event: Callable[[Event], None], say: Callable[[str], None]
) -> RunOutcome:
    """Run a scenario to its end.

    Args:
        request: what to run.
        on_event: receives the progress events.
        say: tells the user a sentence.

    Raises:
        LabError: the run could not start or did not complete; the lab is removed by then.
    """
    overrides = parse_overrides(request.overrides)
    # The scenario is checked before the standing lab: a mistake in it should be told first.
    offered = load_any(request.name, overrides)
    choice = choose_engine(offered.name, offered.engines, request.engine)
    resolved = resolve(
        request.name,
        overrides,
        seed=request.seed,
        dilation=request.dilation,
        engine=choice.engine,
    )
    if choice.why:
        say(choice.why)
    if choice.engine == SIMULATION:
        return _simulated(make_run(request.name, overrides, resolved), on_event, say)
    scenario, _ = resolved
    if isinstance(scenario, Scenario) and (slow := warning(scenario)):
        say(slow)
    if clear_the_way():
        say("removed what an earlier, killed run had left")
    return _emulated(make_run(request.name, overrides, resolved), on_event, say)


def _emulated(
    run: AnyRun, on_event: Callable[[Event], None], say: Callable[[str], None]
) -> RunOutcome:
    try:
        with interrupts_raise():
            play(run, on_event)
    except Interrupted as interrupt:
        with interrupts_wait(say):
            say("interrupted: removing the lab")
            _abandon(run, f"interrupted by {interrupt}", say)
        return RunOutcome(run.dir, valid=False, interrupted_by=interrupt.number)
    except LabError as error:
        with interrupts_wait(say):
            _abandon(run, error.message, say)
        raise
    return RunOutcome(run.dir, valid=certificate_valid(run.dir))


def _simulated(
    run: AnyRun, on_event: Callable[[Event], None], say: Callable[[str], None]
) -> RunOutcome:
    """Nothing of a simulation outlives this process, so there is nothing to remove."""
    try:
        with interrupts_raise():
            if isinstance(run, StackRun):
                from lab.engine.simulate_cases import simulate_run

                simulate_run(run, on_event)
            else:
                from lab.engine.simulate import simulate

                simulate(run, on_event)
    except Interrupted as interrupt:
        say("interrupted: the simulation has ended")
        finish_manifest(run.dir, ok=False, message=f"interrupted by {interrupt}")
        return RunOutcome(run.dir, valid=False, interrupted_by=interrupt.number)
    except LabError as error:
        finish_manifest(run.dir, ok=False, message=error.message)
        raise
    return RunOutcome(run.dir, valid=certificate_valid(run.dir))


def certificate_valid(run_dir: Path) -> bool:
    """Whether a run's fidelity certificate lets its results be trusted."""
    path = run_dir / "fidelity.json"
    if not path.is_file():
        return False
    return bool(json.loads(path.read_text(encoding="utf-8")).get("valid", False))


def _abandon(run: AnyRun, why: str, say: Callable[[str], None]) -> None:
    """Remove the lab of a failed run and note how it ended; never hides the first error."""
    end_processes(run.dir.name, GRACE_S)
    try:
        for left in down(run).left:
            say(f"could not remove {left.what}: {left.remedy}")
    except LabError as error:
        say(f"the lab could not be removed: {error}")
    finish_manifest(run.dir, ok=False, message=why)
