"""What the simulator promises under losses, in time and for whole messages, in both modes."""

from dataclasses import dataclass
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lab.fabric.adapter import AdapterCosts
from lab.fabric.params import FabricParams
from lab.fabric.setup import Change, Loss, NiCosts, Setup, native_params, setup_of
from lab.fabric.virtual import VirtualFabric

CELL_NS = 424
MODES = st.sampled_from([1, 170])
THRESHOLDS = native_params(FabricParams(), "quench")


@dataclass
class Chain:
    """Hosts at both ends of a chain of switches."""

    fabric: VirtualFabric
    switches: list[int]

    @classmethod
    def build(cls, fabric: VirtualFabric, length: int) -> "Chain":
        return cls(fabric, [fabric.add_switch(20_000) for _ in range(length)])

    def vc(self, *, least_ns: int = 0) -> int:
        """A circuit from a new host at the front to a new one at the back."""
        nodes = [self.fabric.add_host(), *self.switches, self.fabric.add_host()]
        pairs = list(pairwise(nodes))
        there = [self.fabric.add_port(a, b, least_ns=least_ns) for a, b in pairs]
        back = [self.fabric.add_port(b, a, least_ns=least_ns) for a, b in reversed(pairs)]
        return self.fabric.add_vc(there, back)


def star(fabric: VirtualFabric, senders: int) -> list[int]:
    """Circuits from so many hosts to one, over two switches: they share both last links."""
    first, second, sink = fabric.add_switch(20_000), fabric.add_switch(20_000), fabric.add_host()
    across, down = fabric.add_port(first, second), fabric.add_port(second, sink)
    up, backwards = fabric.add_port(sink, second), fabric.add_port(second, first)
    circuits = []
    for _ in range(senders):
        host = fabric.add_host()
        there = [fabric.add_port(host, first), across, down]
        circuits.append(fabric.add_vc(there, [up, backwards, fabric.add_port(first, host)]))
    return circuits


def cells_of(message_bytes: int) -> int:
    return FabricParams().message_cells(message_bytes)


@given(st.integers(1, 6), st.integers(1, 65_536), MODES)
@settings(max_examples=40, deadline=None)
def test_an_idle_hop_costs_a_microsecond_whatever_the_message(
    hops: int, message_bytes: int, frame_cells: int
) -> None:
    fabric = VirtualFabric(THRESHOLDS, Setup(frame_cells=frame_cells))
    vc = Chain.build(fabric, hops).vc()
    fabric.observe(windows=[(0, 10**9)])
    fabric.add_flow(vc, [Change(0, 0.5, message_bytes, 1e6)], end_ns=2_000_000)
    fabric.run(10_000_000)
    window = fabric.window_stats(vc, 1)[0]
    expected_ns = hops * 1000 + (cells_of(message_bytes) - 1) * CELL_NS + CELL_NS + 100
    assert window["messages"] == 2
    assert window["latency_min_ns"] == window["latency_max_ns"] == expected_ns
    assert window["gap_sum_ns"] == 1_000_000


@given(
    st.integers(2, 6),
    MODES,
    st.floats(0.01, 1.0),
    st.integers(0, 2**32),
    st.sampled_from([4, 500, 2048, 9000]),
)
@settings(max_examples=15, deadline=None)
def test_lost_quench_cells_cost_no_frame_and_hold_no_source_for_ever(
    senders: int, frame_cells: int, loss: float, seed: int, message_bytes: int
) -> None:
    setup = Setup(frame_cells=frame_cells, loss=Loss(control_loss=loss, seed=seed), tie_seed=seed)
    fabric = VirtualFabric(THRESHOLDS | {"quench_hold_ns": 500_000}, setup)
    circuits = star(fabric, senders)
    for vc in circuits:
        fabric.add_flow(vc, [Change(0, 1.0, message_bytes)], end_ns=6_000_000)
    fabric.run(6_000_000, checking=frame_cells > 1)
    fabric.run(200_000_000)
    assert fabric.broken is None
    counters = fabric.counters()
    assert counters["frames_under_way"] == counters["overflow"] == 0
    assert counters["messages_sent"] == counters["messages_received"]
    for vc in circuits:
        assert not fabric.held(vc)
        assert fabric.in_send_queue(vc) == 0


@given(
    MODES,
    st.sampled_from([0.0, 0.001, 0.05]),
    st.sampled_from([0.0, 0.001, 0.05]),
    st.integers(0, 2**32),
    st.sampled_from([4, 500, 20_000]),
)
@settings(max_examples=40, deadline=None)
def test_losses_discard_whole_messages_only(
    frame_cells: int, cell_loss: float, corruption: float, seed: int, message_bytes: int
) -> None:
    loss = Loss(cell_loss=cell_loss, cell_corruption=corruption, seed=seed)
    fabric = VirtualFabric(THRESHOLDS, Setup(frame_cells=frame_cells, loss=loss))
    circuits = star(fabric, 3)
    for vc in circuits:
        fabric.add_flow(vc, [Change(0, 1.0, message_bytes)], end_ns=4_000_000)
    fabric.run(4_000_000)
    under_way = fabric.counters()
    data = under_way["frames_under_way"] - under_way["control_under_way"]
    gone = under_way["frames_arrived"] + under_way["frames_lost_on_purpose"]
    assert under_way["frames_sent"] == gone + data
    fabric.run(400_000_000)
    counters = fabric.counters()
    assert fabric.broken is None
    assert counters["frames_under_way"] == 0
    discarded = counters["pdu_discarded_missing"] + counters["pdu_discarded_crc"]
    still_open = sum(fabric.messages_open(vc) for vc in circuits)  # lost at a circuit's very end
    assert counters["messages_sent"] == counters["messages_received"] + discarded + still_open
    for vc in circuits:
        messages, received_bytes = fabric.totals(vc, 1)
        assert received_bytes == messages * message_bytes
    assert (counters["pdu_discarded_missing"] + still_open > 0) == (
        counters["cells_lost_on_purpose"] > 0
    )
    if cell_loss == 0:
        assert (discarded > 0) == (counters["cells_corrupted_on_purpose"] > 0)


@pytest.mark.parametrize("frame_cells", [1, 170])
@pytest.mark.parametrize("rate", [0.002, 0.02])
def test_as_many_cells_are_lost_as_planned(frame_cells: int, rate: float) -> None:
    loss = Loss(cell_loss=rate, seed=9)
    fabric = VirtualFabric(THRESHOLDS, Setup(frame_cells=frame_cells, loss=loss))
    vc = Chain.build(fabric, 1).vc(least_ns=3759)
    fabric.add_flow(vc, [Change(0, 1.0, 40)], end_ns=100_000_000)  # single cells: both modes alike
    fabric.run(200_000_000)
    counters = fabric.counters()
    assert counters["cells_lost_on_purpose"] == pytest.approx(
        rate * counters["cell_hops"], rel=0.15
    )


def test_a_ping_pays_for_hosts_and_adapters_exactly() -> None:
    """Round trip: both processes, both processors, the cells' way, twice."""
    costs = AdapterCosts(
        host_send_ns=1_000, ni_send_ns=100, ni_receive_ns=200, ni_send_cell_ns=10,
        ni_receive_cell_ns=20, ni_send_single_ns=3, ni_receive_single_ns=5,
    )  # fmt: skip
    for message_bytes, processor_ns in ((40, 3 + 5), (400, 100 + 9 * 10 + 200 + 9 * 20)):
        fabric = VirtualFabric(THRESHOLDS, setup_of(FabricParams(), costs))
        vc = Chain.build(fabric, 1).vc()
        fabric.observe(windows=[(0, 10**9)], bin_ns=1_000_000)
        fabric.add_flow(
            vc,
            [Change(0, 1.0, message_bytes)],
            echo=True,
            host_send_ns=costs.host_send_ns,
            host_receive_ns=700,
            end_ns=5_000_000,
        )
        fabric.run(10_000_000)
        way_ns = 1_000 + 424 + 100 + (cells_of(message_bytes) - 1) * CELL_NS
        window = fabric.window_stats(vc, 0)[0]
        assert window["latency_min_ns"] == window["latency_max_ns"]
        assert window["latency_min_ns"] == 2 * (1_000 + processor_ns + way_ns + 700)
        assert window["messages"] == fabric.totals(vc, 1)[0] == fabric.bins(vc, 0)["messages"].sum()


def test_a_lost_ping_is_given_up_and_the_next_one_sent() -> None:
    setup = Setup(loss=Loss(cell_loss=0.2, seed=4), patience_ns=1_000_000)
    fabric = VirtualFabric(THRESHOLDS, setup)
    vc = Chain.build(fabric, 1).vc()
    fabric.add_flow(vc, [Change(0, 1.0, 40)], echo=True, end_ns=100_000_000)
    fabric.run(200_000_000)
    assert fabric.unanswered(vc) == fabric.counters()["pings_unanswered"] > 20
    assert fabric.totals(vc, 0)[0] > 20


@given(st.integers(1, 5), st.sampled_from([4, 400, 3000]))
@settings(max_examples=15, deadline=None)
def test_one_processor_serves_all_that_a_host_receives(senders: int, message_bytes: int) -> None:
    """When the sink's processor is the bottleneck, messages come out at its pace, in order."""
    costs = NiCosts(receive_single_ns=50_000, receive_ns=90_000)
    fabric = VirtualFabric(THRESHOLDS, Setup(costs=costs))
    circuits = star(fabric, senders)
    fabric.observe(windows=[(0, 10**12)])
    for vc in circuits:
        fabric.add_flow(vc, [Change(0, 0.5, message_bytes, 1e6)], end_ns=900_000)
    fabric.run(10**9)
    work_ns = 50_000 if message_bytes <= 40 else 90_000
    last_ns = max(int(fabric.window_stats(vc, 1)[0]["last_ns"]) for vc in circuits)
    way_ns = 2_000 + 524 + (cells_of(message_bytes) - 1) * CELL_NS
    assert last_ns == way_ns + senders * work_ns


def test_changes_and_the_end_of_a_stream() -> None:
    """Silence, pace, greed and another size; the send queue's old messages go first."""
    fabric = VirtualFabric(THRESHOLDS, Setup())
    vc = Chain.build(fabric, 1).vc()
    fabric.observe(bin_ns=1_000_000, windows=[(0, 2_000_000), (3_000_000, 4_000_000)])
    changes = [
        Change(1_000_000, 0.5, 100, 100_000.0),
        Change(2_000_000, 1.0, 2048),
        Change(4_000_000, 0.0, 2048),
        Change(5_000_000, 1.0, 40),
    ]
    fabric.add_flow(vc, changes, end_ns=6_000_000)
    fabric.run(10_000_000)
    rows = {int(row["t_ns"]) // 1_000_000: row for row in fabric.bins(vc, 1)}
    assert 0 not in rows
    assert (rows[1]["messages"], rows[1]["bytes"]) == (10, 1_000)
    full = 1_000_000 / (43 * CELL_NS)
    assert rows[3]["messages"] == pytest.approx(full, abs=1)
    assert fabric.window_stats(vc, 1)["messages"].tolist() == [10, rows[3]["messages"]]
    # 64 messages wait in the send queue and four in the adapter when silence begins
    assert rows[4]["messages"] + rows.get(5, {"messages": 0})["messages"] >= 54
    assert fabric.totals(vc, 0) == fabric.totals(vc, 1)
    assert 9 not in rows


def test_latency_buckets_hold_what_they_say() -> None:
    fabric = VirtualFabric(THRESHOLDS, Setup())
    vc = Chain.build(fabric, 1).vc()
    fabric.observe(windows=[(0, 10**9)])
    fabric.add_flow(vc, [Change(0, 0.5, 40, 1e5)], end_ns=1_000_000)
    fabric.run(10_000_000)
    buckets = fabric.window_stats(vc, 1)[0]["buckets"]
    value = 1524
    exponent = value.bit_length() - 1
    index = (exponent - 2) * 8 + ((value >> (exponent - 3)) & 7)
    assert buckets[index] == buckets.sum() == 10


def test_series_have_a_row_for_every_signal() -> None:
    fabric = VirtualFabric(THRESHOLDS, Setup())
    circuits = star(fabric, 4)
    fabric.observe(sample_ns=100_000)
    for vc in circuits:
        fabric.add_flow(vc, [Change(0, 1.0, 2048)], end_ns=5_000_000)
    fabric.run(5_000_000)
    counters, events = fabric.counters(), fabric.series("events")
    assert (events["kind"] == 0).sum() == counters["quenches"] > 0
    assert (events["kind"] == 1).sum() == counters["unquenches"] > 0
    links, queues = fabric.series("links"), fabric.series("queues")
    assert (links["t_ns"] % 100_000 == 0).all()
    shared = links[links["port"] == 0]  # the link between the switches is never idle
    assert shared["busy_ns"][5:].mean() == pytest.approx(100_000, rel=0.01)
    assert queues["cells"].max() >= FabricParams().vci_quench_cells
