"""Building a lab, opening circuits in it, and running programs on its hosts.

Order of building: record, veths, bridges (their ports must exist), hosts, line cards. The
record comes first and everything is born labelled, so that a build that is killed at any
point can be removed by ``lab down``.
"""

import os
import shutil
import subprocess
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO, Literal, Protocol

from lab.emulation import cards, cleanup, docker_hosts, mininet_hosts, ovs, rcu, veth
from lab.emulation.circuits import ListedVc, TracedHop, list_vcs, stray_flows, trace
from lab.emulation.cleanup import DownReport, Inventory, Left, down, inventory
from lab.emulation.docker_hosts import ContainerProcess
from lab.emulation.labels import (
    CARDS_NETNS,
    bridge_name,
    container_name,
    host_dir,
    host_environment,
    new_lab_id,
    switch_interface,
)
from lab.emulation.state import HostState, LabState, load_state, machine_lock, save_state
from lab.errors import LabError
from lab.signalling import Vc, VcRequest, delete_spec, entries_by_switch
from lab.signalling import open_vcs as plan_vcs
from lab.topology import Topology, load_topology

__all__ = [
    "DownReport",
    "HostProcess",
    "Inventory",
    "Left",
    "ListedVc",
    "TracedHop",
    "close_vcs",
    "down",
    "exec_in_host",
    "inventory",
    "list_vcs",
    "open_vcs",
    "popen_in_host",
    "stray_flows",
    "trace",
    "up",
]

Progress = Callable[[str, float], None]
_TOOLS = ("ip", "ovs-vsctl", "ovs-ofctl", "mnexec", "nsenter")
_LOCK_WAIT_S = 10.0
QUANTUM_US = 2000


class HostProcess(Protocol):
    """A program running on a host; ``pid`` is its number on this machine."""

    pid: int

    def poll(self) -> int | None:
        """Return the exit status, None while it runs."""

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the end and return the exit status."""

    def kill(self) -> None:
        """End it at once."""


def up(
    topology: Topology,
    containers: Collection[str],
    dilation: float,
    seed: int,
    *,
    fabric: Mapping[str, object],
    on_progress: Progress,
    quantum_us: int = QUANTUM_US,
    owner: Literal["run", "hand"] = "hand",
    hosts: Collection[str] | None = None,
    run_dir: Path | None = None,
    line_cards: bool = True,
) -> LabState:
    """Build a lab and return its record.

    Args:
        topology: what to build.
        containers: the hosts that are Docker containers; the others are Mininet-style hosts.
        dilation: real seconds a virtual second.
        seed: draws the paths of circuits.
        fabric: parameters of the fabric model, virtual units.
        on_progress: told a phase and the fraction done.
        quantum_us: how long the line cards sleep between two batches of frames, real time.
        owner: who removes it, a scenario's run or the user.
        hosts: the hosts to start; all of the topology when None.
        run_dir: the directory of the run that owns it.
        line_cards: False builds bare switches, whose ports lead nowhere.

    LabError when a lab stands already, something needed is missing (then nothing was
    touched), or a step failed (then what was made has been removed).
    """
    wanted = _hosts_in_order(topology, containers, hosts)
    with machine_lock("building a lab"):
        refuse_second_lab()
        _check_prerequisites(topology, [host for host in wanted if host in set(containers)])
        state = LabState(
            lab_id=new_lab_id(),
            topology=topology.name,
            dilation=dilation,
            seed=seed,
            created_at=time.time(),
            owner=owner,
            run_dir=str(run_dir) if run_dir is not None else None,
        )
        try:
            with rcu.expedited():
                _build(state, topology, wanted, set(containers), on_progress)
                if line_cards:
                    on_progress("starting the line cards", 0.8)
                    state.linecards_pid = cards.start_linecards(state)
                    cards.configure(state, topology, fabric, quantum_us)
            state.ready = True
            save_state(state)
        except BaseException:
            on_progress("removing what was built", 0.0)
            cleanup.remove(state.lab_id)
            raise
    on_progress("the lab stands", 1.0)
    return state


def _hosts_in_order(
    topology: Topology, containers: Collection[str], hosts: Collection[str] | None
) -> list[str]:
    wanted = set(topology.hosts if hosts is None else hosts)
    unknown = sorted((wanted | set(containers)) - set(topology.hosts))
    if unknown:
        raise LabError(
            f"{topology.name} has no host {', '.join(unknown)}",
            remedy=f"its hosts are {topology.hosts[0]}..{topology.hosts[-1]}",
        )
    return [host for host in topology.hosts if host in wanted]


def refuse_second_lab() -> None:
    """LabError when anything of a lab stands on this machine."""
    standing = inventory()
    if standing.things:
        ids = ", ".join(sorted(standing.lab_ids))
        raise LabError(
            f"a lab stands on this machine already: {ids} ({standing.summary()})",
            remedy="remove it with `lab down`",
        )


def _check_prerequisites(topology: Topology, containers: Sequence[str]) -> None:
    """Find out what would fail before anything is made."""
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
        docker_hosts.check()
        taken |= set(docker_hosts.foreign_names(containers))
    if taken:
        some = ", ".join(sorted(taken)[:5])
        raise LabError(
            f"names that a lab needs are taken by something that is not a lab's: {some}",
            remedy="remove or rename it; a lab does not touch what is not its own",
        )


def _build(
    state: LabState,
    topology: Topology,
    hosts: Sequence[str],
    containers: Collection[str],
    on_progress: Progress,
) -> None:
    for host in hosts:
        _make_host_dir(state.lab_id, host, host in containers)
    save_state(state)
    pairs = veth.pairs_of(topology)
    on_progress(f"making {len(pairs)} veth pairs", 0.05)
    veth.create_netns(state.lab_id)
    veth.create_pairs(state.lab_id, pairs)
    on_progress(f"making {len(topology.switches)} switches and {len(hosts)} hosts", 0.2)
    in_docker = [host for host in hosts if host in containers]
    with ThreadPoolExecutor(2) as pool:
        switches = pool.submit(_build_switches, topology, state.lab_id)
        boxed = pool.submit(docker_hosts.start, state.lab_id, in_docker)
        started = mininet_hosts.start(state.lab_id, [h for h in hosts if h not in containers])
        switches.result()
        started |= boxed.result()
    state.hosts = {host: started[host] for host in hosts}
    save_state(state)


def _build_switches(topology: Topology, lab_id: str) -> None:
    ovs.create_bridges(topology, lab_id)
    veth.label_taps(lab_id, [bridge_name(switch) for switch in topology.switches])


def _make_host_dir(lab_id: str, host: str, boxed: bool) -> None:
    """Make a host's directory, writable by the user that its programs run as."""
    path = host_dir(lab_id, host)
    path.mkdir(mode=0o755, parents=True)
    if boxed:
        os.chown(path, docker_hosts.UID, docker_hosts.UID)


def open_vcs(state: LabState, requests: Iterable[VcRequest]) -> tuple[Vc, ...]:
    """Open duplex circuits: route, label, install, register at the line cards.

    A circuit is announced to the adapters after all switches have its entries, so no message
    meets half a circuit. LabError, with nothing left installed, when any of it fails.
    ``state`` is brought up to date and saved.
    """
    wanted = list(requests)
    topology = load_topology(state.topology)
    for request in wanted:
        for host in (request.a, request.b):
            state.host(host)
    with machine_lock("opening circuits", wait_s=_LOCK_WAIT_S):
        _adopt(state, load_state())
        opened = plan_vcs(
            topology, wanted, state.seed, existing=state.vcs, first_id=state.next_vc_id
        )
        if not opened:
            return ()
        try:
            ovs.change_flows(entries_by_switch(opened))
            if state.linecards_pid:
                cards.register_vcs(state, opened)
        except BaseException:
            cards.forget_vcs(state, [vc.id for vc in opened])
            _delete_flows(opened)
            raise
        state.vcs.extend(opened)
        state.next_vc_id = opened[-1].id + 1
        save_state(state)
    return opened


def _adopt(state: LabState, saved: LabState) -> None:
    """Take over circuits that another command has opened or closed since ``state`` was read."""
    if saved.lab_id != state.lab_id:
        raise LabError(f"lab {state.lab_id} does not stand any more", remedy="see `lab status`")
    state.vcs, state.next_vc_id = saved.vcs, saved.next_vc_id


def _delete_flows(vcs: Sequence[Vc]) -> None:
    lines: dict[str, list[str]] = {}
    for vc in vcs:
        for switch in vc.switches:
            lines.setdefault(switch, []).append(f"delete {delete_spec(vc.id)}")
    ovs.change_flows(lines)


def close_vcs(state: LabState, ids: Iterable[int]) -> None:
    """Close circuits: at the adapters first, so that nothing more is sent, then in the switches."""
    with machine_lock("closing circuits", wait_s=_LOCK_WAIT_S):
        _adopt(state, load_state())
        closing = [state.vc(vc_id) for vc_id in dict.fromkeys(ids)]
        if not closing:
            return
        if state.linecards_pid:
            cards.unregister_vcs(state, [vc.id for vc in closing])
        _delete_flows(closing)
        state.vcs = [vc for vc in state.vcs if vc not in closing]
        save_state(state)


def _enter(host: HostState, argv: Sequence[str]) -> list[str]:
    return ["mnexec", "-a", str(host.pid), *argv]


def _check_alive(host: HostState) -> None:
    try:
        # A number that was given to another process leads into another namespace.
        alive = Path(f"/proc/{host.pid}/ns/net").stat().st_ino == host.netns_inode
    except OSError:
        alive = False
    if not alive:
        raise LabError(f"host {host.name} is dead", remedy="`lab down`, then build the lab again")


def exec_in_host(
    state: LabState, host: str, argv: Sequence[str], env: Mapping[str, str] | None = None
) -> int:
    """Run a program on a host with this terminal's input and output; return its exit status."""
    target = state.host(host)
    _check_alive(target)
    if target.kind == "mininet":
        command = _enter(target, argv)
        environment = {**os.environ, **host_environment(state.lab_id, host), **(env or {})}
        cwd = host_dir(state.lab_id, host)
        return subprocess.run(command, env=environment, cwd=cwd, check=False).returncode
    command = ["docker", "exec", "-i"]
    if os.isatty(0) and os.isatty(1):
        command.append("-t")
    for key, value in (env or {}).items():
        command += ["-e", f"{key}={value}"]
    return subprocess.run([*command, container_name(host), *argv], check=False).returncode


def popen_in_host(
    state: LabState,
    host: str,
    argv: Sequence[str],
    *,
    env: Mapping[str, str] | None = None,
    stdout: IO[bytes] | None = None,
    stderr: IO[bytes] | None = None,
) -> HostProcess:
    """Start a program on a host, its output going to files (nowhere when None).

    It finds ``LAB_ID``, ``LAB_HOST`` and ``LAB_UNET_SOCKET`` in its environment, and starts
    in the host's own directory. LabError when the host is dead.
    """
    target = state.host(host)
    _check_alive(target)
    if target.kind == "container":
        return ContainerProcess(target, argv, env or {}, stdout, stderr)
    return subprocess.Popen(
        _enter(target, argv),
        stdin=subprocess.DEVNULL,
        stdout=stdout or subprocess.DEVNULL,
        stderr=stderr or subprocess.DEVNULL,
        env={**host_environment(state.lab_id, host), **(env or {})},
        cwd=host_dir(state.lab_id, host),
        start_new_session=True,
    )
