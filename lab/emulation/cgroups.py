"""Where the kernel keeps the control groups of a container, version 1 or 2."""

from __future__ import annotations

from pathlib import Path

ROOT = Path("/sys/fs/cgroup")


def group_of_process(pid: int, controller: str) -> Path:
    """Return the directory of the control group that a process is in; OSError when it is gone."""
    found = group_path(Path(f"/proc/{pid}/cgroup").read_text(), controller)
    if found is None:
        raise FileNotFoundError(f"process {pid} is in no control group of {controller}")
    return found


def group_path(cgroups: str, controller: str, root: Path = ROOT) -> Path | None:
    """Return the same from the text of /proc/PID/cgroup; None when it names no such group."""
    unified = None
    for line in cgroups.splitlines():
        _, controllers, path = line.split(":", 2)
        if not controllers:
            unified = root / path.lstrip("/")
        elif controller in controllers.split(","):
            for folder in (root / controller, root / controllers):
                if folder.is_dir():
                    return folder / path.lstrip("/")
    return unified


def members(group: Path) -> list[int]:
    """Return the processes of a control group; none when it is gone."""
    try:
        return [int(word) for word in (group / "cgroup.procs").read_text().split()]
    except OSError:
        return []
