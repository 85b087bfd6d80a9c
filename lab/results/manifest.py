"""manifest.json: what ran, on what, from when to when, and how it ended."""

from __future__ import annotations

import os
import platform
import subprocess
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from lab.errors import LabError
from lab.paths import PROJECT, shown
from lab.results.files import read_json, write_json
from lab.scenarios.loader import AnyScenario, is_of_stack
from lab.scenarios.model import Scenario
from lab.scenarios.stack_model import StackScenario

MANIFEST = "manifest.json"
_PROBE_TIMEOUT_S = 10


class Exit(BaseModel):
    """How a run ended."""

    ok: bool
    message: str = ""


class Manifest(BaseModel):
    """The facts of one run. ``end`` and ``exit`` are absent while it is under way."""

    model_config = ConfigDict(extra="forbid")

    scenario: str
    run: str
    title: str
    source: str
    engine: str
    dilation: float
    seed: int
    parameters: dict[str, object] = Field(description="The scenario as it was resolved.")
    overrides: dict[str, str] = Field(description="What the command line had set.")
    versions: dict[str, str]
    host: dict[str, str]
    start: str
    digest: str | None = Field(
        default=None,
        description="Of all events of a simulation: the same inputs give the same on any machine.",
    )
    end: str | None = None
    exit: Exit | None = None

    def any_scenario(self) -> AnyScenario:
        """The scenario that ran."""
        model = StackScenario if is_of_stack(self.parameters) else Scenario
        return model.model_validate(self.parameters)

    def resolved_scenario(self) -> Scenario:
        """The scenario of the fabric that ran; LabError when it was one of a stack."""
        scenario = self.any_scenario()
        if isinstance(scenario, StackScenario):
            raise LabError(
                f"run {self.run} of {self.scenario} is one of a stack, not of the fabric"
            )
        return scenario

    def stack_scenario(self) -> StackScenario:
        """The scenario of a stack that ran; LabError when it was one of the fabric."""
        scenario = self.any_scenario()
        if isinstance(scenario, Scenario):
            raise LabError(
                f"run {self.run} of {self.scenario} is one of the fabric, not of a stack"
            )
        return scenario


def new_manifest(
    scenario: AnyScenario, run_name: str, engine: str, overrides: dict[str, str]
) -> Manifest:
    """A manifest of a run that begins now on this machine."""
    return Manifest(
        scenario=scenario.name,
        run=run_name,
        title=scenario.title,
        source=scenario.source,
        engine=engine,
        dilation=scenario.dilation,
        seed=scenario.seed,
        parameters=scenario.plain(),
        overrides=overrides,
        versions=versions(),
        host=host_facts(),
        start=_now(),
    )


def write_manifest(run_dir: Path, manifest: Manifest) -> None:
    """Write the manifest atomically."""
    write_json(run_dir / MANIFEST, manifest.model_dump(mode="json"))


def read_manifest(run_dir: Path) -> Manifest:
    """Read a run's manifest; ``LabError`` when it is missing or broken."""
    data = read_json(run_dir / MANIFEST)
    try:
        return Manifest.model_validate(data)
    except ValidationError as error:
        raise LabError(f"{shown(run_dir / MANIFEST)} is not a manifest: {error}") from error


def note_digest(run_dir: Path, digest: str) -> None:
    """Note the digest of a simulation's events."""
    write_manifest(run_dir, read_manifest(run_dir).model_copy(update={"digest": digest}))


def finish_manifest(run_dir: Path, *, ok: bool, message: str = "") -> Manifest:
    """Note the end of a run and how it ended."""
    manifest = read_manifest(run_dir).model_copy(
        update={"end": _now(), "exit": Exit(ok=ok, message=message)}
    )
    write_manifest(run_dir, manifest)
    return manifest


def versions() -> dict[str, str]:
    """Versions of all that a result may depend on; what is not installed is left out."""
    found = {
        "lab": metadata.version("lab"),
        "git": _git_commit(),
        "python": platform.python_version(),
        "kernel": platform.release(),
        "ovs": _last_word(_probe("ovs-vswitchd", "--version")),
        "docker": _probe("docker", "version", "--format", "{{.Server.Version}}"),
    }
    return {name: version for name, version in found.items() if version}


def host_facts() -> dict[str, str]:
    """The machine: system, processor, cores, memory."""
    memory_bytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "system": platform.platform(),
        "processor": _processor(),
        "cores": str(os.cpu_count() or 0),
        "memory_mib": str(memory_bytes // 2**20),
    }


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _git_commit() -> str:
    commit = _probe("git", "-C", str(PROJECT), "rev-parse", "--short=12", "HEAD")
    changed = _probe("git", "-C", str(PROJECT), "status", "--porcelain", "--untracked-files=no")
    return f"{commit}-changed" if commit and changed else commit


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.machine()
    models = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.machine()


def _last_word(text: str) -> str:
    first = text.splitlines()[0] if text else ""
    return first.rsplit(" ", 1)[-1]


def _probe(*command: str) -> str:
    """Output of a read-only command; empty when it cannot answer."""
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=_PROBE_TIMEOUT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
