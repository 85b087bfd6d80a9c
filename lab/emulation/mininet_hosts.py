"""Mininet-style hosts: a namespace for network and mounts, held by a sleeping process.

``mnexec`` is Mininet's own tool for it. The holder belongs to nobody (its parent is init),
so a host outlives the command that made it. The adapter is no kernel interface, so a host
has only its loopback.
"""

import os
import selectors
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from lab.emulation.labels import host_environment
from lab.emulation.netlink import inside, loopback_up
from lab.emulation.processes import environment_of
from lab.emulation.state import HostState
from lab.errors import LabError

_START_TIMEOUT_S = 20.0


def start(lab_id: str, hosts: Sequence[str]) -> dict[str, HostState]:
    """Start the holders of all hosts at once and bring up their loopbacks."""
    if not hosts:
        return {}
    reader, writer = os.pipe()
    try:
        # -p prints the holder's number after -n has made its namespaces, so that reading it
        # also says that the namespaces are there. -d makes it leave our session and parentage.
        starters = [
            subprocess.Popen(
                ["mnexec", "-d", "-n", "-p", "sleep", "infinity"],
                stdin=subprocess.DEVNULL,
                stdout=writer,
                stderr=subprocess.DEVNULL,
                env=host_environment(lab_id, host),
                cwd="/",
                process_group=0,
            )
            for host in hosts
        ]
    finally:
        os.close(writer)
    try:
        pids = _read_pids(reader, len(hosts))
    finally:
        os.close(reader)
        for starter in starters:
            starter.wait()
    found = [_host_state(pid) for pid in pids]
    return {host.name: host for host in found}


def _read_pids(reader: int, count: int) -> list[int]:
    """Read ``count`` process numbers, each sent as byte 1, digits, newline."""
    deadline = time.monotonic() + _START_TIMEOUT_S
    received = b""
    with selectors.DefaultSelector() as selector:
        selector.register(reader, selectors.EVENT_READ)
        while received.count(b"\n") < count:
            if not selector.select(max(0.0, deadline - time.monotonic())):
                break
            chunk = os.read(reader, 4096)
            if not chunk:
                break
            received += chunk
    pids = [int(line.strip(b"\x01")) for line in received.splitlines()]
    if len(pids) != count:
        raise LabError(
            f"only {len(pids)} of {count} hosts started",
            remedy="is there memory and are there process numbers left? see `lab doctor`",
        )
    return pids


def _host_state(pid: int) -> HostState:
    name = _name_of(pid)
    netns = Path(f"/proc/{pid}/ns/net")
    with inside(netns):
        loopback_up()
    return HostState(
        name=name,
        kind="mininet",
        pid=pid,
        netns_inode=netns.stat().st_ino,
        container_id=None,
        uid=0,
    )


def _name_of(pid: int) -> str:
    """Read a holder's host; its environment is empty for an instant while ``sleep`` begins."""
    deadline = time.monotonic() + _START_TIMEOUT_S
    while (name := environment_of(pid).get("LAB_HOST")) is None:
        if time.monotonic() > deadline or not Path(f"/proc/{pid}").exists():
            raise LabError(f"the process {pid} that holds a host ended as soon as it was started")
        time.sleep(0.001)
    return name
