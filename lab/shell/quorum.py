"""The quorum volume: a directory that all nodes see, and that one node at a time may use.

It stands for a disk that every node is cabled to, with reservations as SCSI has them. Who holds it
and when it was last renewed is a file of the directory; every call looks at that file and does its
work under one lock, so that a node that lost the reservation, because it was paused for too long,
can never write once another node has it. The kernel releases the lock of a process that dies; one
that is paused while it holds the lock (for some 0.1 ms a call) keeps all others from the disk until
it goes on, which is safe, and they are told that their calls failed.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from lab.shell.clock import Clock
from lab.shell.disks import Store, carry_out
from lab.stacks.core import DiskCall, DiskDone, NodeId

_LOCK, _RESERVATION = "lock", "reservation"
_LOCK_TIMEOUT_S, _LOCK_RETRY_S = 1.0, 0.002


class Reservation(msgspec.Struct, frozen=True):
    """Who holds the volume (0: nobody), and at what common virtual time it said so last."""

    holder: NodeId = 0
    renewed_s: float = 0.0


class QuorumVolume:
    """The shared volume as one node sees it.

    Args:
        reservation_s: a holder that has not renewed for so long may lose it to another node.
    """

    def __init__(self, directory: Path, node: NodeId, clock: Clock, reservation_s: float) -> None:
        self.cut = False
        """The node cannot reach the volume (fault ``quorum-cut``)."""
        self._directory = directory
        self._node = node
        self._clock = clock
        self._reservation_s = reservation_s
        self._store = Store(directory / "data")

    def call(self, call: DiskCall) -> DiskDone:
        """Do a call; OSError when the disk refuses or cannot be reached in time."""
        if self.cut:
            raise OSError("the node is cut off from the quorum volume")
        with self._locked():
            now_s = self._clock.now_s()
            if call.operation == "reserve":
                return DiskDone(call.token, self._reserve(now_s))
            if self._read().holder != self._node:
                return DiskDone(call.token, ok=False)
            if call.operation == "renew":
                self._write(Reservation(self._node, now_s))
            elif call.operation == "release":
                self._write(Reservation())
            else:
                return carry_out(self._store, call)
            return DiskDone(call.token, ok=True)

    def _reserve(self, now_s: float) -> bool:
        current = self._read()
        expired = now_s - current.renewed_s > self._reservation_s
        if current.holder not in (0, self._node) and not expired:
            return False
        self._write(Reservation(self._node, now_s))
        return True

    def _read(self) -> Reservation:
        try:
            data = (self._directory / _RESERVATION).read_bytes()
        except FileNotFoundError:
            return Reservation()
        return msgspec.json.decode(data, type=Reservation)

    def _write(self, reservation: Reservation) -> None:
        half = self._directory / f".{_RESERVATION}"
        half.write_bytes(msgspec.json.encode(reservation))
        half.replace(self._directory / _RESERVATION)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        file = os.open(self._directory / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            deadline_s = time.monotonic() + _LOCK_TIMEOUT_S
            while True:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() > deadline_s:
                        raise
                time.sleep(_LOCK_RETRY_S)
            yield
        finally:
            os.close(file)
