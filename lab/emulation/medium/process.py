"""The medium's loop in real time: frames in, frames out, and how late they were.

Virtual time is real time since the last ``begin``, divided by the dilation. A frame's moment of
entry is the kernel's stamp, so that a busy processor does not delay it twice; it is put out at the
first turn of the loop after it is due.
"""

from __future__ import annotations

import os
import select
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lab._native import ffi, lib
from lab.emulation.medium.lan import Ends, Lan
from lab.errors import LabError
from lab.ethernet.agenda import NS, Agenda
from lab.ethernet.chance import chance
from lab.ethernet.frames import Frame
from lab.ethernet.paths import Paths
from lab.stacks.lateness import Histogram
from lab.stacks.plan import NetworkPlan

_EVERY_PROTOCOL = 0x0003
_RING_FRAMES = 8192
_FRAME_BYTES = 2048
_BATCH_FRAMES = 32
"""So many frames are put out at once at most: the first should not wait for the last."""
_LONGEST_REST_S = 1.0
_TURN_NS, _TURNS_AT_ONCE = 300_000, 64
"""Turns may follow each other at once as long as there were no more of them, over time, than one in
so long. Each costs this process and Open vSwitch a wake-up, so that under heavy traffic frames wait
for each other, for at most that time, instead of costing all of the processors."""


@dataclass(frozen=True)
class Setting:
    """What holds from one ``begin`` to the next."""

    networks: Sequence[NetworkPlan]
    dilation: float
    seed: int
    epoch_ns: int
    """CLOCK_MONOTONIC at virtual time 0 of the logs."""
    hosts: int
    """Hosts 1..hosts are switched on."""


@dataclass
class Collision:
    """Frames that met on a hub."""

    t_s: float
    network: int
    hosts: list[int]


class Medium:
    """All networks, and the socket to every interface in the medium's namespace.

    Args:
        ends: network -> host -> the interfaces of its link.
        setting: what holds until the first ``begin``.
    """

    def __init__(self, ends: Sequence[Mapping[int, Ends]], setting: Setting) -> None:
        self._ends = ends
        self._hosts = {
            end.host_if: (network, host)
            for network, of in enumerate(ends)
            for host, end in of.items()
        }
        self._switch_ports = {
            end.switch_if: (network, host)
            for network, of in enumerate(ends)
            for host, end in of.items()
            if end.switch_if is not None
        }
        wire = lib.wire_open(_RING_FRAMES, _FRAME_BYTES, _EVERY_PROTOCOL)
        if wire == ffi.NULL:
            raise LabError(f"the packet socket cannot be opened: {os.strerror(ffi.errno)}")
        self._wire = ffi.gc(wire, lib.wire_close)
        self.fd: int = lib.wire_fd(self._wire)
        self._batch: list[tuple[int, object]] = []
        """When each frame was due, and its bytes, which must stay until they are sent."""
        self._paced_ns = 0
        self._bytes, self._ifindex = ffi.new("uint32_t *"), ffi.new("int *")
        self._stamp = ffi.new("int64_t *")
        self.begin(setting)

    def begin(self, setting: Setting) -> None:
        """Forget everything, and begin anew with other networks."""
        if len(setting.networks) > len(self._ends):
            raise LabError(f"there are {len(self._ends)} networks, not {len(setting.networks)}")
        draw = chance(setting.seed)
        self.setting = setting
        self.late = Histogram()
        self.collisions: list[Collision] = []
        self.refused = 0
        self._drops_before = lib.wire_drops(self._wire)
        self._base_ns = time.monotonic_ns()
        self.agenda = Agenda(draw.getrandbits(64))
        self.paths = Paths(self.agenda, draw.getrandbits(64), self._deliver)
        self.lans = [
            Lan(
                number, setting.hosts, plan, self._ends[number], self.agenda, self.paths,
                self._put_out, draw.getrandbits(64), self._collided,
            )
            for number, plan in enumerate(setting.networks)
        ]  # fmt: skip

    def ring_drops(self) -> int:
        """Frames that came faster than they were taken, since ``begin``."""
        return int(lib.wire_drops(self._wire) - self._drops_before)

    # --- time ------------------------------------------------------------------------------

    def _virtual_ns(self, monotonic_ns: int) -> int:
        return int((monotonic_ns - self._base_ns) / self.setting.dilation)

    def _real_ns(self, virtual_ns: int) -> int:
        return self._base_ns + int(virtual_ns * self.setting.dilation)

    def log_time_s(self) -> float:
        """The present moment on the clock of the logs."""
        real_ns = self._real_ns(self.agenda.now_ns) - self.setting.epoch_ns
        return real_ns / NS / self.setting.dilation

    # --- what happens ----------------------------------------------------------------------

    def _deliver(self, host: int, frame: Frame) -> None:
        self.lans[frame.network].deliver(host, frame.item)

    def _collided(self, network: int, hosts: Sequence[int]) -> None:
        self.collisions.append(Collision(self.log_time_s(), network, list(hosts)))

    def _put_out(self, ifindex: int, data: bytes) -> None:
        kept = ffi.from_buffer(data)
        self._batch.append((self.agenda.now_ns, kept))
        lib.wire_send(self._wire, ifindex, kept, len(data))
        if len(self._batch) == _BATCH_FRAMES:
            self._flush()

    def _flush(self) -> None:
        if not self._batch:
            return
        self.refused += lib.wire_flush(self._wire)
        now_ns = self._virtual_ns(time.monotonic_ns())
        for due_ns, _ in self._batch:
            self.late.add((now_ns - due_ns) / NS)
        self._batch.clear()

    def _received(self, ifindex: int, data: bytes) -> None:
        if ifindex in self._hosts:
            network, host = self._hosts[ifindex]
            if network < len(self.lans):
                self.lans[network].from_host(host, data)
        elif ifindex in self._switch_ports:
            network, host = self._switch_ports[ifindex]
            if network < len(self.lans):
                self.lans[network].from_switch(host, data)

    def turn(self) -> None:
        """Take what has come, let happen what is due, put out what comes of it."""
        monotonic_ns, calendar_ns = time.monotonic_ns(), time.time_ns()
        credit_ns = _TURNS_AT_ONCE * _TURN_NS
        self._paced_ns = max(self._paced_ns, monotonic_ns - credit_ns) + _TURN_NS
        now_ns = self._virtual_ns(monotonic_ns)
        wire, entry = self._wire, (self._bytes, self._ifindex, self._stamp)
        while (at := lib.wire_next(wire, *entry)) != ffi.NULL:
            data = bytes(ffi.buffer(at, self._bytes[0]))
            entered_ns = self._virtual_ns(monotonic_ns - (calendar_ns - self._stamp[0]))
            lib.wire_release(wire)
            self.agenda.run(min(entered_ns, now_ns))
            self._received(self._ifindex[0], data)
        self.agenda.run(now_ns)
        self._flush()

    def rest(self, other_fd: int) -> bool:
        """Sleep until a frame comes, something is due, or ``other_fd`` is ready; tell the last."""
        self._sleep_until(self._paced_ns)
        due_ns = self.agenda.next_ns
        rest_s = _LONGEST_REST_S
        if due_ns is not None:
            rest_s = min(rest_s, max(0.0, (self._real_ns(due_ns) - time.monotonic_ns()) / NS))
        ready, _, _ = select.select([self.fd, other_fd], [], [], rest_s)
        return other_fd in ready

    @staticmethod
    def _sleep_until(monotonic_ns: int) -> None:
        left_ns = monotonic_ns - time.monotonic_ns()
        if left_ns > 0:
            time.sleep(left_ns / NS)
