"""What stands of ours, and removing it from any state.

The search goes by labels, never by the lab's own record, which may be missing, damaged or
older than what stands. Every part is looked for and removed on its own, so that a dead
daemon costs its own part only; what it keeps is named, with the remedy.
"""

import shutil
import time
from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from lab.emulation import docker_hosts, ovs, processes, realtime, tuning, veth
from lab.emulation.docker_hosts import DockerUnreachableError
from lab.emulation.labels import CARDS_NETNS, RUN_ROOT, is_lab_id
from lab.emulation.ovs import OvsUnreachableError
from lab.emulation.state import CURRENT, machine_lock
from lab.errors import LabError

_SETTLE_S = 1.5
_ROUNDS = 3
_LOCK_WAIT_S = 2.0


@dataclass(frozen=True)
class Thing:
    """One thing of ours: what kind it is, its name, and the lab that it belongs to."""

    kind: str
    name: str
    lab_id: str

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"


@dataclass
class Inventory:
    """Everything of ours on the machine, and the daemons that could not be asked.

    Where a daemon is dead, its files were read instead: those things are listed too.
    """

    bridges: list[Thing] = field(default_factory=list)
    interfaces: list[Thing] = field(default_factory=list)
    namespaces: list[Thing] = field(default_factory=list)
    containers: list[Thing] = field(default_factory=list)
    processes: list[Thing] = field(default_factory=list)
    directories: list[Thing] = field(default_factory=list)
    unreachable: list[LabError] = field(default_factory=list)
    container_ids: dict[str, str] = field(default_factory=dict)
    """Container name -> Docker's id."""

    @property
    def things(self) -> list[Thing]:
        """All things of ours."""
        return [
            *self.bridges,
            *self.interfaces,
            *self.namespaces,
            *self.containers,
            *self.processes,
            *self.directories,
        ]

    @property
    def lab_ids(self) -> set[str]:
        """The labs that anything belongs to."""
        return {thing.lab_id for thing in self.things}

    def counts(self) -> dict[str, int]:
        """How many there are of each kind, kinds without any left out."""
        counts: dict[str, int] = {}
        for thing in self.things:
            counts[thing.kind] = counts.get(thing.kind, 0) + 1
        return counts

    def summary(self) -> str:
        """Say it in one line."""
        return ", ".join(f"{count} {kind}" for kind, count in self.counts().items()) or "nothing"


@dataclass(frozen=True)
class Left:
    """Something that could not be removed, and what to do about it."""

    what: str
    remedy: str


@dataclass
class DownReport:
    """What a removal did."""

    removed: dict[str, int] = field(default_factory=dict)
    left: list[Left] = field(default_factory=list)
    duration_s: float = 0.0

    @property
    def removed_anything(self) -> bool:
        """Whether there was anything to remove."""
        return bool(self.removed)


def inventory() -> Inventory:
    """List everything of ours. Changes nothing, needs no record, survives dead daemons."""
    found = Inventory()
    _find_bridges(found)
    _find_containers(found)
    # A bridge's own interface counts when it is all that is left of the bridge.
    bridges = {thing.name for thing in found.bridges}
    found.interfaces = [
        Thing("veth" if link.kind == "veth" else "tap", link.name, lab)
        for link, lab in veth.labelled_links()
        if link.name not in bridges
    ]
    lab_id = veth.netns_lab()
    if lab_id:
        found.namespaces = [Thing("namespace", CARDS_NETNS, lab_id)]
    found.processes = [
        Thing("process", f"{process.pid} ({process.name.strip()})", process.lab_id)
        for process in processes.labelled_processes()
    ]
    if RUN_ROOT.is_dir():
        found.directories = [
            Thing("directory", str(path), path.name)
            for path in RUN_ROOT.iterdir()
            if is_lab_id(path.name)
        ]
    return found


def _find_bridges(found: Inventory) -> None:
    try:
        bridges = ovs.labelled_bridges()
    except OvsUnreachableError as error:
        bridges = ovs.labelled_bridges_on_disk()
        if bridges:
            found.unreachable.append(error)
    found.bridges = [Thing("bridge", name, lab) for name, lab in bridges.items()]


def _find_containers(found: Inventory) -> None:
    try:
        containers = docker_hosts.labelled_containers()
    except DockerUnreachableError as error:
        containers = docker_hosts.labelled_containers_on_disk()
        if containers:
            found.unreachable.append(error)
    found.containers = [Thing("container", name, lab) for name, lab in containers.values()]
    found.container_ids = {name: key for key, (name, _) in containers.items()}


def down(lab_id: str | None = None) -> DownReport:
    """Remove a lab, or without an id everything of ours, from whatever state it is in.

    Safe to repeat. LabError only when another command is building or removing right now, or
    for want of rights; what could not be removed is in the report's ``left``.
    """
    with machine_lock("removing a lab", wait_s=_LOCK_WAIT_S):
        return remove(lab_id)


def remove(lab_id: str | None = None) -> DownReport:
    """Do the work of :func:`down`; the caller holds the machine lock."""
    started = time.monotonic()
    tuning.restore()
    report = DownReport()
    removed: set[Thing] = set()
    for _ in range(_ROUNDS):
        before = inventory()
        targets = before.lab_ids if lab_id is None else before.lab_ids & {lab_id}
        if not targets:
            break
        failures = _remove_all(before, targets)
        after = _settled(targets)
        removed |= {thing for thing in before.things if thing.lab_id in targets}
        removed -= set(after.things)
        report.left = _leftovers(after, targets, failures)
        # What a killed builder had asked of a daemon may come to be while it is removed.
        if not report.left or after.unreachable:
            break
    for thing in removed:
        report.removed[thing.kind] = report.removed.get(thing.kind, 0) + 1
    report.duration_s = time.monotonic() - started
    return report


def _remove_all(before: Inventory, targets: Collection[str]) -> list[LabError]:
    """Remove everything that belongs to the targets; return what went wrong."""
    bridges = [thing.name for thing in before.bridges if thing.lab_id in targets]
    containers = [
        before.container_ids[thing.name] for thing in before.containers if thing.lab_id in targets
    ]
    failures: list[LabError] = []

    def attempt(step: Callable[[], object]) -> None:
        try:
            step()
        except LabError as error:
            failures.append(error)
        except OSError as error:
            failures.append(LabError(str(error)))

    with tuning.tuned():
        # Side by side, because each of these mostly waits for somebody else.
        with ThreadPoolExecutor(3) as pool:
            for step in (
                lambda: processes.end_processes(targets),
                lambda: docker_hosts.remove(containers),
                lambda: ovs.remove_bridges(bridges),
            ):
                pool.submit(attempt, step)
        attempt(lambda: veth.remove_links(targets, bridges))
        if any(thing.lab_id in targets for thing in before.namespaces):
            attempt(veth.remove_netns)
        # A container's processes bear the label too; a paused one dies only with its container.
        attempt(lambda: processes.end_processes(targets))
    realtime.collect_ended()
    for lab_id in targets:
        shutil.rmtree(RUN_ROOT / lab_id, ignore_errors=True)
    if CURRENT.is_symlink() and not CURRENT.exists():
        CURRENT.unlink()
    return failures


def _settled(targets: Collection[str]) -> Inventory:
    """Look again until nothing is left: the kernel and the daemons finish in their own time."""
    deadline = time.monotonic() + _SETTLE_S
    while True:
        after = inventory()
        stuck = {type(error) for error in after.unreachable}
        waiting = [
            thing
            for thing in after.things
            if thing.lab_id in targets
            and not (thing.kind == "bridge" and OvsUnreachableError in stuck)
            and not (thing.kind == "container" and DockerUnreachableError in stuck)
        ]
        if not waiting or time.monotonic() > deadline:
            return after
        time.sleep(0.05)


def _leftovers(
    after: Inventory, targets: Collection[str], failures: Collection[LabError]
) -> list[Left]:
    """Say of each thing that is left why, as far as it is known."""
    remedies = {
        "bridge": f"{ovs.REMEDY}, then `lab down`",
        "container": f"{docker_hosts.REMEDY}, then `lab down`",
    }
    left = [
        Left(str(thing), remedies.get(thing.kind, "`lab down` again"))
        for thing in after.things
        if thing.lab_id in targets
    ]
    if left:
        left += [Left(error.message, error.remedy) for error in failures]
    return left
