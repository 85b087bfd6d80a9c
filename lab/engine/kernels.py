"""The processes that stand for the kernels of hosts with emulated endpoints (thesis 2.3.5).

A host whose streams use kernel-emulated endpoints runs one ``kernel.py`` during a pass. It keeps
the host's real endpoint, claims it when all emulated ones have been claimed, and ends when they
have been given back.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from lab.emulation.labels import host_dir
from lab.emulation.net import HostProcess, popen_in_host
from lab.emulation.programs import unet_program
from lab.emulation.state import LabState
from lab.engine.watch import Watch, Watched, log_tail
from lab.errors import LabError
from lab.scenarios import EndpointPlan
from lab.unet.kernel_path import KERNEL_ENDPOINT, KERNEL_SOCKET_NAME

START_TIMEOUT_S = 20.0
_LOOK_S = 0.02


@dataclass
class Kernel:
    """One host's kernel process, and the emulated endpoints that it serves, as NAME:CHANNEL."""

    host: str
    serves: list[str]
    socket: Path
    log: Path
    handle: HostProcess | None = None

    @property
    def label(self) -> str:
        """What the user calls it."""
        return f"the kernel of emulated endpoints on {self.host}"

    @property
    def pid(self) -> int:
        """The number of its process on this machine, 0 when there is none."""
        return 0 if self.handle is None else self.handle.pid

    def ended(self) -> bool:
        """Whether its process is gone."""
        return self.handle is not None and self.handle.poll() is not None

    def ended_well(self) -> bool:
        """Whether its process is gone and was content."""
        return self.handle is not None and self.handle.poll() == 0

    def listens(self) -> bool:
        """Whether endpoint programs can be served."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as probe:
            try:
                probe.connect(str(self.socket))
            except OSError:
                return False
        return True


def emulated_at(plans: Sequence[EndpointPlan]) -> dict[str, list[str]]:
    """The emulated endpoints by host, as NAME:CHANNEL."""
    found: dict[str, list[str]] = {}
    for plan in plans:
        if plan.plan["emulated"]:
            found.setdefault(plan.host, []).append(f"{plan.endpoint}:{plan.plan['channel']}")
    return found


def claimed_as(plan: EndpointPlan) -> str:
    """The name under which the adapter knows a plan's endpoint."""
    return KERNEL_ENDPOINT if plan.plan["emulated"] else plan.endpoint


@dataclass
class KernelSet:
    """The kernel processes of one pass; leaving the context ends those that still run."""

    state: LabState
    pass_name: str
    raw: Path
    kernels: list[Kernel] = field(default_factory=list)

    def __enter__(self) -> KernelSet:
        return self

    def __exit__(self, *_: object) -> None:
        for kernel in self.kernels:
            if not kernel.ended() and kernel.handle is not None:
                with suppress(OSError, LabError):
                    kernel.handle.kill()

    @property
    def pids(self) -> list[int]:
        """Numbers of the processes."""
        return [kernel.pid for kernel in self.kernels]

    def start(self, plans: Sequence[EndpointPlan]) -> None:
        """Start a kernel on every host that needs one, and wait until all of them serve.

        Raises:
            LabError: one did not begin to serve.
        """
        for host, serves in emulated_at(plans).items():
            path = host_dir(self.state.lab_id, host) / KERNEL_SOCKET_NAME
            path.unlink(missing_ok=True)  # of a kernel that was killed
            kernel = Kernel(host, serves, path, self.raw / f"{self.pass_name}-kernel-{host}.log")
            self.kernels.append(kernel)
            argv = [*unet_program(self.state.hosts[host], "kernel"), *serves]
            with kernel.log.open("wb") as log:
                kernel.handle = popen_in_host(self.state, host, argv, stdout=log, stderr=log)
        deadline_s = time.monotonic() + START_TIMEOUT_S
        for kernel in self.kernels:
            while not kernel.listens():
                if kernel.ended() or time.monotonic() > deadline_s:
                    raise LabError(f"{kernel.label} did not begin to serve{log_tail(kernel.log)}")
                time.sleep(_LOOK_S)

    def watch_all(self, watch: Watch) -> None:
        """Watch every process; its regular end after the pass is not a death."""
        for kernel in self.kernels:
            watch.add(Watched(kernel.label, kernel.pid, kernel.log, may_end=kernel.ended_well))
