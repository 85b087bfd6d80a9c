"""What the line cards know of the network: names on the outside, native indices inside."""

import socket
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from lab._native import ffi, lib
from lab.errors import LabError
from lab.fabric.adapter import AdapterCosts
from lab.fabric.params import FabricParams
from lab.fabric.setup import native_params, setup_of

NONE = 0xFFFFFFFF
NEVER_NS = 2**63 - 1
MAX_FRAME_BYTES = 8192
"""Payload of the largest train of cells that fits the network's MTU."""
AAL5_TRAILER_BYTES = 8
LIMITS = {
    "max_nodes": 1024,
    "max_ports": 8192,
    "max_vcs": 16384,
    "max_queues": 131072,
    "max_frames": 131072,
    "max_endpoints": 4096,
}


@dataclass(frozen=True)
class EndpointKey:
    """An endpoint's place and name."""

    host: str
    name: str


@dataclass
class Direction:
    """One direction of a VC: the lab's number (negative for b to a) and the native index."""

    number: int
    native: int


@dataclass(frozen=True)
class PassSetting:
    """What a pass sets."""

    flow_control: str
    params: FabricParams
    costs: AdapterCosts
    seed: int


@dataclass
class Network:
    """The fabric as built in the native part, and the names of what is in it."""

    params: FabricParams
    dilation: float
    quantum_us: int
    seed: int = 1
    nodes: dict[str, int] = field(default_factory=dict)
    ports: dict[tuple[str, int], int] = field(default_factory=dict)
    endpoints: dict[EndpointKey, int] = field(default_factory=dict)
    channels: dict[EndpointKey, list[int]] = field(default_factory=dict)
    vcs: dict[int, tuple[Direction, Direction]] = field(default_factory=dict)
    ends: dict[int, tuple[EndpointKey, EndpointKey]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Make the native line cards."""
        options = {
            "dilation": self.dilation,
            "quantum_ns": self.quantum_us * 1000,
            "max_frame_bytes": MAX_FRAME_BYTES,
            **LIMITS,
        }
        cards = lib.lc_new(
            ffi.new("fab_params *", native_params(self.params, "quench")),
            ffi.new("lc_options *", options),
            ffi.new("lc_inputs *", native_inputs(self.params, AdapterCosts(), self.seed)),
        )
        if cards == ffi.NULL:
            raise LabError("not enough memory for the line cards")
        self.cards = ffi.gc(cards, lib.lc_free)
        self.fabric = lib.lc_fabric(cards)

    # -- construction -------------------------------------------------------------------------

    def add_nodes(self, nodes: Sequence[Mapping[str, Any]]) -> None:
        """Add switches and hosts: ``{"name", "kind"}``."""
        for node in nodes:
            kind = lib.FAB_SWITCH if node["kind"] == "switch" else lib.FAB_HOST
            self.nodes[node["name"]] = lib.fab_add_node(self.fabric, kind, self.params.buffer_cells)

    def add_links(self, links: Sequence[Mapping[str, Any]]) -> None:
        """Add links: ``{"a", "a_port", "a_if", "b", "b_port", "b_if"}``, interfaces by name."""
        for link in links:
            a_if, b_if = (
                0 if name is None else socket.if_nametoindex(name)
                for name in (link["a_if"], link["b_if"])
            )
            self._add_port(link["a"], link["a_port"], link["b"], a_if, b_if)
            self._add_port(link["b"], link["b_port"], link["a"], b_if, a_if)

    def _add_port(self, node: str, number: int, peer: str, own: int, far: int) -> None:
        index = lib.lc_add_port(
            self.cards,
            self.nodes[node],
            self.nodes[peer],
            *self._speed(at_host=0 in (own, far)),
            own,
            far,
        )
        self.ports[node, number] = checked(index, "ports")

    def _speed(self, *, at_host: bool) -> tuple[int, int, int]:
        """Time of a cell, least time of a message and delay of a link, ns."""
        params = self.params
        cell_ns = round(params.cell_bytes * 1e9 / params.link_bytes_per_s)
        # an adapter, whether it sends or receives, handles so many messages a second
        least_ns = round(1e9 / params.host_messages_per_s) if at_host else 0
        return cell_ns, least_ns, params.propagation_ns

    def add_endpoint(self, key: EndpointKey) -> int:
        """Add an endpoint, or return the index of the one that exists."""
        if key.host not in self.nodes:
            raise LabError(f"no host is called {key.host!r}")
        if key not in self.endpoints:
            index = checked(lib.lc_add_endpoint(self.cards), "endpoints")
            self.endpoints[key] = index
            self.channels[key] = []
        return self.endpoints[key]

    def add_vc(self, vc: Mapping[str, Any]) -> None:
        """Open a duplex VC (as in the ``vcs`` operation) and its channel at both endpoints."""
        number = int(vc["id"])
        if number in self.vcs or number <= 0:
            raise LabError(f"VC {number} is open already or no number for one")
        forward = self._add_direction(vc["forward"])
        backward = self._add_direction(vc["reverse"])
        lib.lc_pair(self.cards, forward, backward)
        a = EndpointKey(vc["a"], vc["a_endpoint"])
        b = EndpointKey(vc["b"], vc["b_endpoint"])
        for key, out, into in ((a, forward, backward), (b, backward, forward)):
            endpoint = self.add_endpoint(key)
            if lib.lc_open_channel(self.cards, endpoint, number, out, into) < 0:
                raise LabError(
                    f"endpoint {key.name} of {key.host} has no room for channel {number}"
                )
            self.channels[key].append(number)
        self.vcs[number] = (Direction(number, forward), Direction(-number, backward))
        self.ends[number] = (a, b)

    def _add_direction(self, hops: Sequence[Mapping[str, Any]]) -> int:
        transmitters = [hop for hop in hops if hop["out_port"] >= 0]
        ports = [self.ports[hop["node"], hop["out_port"]] for hop in transmitters]
        labels = [hop["out_label"] for hop in transmitters]
        return checked(lib.lc_add_vc(self.cards, ports, labels, len(ports)), "VCs")

    def close_vc(self, number: int) -> None:
        """Close a VC and its channels; frames under way are dropped where they are."""
        directions = self.vcs.pop(number, None)
        if directions is None:
            return
        for key in self.ends.pop(number):
            lib.lc_close_channel(self.cards, self.endpoints[key], number)
            self.channels[key].remove(number)
        for direction in directions:
            lib.lc_close_vc(self.cards, direction.native)

    # -- passes -------------------------------------------------------------------------------

    def begin_pass(
        self, setting: PassSetting, epoch_ns: int, end_ns: int | None, sample_ns: int
    ) -> None:
        """Forget what has been and begin anew with these parameters; VCs stay open.

        Virtual time stands still at ``end_ns``; without one it goes on.
        """
        params = setting.params
        inputs = native_inputs(params, setting.costs, setting.seed)
        self.params = params
        for index in range(self.fabric.nodes):
            self.fabric.node[index].buffer_cells = params.buffer_cells
        for index in range(self.fabric.ports):
            port = self.fabric.port[index]
            kinds = (self.fabric.node[port.node].kind, self.fabric.node[port.peer].kind)
            speed = self._speed(at_host=lib.FAB_HOST in kinds)
            port.cell_ns, port.min_service_ns, port.propagation_ns = speed
        lib.lc_pass(
            self.cards,
            ffi.new("fab_params *", native_params(params, setting.flow_control)),
            ffi.new("lc_inputs *", inputs),
            epoch_ns,
            NEVER_NS if end_ns is None else end_ns,
            sample_ns,
        )

    # -- reading out --------------------------------------------------------------------------

    def stats(self) -> dict[str, int | float]:
        """Totals of the pass so far, by the names in ``lc_stats``."""
        out = ffi.new("lc_stats *")
        lib.lc_get_stats(self.cards, out)
        return {name: getattr(out, name) for name, _ in ffi.typeof("lc_stats").fields}

    def endpoint_native(self, key: EndpointKey) -> Any:
        """Return the native adapter side of an endpoint."""
        return lib.lc_endpoint(self.cards, self.endpoints[key])


def native_inputs(params: FabricParams, costs: AdapterCosts, seed: int) -> dict[str, Any]:
    """Return what the line cards take beside the model's parameters.

    LabError for parameters that only the simulator can have.
    """
    widest = MAX_FRAME_BYTES // params.cell_payload_bytes
    for wrong, why in (
        (params.frame_cells > widest, f"frame_cells up to {widest}"),
        (params.aal5_trailer_bytes < AAL5_TRAILER_BYTES, "aal5_trailer_bytes of 8"),
        (params.cell_payload_bytes < AAL5_TRAILER_BYTES, "cell_payload_bytes of at least 8"),
    ):
        if wrong:
            raise LabError(f"the emulation needs {why}", remedy="use the engine simulation")
    setup = setup_of(params, costs, loss_seed=seed)
    return {
        "cell_payload_bytes": setup.cell_payload_bytes,
        "trailer_bytes": setup.trailer_bytes,
        "frame_cells": setup.frame_cells,
        "window": setup.window,
        "switch_latency_ns": setup.switch_latency_ns,
        "loss": asdict(setup.loss),
        "costs": asdict(setup.costs),
    }


def checked(index: int, what: str) -> int:
    """Return an index that the native part handed out, or say that there is no room."""
    if index == NONE:
        raise LabError(f"the line cards have no room for more {what}, or they do not join up")
    return index
