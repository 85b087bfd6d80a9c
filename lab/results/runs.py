"""Run directories: ``results/<scenario>/<run>/``, and which of them is the newest."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from lab.errors import LabError
from lab.paths import RESULTS, shown
from lab.results.files import link_to
from lab.results.manifest import (
    MANIFEST,
    finish_manifest,
    new_manifest,
    read_manifest,
    write_manifest,
)
from lab.scenarios.loader import AnyScenario

LATEST = "latest"
RAW = "raw"
_MAX_SAME_SECOND = 99


@dataclass(frozen=True)
class RunDir:
    """One run on disk."""

    path: Path

    @property
    def raw(self) -> Path:
        """Where endpoints, line cards and samplers leave what they observed."""
        return self.path / RAW

    @property
    def name(self) -> str:
        """The run's id, unique within its scenario."""
        return self.path.name

    def finish(self, *, ok: bool, message: str = "") -> None:
        """Note in the manifest how the run ended."""
        finish_manifest(self.path, ok=ok, message=message)


def create_run(
    scenario: AnyScenario,
    *,
    engine: str = "emulation",
    overrides: Mapping[str, str] | None = None,
    root: Path = RESULTS,
    now: datetime | None = None,
) -> RunDir:
    """Make the directory of a run that begins now, with its manifest."""
    stamp = (now or datetime.now().astimezone()).strftime("%Y%m%d-%H%M%S")
    folder = root / scenario.name
    for number in range(1, _MAX_SAME_SECOND + 1):
        suffix = "" if number == 1 else f"-{number}"
        path = folder / f"{stamp}-seed{scenario.seed}{suffix}"
        try:
            path.mkdir(parents=True)
        except FileExistsError:
            continue
        run = RunDir(path.resolve())
        run.raw.mkdir()
        write_manifest(run.path, new_manifest(scenario, run.name, engine, dict(overrides or {})))
        return run
    raise LabError(f"no free run name in {shown(folder)}")


def point_latest(run_dir: Path) -> None:
    """Make ``latest`` beside the run lead to it."""
    link_to(run_dir.parent / LATEST, run_dir.name)


def find_run(name: str, *, root: Path = RESULTS) -> Path:
    """The directory of a run.

    Args:
        name: a directory, ``<scenario>/<run>``, a scenario's name for its latest run, or
            ``<scenario>:<engine>`` for the latest run of it that an engine completed.
        root: the results folder.

    Raises:
        LabError: there is no such run.
    """
    scenario, colon, engine = name.rpartition(":")
    if colon and not Path(name).exists():
        run = newest_run(scenario, engine, root=root)
        if run is None:
            raise LabError(
                f"no run of {scenario!r} on engine {engine!r} is complete",
                remedy=f"start one with `lab run {scenario} --engine {engine}`",
            )
        return run
    for candidate in (Path(name), root / name, root / name / LATEST):
        if (candidate / MANIFEST).is_file():
            return candidate.resolve()
    raise LabError(
        f"there is no run {name!r}", remedy=f"runs are in {shown(root)}/<scenario>/<run>"
    )


def newest_run(
    scenario: str, engine: str, *, root: Path = RESULTS, seed: int | None = None
) -> Path | None:
    """The run of a scenario that an engine completed last, with that seed; None without one."""
    complete: list[tuple[str, Path]] = []
    for path in list_runs(root=root, scenario=scenario):
        try:
            manifest = read_manifest(path)
        except LabError:
            continue
        completed = manifest.engine == engine and manifest.exit is not None and manifest.exit.ok
        if completed and seed in (None, manifest.seed):
            complete.append((manifest.start, path))
    return max(complete)[1] if complete else None


def list_runs(*, root: Path = RESULTS, scenario: str | None = None) -> list[Path]:
    """All runs with a manifest, oldest first."""
    pattern = f"{scenario or '*'}/*/{MANIFEST}"
    found = {path.parent.resolve() for path in root.glob(pattern) if path.parent.name != LATEST}
    return sorted(found, key=lambda path: (path.name, path.parent.name))
