"""A run of a stack in containers: its lab, and each of its cases from its start to its tables."""

from __future__ import annotations

import heapq
from pathlib import Path

import msgspec

from lab.emulation.state import LabState, load_state
from lab.engine.cluster import standing
from lab.engine.cluster.case import carry_out
from lab.engine.lifecycle import clear_the_way
from lab.engine.run import StackRun, case_phase
from lab.results.cases import CaseRecord, tabulate_case, write_case
from lab.results.logs import case_logs
from lab.scenarios.cases import PlannedCase, most_nodes
from lab.stacks.checking import Checking
from lab.stacks.events import read_events
from lab.stacks.plan import CasePlan, stack_nodes
from lab.stacks.registry import find_checkers
from lab.topology import load_topology
from lab.world.world import RUNTIME


def up(run: StackRun) -> LabState:
    """Build the run's hosts, as many as its largest case has nodes.

    Raises:
        LabError: that is impossible; then nothing is left.
    """
    clear_the_way()
    scenario, reporter = run.scenario, run.reporter()
    return standing.up(
        load_topology(scenario.topology),
        scenario.stack,
        most_nodes(scenario),
        dilation=scenario.dilation,
        seed=scenario.seed,
        on_progress=lambda message, fraction: reporter.report("up", message, fraction),
        owner="run",
        run_dir=run.dir,
    )


def drive_case(run: StackRun, case: PlannedCase) -> CaseRecord:
    """Carry out a case on the run's standing lab, check its invariants, and make its tables.

    Raises:
        LabError: the lab does not stand, a node's program did not start, or a log is broken.
    """
    reporter, phase, case_dir = run.reporter(), case_phase(case.name), run.case_dir(case.name)
    record = carry_out(
        load_state(),
        case.plan,
        case_dir,
        journal=run.scenario.journal,
        on_progress=lambda message, fraction: reporter.report(phase, message, fraction),
    )
    record = msgspec.structs.replace(record, violations=violations(case.plan, case_dir))
    write_case(case_dir, record)
    tabulate_case(case.name, case_dir)
    reporter.report(phase, f"ended after {record.ended_s:g} s", 1.0)
    return record


def violations(plan: CasePlan, case_dir: Path) -> tuple[str, ...]:
    """What a stack's invariant checkers find in the logs of a case, each in a sentence."""
    checking, last_s = Checking(find_checkers(plan.stack)), 0.0
    logs = [read_events(path) for path in case_logs(case_dir)]
    concerned = {RUNTIME, *stack_nodes(plan)}
    for event in heapq.merge(*logs, key=lambda event: event.t_s):
        if event.node in concerned:
            checking.feed(event)
        last_s = event.t_s
    return tuple(violation.text for violation in checking.finish(last_s))
