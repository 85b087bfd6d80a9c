"""Hosts that are Docker containers: no network, no privileges, a read-only root.

A container sees its own directory of the lab at the same path as the lab does, and the
endpoint programs at ``/opt/lab/unet``. Its programs run as an ordinary user.
"""

import contextlib
import json
import os
import signal
import threading
from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import IO, Any

import docker
import requests
from docker.errors import APIError, DockerException, NotFound

import lab
from lab.emulation.labels import (
    KEY,
    container_name,
    host_dir,
    host_environment,
    is_lab_id,
    shared_dir,
)
from lab.emulation.state import HostState
from lab.errors import LabError

IMAGE = "lab-base:latest"
UID = 1000
UNET_IN_CONTAINER = "/opt/lab/unet"
UNET_DIR = Path(lab.__file__).resolve().parent / "unet"
REMEDY = "start Docker: `make setup`, or `service docker start`"
_ON_DISK = Path("/var/lib/docker/containers")
_TIMEOUT_S = 30
_PARALLEL = 8
_KILLED = 137


@dataclass(frozen=True)
class Box:
    """What the containers of a lab are made of."""

    image: str = IMAGE
    command: Sequence[str] = ("sleep", "infinity")
    shared: bool = False
    """Whether all containers see the lab's shared directory."""


class DockerUnreachableError(LabError):
    """The Docker daemon does not answer."""


@cache
def _client(timeout_s: int = _TIMEOUT_S) -> docker.APIClient:
    return docker.APIClient(timeout=timeout_s, version="auto", num_pools=_PARALLEL)


@contextlib.contextmanager
def _plain_errors(what: str) -> Iterator[None]:
    """Turn the Docker library's errors into ours."""
    try:
        yield
    except APIError as error:
        raise LabError(f"{what}: {error.explanation}") from None
    except (DockerException, requests.exceptions.RequestException) as error:
        raise DockerUnreachableError(
            f"{what}: the Docker daemon does not answer ({type(error).__name__})", remedy=REMEDY
        ) from None


def check(image: str = IMAGE) -> None:
    """LabError unless the daemon answers and has the image."""
    with _plain_errors("looking for the image"):
        found = _client().images(name=image)
    if not found:
        raise LabError(f"there is no image {image}", remedy="make it with `make setup`")


def foreign_names(hosts: Collection[str]) -> list[str]:
    """Return those of the container names needed that are already taken."""
    wanted = {container_name(host) for host in hosts}
    with _plain_errors("listing containers"):
        taken = {
            name.lstrip("/")
            for container in _client().containers(all=True)
            for name in container["Names"]
        }
    return sorted(wanted & taken)


def start(lab_id: str, hosts: Sequence[str], box: Box) -> dict[str, HostState]:
    """Start a container for each host, several at a time."""
    with ThreadPoolExecutor(_PARALLEL) as pool:
        states = list(pool.map(lambda host: _start_one(lab_id, host, box), hosts))
    return {state.name: state for state in states}


def _start_one(lab_id: str, host: str, box: Box) -> HostState:
    client, own = _client(), str(host_dir(lab_id, host))
    binds: dict[str, Mapping[str, str]] = {
        own: {"bind": own, "mode": "rw"},
        str(UNET_DIR): {"bind": UNET_IN_CONTAINER, "mode": "ro"},
    }
    if box.shared:
        shared = str(shared_dir(lab_id))
        binds[shared] = {"bind": shared, "mode": "rw"}
    with _plain_errors(f"starting container {container_name(host)}"):
        made = client.create_container(
            box.image,
            list(box.command),
            name=container_name(host),
            hostname=host,
            user=f"{UID}:{UID}",
            environment=host_environment(lab_id, host),
            labels={KEY: lab_id},
            working_dir=own,
            host_config=client.create_host_config(
                binds=binds,
                network_mode="none",
                read_only=True,
                tmpfs={"/tmp": "size=16m,mode=1777"},  # noqa: S108 - inside the container
                cap_drop=["ALL"],
                security_opt=["no-new-privileges"],
                pids_limit=512,
                init=True,
            ),
        )
        client.start(made["Id"])
        pid = client.inspect_container(made["Id"])["State"]["Pid"]
    if not pid:
        raise LabError(f"container {container_name(host)} ended as soon as it was started")
    return HostState(
        name=host,
        kind="container",
        pid=pid,
        netns_inode=Path(f"/proc/{pid}/ns/net").stat().st_ino,
        container_id=made["Id"],
        uid=UID,
    )


def labelled_containers() -> dict[str, tuple[str, str]]:
    """Return the containers that bear a lab's label, running or not: id -> (name, lab)."""
    with _plain_errors("listing containers"):
        every = _client().containers(all=True, filters={"label": KEY})
    return {
        container["Id"]: (container["Names"][0].lstrip("/"), container["Labels"][KEY])
        for container in every
        if is_lab_id(container["Labels"][KEY])
    }


def labelled_containers_on_disk() -> dict[str, tuple[str, str]]:
    """Return the same from the daemon's files, for when the daemon is dead."""
    found: dict[str, tuple[str, str]] = {}
    for path in _ON_DISK.glob("*/config.v2.json"):
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            record = json.loads(path.read_text())
            label = record["Config"]["Labels"][KEY]
            if is_lab_id(label):
                found[record["ID"]] = (record["Name"].lstrip("/"), label)
    return found


def remove(container_ids: Collection[str]) -> None:
    """Remove containers, running or not, several at a time."""

    def remove_one(container_id: str) -> None:
        with _plain_errors("removing a container"), contextlib.suppress(NotFound):
            _client().remove_container(container_id, force=True, v=True)

    with ThreadPoolExecutor(_PARALLEL) as pool:
        list(pool.map(remove_one, container_ids))


class ContainerProcess:
    """A program running in a container, handled like a ``subprocess.Popen``.

    ``pid`` is its number on this machine, not the one inside the container.
    """

    def __init__(
        self,
        host: HostState,
        argv: Sequence[str],
        env: Mapping[str, str],
        stdout: IO[bytes] | None,
        stderr: IO[bytes] | None,
    ) -> None:
        self._client = _client()
        self._returncode: int | None = None
        # The caller may close its files once the program is started.
        self._sinks = [_own_copy(stdout), _own_copy(stderr)]
        with _plain_errors(f"running {argv[0]} on {host.name}"):
            made = self._client.exec_create(
                host.container_id, list(argv), environment=dict(env), user=str(host.uid)
            )
            self._id: str = made["Id"]
            output = self._client.exec_start(self._id, stream=True, demux=True)
        self._pump = threading.Thread(target=self._copy, args=(output,), daemon=True)
        self._pump.start()
        self.pid = self._find_pid()
        self._pidfd = _pidfd(self.pid)

    def _find_pid(self) -> int:
        """Return the program's number, 0 when it has ended before it could be seen."""
        while True:
            with _plain_errors("asking for a program's number"):
                seen = self._client.exec_inspect(self._id)
            if seen["Pid"] or seen["ExitCode"] is not None:
                return int(seen["Pid"])
            self._pump.join(0.005)

    def _copy(self, output: Iterator[tuple[bytes | None, bytes | None]]) -> None:
        with contextlib.suppress(DockerException, requests.exceptions.RequestException, OSError):
            for chunks in output:
                for sink, chunk in zip(self._sinks, chunks, strict=True):
                    if sink is not None and chunk:
                        sink.write(chunk)
                        sink.flush()
        for sink in self._sinks:
            if sink is not None:
                sink.close()

    def poll(self) -> int | None:
        """Return the exit status, None while the program runs."""
        if self._returncode is None and not self._pump.is_alive():
            self._returncode = self._exit_status()
        return self._returncode

    def _exit_status(self) -> int:
        seen: dict[str, Any] = {}
        with contextlib.suppress(DockerException, requests.exceptions.RequestException):
            seen = self._client.exec_inspect(self._id)
        status = seen.get("ExitCode")
        # The output also ends when the container or the daemon is gone.
        return _KILLED if status is None else int(status)

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the end and return the exit status; TimeoutError when it takes longer."""
        self._pump.join(timeout)
        status = self.poll()
        if status is None:
            raise TimeoutError(f"process {self.pid} still runs after {timeout} s")
        return status

    def kill(self) -> None:
        """End the program at once."""
        if self._pidfd is not None:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)

    def __del__(self) -> None:
        pidfd: int | None = getattr(self, "_pidfd", None)
        if pidfd is not None:
            os.close(pidfd)


def _own_copy(stream: IO[bytes] | None) -> IO[bytes] | None:
    return None if stream is None else os.fdopen(os.dup(stream.fileno()), "ab", buffering=0)


def _pidfd(pid: int) -> int | None:
    """Return a handle that stays with the process, None when it has ended already."""
    if not pid:
        return None
    try:
        return os.pidfd_open(pid)
    except ProcessLookupError:
        return None
