"""What stands on this machine, as one file: ``/run/lab/current/state.json``.

The file serves the commands that come after ``lab up``. Clean-up does not depend on it: it
goes by labels, so it works with the file missing or half-written. One lock lets one process
at a time build, change or remove; the kernel drops it when its holder dies.
"""

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import msgspec

from lab.emulation.labels import RUN_ROOT, lab_dir
from lab.errors import LabError
from lab.signalling import Vc

__all__ = [
    "CURRENT",
    "HostKind",
    "HostState",
    "LabState",
    "lab_dir",
    "load_state",
    "machine_lock",
    "save_state",
    "standing_lab",
]

CURRENT = RUN_ROOT / "current"
LOCK = RUN_ROOT / "lock"
STATE_FILE = "state.json"

HostKind = Literal["mininet", "container"]


class HostState(msgspec.Struct):
    """A host: the process that holds its namespaces, and the user its programs run as."""

    name: str
    kind: HostKind
    pid: int
    netns_inode: int
    container_id: str | None
    uid: int


class LabState(msgspec.Struct):
    """A lab. ``ready`` turns true when all of it stands; ``owner`` says who removes it:
    a scenario's ``run``, or the user's ``hand``.
    """

    lab_id: str
    topology: str
    dilation: float
    seed: int
    created_at: float
    owner: Literal["run", "hand"] = "hand"
    run_dir: str | None = None
    ready: bool = False
    linecards_pid: int = 0
    medium_pid: int = 0
    """Of an Ethernet lab, which has a medium in place of line cards."""
    stack: str = ""
    """The stack that its nodes n1..n<nodes> run, empty when it has none."""
    nodes: int = 0
    hosts: dict[str, HostState] = msgspec.field(default_factory=dict)
    vcs: list[Vc] = msgspec.field(default_factory=list)
    next_vc_id: int = 1

    @property
    def directory(self) -> Path:
        """The lab's run-time directory."""
        return lab_dir(self.lab_id)

    @property
    def control_socket(self) -> Path:
        """Where the line cards take commands."""
        return self.directory / "linecards.sock"

    @property
    def medium_socket(self) -> Path:
        """Where the medium of an Ethernet lab takes commands."""
        return self.directory / "medium.sock"

    def host(self, name: str) -> HostState:
        """Return a host; LabError listing the hosts when there is none of that name."""
        try:
            return self.hosts[name]
        except KeyError:
            names = ", ".join(sorted(self.hosts, key=lambda host: (len(host), host)))
            raise LabError(
                f"{name} is not a host of this lab", remedy=f"its hosts: {names or 'none'}"
            ) from None

    def check_fabric(self) -> None:
        """LabError when the lab is an Ethernet lab, which has neither VCs nor line cards."""
        if self.medium_pid:
            raise LabError(
                f"{self.topology} forwards by Ethernet's addresses: it has no VCs or line cards",
                remedy="`lab down`, then for instance `lab up fat_tree`",
            )

    def vc(self, vc_id: int) -> Vc:
        """Return an open circuit; LabError when there is none of that id."""
        for vc in self.vcs:
            if vc.id == vc_id:
                return vc
        raise LabError(f"there is no circuit {vc_id}", remedy="see `lab vc list`")


def save_state(state: LabState) -> None:
    """Write the state whole or not at all, and make it the current one."""
    path = state.directory / STATE_FILE
    partial = path.with_suffix(".new")
    partial.write_bytes(msgspec.json.encode(state))
    partial.replace(path)
    if not CURRENT.is_symlink():
        CURRENT.symlink_to(state.lab_id)


def load_state() -> LabState:
    """Read the state of the lab that stands.

    LabError when none stands, when it is still being built, or when the file is damaged.
    """
    try:
        data = (CURRENT / STATE_FILE).read_bytes()
    except FileNotFoundError:
        raise LabError("no lab is standing", remedy="build one with `lab up fat_tree`") from None
    except PermissionError:
        raise LabError("the lab belongs to root", remedy="run this command as root") from None
    try:
        state = msgspec.json.decode(data, type=LabState)
    except msgspec.MsgspecError as error:
        raise LabError(
            f"the lab's record {CURRENT / STATE_FILE} is damaged: {error}",
            remedy="remove the lab with `lab down`",
        ) from None
    if not state.ready:
        raise LabError(
            f"{state.lab_id} is not complete: it is still being built, or its building broke off",
            remedy="wait, or remove it with `lab down`",
        )
    return state


def standing_lab() -> LabState | None:
    """Return what the current record says, complete lab or not; None without a readable one."""
    try:
        return msgspec.json.decode((CURRENT / STATE_FILE).read_bytes(), type=LabState)
    except (OSError, msgspec.MsgspecError):
        return None


def _lock_holder(fd: int) -> str:
    holder = os.pread(fd, 100, 0).decode(errors="replace").strip()
    return f" (process {holder})" if holder else ""


@contextlib.contextmanager
def machine_lock(purpose: str, wait_s: float = 0.0) -> Iterator[None]:
    """Hold the right to build, change or remove a lab on this machine.

    LabError when another process holds it for longer than ``wait_s``. The lock's file goes
    away with the last lab.
    """
    try:
        RUN_ROOT.mkdir(mode=0o755, exist_ok=True)
        fd = _acquire(time.monotonic() + wait_s)
    except PermissionError:
        raise LabError(f"{purpose} needs root", remedy="run the command as root") from None
    try:
        os.ftruncate(fd, 0)
        os.pwrite(fd, f"{os.getpid()}: {purpose}".encode(), 0)
        yield
    finally:
        if not any(RUN_ROOT.glob("lab-*")):
            LOCK.unlink(missing_ok=True)
            with contextlib.suppress(OSError):
                RUN_ROOT.rmdir()
        os.close(fd)


def _acquire(deadline: float) -> int:
    while True:
        RUN_ROOT.mkdir(mode=0o755, exist_ok=True)
        try:
            fd = os.open(LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except FileNotFoundError:
            continue  # the last holder removed the directory just now
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = _lock_holder(fd)
            os.close(fd)
            if time.monotonic() >= deadline:
                raise LabError(
                    f"another command is building or removing a lab{holder}",
                    remedy="wait for it, or end it and run `lab down`",
                ) from None
            time.sleep(0.05)
            continue
        if _is_current(fd):
            return fd
        os.close(fd)


def _is_current(fd: int) -> bool:
    """Tell whether the locked file is still the one that others will open."""
    try:
        return os.path.samestat(os.fstat(fd), LOCK.stat())
    except FileNotFoundError:
        return False
