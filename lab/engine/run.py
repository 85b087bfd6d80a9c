"""A run on disk: the one thing that the phases of an experiment hand to each other.

Each phase may be a process of its own (an Ansible module), so a phase knows nothing but the
run's directory: the scenario as it was resolved, who owns the run, and what was recorded.
"""

import json
import os
from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from lab.engine.engines import EMULATION, SIMULATION
from lab.engine.progress import Reporter, Schedule
from lab.errors import LabError
from lab.located_yaml import allowed_text
from lab.results.manifest import read_manifest
from lab.scenarios import AnyScenario, Pass, Scenario, StackScenario
from lab.scenarios.cases import PlannedCase, planned_cases
from lab.scenarios.plan import pass_s

OWNER_FILE = "owner.json"
OWNER_VARIABLE = "LAB_RUN_OWNER"
RUN_VARIABLE = "LAB_RUN"

# Expected real seconds of the phases on two cores, for the progress bar only.
PREPARE_S, UP_S, START_S, PASS_OVERHEAD_S, DOWN_S, COLLECT_S, ANALYSE_S = 1, 12, 3, 6, 6, 3, 6
CASE_OVERHEAD_S = 6
# A simulation tells the time that it has left by its pace; this is its weight among the phases.
SIMULATE_S = 20
SIMULATE = "simulate"


@dataclass(frozen=True)
class RunOnDisk(ABC):
    """What every prepared run has."""

    dir: Path

    @property
    def raw(self) -> Path:
        """Where the processes of the run leave what they observed."""
        return self.dir / "raw"

    @property
    @abstractmethod
    def schedule(self) -> Schedule:
        """The phases with their expected lengths."""

    def reporter(self) -> Reporter:
        """Return what a phase reports its progress to."""
        return Reporter(self.dir, self.schedule)


@dataclass(frozen=True)
class Run(RunOnDisk):
    """A prepared run on the fabric."""

    scenario: Scenario
    engine: str = EMULATION

    @property
    def schedule(self) -> Schedule:
        """The phases with their expected lengths."""
        return simulation_schedule() if self.engine == SIMULATION else schedule(self.scenario)

    def passing(self, name: str) -> Pass:
        """Return the pass of that name; LabError listing the names there are."""
        for candidate in self.scenario.passes:
            if candidate.name == name:
                return candidate
        names = ", ".join(candidate.name for candidate in self.scenario.passes)
        raise LabError(
            f"scenario {self.scenario.name} has no pass {name!r}", remedy=f"its passes: {names}"
        )


@dataclass(frozen=True)
class StackRun(RunOnDisk):
    """A prepared run of an experiment on a protocol stack."""

    scenario: StackScenario
    engine: str = EMULATION

    @property
    def schedule(self) -> Schedule:
        """The phases with their expected lengths."""
        if self.engine == SIMULATION:
            return simulation_schedule()
        driving_s = {
            case_phase(case.name): case.plan.over_s * self.scenario.dilation + CASE_OVERHEAD_S
            for case in self.cases
        }
        return Schedule(
            {
                "prepare": PREPARE_S,
                "up": UP_S,
                **driving_s,
                "down": DOWN_S,
                "collect": COLLECT_S,
                "analyse": ANALYSE_S,
            }
        )

    @cached_property
    def cases(self) -> tuple[PlannedCase, ...]:
        """The cases of its scenario."""
        return planned_cases(self.scenario)

    def case(self, name: str) -> PlannedCase:
        """Return the case of that name; LabError listing the names there are."""
        for candidate in self.cases:
            if candidate.name == name:
                return candidate
        raise LabError(
            f"scenario {self.scenario.name} has no case {name!r}",
            remedy=allowed_text([case.name for case in self.cases], name),
        )

    def case_dir(self, name: str) -> Path:
        """Where a runtime leaves the logs of a case."""
        return self.raw / name


AnyRun = Run | StackRun


def case_phase(name: str) -> str:
    """The phase of one case, as progress events name it."""
    return f"case {name}"


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


def load_stack_run(run_dir: Path) -> StackRun:
    """Read a prepared run of a stack; LabError when ``run_dir`` is none."""
    manifest = read_manifest(run_dir)
    return StackRun(run_dir.resolve(), manifest.stack_scenario(), manifest.engine)


def load_any_run(run_dir: Path) -> AnyRun:
    """Read a prepared run of either kind; LabError when ``run_dir`` is none."""
    manifest = read_manifest(run_dir)
    return run_from(run_dir.resolve(), manifest.any_scenario(), manifest.engine)


def run_from(run_dir: Path, scenario: AnyScenario, engine: str) -> AnyRun:
    """The run of a scenario in a directory."""
    if isinstance(scenario, StackScenario):
        return StackRun(run_dir, scenario, engine)
    return Run(run_dir, scenario, engine)


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
