"""Bringing the lab of a run up, opening its VCs, and taking it down again."""

import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
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
FABRIC_DILATION, LAN_DILATION = 100.0, 1.0
"""How slow time is in labs built by hand: gigabits are, what waits for seconds need not be."""


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
    site = net.Site(
        load_topology(scenario.topology),
        containers=scenario.hosts.containers,
        dilation=scenario.dilation,
        seed=scenario.seed,
        owner="run",
        hosts=scenario.used_hosts(),
        run_dir=run.dir,
    )
    return net.up(
        site,
        fabric=scenario.fabric.model_dump(),
        on_progress=lambda message, fraction: reporter.report("up", message, fraction),
        quantum_us=batch_us(scenario),
    )


@dataclass(frozen=True)
class ByHand:
    """A lab that a user wants to have.

    Attributes:
        topology: its name.
        containers: the hosts that are Docker containers.
        stack: what its nodes run; then containers are chosen by ``nodes``.
        nodes: how many there are.
        dilation: real seconds a virtual second; the usual for the kind of network when None.
        seed: draws what is drawn.
    """

    topology: str
    containers: Sequence[str] = ()
    stack: str = ""
    nodes: int = 0
    dilation: float | None = None
    seed: int = 1


def up_by_hand(wanted: ByHand, on_event: Callable[[Event], None]) -> LabState:
    """Build a network that stays until ``lab down``; LabError when that is impossible."""
    from lab.engine.cluster import by_hand, standing

    def on_progress(message: str, fraction: float) -> None:
        on_event(Event("up", message, fraction, UP_S * (1.0 - fraction)))

    topology = load_topology(wanted.topology)
    ethernet = topology.forwarding == "ethernet"
    dilation = wanted.dilation or (LAN_DILATION if ethernet else FABRIC_DILATION)
    site = net.Site(topology, wanted.containers, dilation=dilation, seed=wanted.seed)
    site.hosts_in_order()  # a wrong name should be told before anything is removed
    clear_the_way()
    if wanted.stack:
        state = standing.up(
            topology, wanted.stack, wanted.nodes,
            dilation=dilation, seed=wanted.seed, on_progress=on_progress,
        )  # fmt: skip
        try:
            by_hand.start_stack(state)
        except BaseException:
            net.down(state.lab_id)
            raise
    elif ethernet:
        state = net.up_lan(site, standing.lan_plan(topology), on_progress=on_progress)
    else:
        state = net.up(site, fabric=FabricParams().model_dump(), on_progress=on_progress)
    by_hand.write_inventory(state, sys.executable)
    return state


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
