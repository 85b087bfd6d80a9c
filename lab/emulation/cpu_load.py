"""Competing work on a node: a quota of processor time, and programs that use it up.

A node with the level ``idle`` has the machine's processors whenever they are free. With another
level its control group may use a small share of them in each period, and programs in the same group
that never rest use up that share: then the node's own programs wait for the next period, as on a
machine where other work has the processor. A wait is anything up to a period, so the period sets
how bad it is. ``moderate`` makes the mean wait what the simulated world draws for that level, half
a period of 0.46 s; ``heavy`` is twice that (:mod:`lab.world.machine` says where it comes from).

All nodes together get no more than a part of this machine, so that switches, medium and driver
still keep up.
"""

from __future__ import annotations

import math
import os
import signal
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lab.emulation import cgroups
from lab.emulation.labels import ENV_LAB_ID
from lab.emulation.processes import environment_of, labelled_processes
from lab.emulation.state import HostState
from lab.errors import LabError
from lab.stacks.plan import LoadLevel

ENV_LOADS = "LAB_LOADS"
"""In the environment of competing work: the host that it loads."""
_PART_OF_MACHINE = 0.4
_LARGEST_SHARE = 0.25
_LONGEST_PERIOD_S = 1.0  # what the kernel takes
_LEAST_QUOTA_S = 1e-3  # likewise
_WORK = ("sh", "-c", "while :; do :; done")


@dataclass(frozen=True)
class Level:
    """How much a node is loaded."""

    period_s: float
    """Virtual; the longest that a program waits."""
    workers: int


LEVELS: dict[LoadLevel, Level] = {"moderate": Level(0.46, 1), "heavy": Level(0.92, 2)}


class LoadTooSlowError(LabError):
    """A load whose period, slowed down, is longer than the kernel takes."""


def check(name: LoadLevel, dilation: float) -> None:
    """Whether nodes can be loaded so at that dilation.

    Raises:
        LoadTooSlowError: they cannot; a shorter period would be a lighter load of the same name.
    """
    level = LEVELS.get(name)
    if level is not None and level.period_s * dilation > _LONGEST_PERIOD_S:
        most = math.floor(100 * _LONGEST_PERIOD_S / level.period_s) / 100
        raise LoadTooSlowError(
            f"at dilation {dilation:g} nodes cannot be under {name} load: its period of "
            f"{level.period_s:g} virtual s is longer than the real second that the kernel takes",
            remedy=f"a dilation of {most:g} at most, or a simulation",
        )


def quota_s(level: Level, nodes: int, dilation: float) -> tuple[float, float]:
    """Return period and quota in real seconds, for one of so many loaded nodes."""
    period = level.period_s * dilation
    share = min(_LARGEST_SHARE, _PART_OF_MACHINE * (os.cpu_count() or 1) / nodes)
    return period, max(_LEAST_QUOTA_S, share * period)


def apply(
    lab_id: str, hosts: Sequence[HostState], level: LoadLevel, *, nodes: int, dilation: float
) -> None:
    """Load some nodes, or with ``idle`` relieve them; ``nodes`` is how many the lab has.

    LabError when a host is no container, or time is too slow for the load.
    """
    check(level, dilation)
    running = _work(lab_id)
    for host in hosts:
        if host.kind != "container":
            raise LabError(f"{host.name} is no container, so its processor cannot be loaded")
        for pid in running.get(host.name, ()):
            os.kill(pid, signal.SIGKILL)
        try:
            group = cgroups.group_of_process(host.pid, "cpu")
        except OSError:
            raise LabError(
                f"host {host.name} is dead", remedy="`lab down`, then build the lab again"
            ) from None
        chosen = LEVELS.get(level)
        if chosen is None:
            _set_quota(group, None)
            continue
        _set_quota(group, quota_s(chosen, nodes, dilation))
        for _ in range(chosen.workers):
            _start_work(lab_id, host.name, group)


def _work(lab_id: str) -> dict[str, list[int]]:
    """Return the competing work that runs, by host."""
    found: dict[str, list[int]] = {}
    for process in labelled_processes():
        host = environment_of(process.pid).get(ENV_LOADS)
        if process.lab_id == lab_id and host:
            found.setdefault(host, []).append(process.pid)
    return found


def _start_work(lab_id: str, host: str, group: Path) -> None:
    process = subprocess.Popen(
        _WORK,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={ENV_LAB_ID: lab_id, ENV_LOADS: host, "PATH": os.environ.get("PATH", "")},
        start_new_session=True,
    )
    (group / "cgroup.procs").write_text(str(process.pid))


def _set_quota(group: Path, period_and_quota_s: tuple[float, float] | None) -> None:
    """Set the quota of a control group, None for no limit."""
    unified = group / "cpu.max"
    if period_and_quota_s is None:
        if unified.exists():
            unified.write_text("max 100000")
        else:
            (group / "cpu.cfs_quota_us").write_text("-1")
        return
    period_us, quota_us = (round(seconds * 1e6) for seconds in period_and_quota_s)
    if unified.exists():
        unified.write_text(f"{quota_us} {period_us}")
        return
    # The quota that stands must fit into the new period, so it goes first.
    (group / "cpu.cfs_quota_us").write_text("-1")
    (group / "cpu.cfs_period_us").write_text(str(period_us))
    (group / "cpu.cfs_quota_us").write_text(str(quota_us))
