"""Sends frames into the bare chain at a given rate and counts what comes out at its end."""

import socket
import time
from types import TracebackType
from typing import Self

from lab._native import ffi, lib
from lab.bench.chain import ENTRY, EXIT, QUANTUM_US
from lab.bench.load import Trial
from lab.emulation.netlink import inside
from lab.emulation.veth import NETNS_PATH
from lab.errors import LabError

_SETTLE_S = 0.3
_RING_FRAMES = 8192
_MPLS = 0x8847
"""Its Ethernet protocol."""
_MAGIC = bytes.fromhex("020000000002020000000001") + _MPLS.to_bytes(2, "big")
_TTL = 64


def mpls_frame(label: int, length: int) -> bytes:
    """Return an Ethernet frame of that length with one MPLS entry."""
    entry = (label << 12 | 1 << 8 | _TTL).to_bytes(4, "big")
    return (_MAGIC + entry).ljust(length, b"\0")


class Generator:
    """Sender and sink in the line cards' namespace. LabError when its sockets are refused."""

    def __init__(self, label: int, frame_bytes: int) -> None:
        with inside(NETNS_PATH):
            self._entry = socket.if_nametoindex(ENTRY)
            self._exit = socket.if_nametoindex(EXIT)
            self._wire = lib.wire_open(_RING_FRAMES, frame_bytes, _MPLS)
        if self._wire == ffi.NULL:
            raise LabError("the packet sockets of the load generator cannot be opened")
        self._bytes = frame_bytes
        self._frame = ffi.new("uint8_t[]", mpls_frame(label, frame_bytes))
        self._length, self._from = ffi.new("uint32_t *"), ffi.new("int *")
        self._stamp = ffi.new("int64_t *")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        lib.wire_close(self._wire)

    def _send(self, count: int) -> int:
        for _ in range(count):
            if lib.wire_send(self._wire, self._entry, self._frame, self._bytes):
                lib.wire_flush(self._wire)
        return int(lib.wire_flush(self._wire))

    def _drain(self) -> int:
        count = 0
        while lib.wire_next(self._wire, self._length, self._from, self._stamp) != ffi.NULL:
            count += self._from[0] == self._exit and self._length[0] == self._bytes
            lib.wire_release(self._wire)
        return count

    def trial(self, frames_per_s: float, seconds: float) -> Trial:
        """Offer a load in bursts as the line cards make them, one a quantum."""
        self._send(10)  # the first frames set up the flow caches
        time.sleep(_SETTLE_S)
        self._drain()
        started_s = time.monotonic()
        sent = got = 0
        while (elapsed_s := time.monotonic() - started_s) < seconds:
            due = int(elapsed_s * frames_per_s) - sent
            self._send(due)
            sent += due
            got += self._drain()
            time.sleep(QUANTUM_US / 1e6)
        rate = sent / (time.monotonic() - started_s)
        time.sleep(_SETTLE_S)
        got += self._drain()
        return Trial(offered=frames_per_s, carried=rate * got / max(sent, 1), lost=sent - got)
