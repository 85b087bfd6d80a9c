"""One case in containers, from its start to its logs.

The programs of the nodes are started before virtual time 0 and wait for it, so that all begin
together; nodes that the plan starts later begin by its ``restart``. When the case is over, whatever
is wrong is healed, the programs are told to stop, and what they and the instruments have noted is
copied to the case's directory. The containers stay, for the next case.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from lab.emulation import ethernet, node_programs
from lab.emulation.awake import awake
from lab.emulation.client import MediumClient
from lab.emulation.medium.process import Setting
from lab.emulation.state import LabState
from lab.engine.cluster.driver import Driver
from lab.engine.cluster.faults import Faults
from lab.engine.cluster.instruments import Instruments
from lab.engine.cluster.nodes import Nodes, SlowStartError, runtime_log
from lab.engine.cluster.requests import Requests
from lab.results.cases import CaseRecord, Count
from lab.shell.plan import epoch_in, shell_plan
from lab.stacks.events import FAULT, REQUEST, Event, event_line, read_events
from lab.stacks.lateness import quantile_s
from lab.stacks.plan import Action, Ask, CasePlan, Fault, starting_nodes
from lab.world.world import COLLISION, RUNTIME

MEDIUM_FILE = "medium.json"
_MEDIUM_TOTALS = ("ring_drops", "refused", "lost_by_faults")
_START_S, _START_NODE_S = 1.0, 0.2
"""Real seconds before virtual time 0, and more for each node: its interpreter starts in 0.1 s of a
core, on two cores; half of the time is spare."""
_PATIENCE = (1.0, 3.0)
"""If that was too short, the case begins anew with so many times as much."""
_STOP_TIMEOUT_S = 5.0
_LOOK_S = 0.02
Progress = Callable[[str, float], None]


def carry_out(
    state: LabState, plan: CasePlan, case_dir: Path, *, journal: bool = False, on_progress: Progress
) -> CaseRecord:
    """Carry out a case on a standing lab, and leave its logs in a directory.

    Args:
        state: the lab, with at least as many nodes and networks as the case.
        plan: the case; its dilation is that of the lab.
        case_dir: where logs, journals and what the instruments saw go.
        journal: have the shells write down all that enters their cores.
        on_progress: told what goes on, and the fraction done.

    Raises:
        LabError: it cannot be done, or a node's program did not start.
    """
    nodes = Nodes(state, plan.nodes)
    on_progress(f"starting {plan.nodes} nodes", 0.0)
    case_dir.mkdir(parents=True, exist_ok=True)
    with _preferred(), awake():
        epoch_ns = _start(state, plan, nodes, journal=journal)
        case = _Case(state, plan, nodes, epoch_ns, case_dir)
        try:
            with Instruments(state, nodes, case_dir, epoch_ns) as instruments:
                ended_s = case.drive(on_progress)
        finally:
            case.end()
    on_progress("gathering logs", 1.0)
    medium = gather(state, nodes, case_dir)
    return CaseRecord(
        ended_s=ended_s,
        instruments=(*instruments.counts, *_medium_counts(medium), *case.counts()),
    )


def _start(state: LabState, plan: CasePlan, nodes: Nodes, *, journal: bool) -> int:
    """Start the nodes that are there from the beginning; return the epoch that they wait for."""
    first = starting_nodes(plan)
    for patience in _PATIENCE:
        epoch_ns = epoch_in(patience * (_START_S + _START_NODE_S * plan.nodes))
        nodes.reset(shell_plan(plan, epoch_ns, journal=journal))
        _begin_networks(state, plan, epoch_ns)
        for node in first:
            nodes.start(node)
        try:
            nodes.wait_until_ready(first, epoch_ns / 1e9)
        except SlowStartError:
            if patience == _PATIENCE[-1]:
                raise
            continue
        break
    return epoch_ns


class _Case:
    """The case as it goes on."""

    def __init__(
        self,
        state: LabState,
        plan: CasePlan,
        nodes: Nodes,
        epoch_ns: int,
        case_dir: Path,
    ) -> None:
        self._plan = plan
        self._nodes = nodes
        self._epoch_ns = epoch_ns
        self._log_file = runtime_log(case_dir).open("wb", buffering=0)
        self._faults = Faults(state, nodes)
        self._requests = Requests(nodes.socket)
        self._asked = 0
        logs = [nodes.directory(node) / f"{node}.events.jsonl" for node in nodes.all]
        self._progress: Progress = lambda _message, _fraction: None
        self._driver = Driver(plan, epoch_ns, logs, act=self._act, meanwhile=self._meanwhile)

    def drive(self, on_progress: Progress) -> float:
        """Drive the plan to its end, and return when that was."""
        self._progress = on_progress
        return self._driver.run()

    def end(self) -> None:
        """Heal everything and end all programs."""
        self._faults.carry_out(Fault("heal"))
        for node in self._nodes.all:
            node_programs.signal_programs(self._nodes.host(node), signal.SIGTERM)
        deadline_s = time.monotonic() + _STOP_TIMEOUT_S
        while any(map(self._nodes.runs, self._nodes.all)) and time.monotonic() < deadline_s:
            time.sleep(_LOOK_S)
        self._nodes.kill(self._nodes.all)
        self._requests.close()
        self._faults.close()
        self._log_file.close()

    def counts(self) -> list[Count]:
        """Return how late this runtime was."""
        late = self._driver.late.take()
        return [
            Count("driver", "actions", float(late["n"])),
            Count("driver", "late_max_s", late["max_s"]),
        ]

    def _meanwhile(self, now_s: float) -> None:
        self._requests.drop_answers()
        self._progress(f"at {max(0.0, now_s):.0f} s", min(1.0, max(0.0, now_s) / self._plan.over_s))

    def _act(self, action: Action) -> None:
        does = action.does
        if isinstance(does, Ask):
            for node in does.nodes or self._nodes.all:
                self._ask(node, does)
            return
        fields = {
            "nodes": list(does.nodes), "peers": list(does.peers), "network": does.network,
            "value": does.value, "level": does.level,
        }  # fmt: skip
        self._log(FAULT, does.fault, fields)
        self._faults.carry_out(does)

    def _ask(self, node: int, ask: Ask) -> None:
        self._asked += 1
        if not self._requests.ask(node, ask.request, ask.arguments):
            fields = {"id": self._asked, "name": ask.request, "arguments": ask.arguments}
            self._log(REQUEST, "refused", {**fields, "node": node})

    def _log(self, kind: str, phase: str, fields: dict[str, Any]) -> None:
        event = Event(self._driver.now_s(), RUNTIME, kind, phase, fields=fields)
        self._log_file.write(event_line(event))


def _begin_networks(state: LabState, plan: CasePlan, epoch_ns: int) -> None:
    setting = Setting(plan.networks, plan.dilation, plan.seed, epoch_ns, plan.nodes)
    with MediumClient(state.medium_socket) as medium:
        medium.call("begin", setting=ethernet.setting_data(setting))


@contextlib.contextmanager
def _preferred() -> Iterator[None]:
    """Run before ordinary work, so that what is due happens in time; children do not."""
    before = os.sched_getscheduler(0), os.sched_getparam(0)
    try:
        os.sched_setscheduler(0, os.SCHED_RR | os.SCHED_RESET_ON_FORK, os.sched_param(1))
    except OSError:  # not allowed here: how late the driver was is on record
        yield
        return
    try:
        yield
    finally:
        os.sched_setscheduler(0, *before)


def gather(state: LabState, nodes: Nodes, case_dir: Path) -> dict[str, Any]:
    """Copy what the nodes have logged, and what the medium has counted, which is returned."""
    for node in nodes.all:
        for path in nodes.directory(node).glob(f"{node}.*"):
            shutil.copyfile(path, case_dir / path.name)
        output = nodes.directory(node).parent / node_programs.OUTPUT
        if output.is_file() and output.stat().st_size:
            shutil.copyfile(output, case_dir / f"{node}.output")
    path = case_dir / MEDIUM_FILE
    with MediumClient(state.medium_socket) as medium:
        medium.call("dump", path=str(path))
    data: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    _log_collisions(runtime_log(case_dir), data["collisions"])
    return data


def _log_collisions(log: Path, collisions: list[dict[str, Any]]) -> None:
    """Add the collisions to the runtime's log, each at its place in time."""
    events = [*read_events(log)]
    for item in collisions:
        fields = {"network": item["network"], "nodes": item["hosts"]}
        events.append(Event(item["t_s"], RUNTIME, COLLISION, fields=fields))
    events.sort(key=lambda event: event.t_s)
    log.write_bytes(b"".join(map(event_line, events)))


def _medium_counts(data: dict[str, Any]) -> list[Count]:
    """Return what the medium counted as instruments of the case."""
    late = data["late"]
    networks = [
        Count(f"network {number}", name, float(network[name]))
        for number, network in enumerate(data["networks"])
        for name in ("collisions", "lost_in_queues", "foreign")
    ]
    return [
        Count("medium", "frames", float(late["n"])),
        Count("medium", "late_p99_s", quantile_s([late], 0.99)),
        Count("medium", "late_max_s", late["max_s"]),
        *(Count("medium", name, float(data[name])) for name in _MEDIUM_TOTALS),
        *networks,
    ]
