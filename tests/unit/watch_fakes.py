"""A lab that is only told of: two leaves below one core, a stream that congests a port."""

import dataclasses
import itertools

import msgspec

from lab.signalling import VcRequest, open_vcs
from lab.topology import Topology, from_description
from lab.watch.snapshot import PortState, Snapshot, VcState
from lab.watch.source import LabGoneError
from lab.watch.view import Lab

STEP_NS = 1_000_000


def small_tree() -> Topology:
    return from_description(
        {
            "name": "small_tree",
            "switches": ["s1", "s2", "s3"],
            "hosts": ["n1", "n2", "n3"],
            "links": [
                ("n1", 0, "s1", 1),
                ("n2", 0, "s1", 2),
                ("n3", 0, "s2", 1),
                ("s1", 3, "s3", 1),
                ("s2", 2, "s3", 2),
            ],
            "layer": {"n1": 0, "n2": 0, "n3": 0, "s1": 1, "s2": 1, "s3": 2},
        }
    )


def small_lab() -> Lab:
    topology = small_tree()
    requests = [VcRequest("bg-1", "background", "n1", "n3")]
    (vc,) = open_vcs(topology, requests, 1)
    return Lab(
        lab_id="lab-0a1b2c", topology=topology, run="slow-host/x", dilation=100.0, vcs={1: vc}
    )


def moment(topology: Topology, step: int, pass_number: int = 1) -> Snapshot:
    """The fabric after so many milliseconds: everything has grown in proportion.

    n1's link is busy half of the time, s1:3 is congested and always busy; the stream carries
    40 MByte/s and causes 3000 quenches a second.
    """
    ports = []
    for node in (*topology.switches, *topology.hosts):
        for ref in topology.ports(node):
            hot = (node, ref.port) == ("s1", 3)
            part = 1.0 if hot else 0.5 if node == "n1" else 0.0
            ports.append(
                PortState(
                    node=node,
                    port=ref.port,
                    frames=step,
                    cells=10 * step,
                    busy_ns=int(part * step * STEP_NS),
                    queued_cells=700 if hot else 0,
                    quenching=1 if hot else 0,
                    stopped=False,
                    cut=False,
                )
            )
    vc = VcState(
        vc=1,
        messages=20 * step,
        bytes=40_000 * step,
        queued_cells=700,
        held=step % 2 == 1,
        quenches=3 * step,
    )
    return Snapshot(
        now_ns=step * STEP_NS,
        pass_number=pass_number,
        pass_name="on",  # noqa: S106 - no password
        flow_control="quench",
        dilation=100.0,
        quenches=3 * step,
        stops=0,
        lost=0,
        ports=tuple(ports),
        vcs=(vc,),
    )


@dataclasses.dataclass
class FakeLab:
    """A source whose lab goes after ``steps`` snapshots; None: never."""

    steps: int | None = None
    lab: Lab = dataclasses.field(default_factory=small_lab)
    closed: bool = False

    def __post_init__(self) -> None:
        self._numbers = itertools.count(1)

    def take(self) -> Snapshot:
        number = next(self._numbers)
        if self.steps is not None and number > self.steps:
            raise LabGoneError(f"{self.lab.lab_id} does not stand any more")
        # Ever more messages a step, so that the numbers on a screen change.
        now = moment(self.lab.topology, number)
        stream = msgspec.structs.replace(now.vcs[0], bytes=40_000 * number**2)
        return msgspec.structs.replace(now, vcs=(stream,))

    def close(self) -> None:
        self.closed = True
