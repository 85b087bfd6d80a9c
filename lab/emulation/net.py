"""A lab as others see it: building it, opening circuits in it, running programs on its hosts."""

import os
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import IO, Protocol

from lab.emulation import cards, ethernet, ovs
from lab.emulation.building import Progress, Site, build, refuse_second_lab
from lab.emulation.circuits import ListedVc, TracedHop, list_vcs, stray_flows, trace
from lab.emulation.cleanup import DownReport, Inventory, Left, down, inventory
from lab.emulation.docker_hosts import Box, ContainerProcess
from lab.emulation.ethernet import LanPlan
from lab.emulation.labels import container_name, host_dir, host_environment
from lab.emulation.state import HostState, LabState, load_state, machine_lock, save_state
from lab.errors import LabError
from lab.signalling import Vc, VcRequest, delete_spec, entries_by_switch
from lab.signalling import open_vcs as plan_vcs
from lab.topology import load_topology

__all__ = [
    "Box",
    "DownReport",
    "HostProcess",
    "Inventory",
    "LanPlan",
    "Left",
    "ListedVc",
    "Site",
    "TracedHop",
    "close_vcs",
    "down",
    "exec_in_host",
    "inventory",
    "list_vcs",
    "open_vcs",
    "popen_in_host",
    "refuse_second_lab",
    "stray_flows",
    "trace",
    "up",
    "up_lan",
]

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
    site: Site,
    *,
    fabric: Mapping[str, object],
    on_progress: Progress,
    quantum_us: int = QUANTUM_US,
    line_cards: bool = True,
) -> LabState:
    """Build a lab whose switches forward by VCs, and return its record.

    Args:
        site: what to build.
        fabric: parameters of the fabric model, virtual units.
        on_progress: told a phase and the fraction done.
        quantum_us: how long the line cards sleep between two batches of frames, real time.
        line_cards: False builds bare switches, whose ports lead nowhere.

    LabError when a lab stands already, something needed is missing (then nothing was
    touched), or a step failed (then what was made has been removed).
    """

    def furnish(state: LabState) -> None:
        if line_cards:
            on_progress("starting the line cards", 0.8)
            state.linecards_pid = cards.start_linecards(state)
            cards.configure(state, site.topology, fabric, quantum_us)

    return build(site, on_progress, furnish)


def up_lan(site: Site, plan: LanPlan, *, on_progress: Progress) -> LabState:
    """Build an Ethernet lab and return its record; LabError as for :func:`up`."""

    def furnish(state: LabState) -> None:
        on_progress("plugging in the hosts", 0.8)
        ethernet.connect(state, site.topology, plan)
        state.medium_pid = ethernet.start_medium(state, site.topology, plan)

    return build(site, on_progress, furnish)


def open_vcs(state: LabState, requests: Iterable[VcRequest]) -> tuple[Vc, ...]:
    """Open duplex circuits: route, label, install, register at the line cards.

    A circuit is announced to the adapters after all switches have its entries, so no message
    meets half a circuit. LabError, with nothing left installed, when any of it fails.
    ``state`` is brought up to date and saved.
    """
    wanted = list(requests)
    state.check_fabric()
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
