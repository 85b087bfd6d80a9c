"""Driving one pass: everything that must be on time, in one process.

A pass is one run through the timeline with one kind of flow control. Its endpoint processes
know their orders beforehand (plan files), the line cards get one common virtual zero in the
near future, and from then on this process only waits, samples the machine, injects the
timed faults and watches that nothing dies.
"""

import json
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lab.emulation.awake import awake
from lab.emulation.client import LineCards
from lab.emulation.state import LabState, load_state
from lab.engine.counters import difference, read_counters
from lab.engine.endpoints import EndpointSet
from lab.engine.faults import Fault, heal_all, inject
from lab.engine.kernels import KernelSet
from lab.engine.machine import MachineSampler
from lab.engine.progress import Reporter
from lab.engine.run import Run, pass_phase, read_owner
from lab.engine.watch import Watch, Watched
from lab.errors import LabError
from lab.scenarios import Pass, endpoint_plans, steps
from lab.scenarios.plan import end_s, pass_s

ATTACH_TIMEOUT_S = 60.0
LEAD_S = 0.5
"""Real seconds between the order to begin and virtual zero: longer than any process sleeps."""
REPORT_EVERY_S = 0.5
END_TIMEOUT_S = 15.0
EMPTY_TIMEOUT_S = 10.0
"""Real seconds that switches get to put out what they hold; what they then still have is lost."""
OVS_REMEDY = "start it again with `make setup`, then `lab down`"
PID_FILES = {
    "ovs-vswitchd": Path("/var/run/openvswitch/ovs-vswitchd.pid"),
    "ovsdb-server": Path("/var/run/openvswitch/ovsdb-server.pid"),
}
DOCKER_PID_FILE = Path("/var/run/docker.pid")


@dataclass(frozen=True)
class Outcome:
    """What a driven pass tells its caller; the observations are in the run's ``raw``."""

    pass_name: str
    endpoints: int
    in_flight: int
    real_s: float


def drive_pass(run: Run, pass_name: str, faults: Sequence[Fault] = ()) -> Outcome:
    """Run one pass of a started run from its first to its last virtual second.

    Args:
        run: a run whose lab stands and whose VCs are open.
        pass_name: one of the scenario's passes.
        faults: injected at their virtual times; what they paused or cut is healed at the end.

    Raises:
        LabError: something died, did not start or did not end; says which and shows its log.
    """
    passing = run.passing(pass_name)
    state = load_state()
    if state.run_dir is None or Path(state.run_dir) != run.dir:
        raise LabError(
            f"the lab that stands does not belong to run {run.dir.name}", remedy="run `lab down`"
        )
    started_s = time.monotonic()
    run.raw.mkdir(exist_ok=True)
    driver = _Driver(run, passing, state, sorted(faults, key=lambda fault: fault.at_s))
    try:
        with awake():
            in_flight = driver.drive()
    finally:
        heal_all(state)
    return Outcome(
        pass_name=pass_name,
        endpoints=2 * len(run.scenario.streams_of(passing)),
        in_flight=in_flight,
        real_s=round(time.monotonic() - started_s, 3),
    )


def container_pids(state: LabState) -> dict[str, int]:
    """The first process of every container of the lab."""
    return {name: host.pid for name, host in state.hosts.items() if host.kind == "container"}


def linecards_pid(state: LabState) -> int:
    """The line-card process of the lab; LabError when the lab has none."""
    if state.linecards_pid is None:
        raise LabError("the lab has no line-card process", remedy="run `lab down`")
    return state.linecards_pid


def watch_fabric(watch: Watch, run: Run, state: LabState) -> None:
    """Watch what the lab stands on: line cards, Open vSwitch, Docker, the hosts, the owner."""
    log = state.directory / "linecards.log"
    watch.add(Watched("the line-card process", linecards_pid(state), log))
    for what, path in PID_FILES.items():
        watch.add(Watched(what, _read_pid(what, path), remedy=OVS_REMEDY))
    if container_pids(state):
        watch.add(Watched("dockerd", _read_pid("dockerd", DOCKER_PID_FILE), remedy=OVS_REMEDY))
    for name, host in state.hosts.items():
        watch.add(Watched(f"host {name}", host.pid))
    owner = read_owner(run.dir)
    if owner is not None and owner.pid != os.getpid():
        watch.add(Watched("the process that started the run", owner.pid))


def _read_pid(what: str, path: Path) -> int:
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        raise LabError(f"{what} does not run", remedy=OVS_REMEDY) from None


class _Driver:
    """The course of one pass; a class only to name the parts of a long story."""

    def __init__(self, run: Run, passing: Pass, state: LabState, faults: Sequence[Fault]) -> None:
        self._run = run
        self._passing = passing
        self._state = state
        self._faults = list(faults)
        self._cards = LineCards(state.control_socket)
        self._reporter: Reporter = run.reporter()
        self._phase = pass_phase(passing.name)

    def drive(self) -> int:
        """Do all of it; returns the messages that were left in the network."""
        run, name = self._run, self._passing.name
        scenario = run.scenario
        channels = {vc.name: vc.id for vc in self._state.vcs}
        streams = scenario.streams_of(self._passing)
        missing = [s.name for s in streams if s.name not in channels]
        if missing:
            raise LabError(f"no VC is open for {', '.join(missing)}", remedy="open them first")
        plans = endpoint_plans(scenario, self._passing, channels)
        with (
            Watch() as watch,
            KernelSet(self._state, name, run.raw) as kernels,
            EndpointSet(self._state, name, run.raw) as endpoints,
        ):
            watch_fabric(watch, run, self._state)
            # Until the pass begins, endpoints that attach shall see no virtual zero.
            self._cards.call("hold")
            self._say(f"starting {len(plans)} endpoint processes", 0.0)
            kernels.start(plans)
            endpoints.start(plans)
            self._wait_attached(watch, endpoints)
            kernels.watch_all(watch)
            endpoints.watch_all(watch)
            before = read_counters(container_pids(self._state))
            epoch_ns = self._begin()
            sampler = self._sampler([*kernels.pids, *endpoints.pids], epoch_ns)
            sampler.start()
            try:
                self._wait_timeline(watch, endpoints, epoch_ns)
                self._wait_ended(watch, endpoints)
                stats = self._wait_empty(watch)
            finally:
                sampler.stop()
            after = read_counters(container_pids(self._state))
            self._write(f"{name}-os-counters.json", difference(before, after))
            self._write(f"{name}-stats.json", stats)
            self._cards.call("dump", dir=str(run.raw), prefix=name)
            endpoints.gather()
        self._say("recorded", 1.0)
        return int(stats.get("in_flight", 0))

    def _say(self, message: str, fraction: float) -> None:
        self._reporter.report(self._phase, message, fraction)

    def _write(self, name: str, data: object) -> None:
        (self._run.raw / name).write_text(json.dumps(data, indent=1), encoding="utf-8")

    def _wait_attached(self, watch: Watch, endpoints: EndpointSet) -> None:
        deadline_s = time.monotonic() + ATTACH_TIMEOUT_S
        while missing := endpoints.missing(self._cards.call("stats")["attached"]):
            for endpoint in missing:
                if endpoint.handle is not None and endpoint.handle.poll() is not None:
                    raise endpoint.failure("ended before the pass began")
            if time.monotonic() > deadline_s:
                raise missing[0].failure(f"did not attach within {ATTACH_TIMEOUT_S:.0f} s")
            watch.wait(0.1)

    def _begin(self) -> int:
        scenario, passing = self._run.scenario, self._passing
        epoch_ns = time.monotonic_ns() + int(LEAD_S * 1e9)
        self._cards.call(
            "pass",
            name=passing.name,
            flow_control=passing.flow_control,
            epoch_ns=epoch_ns,
            end_ns=round(pass_s(scenario) * 1e9),
            sample_ns=round(scenario.timeline.sample_s * 1e9),
            params=scenario.fabric_of(passing).model_dump(),
            costs=scenario.adapter_of(passing).model_dump(),
            seed=scenario.seed,
        )
        return epoch_ns

    def _sampler(self, endpoints: Sequence[int], epoch_ns: int) -> MachineSampler:
        groups = {
            "ovs-vswitchd": [_read_pid("ovs-vswitchd", PID_FILES["ovs-vswitchd"])],
            "linecards": [linecards_pid(self._state)],
            "endpoints": endpoints,
        }
        path = self._run.raw / f"{self._passing.name}-machine.jsonl"
        return MachineSampler(groups, path, epoch_ns, self._run.scenario.dilation)

    def _wait_timeline(self, watch: Watch, endpoints: EndpointSet, epoch_ns: int) -> None:
        """Wait for the last virtual second, with faults on their time and progress between."""
        dilation = self._run.scenario.dilation
        end_at_s = epoch_ns / 1e9 + pass_s(self._run.scenario) * dilation
        report_at_s = 0.0
        while (now_s := time.monotonic()) < end_at_s:
            virtual_s = (now_s - epoch_ns / 1e9) / dilation
            while self._faults and self._faults[0].at_s <= virtual_s:
                self._inject(self._faults.pop(0), endpoints, virtual_s)
            if now_s >= report_at_s:
                self._report_position(virtual_s)
                report_at_s = now_s + REPORT_EVERY_S
            wake_s = min(report_at_s, end_at_s)
            if self._faults:
                wake_s = min(wake_s, epoch_ns / 1e9 + self._faults[0].at_s * dilation)
            watch.wait(wake_s - time.monotonic())

    def _inject(self, fault: Fault, endpoints: EndpointSet, virtual_s: float) -> None:
        if fault.action == "kill":
            for endpoint in endpoints.endpoints:
                endpoint.expendable |= endpoint.plan.host == fault.target
        inject(self._state, fault)
        line = {"t_s": virtual_s, "action": fault.action, "target": fault.target}
        with (self._run.raw / f"{self._passing.name}-faults.jsonl").open("a") as file:
            file.write(json.dumps(line) + "\n")

    def _report_position(self, virtual_s: float) -> None:
        scenario = self._run.scenario
        timeline = steps(scenario)
        now_ns = virtual_s * 1e9
        current = next((step for step in timeline if now_ns < step.t_end_ns), None)
        if current is None or virtual_s >= end_s(scenario):
            message = "draining"
        else:
            message = f"step {current.index + 1}/{len(timeline)}: {current.name}"
        self._say(message, virtual_s / pass_s(scenario))

    def _wait_ended(self, watch: Watch, endpoints: EndpointSet) -> None:
        deadline_s = time.monotonic() + END_TIMEOUT_S
        while running := endpoints.running():
            if time.monotonic() > deadline_s:
                raise running[0].failure(f"did not end within {END_TIMEOUT_S:.0f} s of the pass")
            watch.wait(0.05)

    def _wait_empty(self, watch: Watch) -> dict[str, Any]:
        """The totals of the line cards when no switch holds a frame any more.

        Their virtual time stands still, so nothing new goes into a switch. What one has lost
        never comes; the certificate says so.
        """
        deadline_s = time.monotonic() + EMPTY_TIMEOUT_S
        while (stats := self._cards.call("stats"))["in_switches"] > 0:
            if time.monotonic() > deadline_s:
                break
            watch.wait(0.05)
        return stats
