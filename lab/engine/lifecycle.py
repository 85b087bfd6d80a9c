"""Bringing the lab of a run up, opening its VCs, and taking it down again."""

from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

from lab.emulation import net
from lab.emulation.state import LabState, load_state
from lab.engine.faults import heal_all
from lab.engine.progress import Event
from lab.engine.run import UP_S, AnyRun, Run, read_owner
from lab.errors import LabError
from lab.results.files import write_json
from lab.scenarios import FabricParams, vc_requests
from lab.scenarios.plan import batch_us
from lab.topology import load_topology

VCS_FILE = "vcs.json"


def standing_lab() -> LabState | None:
    """The lab that stands whole; None when there is none, or only the remains of one."""
    try:
        return load_state()
    except LabError:
        return None


def is_abandoned(state: LabState) -> bool:
    """Whether a lab was made by a run whose owner is dead: nobody will miss it."""
    if state.owner != "run" or state.run_dir is None:
        return False
    owner = read_owner(Path(state.run_dir))
    return owner is None or not owner.alive()


def clear_the_way() -> bool:
    """Remove what a killed run left; returns whether there was anything.

    Raises:
        LabError: a lab stands that somebody still uses.
    """
    state = standing_lab()
    if state is not None and not is_abandoned(state):
        whose = "by hand" if state.owner == "hand" else f"by run {Path(state.run_dir or '?').name}"
        raise LabError(
            f"a lab stands on this machine already ({state.lab_id}, made {whose})",
            remedy="remove it with `lab down`",
        )
    report = net.down()
    if report.left:
        things = ", ".join(left.what for left in report.left)
        raise LabError(
            f"an earlier lab cannot be removed completely: {things}",
            remedy=report.left[0].remedy,
        )
    return report.removed_anything


def up(run: Run) -> LabState:
    """Build the run's network; LabError when that is impossible (then nothing is left)."""
    clear_the_way()
    scenario, reporter = run.scenario, run.reporter()
    return net.up(
        load_topology(scenario.topology),
        containers=scenario.hosts.containers,
        dilation=scenario.dilation,
        seed=scenario.seed,
        fabric=scenario.fabric.model_dump(),
        on_progress=lambda message, fraction: reporter.report("up", message, fraction),
        quantum_us=batch_us(scenario),
        owner="run",
        hosts=scenario.used_hosts(),
        run_dir=run.dir,
    )


def up_by_hand(
    topology: str,
    containers: Sequence[str],
    *,
    dilation: float,
    seed: int,
    on_event: Callable[[Event], None],
) -> LabState:
    """Build a network that stays until ``lab down``; LabError when that is impossible."""
    described = load_topology(topology)
    unknown = [name for name in containers if name not in described.hosts]
    if unknown:
        raise LabError(
            f"topology {topology} has no host {unknown[0]!r}",
            remedy=f"its hosts are {described.hosts[0]}..{described.hosts[-1]}",
        )
    clear_the_way()
    return net.up(
        described,
        containers=containers,
        dilation=dilation,
        seed=seed,
        fabric=FabricParams().model_dump(),
        on_progress=lambda message, fraction: on_event(
            Event("up", message, fraction, UP_S * (1.0 - fraction))
        ),
        owner="hand",
    )


def start(run: Run) -> int:
    """Open the VCs of all streams; returns how many were opened now (0 the second time)."""
    state = load_state()
    reporter = run.reporter()
    requests = vc_requests(run.scenario)
    reporter.report("start", f"opening {len(requests)} VCs", 0.0)
    known = {vc.name for vc in state.vcs}
    opened = net.open_vcs(state, [request for request in requests if request.name not in known])
    write_json(run.raw / VCS_FILE, [asdict(vc) for vc in load_state().vcs])
    reporter.report("start", f"{len(requests)} VCs are open", 1.0)
    return len(opened)


def down(run: AnyRun | None = None) -> net.DownReport:
    """Heal and remove whatever stands; safe to call in any state and more than once."""
    if run is not None:
        run.reporter().report("down", "removing the lab", 0.0)
    state = standing_lab()
    if state is not None:
        heal_quietly(state)
    report = net.down()
    if run is not None:
        run.reporter().report("down", "the lab is gone", 1.0)
    return report


def heal_quietly(state: LabState) -> None:
    """Thaw what a fault paused; what cannot be healed is about to be removed anyway."""
    try:
        heal_all(state)
    except LabError:
        return
