"""The fabric model in virtual time, driven from an event queue; no clock, no network.

The same compiled state machine as the line cards' (``lab/native/model.h``) under the simulator's
driver (``lab/native/virtual.h``), with the rules of the endpoint programs: greedy, paced and
silent senders that follow a list of changes, sinks that take everything, pings and their echoes.
Times are virtual nanoseconds. A run is a pure function of what the fabric was built from and two
seeds; `VirtualFabric.digest` stands for the whole of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import numpy.typing as npt

from lab._native import ffi, lib
from lab.errors import LabError
from lab.fabric.setup import Change, Setup

NONE = 0xFFFFFFFF
LATENCY_BUCKETS = int(lib.MEASURE_BUCKETS)

BIN = np.dtype([("t_ns", "i8"), ("messages", "i8"), ("bytes", "i8"), ("latency_sum_ns", "i8")])
WINDOW = np.dtype(
    [
        ("messages", "i8"),
        ("bytes", "i8"),
        ("latency_sum_ns", "i8"),
        ("latency_min_ns", "i8"),
        ("latency_max_ns", "i8"),
        ("gaps", "i8"),
        ("gap_sum_ns", "i8"),
        ("gap_min_ns", "i8"),
        ("gap_max_ns", "i8"),
        ("last_ns", "i8"),
        ("gap_square_sum_us2", "f8"),
        ("buckets", "u4", (LATENCY_BUCKETS,)),
    ]
)
SERIES: dict[str, tuple[int, np.dtype[np.void]]] = {
    "queues": (
        lib.VD_QUEUES,
        np.dtype([("t_ns", "i8"), ("port", "i4"), ("vc", "i4"), ("cells", "i4"), ("frames", "i4")]),
    ),
    "events": (
        lib.VD_EVENTS,
        np.dtype([("t_ns", "i8"), ("port", "i4"), ("vc", "i4"), ("kind", "i4"), ("hop", "i4")]),
    ),
    "links": (
        lib.VD_LINKS,
        np.dtype(
            [
                ("t_ns", "i8"),
                ("busy_ns", "i8"),
                ("wait_ns", "i8"),
                ("port", "i4"),
                ("frames", "i4"),
                ("cells", "i4"),
                ("control", "i4"),
            ]
        ),
    ),
}


class VirtualFabric:
    """A fabric under construction, then running.

    Build it with `add_switch`, `add_host`, `add_port` and `add_vc`, say what to measure with
    `observe`, give it traffic with `add_flow`, then call `run` as often as wanted and read the
    rest. Nodes, ports and VCs are numbers from 0 in the order of adding; ``add_vc`` makes two:
    forward, and forward + 1 for the reverse.

    Args:
        params: thresholds, see `lab.fabric.setup.native_params`.
        setup: what else holds for all of it, see `lab.fabric.setup.setup_of`.
        nodes, ports, vcs, queues, frames: capacities; unused ones cost nothing.
    """

    def __init__(
        self,
        params: dict[str, int],
        setup: Setup | None = None,
        *,
        nodes: int = 1024,
        ports: int = 8192,
        vcs: int = 16384,
        queues: int = 131072,
        frames: int = 1 << 24,
    ) -> None:
        native = lib.fab_new(ffi.new("fab_params *", params), nodes, ports, vcs, queues, frames)
        if native == ffi.NULL:
            raise LabError("not enough memory for the fabric model")
        self._fabric = ffi.gc(native, lib.fab_free)
        options = ffi.new("vd_options *", asdict(setup or Setup()))
        drive = lib.vd_new(native, options)
        if drive == ffi.NULL:
            raise LabError("not enough memory for the simulator")
        self._drive = ffi.gc(drive, lib.vd_free)
        self._bin_ns = 0
        self._windows = 0

    # -- construction -------------------------------------------------------------------------

    def add_switch(self, buffer_cells: int) -> int:
        """Add a switch with a shared memory of that size; return its number."""
        return _checked(lib.fab_add_node(self._fabric, lib.FAB_SWITCH, buffer_cells))

    def add_host(self) -> int:
        """Add a host; return its number."""
        return _checked(lib.fab_add_node(self._fabric, lib.FAB_HOST, 0))

    def add_port(
        self,
        node: int,
        peer: int,
        *,
        cell_ns: int = 424,
        least_ns: int = 0,
        propagation_ns: int = 100,
    ) -> int:
        """Add the transmitter from ``node`` to ``peer``; return its number.

        Args:
            node, peer: from where to where.
            cell_ns: time that a cell takes on the link.
            least_ns: least time between two messages (a host's message rate, either way).
            propagation_ns: delay along the link; a switch behind it adds its latency.
        """
        port = lib.fab_add_port(self._fabric, node, peer, cell_ns, least_ns, propagation_ns)
        return _checked(port)

    def add_vc(self, forward: Sequence[int], reverse: Sequence[int]) -> int:
        """Open a duplex VC over these ports, host to host; return the forward direction's number.

        Raises:
            ValueError: the ports do not join up.
        """
        there = _checked(lib.fab_add_vc(self._fabric, list(forward), len(forward)))
        back = _checked(lib.fab_add_vc(self._fabric, list(reverse), len(reverse)))
        lib.fab_pair(self._fabric, there, back)
        return there

    def observe(
        self, *, bin_ns: int = 0, windows: Sequence[tuple[int, int]] = (), sample_ns: int = 0
    ) -> None:
        """Say what to measure; once, before the first flow.

        Args:
            bin_ns: width of the bins of messages; 0 is none.
            windows: (from, until before) each, in the order of time, not overlapping.
            sample_ns: interval of the series of queues and links; 0 is none.
        """
        flat = [time for window in windows for time in window]
        if lib.vd_observe(self._drive, bin_ns, flat, len(windows), sample_ns) < 0:
            raise LabError("not enough memory for the simulator")
        self._bin_ns = bin_ns
        self._windows = len(windows)

    def add_flow(
        self,
        vc: int,
        changes: Sequence[tuple[int, float, int, float]],
        *,
        end_ns: int,
        echo: bool = False,
        phase: float = 0.0,
        host_send_ns: int = 0,
        host_receive_ns: int = 0,
    ) -> None:
        """Let a stream use a VC (by its forward number): from its source, or to and fro.

        Args:
            vc: the circuit; it carries one stream.
            changes: what the source does when, by rising time; see `Change`.
            end_ns: nothing new is sent from here on; what waits in the send queue still goes.
            echo: a ping that waits for the echo of each message before the next.
            phase: 0..1, part of the interval by which the messages of a paced source are
                shifted, so that sources of the same pace do not send at the same instants.
            host_send_ns: process: from wanting to send to the descriptor in the send queue;
                only pings and pongs wait for it.
            host_receive_ns: process: from delivery to having the message, signals included.
        """
        native = ffi.new("vd_change[]", [_native_change(Change(*change)) for change in changes])
        if (
            lib.vd_add_flow(
                self._drive,
                vc,
                native,
                len(changes),
                echo,
                phase,
                host_send_ns,
                host_receive_ns,
                end_ns,
            )
            < 0
        ):
            raise LabError("not enough memory for the simulator")

    # -- running ------------------------------------------------------------------------------

    def run(self, until_ns: int, *, checking: bool = False) -> int:
        """Run up to a time; return the number of events done. May be called again and again.

        Args:
            until_ns: virtual time.
            checking: verify the model's accounting after every event (slow).
        """
        self._drive.checking = checking
        return int(lib.vd_run(self._drive, until_ns))

    @property
    def now_ns(self) -> int:
        """The virtual time."""
        return int(self._drive.now)

    @property
    def broken(self) -> str | None:
        """What makes the run worthless, or None: it stops when that happens."""
        found = int(self._drive.broken) or int(lib.fab_check(self._fabric))
        if found == lib.VD_OVERFLOW:
            return f"a frame found no room in the memory of node {self._drive.broken_node}"
        if found == lib.VD_NO_FRAMES:
            return "the pool of frames is too small"
        return f"rule {found} of fab_check is broken" if found else None

    @property
    def overflowed_node(self) -> int | None:
        """The switch whose memory had no room for a frame, or None."""
        overflow = self._drive.broken == lib.VD_OVERFLOW
        return int(self._drive.broken_node) if overflow else None

    @property
    def digest(self) -> int:
        """A number over all deliveries and flow control signals: equal runs, equal numbers."""
        return int(self._drive.digest)

    @property
    def events_done(self) -> int:
        """Events handled so far."""
        return int(self._drive.events_done)

    # -- reading out --------------------------------------------------------------------------

    def bins(self, vc: int, end: int) -> npt.NDArray[np.void]:
        """Return the bins in which something happened at an end of a stream, as `BIN` rows.

        Args:
            vc: the stream's circuit.
            end: 0 is the source, 1 the sink. A sender counts by when the adapter took a message
                (latency: in the send queue), a receiver and a pong by delivery (latency: in the
                network), a ping by the echo's delivery (latency: the round trip).
        """
        kept = self._end(vc, end)
        if kept.bin == ffi.NULL:
            return np.empty(0, BIN)
        raw = np.frombuffer(ffi.buffer(kept.bin, kept.bins * 24), np.int64).reshape(-1, 3)
        used = np.flatnonzero(raw[:, 0])
        rows = np.empty(len(used), BIN)
        rows["t_ns"] = used * self._bin_ns
        for column, name in enumerate(("messages", "bytes", "latency_sum_ns")):
            rows[name] = raw[used, column]
        return rows

    def window_stats(self, vc: int, end: int) -> npt.NDArray[np.void]:
        """Return one `WINDOW` row for each window of `observe`, for an end of a stream.

        ``buckets`` counts latencies: value v below 8 in bucket v, else, with e the place of its
        highest bit, in bucket (e - 2) * 8 + its three bits below that one.
        """
        kept = self._end(vc, end)
        if kept.window == ffi.NULL:
            return np.zeros(self._windows, WINDOW)
        size = self._windows * ffi.sizeof("measure_window")
        return np.frombuffer(ffi.buffer(kept.window, size), WINDOW).copy()

    def totals(self, vc: int, end: int) -> tuple[int, int]:
        """Return the messages and bytes that an end of a stream has counted."""
        kept = self._end(vc, end)
        return int(kept.messages), int(kept.bytes)

    def in_send_queue(self, vc: int) -> int:
        """Return how many messages of a direction wait in the process's send queue."""
        sender = self._drive.sender[vc]
        return int(sender.head) - int(sender.tail) & NONE

    def send_queue_bytes(self, vc: int) -> int:
        """Return the bytes of those messages."""
        sender = self._drive.sender[vc]
        slots = range(sender.tail, sender.tail + self.in_send_queue(vc))
        return sum(int(sender.bytes[slot % lib.VD_SEND_SLOTS]) for slot in slots)

    def messages_sent(self, vc: int) -> int:
        """Return how many messages of a direction the adapter has taken from the send queue."""
        return int(self._drive.sender[vc].number)

    def messages_open(self, vc: int) -> int:
        """Return how many messages of a direction are in the network or were lost at its end."""
        return (int(self._drive.sender[vc].number) - int(self._drive.reassembly[vc].number)) & NONE

    def blocked_ns(self, vc: int) -> int:
        """Return how long a paced source was kept from sending by a full send queue."""
        return int(self._drive.flow[vc].blocked_ns)

    def unanswered(self, vc: int) -> int:
        """Return how many pings of a stream had no echo in time."""
        return int(self._drive.flow[vc].unanswered)

    def counters(self) -> dict[str, int]:
        """Return totals by the names in ``vd_counters``, and what is under way.

        Frames are conserved: ``frames_sent`` = ``frames_arrived`` + ``frames_lost_on_purpose`` +
        ``overflow`` + data frames under way; ``frames_under_way`` counts control cells too.
        """
        count = self._drive.count
        found = {name: int(getattr(count, name)) for name, _ in ffi.typeof("vd_counters").fields}
        found["frames_under_way"] = int(self._fabric.frames_used)
        found["control_under_way"] = found["control_sent"] - found["control_arrived"]
        for name, (which, _) in SERIES.items():
            found[f"series_lost_{name}"] = int(self._drive.series[which].lost)
        return found

    def series(self, name: str) -> npt.NDArray[np.void]:
        """Return "queues", "events" or "links" as rows of the line cards' types.

        ``port`` and ``vc`` are this fabric's numbers; vc -1 is the whole of a port.
        """
        which, dtype = SERIES[name]
        kept = self._drive.series[which]
        if dtype.itemsize != kept.row_bytes:
            raise AssertionError("row types of virtual.py and series.h differ")
        return np.frombuffer(ffi.buffer(kept.at, kept.rows * kept.row_bytes), dtype).copy()

    def node_frames(self, node: int) -> tuple[int, int]:
        """Return the frames and control cells that came into a switch, and that it gave out."""
        return int(self._drive.node_in[node]), int(self._drive.node_out[node])

    def peak_cells(self, node: int) -> int:
        """Return the most cells that a switch's memory has held."""
        return int(self._fabric.node[node].peak_cells)

    def overflow_cells(self, node: int) -> int:
        """Return the cells that a switch's memory had no room for."""
        return int(self._fabric.node[node].overflow_cells)

    def queued_cells(self, port: int) -> int:
        """Return the cells that wait at a port or are being sent by it."""
        return int(self._fabric.port[port].queued_cells)

    def held(self, vc: int) -> bool:
        """Tell whether the source of a VC is quenched."""
        return bool(self._fabric.vc[vc].quenched_by)

    def port_busy_ns(self, port: int) -> int:
        """Return the time that a port has been sending."""
        return int(self._fabric.port[port].busy_ns)

    def _end(self, vc: int, end: int) -> Any:
        flow = self._drive.flow[vc]
        if not flow.used:
            raise ValueError(f"VC {vc} carries no stream from its source")
        return flow.end[end]


def _native_change(change: Change) -> tuple[int, float, int]:
    if change.rate <= 0:
        return change.t_ns, -1.0, change.message_bytes
    if change.rate >= 1:
        return change.t_ns, 0.0, change.message_bytes
    if change.interval_ns <= 0:
        raise ValueError("a paced sender needs an interval")
    return change.t_ns, change.interval_ns, change.message_bytes


def _checked(index: int) -> int:
    if index == NONE:
        raise ValueError("no room, or the ports do not join up")
    return index
