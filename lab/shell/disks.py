"""The disks of a node: a directory of its own, and the quorum volume that all nodes share.

A disk serves one call after the other in a thread of its own, because a call may have to wait. Each
key is one file, replaced in one step, so that a node that is killed leaves the old or the new, and
what it was told is written stays. That holds for the node's end, not for that of the machine under
all nodes: with it the whole run is lost, so nothing waits for the machine's own disk (fsync), which
all nodes would share.
"""

from __future__ import annotations

import contextlib
import os
import time
from asyncio import AbstractEventLoop
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Protocol
from urllib.parse import quote, unquote

from lab.shell.clock import Clock
from lab.stacks.core import DiskCall, DiskDone

_MOST_NAME_BYTES = 200
_PREFIX = "k-"
"""Of the files that are keys: no key can then be a hidden file, or one of ours."""


class Store:
    """Keys and their data as files of a directory."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        directory.mkdir(exist_ok=True)

    def read(self, key: str) -> bytes | None:
        """Return the data of a key, None when there is none."""
        try:
            return self._path(key).read_bytes()
        except FileNotFoundError:
            return None

    def write(self, key: str, data: bytes) -> None:
        """Set the data of a key in one step. OSError when that cannot be."""
        path = self._path(key)
        half = self._directory / f".{os.getpid()}.half"
        half.write_bytes(data)
        half.replace(path)

    def delete(self, key: str) -> None:
        """Remove a key, if it is there."""
        self._path(key).unlink(missing_ok=True)

    def keys(self, beginning: str = "") -> list[str]:
        """Return the keys that begin so, in order."""
        names = (path.name for path in self._directory.glob(f"{_PREFIX}*"))
        found = (unquote(name.removeprefix(_PREFIX)) for name in names)
        return sorted(key for key in found if key.startswith(beginning))

    def contents(self) -> dict[str, bytes]:
        """Return all keys with their data."""
        return {key: self._path(key).read_bytes() for key in self.keys()}

    def _path(self, key: str) -> Path:
        name = _PREFIX + quote(key, safe="")
        if len(name) > _MOST_NAME_BYTES:
            raise OSError(f"the key is too long: {key[:40]!r}...")
        return self._directory / name


def carry_out(store: Store, call: DiskCall) -> DiskDone:
    """Do a call that is not about reservations; OSError when the disk refuses."""
    match call.operation:
        case "read":
            data = store.read(call.key)
            return DiskDone(call.token, data is not None, data or b"")
        case "list":
            return DiskDone(call.token, ok=True, data="\n".join(store.keys(call.key)).encode())
        case "write":
            store.write(call.key, call.data)
        case "delete":
            store.delete(call.key)
        case _:
            return DiskDone(call.token, ok=False)
    return DiskDone(call.token, ok=True)


class Volume(Protocol):
    """What a disk call is done on."""

    def call(self, call: DiskCall) -> DiskDone:
        """Do it; OSError when the disk refuses."""


class OwnVolume:
    """The node's own disk."""

    def __init__(self, directory: Path) -> None:
        self.store = Store(directory)

    def call(self, call: DiskCall) -> DiskDone:
        """Do a call; OSError when the disk refuses."""
        return carry_out(self.store, call)


class Disk:
    """Serves the calls on one volume, in order, and tells the loop what came out.

    Args:
        on_done: takes the outcomes, in the loop.
    """

    def __init__(
        self,
        loop: AbstractEventLoop,
        volume: Volume,
        clock: Clock,
        on_done: Callable[[DiskDone], None],
    ) -> None:
        self.delay_s = 0.0
        """Virtual seconds that each call takes longer (fault ``slow-disk``)."""
        self._loop = loop
        self._volume = volume
        self._clock = clock
        self._on_done = on_done
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="disk")

    def call(self, call: DiskCall) -> None:
        """Take a call."""
        self._thread.submit(self._serve, call)

    def close(self) -> None:
        """Serve nothing more."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _serve(self, call: DiskCall) -> None:
        if self.delay_s > 0:
            time.sleep(self.delay_s * self._clock.dilation)
        try:
            done = self._volume.call(call)
        except OSError:
            done = DiskDone(call.token, ok=False)
        with contextlib.suppress(RuntimeError):  # the loop has ended
            self._loop.call_soon_threadsafe(self._on_done, done)
