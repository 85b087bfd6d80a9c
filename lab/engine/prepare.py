"""The first phase: decide what will run, check it, and make the run's directory.

Nothing is built before everything that can be checked has been: a mistake in a scenario file
never half-starts a lab.
"""

import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import overload

from lab.emulation import cpu_load
from lab.engine.engines import EMULATION, SIMULATION, choose_engine
from lab.engine.inventory import write_inventory
from lab.engine.run import AnyRun, Run, find_owner, run_from, write_owner
from lab.errors import LabError
from lab.paths import RESULTS, shown
from lab.results.runs import create_run
from lab.scenarios import AnyScenario, Scenario, StackScenario, load_any, scenario_path
from lab.scenarios.cases import planned_cases
from lab.stacks.plan import Fault

MIN_FREE_BYTES = 200_000_000
_PLACE = "name another place for runs: LAB_RESULTS=DIR lab run ..."


def parse_overrides(pairs: Sequence[str]) -> dict[str, str]:
    """Turn ``a.b=c`` texts into a mapping; LabError when one has no ``=``."""
    overrides: dict[str, str] = {}
    for pair in pairs:
        path, equals, value = pair.partition("=")
        if not equals or not path.strip():
            raise LabError(
                f"--set {pair!r} is not of the form path=value",
                remedy="for example --set timeline.measure_s=0.02",
            )
        overrides[path.strip()] = value.strip()
    return overrides


def resolve(
    name: str,
    overrides: Mapping[str, str],
    *,
    seed: int | None = None,
    dilation: float | None = None,
    engine: str | None = None,
) -> tuple[AnyScenario, str]:
    """Load and check a scenario as it will run; returns it with the engine's name.

    Without an engine it is the scenario's preferred one, whether this machine can run it or not.
    """
    options = dict(overrides)
    if seed is not None:
        options["seed"] = str(seed)
    if dilation is not None:
        options["dilation"] = repr(dilation)
    scenario = load_any(name, options)
    chosen = choose_engine(scenario.name, scenario.engines, engine or scenario.engines[0]).engine
    if chosen == SIMULATION or isinstance(scenario, StackScenario):
        scenario = load_any(name, options, engine=chosen)
    if chosen == EMULATION and isinstance(scenario, StackScenario):
        _check_loads(scenario)
    return scenario, chosen


def _check_loads(scenario: StackScenario) -> None:
    """Whether containers can be loaded as the cases have it; LabError when they cannot."""
    for case in planned_cases(scenario):
        for action in case.plan.actions:
            if isinstance(action.does, Fault) and action.does.fault == "cpu-load":
                cpu_load.check(action.does.level, scenario.dilation)


def prepare(
    name: str,
    overrides: Mapping[str, str] | None = None,
    *,
    seed: int | None = None,
    dilation: float | None = None,
    engine: str | None = None,
    results: Path = RESULTS,
) -> AnyRun:
    """Check everything, then make ``results/<scenario>/<run>`` with its manifest.

    The playbooks' way in: without an engine it is the emulation, which they drive.

    Raises:
        LabError: the scenario, an option or the machine does not allow the run.
    """
    overrides = dict(overrides or {})
    engine = engine or EMULATION
    resolved = resolve(name, overrides, seed=seed, dilation=dilation, engine=engine)
    return make_run(name, overrides, resolved, results=results)


@overload
def make_run(
    name: str,
    overrides: Mapping[str, str],
    resolved: tuple[Scenario, str],
    *,
    results: Path = RESULTS,
) -> Run: ...


@overload
def make_run(
    name: str,
    overrides: Mapping[str, str],
    resolved: tuple[AnyScenario, str],
    *,
    results: Path = RESULTS,
) -> AnyRun: ...


def make_run(
    name: str,
    overrides: Mapping[str, str],
    resolved: tuple[AnyScenario, str],
    *,
    results: Path = RESULTS,
) -> AnyRun:
    """Make the directory of a run that :func:`resolve` has checked."""
    scenario, chosen = resolved
    check_place(results)
    made = create_run(scenario, engine=chosen, overrides=overrides, root=results)
    shutil.copy(scenario_path(name), made.path / "scenario.yaml")
    write_owner(made.path, find_owner())
    run = run_from(made.path, scenario, chosen)
    if chosen == EMULATION:
        write_inventory(run, sys.executable)
    run.reporter().report("prepare", f"run {made.name} is prepared", 1.0)
    return run


def check_place(results: Path) -> None:
    """LabError when a run's observations have no room, or may not be written."""
    try:
        results.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        what = f"{shown(results)} cannot be made: {error.strerror}"
        raise LabError(what, remedy=_PLACE) from None
    if not os.access(results, os.W_OK | os.X_OK):
        raise LabError(f"you may not write into {shown(results)}", remedy=_PLACE)
    free = shutil.disk_usage(results).free
    if free < MIN_FREE_BYTES:
        raise LabError(
            f"only {free // 1_000_000} MByte are free under {shown(results)}",
            remedy="remove old runs below results/",
        )
