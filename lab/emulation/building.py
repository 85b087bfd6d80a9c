"""Building what every lab stands on: record, switches, hosts; whole, or not at all.

Order of building: record, veths, bridges (their ports must exist), hosts, and then what the kind
of lab needs. The record comes first and everything is born labelled, so that a build that is
killed at any point can be removed by ``lab down``.
"""

import os
import shutil
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from lab.emulation import cleanup, docker_hosts, mininet_hosts, ovs, tuning, veth
from lab.emulation.cleanup import inventory
from lab.emulation.docker_hosts import Box
from lab.emulation.labels import (
    CARDS_NETNS,
    bridge_name,
    host_dir,
    new_lab_id,
    shared_dir,
    switch_interface,
)
from lab.emulation.state import LabState, machine_lock, save_state
from lab.errors import LabError
from lab.topology import Topology

Progress = Callable[[str, float], None]
_TOOLS = ("ip", "ovs-vsctl", "ovs-ofctl", "mnexec", "nsenter")


@dataclass(frozen=True)
class Site:
    """A lab to build.

    Attributes:
        topology: the wiring.
        containers: the hosts that are Docker containers; the others are Mininet-style hosts.
        dilation: real seconds a virtual second.
        seed: draws what is drawn.
        hosts: the hosts to start; all of the topology when None.
        box: what the containers are made of.
        owner: who removes it, a scenario's run or the user.
        run_dir: the directory of the run that owns it.
    """

    topology: Topology
    containers: Sequence[str] = ()
    dilation: float = 1.0
    seed: int = 1
    hosts: Sequence[str] | None = None
    box: Box = field(default_factory=Box)
    owner: Literal["run", "hand"] = "hand"
    run_dir: Path | None = None

    def hosts_in_order(self) -> list[str]:
        """Return the hosts to start; LabError when the topology has not all of them."""
        every = self.topology.hosts
        wanted = set(every if self.hosts is None else self.hosts)
        unknown = sorted((wanted | set(self.containers)) - set(every))
        if unknown:
            raise LabError(
                f"{self.topology.name} has no host {', '.join(unknown)}",
                remedy=f"its hosts are {every[0]}..{every[-1]}",
            )
        return [host for host in every if host in wanted]


def build(site: Site, on_progress: Progress, furnish: Callable[[LabState], None]) -> LabState:
    """Build a lab and return its record.

    Args:
        site: what to build.
        on_progress: told a phase and the fraction done.
        furnish: does what this kind of lab needs beyond switches and hosts.

    LabError when a lab stands already, something needed is missing (then nothing was
    touched), or a step failed (then what was made has been removed).
    """
    hosts = site.hosts_in_order()
    with machine_lock("building a lab"):
        refuse_second_lab()
        _check_prerequisites(site, [host for host in hosts if host in set(site.containers)])
        state = LabState(
            lab_id=new_lab_id(),
            topology=site.topology.name,
            dilation=site.dilation,
            seed=site.seed,
            created_at=time.time(),
            owner=site.owner,
            run_dir=str(site.run_dir) if site.run_dir is not None else None,
        )
        ovs.give_precedence()
        try:
            with tuning.tuned():
                _build(state, site, hosts, on_progress)
                furnish(state)
            state.ready = True
            save_state(state)
        except BaseException:
            on_progress("removing what was built", 0.0)
            cleanup.remove(state.lab_id)
            raise
    on_progress("the lab stands", 1.0)
    return state


def refuse_second_lab() -> None:
    """LabError when anything of a lab stands on this machine."""
    standing = inventory()
    if standing.things:
        ids = ", ".join(sorted(standing.lab_ids))
        raise LabError(
            f"a lab stands on this machine already: {ids} ({standing.summary()})",
            remedy="remove it with `lab down`",
        )


def _check_prerequisites(site: Site, containers: Sequence[str]) -> None:
    """Find out what would fail before anything is made."""
    topology = site.topology
    if os.geteuid() != 0:
        raise LabError("building a lab needs root", remedy="run the command as root")
    missing = [tool for tool in _TOOLS if shutil.which(tool) is None]
    if missing:
        raise LabError(f"missing on this machine: {', '.join(missing)}", remedy="`make setup`")
    taken = ovs.bridge_names() & {bridge_name(switch) for switch in topology.switches}
    if not ovs.switch_daemon_alive():
        raise LabError("ovs-vswitchd is not running", remedy=ovs.REMEDY)
    taken |= {
        name
        for switch in topology.switches
        for name in (
            bridge_name(switch),
            *(switch_interface(switch, ref.port) for ref in topology.ports(switch)),
        )
        if Path("/sys/class/net", name).exists()
    }
    if veth.NETNS_PATH.exists():
        taken.add(CARDS_NETNS)
    if containers:
        docker_hosts.check(site.box.image)
        taken |= set(docker_hosts.foreign_names(containers))
    if taken:
        some = ", ".join(sorted(taken)[:5])
        raise LabError(
            f"names that a lab needs are taken by something that is not a lab's: {some}",
            remedy="remove or rename it; a lab does not touch what is not its own",
        )


def _build(state: LabState, site: Site, hosts: Sequence[str], on_progress: Progress) -> None:
    topology, containers = site.topology, set(site.containers)
    for host in hosts:
        _make_dir(host_dir(state.lab_id, host), host in containers)
    if site.box.shared:
        _make_dir(shared_dir(state.lab_id), boxed=False)
    save_state(state)
    pairs = veth.pairs_of(topology)
    on_progress(f"making {len(pairs)} veth pairs", 0.05)
    veth.create_netns(state.lab_id)
    veth.create_pairs(state.lab_id, pairs)
    on_progress(f"making {len(topology.switches)} switches and {len(hosts)} hosts", 0.2)
    in_docker = [host for host in hosts if host in containers]
    with ThreadPoolExecutor(2) as pool:
        switches = pool.submit(_build_switches, topology, state.lab_id)
        boxed = pool.submit(docker_hosts.start, state.lab_id, in_docker, site.box)
        started = mininet_hosts.start(state.lab_id, [h for h in hosts if h not in containers])
        switches.result()
        started |= boxed.result()
    state.hosts = {host: started[host] for host in hosts}
    save_state(state)


def _build_switches(topology: Topology, lab_id: str) -> None:
    ovs.create_bridges(topology, lab_id)
    veth.label_taps(lab_id, [bridge_name(switch) for switch in topology.bridged])


def _make_dir(path: Path, boxed: bool) -> None:
    """Make a directory; one of a container is writable by the user that its programs run as."""
    path.mkdir(mode=0o755, parents=True)
    if boxed:
        os.chown(path, docker_hosts.UID, docker_hosts.UID)
