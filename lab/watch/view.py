"""What a watcher sees: two moments of the fabric compared. Every rate is virtual.

Utilisation, bytes and quenches per second are judged in the fabric's own time, so they mean
the same at every dilation: a link that is busy is at 100 % however slowly it is emulated.
"""

from collections.abc import Mapping, Sequence

import msgspec

from lab.signalling import Vc
from lab.topology import PortRef, Topology
from lab.watch.snapshot import PortState, Snapshot, VcState

MBYTE = 1e6
_NS_PER_S = 1e9
_FEW_CELLS = 100
"""A queue with fewer cells is no congestion: a few messages that happened to meet."""


class LinkView(msgspec.Struct, frozen=True):
    """One direction of a cable, named by the port that it leaves."""

    node: str
    port: int
    to: str
    to_port: int
    utilisation: float
    """Part of the time that the link was sending, 0 to 1."""
    queued_cells: int
    quenching: int
    """VCIs whose queue at this port has told its source to stop."""
    stopped: bool
    """The node behind the link has stopped it: its input is full."""
    cut: bool

    @property
    def congested(self) -> bool:
        """Whether flow control acts here, or cells wait that it may soon act upon."""
        return self.quenching > 0 or self.stopped or self.queued_cells >= _FEW_CELLS


class StreamView(msgspec.Struct, frozen=True):
    """One direction of a circuit on which something moves or waits."""

    vc: int
    name: str
    group: str
    src: str
    dst: str
    mbyte_per_s: float
    messages_per_s: float
    queued_cells: int
    held: bool
    """Its source is stopped by a quench."""
    quenches_per_s: float


class View(msgspec.Struct, frozen=True):
    """The fabric over the interval that ends now."""

    lab_id: str
    topology: str
    run: str
    """The run that the lab belongs to; empty for one that stands by hand."""
    dilation: float
    pass_name: str
    flow_control: str
    virtual_s: float
    interval_s: float
    """Virtual seconds that the rates are taken over; 0: too early for rates."""
    mbyte_per_s: float
    messages_per_s: float
    quenches_per_s: float
    stops_per_s: float
    queued_cells: int
    lost: int
    """Frames and messages lost since the pass began, for whatever reason."""
    links: tuple[LinkView, ...]
    streams: tuple[StreamView, ...]

    @property
    def congested(self) -> list[LinkView]:
        """The congested ports, the worst first."""
        return sorted(
            (link for link in self.links if link.congested),
            key=lambda link: (-link.quenching, -int(link.stopped), -link.queued_cells),
        )

    @property
    def busiest(self) -> list[LinkView]:
        """All links, the busiest first."""
        return sorted(self.links, key=lambda link: -link.utilisation)


class Lab(msgspec.Struct, frozen=True):
    """What a view needs to know of the lab besides what the line cards say."""

    lab_id: str
    topology: Topology
    run: str
    dilation: float
    vcs: Mapping[int, Vc]


def compare(lab: Lab, before: Snapshot | None, now: Snapshot) -> View:
    """Describe the interval between two snapshots of one pass.

    A snapshot of another pass, or none, gives a view whose rates are zero and whose
    ``interval_s`` says so.
    """
    if before is None or not before.precedes(now):
        before = None
    interval_s = (now.now_ns - before.now_ns) / _NS_PER_S if before else 0.0
    vcs_before = {vc.vc: vc for vc in before.vcs} if before else {}
    streams = [
        _stream(lab.vcs.get(abs(vc.vc)), vcs_before.get(vc.vc, _unseen(vc)), vc, interval_s)
        for vc in now.vcs
    ]
    return View(
        lab_id=lab.lab_id,
        topology=lab.topology.name,
        run=lab.run,
        dilation=lab.dilation,
        pass_name=now.pass_name,
        flow_control=now.flow_control,
        virtual_s=now.now_ns / _NS_PER_S,
        interval_s=interval_s,
        mbyte_per_s=sum(stream.mbyte_per_s for stream in streams),
        messages_per_s=sum(stream.messages_per_s for stream in streams),
        quenches_per_s=_rate(now.quenches, before.quenches if before else None, interval_s),
        stops_per_s=_rate(now.stops, before.stops if before else None, interval_s),
        queued_cells=sum(port.queued_cells for port in now.ports),
        lost=now.lost,
        links=_links(lab.topology, before.ports if before else (), now.ports, interval_s),
        streams=tuple(
            sorted(
                (s for s in streams if s.messages_per_s or s.queued_cells or s.held),
                key=lambda stream: (-stream.mbyte_per_s, stream.name),
            )
        ),
    )


def _unseen(vc: VcState) -> VcState:
    """A circuit is not told of before its first message."""
    return VcState(vc=vc.vc, messages=0, bytes=0, queued_cells=0, held=False, quenches=0)


def _rate(now: float, before: float | None, interval_s: float) -> float:
    return (now - before) / interval_s if before is not None and interval_s > 0 else 0.0


def _links(
    topology: Topology, before: Sequence[PortState], now: Sequence[PortState], interval_s: float
) -> tuple[LinkView, ...]:
    busy_before = {(port.node, port.port): port.busy_ns for port in before}
    links = []
    for port in now:
        peer = topology.peer(PortRef(port.node, port.port))
        # A frame's whole time is booked when it begins, so a short interval can show more than 1.
        busy = _rate(port.busy_ns, busy_before.get((port.node, port.port)), interval_s) / _NS_PER_S
        links.append(
            LinkView(
                node=port.node,
                port=port.port,
                to=peer.node,
                to_port=peer.port,
                utilisation=min(1.0, busy),
                queued_cells=port.queued_cells,
                quenching=port.quenching,
                stopped=port.stopped,
                cut=port.cut,
            )
        )
    return tuple(links)


def _stream(vc: Vc | None, before: VcState, now: VcState, interval_s: float) -> StreamView:
    forward = now.vc > 0
    a, b = (vc.a, vc.b) if vc else ("?", "?")
    name = vc.name if vc else f"circuit {abs(now.vc)}"
    return StreamView(
        vc=now.vc,
        name=name if forward else f"{name} (back)",
        group=vc.group if vc else "",
        src=a if forward else b,
        dst=b if forward else a,
        mbyte_per_s=_rate(now.bytes, before.bytes, interval_s) / MBYTE,
        messages_per_s=_rate(now.messages, before.messages, interval_s),
        queued_cells=now.queued_cells,
        held=now.held,
        quenches_per_s=_rate(now.quenches, before.quenches, interval_s),
    )
