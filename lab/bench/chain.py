"""Five switches in a chain, once bare and once with line cards on every link.

    n1 -- s1 -- s2 -- s3 -- s4 -- s5 -- n2

Bare means that the veth of a switch's port ends in a port of the next switch, so that frames go
from Open vSwitch to Open vSwitch; the two ends of the chain lie in the line cards' namespace.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

from lab.emulation import cards, cleanup, net, netlink, ovs, tuning, veth
from lab.emulation.labels import (
    alias_of,
    bridge_name,
    card_interface,
    group_of,
    lab_dir,
    new_lab_id,
    switch_interface,
)
from lab.emulation.netlink import RouteSocket
from lab.emulation.state import LabState, machine_lock, save_state
from lab.fabric.params import FabricParams
from lab.signalling import Vc, VcRequest, entries_by_switch, open_vcs
from lab.topology import Topology, from_description

SWITCHES = 5
QUANTUM_US = 500
ENTRY = card_interface("s1", 1)
EXIT = card_interface(f"s{SWITCHES}", 2)
CHAIN_NAME = "bench_chain"


def chain() -> Topology:
    """Return the wiring: port 1 of each switch leads back, port 2 on."""
    switches = [f"s{number}" for number in range(1, SWITCHES + 1)]
    inner = [(a, 2, b, 1) for a, b in pairwise(switches)]
    return from_description(
        {
            "name": CHAIN_NAME,
            "switches": switches,
            "hosts": ["n1", "n2"],
            "links": [("n1", 0, "s1", 1), *inner, ("n2", 0, switches[-1], 2)],
            "layer": {"n1": 0, "n2": 0, **dict.fromkeys(switches, 1)},
        }
    )


def circuit(topology: Topology) -> Vc:
    """Return the one circuit through the whole chain."""
    return open_vcs(topology, [VcRequest("bench", "bench", "n1", "n2")], 1)[0]


def roomy_params(frames_per_s: float, frame_cells: int) -> FabricParams:
    """Links that carry just so many full frames a second, and no flow control that interferes."""
    defaults = FabricParams()
    return FabricParams(
        link_bytes_per_s=frames_per_s * frame_cells * defaults.cell_bytes,
        host_messages_per_s=1e9,
        buffer_cells=10_000_000,
        vci_quench_cells=1_000_000,
        vci_unquench_cells=900_000,
        link_quench_cells=1_000_000,
        input_stop_cells=1_200_000,
        input_go_cells=1_000_000,
    )


@contextmanager
def with_line_cards() -> Iterator[LabState]:
    """The chain as the lab builds it, its circuit open, its hosts standing."""
    topology = chain()
    state = net.up(
        net.Site(topology),
        fabric={},
        on_progress=lambda _message, _fraction: None,
        line_cards=False,
    )
    try:
        state.linecards_pid = cards.start_linecards(state)
        params = roomy_params(1000.0, 1).model_dump()
        cards.configure(state, topology, params, QUANTUM_US)
        save_state(state)
        vc = circuit(topology)
        ovs.change_flows(entries_by_switch([vc]))
        cards.register_vcs(state, [vc])
        yield state
    finally:
        net.down()


@contextmanager
def bare() -> Iterator[None]:
    """The chain without line cards; its ends are `ENTRY` and `EXIT` in their namespace."""
    topology = chain()
    with machine_lock("building a chain of bare switches"):
        net.refuse_second_lab()
        lab_id = new_lab_id()
        try:
            lab_dir(lab_id).mkdir(parents=True)
            state = LabState(lab_id, CHAIN_NAME, 1.0, 1, time.time())
            save_state(state)
            with tuning.tuned():
                _build(topology, lab_id)
        except BaseException:
            cleanup.remove(lab_id)
            raise
    try:
        ovs.change_flows(entries_by_switch([circuit(topology)]))
        yield
    finally:
        net.down()


def _build(topology: Topology, lab_id: str) -> None:
    veth.create_netns(lab_id)
    ends = [pair for pair in veth.pairs_of(topology) if pair.card_end in {ENTRY, EXIT}]
    veth.create_pairs(lab_id, ends)
    joined = [
        (switch_interface(link.a.node, link.a.port), switch_interface(link.b.node, link.b.port))
        for link in topology.links
        if link.a.node in topology.switches
    ]
    with Path("/proc/self/ns/net").open("rb") as here, RouteSocket() as route:
        births = [
            netlink.veth_message(
                a,
                b,
                peer_netns_fd=here.fileno(),
                mtu=veth.MTU_BYTES,
                group=group_of(lab_id),
            )
            for a, b in joined
        ]
        netlink.check(route.request(births), [a for a, _ in joined], "making veth")
        names = [name for pair in joined for name in pair]
        netlink.checksum_offload_off(names)
        index = {link.name: link.index for link in route.links()}
        alias = netlink.text(netlink.IFLA_IFALIAS, alias_of(lab_id))
        ups = [
            netlink.link_message(netlink.RTM_NEWLINK, alias, index=index[name], up=True)
            for name in names
        ]
        netlink.check(route.request(ups), names, "bringing up")
    ovs.create_bridges(topology, lab_id)
    veth.label_taps(lab_id, [bridge_name(switch) for switch in topology.switches])
