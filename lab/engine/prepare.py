"""The first phase: decide what will run, check it, and make the run's directory.

Nothing is built before everything that can be checked has been: a mistake in a scenario file
never half-starts a lab.
"""

import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from lab.engine.inventory import write_inventory
from lab.engine.run import Run, find_owner, write_owner
from lab.errors import LabError
from lab.paths import RESULTS, shown
from lab.results.runs import create_run
from lab.scenarios import Scenario, load_scenario, scenario_path

ENGINES = ("emulation",)
MIN_FREE_BYTES = 200_000_000


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
) -> tuple[Scenario, str]:
    """Load and check a scenario as it will run; returns it with the engine's name."""
    options = dict(overrides)
    if seed is not None:
        options["seed"] = str(seed)
    if dilation is not None:
        options["dilation"] = repr(dilation)
    scenario = load_scenario(name, options)
    chosen = engine or next((e for e in scenario.engines if e in ENGINES), scenario.engines[0])
    if chosen not in scenario.engines:
        raise LabError(
            f"scenario {scenario.name} does not run on engine {chosen!r}",
            remedy=f"its engines: {', '.join(scenario.engines)}",
        )
    if chosen not in ENGINES:
        raise LabError(
            f"engine {chosen!r} is not built yet", remedy=f"available: {', '.join(ENGINES)}"
        )
    return scenario, chosen


def prepare(
    name: str,
    overrides: Mapping[str, str] | None = None,
    *,
    seed: int | None = None,
    dilation: float | None = None,
    engine: str | None = None,
    results: Path = RESULTS,
) -> Run:
    """Check everything, then make ``results/<scenario>/<run>`` with its manifest.

    Raises:
        LabError: the scenario, an option or the machine does not allow the run.
    """
    overrides = dict(overrides or {})
    resolved = resolve(name, overrides, seed=seed, dilation=dilation, engine=engine)
    return make_run(name, overrides, resolved, results=results)


def make_run(
    name: str,
    overrides: Mapping[str, str],
    resolved: tuple[Scenario, str],
    *,
    results: Path = RESULTS,
) -> Run:
    """Make the directory of a run that :func:`resolve` has checked."""
    scenario, chosen = resolved
    check_disk(results)
    made = create_run(scenario, engine=chosen, overrides=overrides, root=results)
    shutil.copy(scenario_path(name), made.path / "scenario.yaml")
    write_owner(made.path, find_owner())
    run = Run(made.path, scenario)
    write_inventory(run, sys.executable)
    run.reporter().report("prepare", f"run {made.name} is prepared", 1.0)
    return run


def check_disk(results: Path) -> None:
    """LabError when there is no room for a run's observations."""
    results.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(results).free
    if free < MIN_FREE_BYTES:
        raise LabError(
            f"only {free // 1_000_000} MByte are free under {shown(results)}",
            remedy="remove old runs below results/",
        )
