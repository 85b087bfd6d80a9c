"""The fabric model's promises, on random small networks and on the thesis's port contention."""

from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lab.fabric.setup import Change, Setup
from lab.fabric.virtual import VirtualFabric

CELL_NS = 424
MESSAGE_CELLS = 43
PARAMS = {
    "flow_control": 1,
    "vci_quench_cells": 800,
    "vci_unquench_cells": 500,
    "link_quench_cells": 1000,
    "buffer_quench_cells": 16000,
    "input_stop_cells": 2500,
    "input_go_cells": 2000,
    "memory_stop_cells": 0,
    "memory_go_cells": 0,
    "quantum_cells": MESSAGE_CELLS,
    "quench_repeat_ns": 250_000,
    "quench_hold_ns": 20_000_000,
}


@dataclass
class Star:
    """One core switch, a switch in front of each of its ports, hosts behind those."""

    fabric: VirtualFabric
    core: int
    outer: list[int]
    up: list[int]
    down: list[int]

    @classmethod
    def build(cls, fabric: VirtualFabric, arms: int, buffer_cells: int = 20_000) -> "Star":
        core = fabric.add_switch(buffer_cells)
        outer = [fabric.add_switch(buffer_cells) for _ in range(arms)]
        up = [fabric.add_port(s, core) for s in outer]
        down = [fabric.add_port(core, s) for s in outer]
        return cls(fabric, core, outer, up, down)

    def host(self, arm: int) -> tuple[int, int]:
        host = self.fabric.add_host()
        return (
            self.fabric.add_port(host, self.outer[arm], least_ns=3759),
            self.fabric.add_port(self.outer[arm], host, least_ns=3759),
        )

    def vc(self, source: int, sink: int) -> int:
        (a_out, a_in), (b_out, b_in) = self.host(source), self.host(sink)
        return self.fabric.add_vc(
            [a_out, self.up[source], self.down[sink], b_in],
            [b_out, self.up[sink], self.down[source], a_in],
        )


def send(
    fabric: VirtualFabric,
    vc: int,
    *,
    cells: int,
    stop_ns: int,
    interval_ns: float = 0,
    start_ns: int = 0,
    phase: float = 0.0,
) -> None:
    """Messages of so many cells, greedily or at intervals."""
    rate = 0.5 if interval_ns else 1.0
    change = Change(start_ns, rate, cells * 48 - 8, interval_ns)
    fabric.add_flow(vc, [change], end_ns=stop_ns, phase=phase)


streams = st.lists(
    st.tuples(
        st.integers(0, 3),
        st.integers(0, 3),
        st.sampled_from([1, 2, 7, 43]),
        st.sampled_from([0, 0, 3_000, 20_000, 100_000]),
        st.integers(0, 50_000),
    ),
    min_size=1,
    max_size=7,
)


@settings(max_examples=40, deadline=None)
@given(
    streams,
    st.sampled_from([0, 1]),
    st.integers(0, 5),
    st.sampled_from([0, 1_000, 30_000]),
    st.sampled_from([1, 5, 170]),
)
def test_nothing_is_lost_and_every_rule_holds(
    flows: list[tuple[int, int, int, int, int]],
    flow_control: int,
    seed: int,
    latency_ns: int,
    frame_cells: int,
) -> None:
    fabric = VirtualFabric(
        PARAMS | {"flow_control": flow_control},
        Setup(tie_seed=seed, switch_latency_ns=latency_ns, frame_cells=frame_cells),
    )
    star = Star.build(fabric, 4)
    stop_ns = 1_500_000
    vcs = []
    for source, sink, cells, interval_ns, start_ns in flows:
        vc = star.vc(source, sink if sink != source else (sink + 1) % 4)
        send(fabric, vc, cells=cells, interval_ns=interval_ns, start_ns=start_ns, stop_ns=stop_ns)
        vcs.append((vc, cells))
    fabric.run(stop_ns, checking=True)
    assert fabric.broken is None
    fabric.run(1_000 * stop_ns)  # drain: every queue empties, every quench is taken back
    assert fabric.broken is None
    counters = fabric.counters()
    assert counters["frames_under_way"] == 0
    assert counters["frames_sent"] == counters["frames_arrived"]
    for vc, cells in vcs:
        sent, received = fabric.totals(vc, 0), fabric.totals(vc, 1)
        assert sent == received
        assert received[0] > 0
        assert received[1] == received[0] * (cells * 48 - 8)
        assert fabric.messages_open(vc) == fabric.in_send_queue(vc) == 0
        assert not fabric.held(vc)
    assert counters["quenches"] >= counters["unquenches"]  # cells under way may repeat a quench
    assert counters["control_sent"] == counters["control_arrived"]
    assert counters["stops"] == counters["goes"]
    for node in [star.core, *star.outer]:
        into, out_of = fabric.node_frames(node)
        assert into == out_of


@settings(max_examples=20, deadline=None)
@given(st.integers(2, 7), st.sampled_from([0, 1]), st.integers(0, 3), st.sampled_from([1, 170]))
def test_greedy_streams_share_a_port_equally(
    n: int, flow_control: int, seed: int, frame_cells: int
) -> None:
    fabric = VirtualFabric(
        PARAMS | {"flow_control": flow_control}, Setup(tie_seed=seed, frame_cells=frame_cells)
    )
    star = Star.build(fabric, 8)
    vcs = [star.vc(1 + i, 0) for i in range(n)]
    for vc in vcs:
        send(fabric, vc, cells=MESSAGE_CELLS, stop_ns=40_000_000)
    fabric.run(40_000_000)
    delivered = [fabric.totals(vc, 1)[0] for vc in vcs]
    assert max(delivered) <= 1.03 * min(delivered)
    # the port itself never rests once it has begun
    assert sum(delivered) * MESSAGE_CELLS * CELL_NS > 0.99 * 40_000_000


def contention(flow_control: int, rate: float, latency_ns: int = 476) -> tuple[float, float]:
    """Thesis 4.6.3 on one core switch; MByte/s of a background and of a congestion stream."""
    until_ns = 100_000_000
    fabric = VirtualFabric(
        PARAMS | {"flow_control": flow_control}, Setup(switch_latency_ns=latency_ns)
    )
    star = Star.build(fabric, 8)
    background = [star.vc(q, q % 7 + 1) for q in range(1, 8)]
    congestion = [star.vc(q, 0) for q in range(1, 8)]
    for vc in background:
        send(fabric, vc, cells=MESSAGE_CELLS, stop_ns=until_ns)
    for i, vc in enumerate(congestion):
        interval_ns = 0 if rate >= 1 else round(MESSAGE_CELLS * CELL_NS / rate)
        send(
            fabric,
            vc,
            cells=MESSAGE_CELLS,
            interval_ns=interval_ns,
            phase=i / 7,
            stop_ns=until_ns,
        )
    fabric.run(until_ns)
    assert fabric.broken is None

    def mean(vcs: list[int]) -> float:
        return sum(fabric.totals(vc, 1)[0] for vc in vcs) / len(vcs) * 2048 / until_ns * 1e3

    return mean(background), mean(congestion)


def test_quench_keeps_the_background_streams_up() -> None:
    background, congestion = contention(1, 1.0)
    assert background == pytest.approx(95.9, rel=0.02)
    assert congestion == pytest.approx(16.0, rel=0.02)


def test_the_delay_that_a_certificate_allows_moves_no_figure() -> None:
    """The certificate lets an emulated switch be 150 us slower (virtual) than the model's."""
    background, congestion = contention(1, 1.0, latency_ns=150_000)
    assert background == pytest.approx(95.9, rel=0.02)
    assert congestion == pytest.approx(16.0, rel=0.02)
    background, congestion = contention(0, 1.0, latency_ns=150_000)
    assert congestion == pytest.approx(16.0, rel=0.02)
    assert background < 1.3 * congestion


def test_link_level_control_pulls_the_background_streams_down() -> None:
    background, congestion = contention(0, 1.0)
    assert congestion == pytest.approx(16.0, rel=0.02)
    assert background < 1.3 * congestion


def test_link_level_control_is_harmless_below_a_seventh() -> None:
    background, _ = contention(0, 0.10)
    assert background == pytest.approx(100.7, rel=0.02)


def test_a_memory_that_is_too_small_is_reported() -> None:
    fabric = VirtualFabric(PARAMS | {"flow_control": 0})
    star = Star.build(fabric, 4, buffer_cells=500)  # the stop threshold lies beyond the memory
    for source in (1, 2, 3):
        send(fabric, star.vc(source, 0), cells=MESSAGE_CELLS, stop_ns=2_000_000)
    fabric.run(2_000_000)
    assert fabric.overflowed_node is not None
    assert "no room" in str(fabric.broken)


def test_the_same_seed_gives_the_same_run() -> None:
    def digest(seed: int) -> int:
        fabric = VirtualFabric(PARAMS, Setup(tie_seed=seed))
        star = Star.build(fabric, 4)
        for source in (1, 2, 3):
            send(fabric, star.vc(source, 0), cells=MESSAGE_CELLS, stop_ns=1_000_000)
        fabric.run(1_000_000)
        return fabric.digest

    assert digest(3) == digest(3)
    assert digest(3) != digest(4)


def test_ports_that_do_not_join_up_are_refused() -> None:
    fabric = VirtualFabric(PARAMS)
    star = Star.build(fabric, 2)
    with pytest.raises(ValueError, match="join"):
        fabric.add_vc([star.up[0], star.up[1]], [star.down[0], star.down[1]])
