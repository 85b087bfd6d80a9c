"""What a network looks like, apart from any network that runs: nodes, ports, links, layers.

Routing, the line cards, the simulator and the report read the same description. The wiring
of a named topology lives in ``topologies/<name>.py``, as plain data that Mininet's ``mn``
reads too; :func:`load_topology` turns it into a checked :class:`Topology`.
"""

import importlib.util
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, get_args

from lab.errors import LabError

if TYPE_CHECKING:
    import networkx as nx

TOPOLOGY_DIR = Path(__file__).resolve().parent.parent / "topologies"

HOST_PORT = 0
"""The first port of a host; where switches forward by VCs it is the only one."""

Forwarding: TypeAlias = Literal["vc", "ethernet"]
"""How frames find their way: along VCs that signalling opens, or by Ethernet's addresses."""


@dataclass(frozen=True, order=True)
class PortRef:
    """One port of one node. Switch ports count from 1, a host's ports from 0."""

    node: str
    port: int

    def __str__(self) -> str:
        return f"{self.node}:{self.port}"


@dataclass(frozen=True)
class Link:
    """A full-duplex cable between two ports."""

    a: PortRef
    b: PortRef


@dataclass(frozen=True, eq=False)
class Topology:
    """A wired network: every port on one cable at most, a host's ports 0.. to a switch each.

    Attributes:
        name: what a scenario calls it.
        switches: in numerical order.
        hosts: in numerical order.
        links: every cable once, its lower layer first.
        layer: 0 for hosts, 1 for the switches they hang on, growing upwards.
        forwarding: ``vc``, and then a host has one port; or ``ethernet``.
        hubs: those of the switches that repeat every frame on one medium that all share.
    """

    name: str
    switches: tuple[str, ...]
    hosts: tuple[str, ...]
    links: tuple[Link, ...]
    layer: Mapping[str, int]
    forwarding: Forwarding = "vc"
    hubs: tuple[str, ...] = ()
    _peers: dict[PortRef, PortRef] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_peers", self._wire())
        self._check_hosts()

    def _wire(self) -> dict[PortRef, PortRef]:
        """Map both ends of every cable to each other, refusing what cannot be wired."""
        known = set(self.switches) | set(self.hosts)
        if len(known) != len(self.switches) + len(self.hosts):
            raise LabError(f"topology {self.name}: a node name is used twice")
        for node in known:
            if node not in self.layer:
                raise LabError(f"topology {self.name}: {node} has no layer")
        peers: dict[PortRef, PortRef] = {}
        for link in self.links:
            for here, there in ((link.a, link.b), (link.b, link.a)):
                if here.node not in known:
                    raise LabError(f"topology {self.name}: a link names unknown node {here.node}")
                if here in peers:
                    raise LabError(f"topology {self.name}: port {here} is wired twice")
                peers[here] = there
        return peers

    def _check_hosts(self) -> None:
        if self.forwarding not in get_args(Forwarding) or not set(self.hubs) <= set(self.switches):
            raise LabError(
                f"topology {self.name}: forwarding is one of {', '.join(get_args(Forwarding))}, "
                "and a hub is one of the switches"
            )
        used: dict[str, list[int]] = {host: [] for host in self.hosts}
        for here, there in self._peers.items():
            if here.node not in used:
                continue
            used[here.node].append(here.port)
            if there.node in used:
                raise LabError(
                    f"topology {self.name}: link {here} - {there}: a host is wired to a switch"
                )
        for host, ports in used.items():
            if not ports or sorted(ports) != list(range(HOST_PORT, len(ports))):
                raise LabError(
                    f"topology {self.name}: the ports of host {host} are {sorted(ports)}, "
                    f"but they count from {HOST_PORT}"
                )
            if self.forwarding == "vc" and len(ports) > 1:
                raise LabError(
                    f"topology {self.name}: host {host} has {len(ports)} links, but VCs begin and "
                    "end at a host's only port"
                )

    @property
    def bridged(self) -> tuple[str, ...]:
        """The switches that forward frames, so without the hubs."""
        return tuple(switch for switch in self.switches if switch not in self.hubs)

    def peer(self, ref: PortRef) -> PortRef:
        """Return the port at the other end of the cable; LabError when nothing is plugged in."""
        try:
            return self._peers[ref]
        except KeyError:
            raise LabError(f"topology {self.name} has no link at port {ref}") from None

    @cached_property
    def _by_node(self) -> dict[str, tuple[PortRef, ...]]:
        ports: dict[str, list[PortRef]] = {node: [] for node in (*self.switches, *self.hosts)}
        for ref in self._peers:
            ports[ref.node].append(ref)
        return {node: tuple(sorted(refs)) for node, refs in ports.items()}

    @cached_property
    def _port_to(self) -> dict[tuple[str, str], int]:
        ports: dict[tuple[str, str], int] = {}
        for ref, other in sorted(self._peers.items()):
            ports.setdefault((ref.node, other.node), ref.port)
        return ports

    def ports(self, node: str) -> tuple[PortRef, ...]:
        """Return the wired ports of a node in the order of their numbers."""
        try:
            return self._by_node[node]
        except KeyError:
            raise LabError(
                f"topology {self.name} has no node {node}",
                remedy=f"its nodes are {_span(self.switches)} and {_span(self.hosts)}",
            ) from None

    def neighbours(self, node: str) -> tuple[str, ...]:
        """Return the nodes at the other ends of a node's cables, in the order of its ports."""
        return tuple(self._peers[ref].node for ref in self.ports(node))

    def port_to(self, node: str, neighbour: str) -> int:
        """Return the (lowest) port of ``node`` that is wired to ``neighbour``."""
        try:
            return self._port_to[node, neighbour]
        except KeyError:
            self.ports(node)
            self.ports(neighbour)
            raise LabError(f"{node} and {neighbour} are not linked in {self.name}") from None

    def links_of(self, node: str) -> tuple[Link, ...]:
        """Return the cables of a node in the order of its ports."""
        return tuple(Link(ref, self._peers[ref]) for ref in self.ports(node))

    def graph(self) -> "nx.Graph[str]":
        """Return a new networkx graph with ``layer`` and ``kind`` on nodes, ``ports`` on edges."""
        import networkx as nx  # takes longer to load than all else that a command needs

        graph: nx.Graph[str] = nx.Graph(name=self.name)
        for kind, nodes in (("switch", self.switches), ("host", self.hosts)):
            for node in nodes:
                graph.add_node(node, kind=kind, layer=self.layer[node])
        for link in self.links:
            ports = {link.a.node: link.a.port, link.b.node: link.b.port}
            graph.add_edge(link.a.node, link.b.node, ports=ports)
        return graph


def _span(names: Sequence[str]) -> str:
    return f"{names[0]}..{names[-1]}" if len(names) > 1 else ", ".join(names)


def from_description(data: Mapping[str, Any]) -> Topology:
    """Build a topology from the plain data that a topology file's ``describe()`` returns."""
    links: Iterable[tuple[str, int, str, int]] = data["links"]
    return Topology(
        name=data["name"],
        switches=tuple(data["switches"]),
        hosts=tuple(data["hosts"]),
        links=tuple(Link(PortRef(a, ap), PortRef(b, bp)) for a, ap, b, bp in links),
        layer=dict(data["layer"]),
        forwarding=data.get("forwarding", "vc"),
        hubs=tuple(data.get("hubs", ())),
    )


def known_topologies() -> tuple[str, ...]:
    """Return the names of the topologies that this project carries."""
    return tuple(sorted(path.stem for path in TOPOLOGY_DIR.glob("[a-z]*.py")))


def load_topology(name: str) -> Topology:
    """Read ``topologies/<name>.py``; LabError listing the known names when there is none."""
    if name not in known_topologies():
        raise LabError(
            f"there is no topology {name!r}",
            remedy=f"known topologies: {', '.join(known_topologies())}",
        )
    path = TOPOLOGY_DIR / f"{name}.py"
    spec = importlib.util.spec_from_file_location(f"_topology_{name}", path)
    if spec is None or spec.loader is None:
        raise LabError(f"{path} cannot be read as Python")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return from_description(module.describe())
