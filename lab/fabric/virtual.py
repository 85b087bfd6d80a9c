"""The fabric model in virtual time, driven from an event queue; no clock, no network.

The same compiled state machine as the line cards' (``lab/native/model.h``), with sources that are
greedy or paced and sinks that take everything. Times are virtual nanoseconds.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from lab._native import ffi, lib

NONE = 0xFFFFFFFF


@dataclass(frozen=True)
class Flow:
    """Counters of one VC: frames taken into the network and given out of it."""

    sent: int
    delivered: int
    delivered_cells: int
    latency_sum_ns: int


class VirtualFabric:
    """A fabric under construction, then running.

    Args:
        params: thresholds by their names in ``fab_params`` (``flow_control`` 1 is quench, 0 link
            level).
        seed: orders simultaneous events; 0 is the order in which they came about.
        switch_latency_ns: time from a link's end to the next queue.
        window: frames that a host adapter holds of one VC.
        nodes, ports, vcs, queues, frames: capacities.
    """

    def __init__(
        self,
        params: dict[str, int],
        *,
        seed: int = 0,
        switch_latency_ns: int = 1000,
        window: int = 4,
        nodes: int = 256,
        ports: int = 1024,
        vcs: int = 1024,
        queues: int = 8192,
        frames: int = 65536,
    ) -> None:
        native = lib.fab_new(ffi.new("fab_params *", params), nodes, ports, vcs, queues, frames)
        if native == ffi.NULL:
            raise MemoryError("fabric model")
        self._fabric = ffi.gc(native, lib.fab_free)
        self._drive = ffi.gc(lib.vd_new(native, seed, switch_latency_ns, window), lib.vd_free)

    def add_switch(self, buffer_cells: int) -> int:
        """Add a switch with a shared memory of that size; return its number."""
        return self._checked(lib.fab_add_node(self._fabric, lib.FAB_SWITCH, buffer_cells))

    def add_host(self) -> int:
        """Add a host; return its number."""
        return self._checked(lib.fab_add_node(self._fabric, lib.FAB_HOST, 0))

    def add_port(
        self,
        node: int,
        peer: int,
        *,
        cell_ns: int = 424,
        least_ns: int = 0,
        propagation_ns: int = 100,
    ) -> int:
        """Add the transmitter from ``node`` to ``peer``; return its number."""
        port = lib.fab_add_port(self._fabric, node, peer, cell_ns, least_ns, propagation_ns)
        return self._checked(port)

    def add_vc(self, forward: Sequence[int], reverse: Sequence[int]) -> int:
        """Open a duplex VC over these ports, host to host; return the forward direction's number.

        Raises:
            ValueError: the ports do not join up.
        """
        there = self._checked(lib.fab_add_vc(self._fabric, list(forward), len(forward)))
        back = self._checked(lib.fab_add_vc(self._fabric, list(reverse), len(reverse)))
        lib.fab_pair(self._fabric, there, back)
        return there

    def add_source(
        self, vc: int, *, cells: int, interval_ns: int = 0, start_ns: int = 0, stop_ns: int
    ) -> None:
        """Let messages of so many cells go into a VC: every ``interval_ns``, or greedily at 0."""
        lib.vd_source(self._drive, vc, cells, interval_ns, start_ns, stop_ns)

    def run(self, until_ns: int, *, checking: bool = False) -> int:
        """Run up to a time; return the number of events done.

        Args:
            until_ns: virtual time.
            checking: verify the model's accounting after every event (slow).
        """
        self._drive.checking = checking
        return int(lib.vd_run(self._drive, until_ns))

    @property
    def broken(self) -> int:
        """0; the number of the first broken rule of ``fab_check``; -1 when a frame had no room."""
        return int(self._drive.broken) or int(lib.fab_check(self._fabric))

    @property
    def digest(self) -> int:
        """A number over the sequence of all deliveries: equal runs, equal numbers."""
        return int(self._drive.digest)

    @property
    def frames_under_way(self) -> int:
        """Frames, control cells among them, that are somewhere in the network."""
        return int(self._fabric.frames_used)

    def flow(self, vc: int) -> Flow:
        """Return the counters of a VC's source and sink."""
        native = self._drive.flow[vc]
        return Flow(
            native.sent, native.delivered, native.delivered_cells, int(native.latency_sum_ns)
        )

    def signals(self) -> dict[str, int]:
        """Return how many quenches, unquenches, stops and goes there were."""
        names = ("quenches", "unquenches", "stops", "goes")
        return {name: int(getattr(self._drive, name)) for name in names}

    def peak_cells(self, node: int) -> int:
        """Return the most cells that a switch's memory has held."""
        return int(self._fabric.node[node].peak_cells)

    def held(self, vc: int) -> bool:
        """Tell whether the source of a VC is quenched."""
        return bool(self._fabric.vc[vc].quenched_by)

    def port_busy_ns(self, port: int) -> int:
        """Return the time that a port has been sending."""
        return int(self._fabric.port[port].busy_ns)

    @staticmethod
    def _checked(index: int) -> int:
        if index == NONE:
            raise ValueError("no room, or the ports do not join up")
        return index
