"""The events of nodes as they come: of the run under way, or of a lab that stands by hand."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Protocol

from lab.emulation.labels import host_dir
from lab.emulation.state import LabState
from lab.engine.cluster.nodes import NODE_DIR, runtime_log
from lab.engine.engines import SIMULATION
from lab.engine.lifecycle import standing_lab
from lab.engine.run import StackRun, load_stack_run, read_owner
from lab.errors import LabError
from lab.results.event_logs import Follower, Wanted, case_names, events_of_case, is_tabulated
from lab.results.logs import LOG_SUFFIX
from lab.results.manifest import read_manifest
from lab.results.runs import list_runs
from lab.scenarios import is_of_stack
from lab.stacks.events import Event

News = Iterator[tuple[str, Iterable[Event]]]
BY_HAND = "by hand"
"""What the case of a lab is called that belongs to no run."""


class Source(Protocol):
    """Something that nodes run in."""

    name: str

    def look(self, wanted: Wanted) -> News:
        """New events, by case."""

    def under_way(self) -> bool:
        """Whether more may come."""


def find_source() -> Source:
    """What is under way on this machine: a run of a stack, else a standing lab with nodes.

    Raises:
        LabError: there is neither.
    """
    run = run_under_way()
    if run is not None:
        return SimulatedCases(run) if run.engine == SIMULATION else ContainedCases(run)
    state = standing_lab()
    if state is not None and state.medium_pid:
        return StandingNodes(state)
    raise LabError(
        "no run of a stack is under way, and no lab with nodes stands",
        remedy="start one with `lab run NAME`, or name a run that is over",
    )


def run_under_way() -> StackRun | None:
    """The run of a stack whose owner lives and that has not ended; the newest one of several."""
    for run_dir in reversed(list_runs()):
        owner = read_owner(run_dir)
        if owner is None or not owner.alive():
            continue
        manifest = read_manifest(run_dir)
        if manifest.exit is None and is_of_stack(manifest.parameters):
            return load_stack_run(run_dir)
    return None


class _Cases:
    """The cases of a run under way."""

    def __init__(self, run: StackRun) -> None:
        self.run = run
        self.name = f"run {run.dir.name} of {run.scenario.name}"

    def under_way(self) -> bool:
        """Whether more may come."""
        owner = read_owner(self.run.dir)
        ended = read_manifest(self.run.dir).exit is not None
        return owner is not None and owner.alive() and not ended


class SimulatedCases(_Cases):
    """Cases in the simulated world, each told when it has ended."""

    def __init__(self, run: StackRun) -> None:
        super().__init__(run)
        self._told: set[str] = set()

    def look(self, wanted: Wanted) -> News:
        """The events of the cases that have ended since the last look."""
        for case in case_names(self.run.raw):
            case_dir = self.run.case_dir(case)
            if case not in self._told and is_tabulated(case_dir):
                self._told.add(case)
                yield case, events_of_case(case_dir, wanted)


class ContainedCases(_Cases):
    """Cases in containers, one after the other, told as they go on."""

    def __init__(self, run: StackRun) -> None:
        super().__init__(run)
        self._follower = Follower()

    def look(self, wanted: Wanted) -> News:
        """What the nodes, and the runtime, have logged since the last look."""
        cases = case_names(self.run.raw)
        state = standing_lab()
        if cases and state is not None and not is_tabulated(self.run.case_dir(cases[-1])):
            runtime = runtime_log(self.run.case_dir(cases[-1]))
            yield cases[-1], self._follower.look([runtime, *node_logs(state)], wanted)


class StandingNodes:
    """The nodes of a lab that stands by hand."""

    def __init__(self, state: LabState) -> None:
        self.name = f"lab {state.lab_id}"
        self._state = state
        self._follower = Follower()

    def look(self, wanted: Wanted) -> News:
        """What the nodes, and who broke them, have logged since the last look."""
        logs = [runtime_log(self._state.directory), *node_logs(self._state)]
        yield BY_HAND, self._follower.look(logs, wanted)

    def under_way(self) -> bool:
        """Whether the lab still stands."""
        state = standing_lab()
        return state is not None and state.lab_id == self._state.lab_id


def node_logs(state: LabState) -> list[Path]:
    """Where the nodes of a standing lab log: node 3 is host n3."""
    return [
        host_dir(state.lab_id, host) / NODE_DIR / f"{host[1:]}{LOG_SUFFIX}"
        for host in state.hosts
        if host[1:].isdigit()
    ]
