"""Duplex virtual circuits: one route, a label on each link of it in each direction."""

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from lab.errors import LabError
from lab.signalling.labels import LabelSpace
from lab.signalling.routing import Router
from lab.topology import PortRef, Topology

ABSENT = -1
"""Stands for the port and label before the source host and after the destination host."""


@dataclass(frozen=True)
class VcRequest:
    """A wish for a duplex circuit between an endpoint on host ``a`` and one on host ``b``.

    ``via`` pins switches of the way from ``a`` to ``b``, in order. Endpoint names that are
    left empty become ``<name>.a`` and ``<name>.b``. ``seed`` draws the route in place of the seed
    that all circuits share.
    """

    name: str
    group: str
    a: str
    b: str
    via: tuple[str, ...] = ()
    a_endpoint: str = ""
    b_endpoint: str = ""
    seed: int | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "a_endpoint", self.a_endpoint or f"{self.name}.a")
        object.__setattr__(self, "b_endpoint", self.b_endpoint or f"{self.name}.b")


@dataclass(frozen=True)
class Hop:
    """What one node does with the circuit: in by a port and label, out by a port and label.

    At the source host ``in_port`` and ``in_label`` are -1, at the destination host
    ``out_port`` and ``out_label`` are.
    """

    node: str
    in_port: int
    in_label: int
    out_port: int
    out_label: int


@dataclass(frozen=True)
class Vc:
    """An open circuit; ``forward`` runs from host a to host b, ``reverse`` back over the same
    links. Both include the two hosts. ``id`` is the flow cookie and the U-Net channel.
    """

    id: int
    name: str
    group: str
    a: str
    a_endpoint: str
    b: str
    b_endpoint: str
    forward: tuple[Hop, ...]
    reverse: tuple[Hop, ...]

    @property
    def path(self) -> tuple[str, ...]:
        """The nodes from a to b, both hosts included."""
        return tuple(hop.node for hop in self.forward)

    @property
    def switches(self) -> tuple[str, ...]:
        """The switches from a to b."""
        return self.path[1:-1]


def _chain(topology: Topology, nodes: Sequence[str], labels: LabelSpace) -> tuple[Hop, ...]:
    """Label the links along ``nodes`` in that direction."""
    hops: list[Hop] = []
    in_port = in_label = ABSENT
    for here, there in pairwise(nodes):
        out_port = topology.port_to(here, there)
        out_label = labels.allocate(PortRef(here, out_port))
        hops.append(Hop(here, in_port, in_label, out_port, out_label))
        in_port, in_label = topology.port_to(there, here), out_label
    hops.append(Hop(nodes[-1], in_port, in_label, ABSENT, ABSENT))
    return tuple(hops)


def labels_in_use(vcs: Iterable[Vc]) -> LabelSpace:
    """Return the label space as the given open circuits leave it."""
    labels = LabelSpace()
    for vc in vcs:
        for hop in (*vc.forward[:-1], *vc.reverse[:-1]):
            labels.take(PortRef(hop.node, hop.out_port), hop.out_label)
    return labels


def _check_requests(requests: Sequence[VcRequest], existing: Sequence[Vc]) -> None:
    names = {vc.name for vc in existing}
    for request in requests:
        if not request.name:
            raise LabError(f"a circuit from {request.a} to {request.b} has no name")
        if request.name in names:
            raise LabError(
                f"there is already a circuit named {request.name}",
                remedy="choose another name, or close that one with `lab vc close`",
            )
        names.add(request.name)


def open_vcs(
    topology: Topology,
    requests: Sequence[VcRequest],
    seed: int,
    *,
    existing: Sequence[Vc] = (),
    first_id: int = 1,
) -> tuple[Vc, ...]:
    """Route the requests and give them labels that no circuit in ``existing`` bears.

    The path of a circuit depends on the seed and its own name only: adding a circuit to a
    scenario leaves the paths of the others alone. Ids count up from ``first_id``.
    LabError when a name is taken or a path does not exist; then nothing is opened.
    """
    _check_requests(requests, existing)
    router = Router(topology)
    labels = labels_in_use(existing)
    opened: list[Vc] = []
    for vc_id, request in enumerate(requests, start=first_id):
        own = seed if request.seed is None else request.seed
        rng = random.Random(f"{own}/{request.name}")  # noqa: S311 - repeatable, not secret
        try:
            nodes = router.route(request.a, request.b, request.via, rng)
        except LabError as error:
            raise LabError(
                f"circuit {request.name}: {error.message}", remedy=error.remedy
            ) from None
        opened.append(
            Vc(
                id=vc_id,
                name=request.name,
                group=request.group,
                a=request.a,
                a_endpoint=request.a_endpoint,
                b=request.b,
                b_endpoint=request.b_endpoint,
                forward=_chain(topology, nodes, labels),
                reverse=_chain(topology, nodes[::-1], labels),
            )
        )
    return tuple(opened)
