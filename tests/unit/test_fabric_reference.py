"""The compiled kernel and the readable one agree: same digest on small random cases."""

from dataclasses import dataclass
from itertools import pairwise
from typing import TypeVar

from hypothesis import given, settings
from hypothesis import strategies as st

from lab.fabric.reference import ReferenceFabric
from lab.fabric.setup import Change, Loss, Setup
from lab.fabric.virtual import VirtualFabric

# Small thresholds, so that short runs quench, stop links and repeat their quenches.
PARAMS = {
    "flow_control": 1,
    "vci_quench_cells": 30,
    "vci_unquench_cells": 15,
    "link_quench_cells": 50,
    "buffer_quench_cells": 300,
    "input_stop_cells": 90,
    "input_go_cells": 60,
    "memory_stop_cells": 0,
    "memory_go_cells": 0,
    "quantum_cells": 8,
    "quench_repeat_ns": 20_000,
    "quench_hold_ns": 150_000,
}
SWITCHES = 3
HOSTS_PER_SWITCH = 2
END_NS = 600_000

Fabric = TypeVar("Fabric", VirtualFabric, ReferenceFabric)


@dataclass(frozen=True)
class Stream:
    source: int
    sink: int
    changes: tuple[Change, ...]
    phase: float


@st.composite
def streams(draw: st.DrawFn) -> Stream:
    hosts = SWITCHES * HOSTS_PER_SWITCH
    source = draw(st.integers(0, hosts - 1))
    sink = draw(st.integers(0, hosts - 1).filter(lambda host: host != source))
    changes = []
    t_ns = draw(st.integers(0, 50_000))
    for _ in range(draw(st.integers(1, 3))):
        rate = draw(st.sampled_from([0.0, 0.5, 1.0, 1.0]))
        size = draw(st.sampled_from([4, 40, 41, 500, 2048]))
        interval_ns = draw(st.sampled_from([700.0, 4321.5, 30_000.25]))
        changes.append(Change(t_ns, rate, size, interval_ns))
        t_ns += draw(st.integers(1, 300_000))
    return Stream(source, sink, tuple(changes), draw(st.sampled_from([0.0, 0.25, 0.7])))


def path(source: tuple[int, int], sink: tuple[int, int]) -> list[int]:
    """The nodes between two (host, its switch) along the chain."""
    step = 1 if sink[1] >= source[1] else -1
    return [source[0], *range(source[1], sink[1] + step, step), sink[0]]


def build(fabric: Fabric, wanted: list[Stream], buffer_cells: int) -> Fabric:
    """A chain of switches with hosts on each."""
    switches = [fabric.add_switch(buffer_cells) for _ in range(SWITCHES)]
    ports: dict[tuple[int, int], int] = {}
    for a, b in pairwise(switches):
        ports[a, b], ports[b, a] = fabric.add_port(a, b), fabric.add_port(b, a)
    hosts = []
    for switch in switches:
        for _ in range(HOSTS_PER_SWITCH):
            host = fabric.add_host()
            hosts.append((host, switch))
            ports[host, switch] = fabric.add_port(host, switch, least_ns=3759)
            ports[switch, host] = fabric.add_port(switch, host, least_ns=3759)
    for stream in wanted:
        nodes = path(hosts[stream.source], hosts[stream.sink])
        there = [ports[pair] for pair in pairwise(nodes)]
        back = [ports[pair] for pair in pairwise(nodes[::-1])]
        fabric.add_flow(
            fabric.add_vc(there, back), stream.changes, end_ns=END_NS, phase=stream.phase
        )
    return fabric


@settings(max_examples=50, deadline=None)
@given(
    wanted=st.lists(streams(), min_size=1, max_size=6),
    flow_control=st.sampled_from([1, 1, 0]),
    setup=st.builds(
        Setup,
        frame_cells=st.sampled_from([1, 7, 170]),
        tie_seed=st.integers(0, 2**32),
        loss=st.sampled_from(
            [
                Loss(),
                Loss(control_loss=0.3, seed=5),
                Loss(0.01, 0.01, 0.1, seed=77),
                Loss(0.2, seed=1),
            ]
        ),
    ),
    buffer_cells=st.sampled_from([5_000, 5_000, 200]),
    memory_stop_cells=st.sampled_from([0, 0, 70]),
)
def test_both_kernels_have_the_same_digest(
    wanted: list[Stream], flow_control: int, setup: Setup, buffer_cells: int, memory_stop_cells: int
) -> None:
    params = PARAMS | {
        "flow_control": flow_control,
        "memory_stop_cells": memory_stop_cells,
        "memory_go_cells": memory_stop_cells * 4 // 5,
    }
    compiled = build(VirtualFabric(params, setup), wanted, buffer_cells)
    readable = build(ReferenceFabric(params, setup), wanted, buffer_cells)
    for until_ns in (END_NS // 2, END_NS, 3 * END_NS):
        compiled.run(until_ns)
        readable.run(until_ns)
        assert compiled.digest == readable.digest
        assert compiled.overflowed_node == readable.overflowed_node


def test_a_full_memory_stops_all_inputs_of_its_switch() -> None:
    """Also that of a stream which shares nothing with those that fill the memory."""
    greedy = (Change(0, 1.0, 2048),)
    wanted = [*(Stream(source, 5, greedy, 0.0) for source in (0, 2, 4)), Stream(3, 1, greedy, 0.0)]
    delivered = []
    for limit in (0, 200):
        params = PARAMS | {
            "flow_control": 0,
            "memory_stop_cells": limit,
            "memory_go_cells": limit // 2,
        }
        fabric = build(VirtualFabric(params, Setup(frame_cells=7)), wanted, 5_000)
        fabric.run(END_NS, checking=True)
        delivered.append(fabric.messages_sent(2 * 3) - fabric.messages_open(2 * 3))
    assert delivered[1] < 0.8 * delivered[0]


def test_small_cases_show_every_signal() -> None:
    """What the comparison above covers: quench, hold, stop and loss do happen in such cases."""
    greedy = (Change(0, 1.0, 2048),)
    wanted = [Stream(source, 5, greedy, 0.0) for source in range(5)]
    seen = {}
    for flow_control in (1, 0):
        setup = Setup(frame_cells=7, loss=Loss(0.001, 0.001, 0.5, seed=3))
        params = PARAMS | {"flow_control": flow_control}
        fabric = build(VirtualFabric(params, setup), wanted, 5_000)
        fabric.run(3 * END_NS)
        seen[flow_control] = fabric.counters()
    for name in ("quenches", "unquenches", "hold_expired", "control_lost_on_purpose"):
        assert seen[1][name] > 0
    for name in ("stops", "goes", "pdu_discarded_missing", "pdu_discarded_crc"):
        assert seen[0][name] > 0
