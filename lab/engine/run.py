"""A run on disk: the one thing that the phases of an experiment hand to each other.

Each phase may be a process of its own (an Ansible module), so a phase knows nothing but the
run's directory: the scenario as it was resolved, who owns the run, and what was recorded.
"""

import json
import os
from dataclasses import dataclass
from pathlib import Path

from lab.engine.engines import EMULATION, SIMULATION
from lab.engine.progress import Reporter, Schedule
from lab.errors import LabError
from lab.results.manifest import read_manifest
from lab.scenarios import Pass, Scenario
from lab.scenarios.plan import pass_s

OWNER_FILE = "owner.json"
OWNER_VARIABLE = "LAB_RUN_OWNER"
RUN_VARIABLE = "LAB_RUN"

# Expected real seconds of the phases on two cores, for the progress bar only.
PREPARE_S, UP_S, START_S, PASS_OVERHEAD_S, DOWN_S, COLLECT_S, ANALYSE_S = 1, 12, 3, 6, 6, 3, 6
# A simulation tells the time that it has left by its pace; this is its weight among the phases.
SIMULATE_S = 20
SIMULATE = "simulate"


@dataclass(frozen=True)
class Run:
    """A prepared run."""

    dir: Path
    scenario: Scenario
    engine: str = EMULATION

    @property
    def raw(self) -> Path:
        """Where endpoints, line cards and samplers leave what they observed."""
        return self.dir / "raw"

    @property
    def schedule(self) -> Schedule:
        """The phases with their expected lengths."""
        return simulation_schedule() if self.engine == SIMULATION else schedule(self.scenario)

    def reporter(self) -> Reporter:
        """Return what a phase reports its progress to."""
        return Reporter(self.dir, self.schedule)

    def passing(self, name: str) -> Pass:
        """Return the pass of that name; LabError listing the names there are."""
        for candidate in self.scenario.passes:
            if candidate.name == name:
                return candidate
        names = ", ".join(candidate.name for candidate in self.scenario.passes)
        raise LabError(
            f"scenario {self.scenario.name} has no pass {name!r}", remedy=f"its passes: {names}"
        )


def pass_phase(name: str) -> str:
    """The phase of one pass, as progress events name it."""
    return f"drive {name}"


def schedule(scenario: Scenario) -> Schedule:
    """The phases of a run of ``scenario`` with their expected real seconds."""
    driving_s = pass_s(scenario) * scenario.dilation + PASS_OVERHEAD_S
    return Schedule(
        {
            "prepare": PREPARE_S,
            "up": UP_S,
            "start": START_S,
            **{pass_phase(passing.name): driving_s for passing in scenario.passes},
            "down": DOWN_S,
            "collect": COLLECT_S,
            "analyse": ANALYSE_S,
        }
    )


def simulation_schedule() -> Schedule:
    """The phases of a simulation."""
    return Schedule(
        {"prepare": PREPARE_S, SIMULATE: SIMULATE_S, "collect": COLLECT_S, "analyse": ANALYSE_S}
    )


def load_run(run_dir: Path) -> Run:
    """Read a prepared run; LabError when ``run_dir`` is none."""
    manifest = read_manifest(run_dir)
    return Run(run_dir.resolve(), manifest.resolved_scenario(), manifest.engine)


@dataclass(frozen=True)
class Owner:
    """The process on whose behalf a run stands; its lab may be removed when it is gone."""

    pid: int
    started: int

    def alive(self) -> bool:
        """Whether that very process still runs (its number may have been given away since)."""
        return process_started(self.pid) == self.started


def process_started(pid: int) -> int | None:
    """Start time of a process in clock ticks since boot; None when there is none or a zombie."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    fields = stat[stat.rindex(")") + 2 :].split()
    return None if fields[0] in "ZX" else int(fields[19])


def find_owner() -> Owner:
    """The process that asked for this run: ``lab run``, or ansible-playbook started by hand."""
    pid = int(os.environ.get(OWNER_VARIABLE) or 0) or _playbook_ancestor() or os.getpid()
    return Owner(pid, process_started(pid) or 0)


def write_owner(run_dir: Path, owner: Owner) -> None:
    """Note who owns the run."""
    text = json.dumps({"pid": owner.pid, "started": owner.started})
    (run_dir / OWNER_FILE).write_text(text, encoding="utf-8")


def read_owner(run_dir: Path) -> Owner | None:
    """Who owns the run; None when nobody noted it."""
    try:
        return Owner(**json.loads((run_dir / OWNER_FILE).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def _playbook_ancestor() -> int | None:
    """The outermost ansible-playbook among this process's ancestors."""
    found = None
    pid = os.getppid()
    while pid > 1:
        try:
            command = Path(f"/proc/{pid}/cmdline").read_bytes()
            stat = Path(f"/proc/{pid}/stat").read_text()
        except OSError:
            break
        if b"ansible-playbook" in command:
            found = pid
        pid = int(stat[stat.rindex(")") + 2 :].split()[1])
    return found
