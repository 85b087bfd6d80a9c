"""The events of the run under way, for who wants to follow them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from lab.engine.engines import SIMULATION
from lab.engine.run import StackRun, load_stack_run, read_owner
from lab.errors import LabError
from lab.results.event_logs import Follower, Wanted, case_names, events_of_case, is_tabulated
from lab.results.manifest import read_manifest
from lab.results.runs import list_runs
from lab.scenarios import is_of_stack
from lab.stacks.events import Event


def run_under_way() -> StackRun:
    """The run of a stack whose owner lives and that has not ended, the newest one of several.

    Raises:
        LabError: there is none.
    """
    for run_dir in reversed(list_runs()):
        owner = read_owner(run_dir)
        if owner is None or not owner.alive():
            continue
        manifest = read_manifest(run_dir)
        if manifest.exit is None and is_of_stack(manifest.parameters):
            return load_stack_run(run_dir)
    raise LabError(
        "no run of a stack is under way",
        remedy="start one with `lab run NAME`, or name a run that is over",
    )


class LiveCases:
    """The cases of a run under way, and what is new in them at each look."""

    def __init__(self, run: StackRun) -> None:
        self.run = run
        self._follower = Follower()
        self._over: set[str] = set()

    def look(self, wanted: Wanted) -> Iterator[tuple[str, Iterable[Event]]]:
        """New events, by case; of a simulated case all at once, when it has ended."""
        for case in case_names(self.run.raw):
            if case in self._over:
                continue
            case_dir = self.run.case_dir(case)
            over = is_tabulated(case_dir)
            if self.run.engine != SIMULATION:
                yield case, self._follower.look([case_dir], wanted)
            elif over:
                yield case, events_of_case(case_dir, wanted)
            if over:
                self._over.add(case)

    def under_way(self) -> bool:
        """Whether more may come."""
        owner = read_owner(self.run.dir)
        ended = read_manifest(self.run.dir).exit is not None
        return owner is not None and owner.alive() and not ended
