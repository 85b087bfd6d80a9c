"""What the doctor sees: every look at the machine is in this module, no judgement is.

A look that cannot be had is an ``Unavailable`` with the reason, never an exception, so that one
missing thing does not hide the others. Kernel features are tried out in a network namespace that
ends with the command that made it.
"""

import importlib
import os
import platform
import resource
import shutil
import socket
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import docker
import docker.errors
import psutil

from lab.doctor.leftovers import Remains, find_remains
from lab.emulation.stack_images import stack_image, stacks_with_image
from lab.errors import LabError
from lab.paths import PROJECT

BASE_IMAGE = "lab-base:latest"
COMMAND_TIMEOUT_S = 5
CLOCKSOURCE = Path("/sys/devices/system/clocksource/clocksource0/current_clocksource")
CLOCK_READS = 2000


@dataclass(frozen=True, slots=True)
class Unavailable:
    """A look that failed, and why."""

    why: str


@dataclass(frozen=True, slots=True)
class Engine:
    """Docker's engine as it answered."""

    version: str
    cgroup_version: str
    base_image: str | None
    missing_images: tuple[str, ...]
    """The images of stacks, in the present edition of their code, that it does not have."""


@dataclass(frozen=True, slots=True)
class Clock:
    """The monotonic clock: its source, its resolution, and what reading it costs."""

    source: str
    resolution_ns: int
    read_ns: int


@dataclass(frozen=True, slots=True)
class Facts:
    """One look at the machine. A ``str`` beside ``Unavailable`` is what to show when it is fine."""

    system: str
    euid: int
    namespaces: str | Unavailable
    veth: str | Unavailable
    packet_sockets: str | Unavailable
    sealed_memory: str | Unavailable
    ovs: str | Unavailable
    datapath_types: tuple[str, ...]
    mnexec: str | None
    engine: Engine | Unavailable
    native: str | Unavailable
    memory_bytes: int
    cores: int
    clock: Clock
    open_files: int
    disk_bytes: int
    remains: Remains | Unavailable


def command_output(*argv: str) -> str | Unavailable:
    """What a command printed, or its last line of complaint."""
    try:
        done = subprocess.run(
            argv, capture_output=True, text=True, timeout=COMMAND_TIMEOUT_S, check=False
        )
    except FileNotFoundError:
        return Unavailable(f"{argv[0]} is not installed")
    except (OSError, subprocess.TimeoutExpired) as error:
        return Unavailable(f"{argv[0]}: {error}")
    if done.returncode:
        complaint = done.stderr.strip().splitlines() or [f"{argv[0]} exited {done.returncode}"]
        return Unavailable(complaint[-1])
    return done.stdout.strip()


def works(outcome: str | Unavailable) -> str | Unavailable:
    """A silent success, put into a word."""
    return outcome if isinstance(outcome, Unavailable) else outcome or "works"


def packet_sockets() -> str | Unavailable:
    """Whether raw packets can be sent and received (AF_PACKET)."""
    try:
        socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0).close()
    except (OSError, AttributeError) as error:
        return Unavailable(str(error))
    return "works"


def sealed_memory() -> str | Unavailable:
    """Whether anonymous shared memory can be made and sealed (memfd)."""
    try:
        os.close(os.memfd_create("lab-doctor", os.MFD_ALLOW_SEALING))
    except (OSError, AttributeError) as error:
        return Unavailable(str(error))
    return "works"


def open_vswitch() -> tuple[str | Unavailable, tuple[str, ...]]:
    """Version of the running ovs-vswitchd, and the datapath types that it offers."""
    version = command_output("ovs-appctl", "--timeout=3", "-t", "ovs-vswitchd", "version")
    if isinstance(version, Unavailable):
        return version, ()
    types = command_output(
        "ovs-vsctl", "--timeout=3", "--no-wait", "get", "Open_vSwitch", ".", "datapath_types"
    )
    if isinstance(types, Unavailable):
        return types, ()
    names = tuple(name.strip(' "') for name in types.strip("[]").split(","))
    return version.splitlines()[0].split()[-1], names


def docker_engine() -> Engine | Unavailable:
    """Docker's engine, asked over its socket."""
    try:
        client = docker.from_env(timeout=COMMAND_TIMEOUT_S)
    except docker.errors.DockerException as error:
        return Unavailable(str(error))
    try:
        info = client.info()
        tags = {tag for image in client.images.list() for tag in image.tags}
    except (docker.errors.DockerException, OSError) as error:
        return Unavailable(str(error))
    finally:
        client.close()
    try:
        wanted = {stack_image(stack) for stack in stacks_with_image()}
    except LabError as error:
        return Unavailable(str(error))
    return Engine(
        version=str(info["ServerVersion"]),
        cgroup_version=str(info.get("CgroupVersion", "?")),
        base_image=BASE_IMAGE if BASE_IMAGE in tags else None,
        missing_images=tuple(sorted(wanted - tags)),
    )


def native_part() -> str | Unavailable:
    """Whether the compiled part can be loaded."""
    try:
        importlib.import_module("lab._native")
    except ImportError as error:
        return Unavailable(str(error))
    return "loads"


def monotonic_clock() -> Clock:
    """The clock that every timing of a run is read from."""
    try:
        source = CLOCKSOURCE.read_text().strip()
    except OSError:
        source = "unknown"
    start_ns = time.perf_counter_ns()
    for _ in range(CLOCK_READS):
        time.monotonic_ns()
    read_ns = (time.perf_counter_ns() - start_ns) // CLOCK_READS
    return Clock(source, round(time.clock_getres(time.CLOCK_MONOTONIC) * 1e9), read_ns)


def gather() -> Facts:
    """Look at everything once."""
    ovs, datapath_types = open_vswitch()
    remains = find_remains()
    add_veth = ("ip", "link", "add", "doctor0", "type", "veth", "peer", "name", "doctor1")
    return Facts(
        system=f"{platform.system()} {platform.release()}",
        euid=os.geteuid(),
        namespaces=works(command_output("unshare", "--net", "true")),
        veth=works(command_output("unshare", "--net", *add_veth)),
        packet_sockets=packet_sockets(),
        sealed_memory=sealed_memory(),
        ovs=ovs,
        datapath_types=datapath_types,
        mnexec=shutil.which("mnexec"),
        engine=docker_engine(),
        native=native_part(),
        memory_bytes=psutil.virtual_memory().available,
        cores=len(os.sched_getaffinity(0)),
        clock=monotonic_clock(),
        open_files=resource.getrlimit(resource.RLIMIT_NOFILE)[1],
        disk_bytes=shutil.disk_usage(PROJECT).free,
        remains=Unavailable(remains) if isinstance(remains, str) else remains,
    )
