"""Switch and hub: links take the time that they take, and a hub collides and stays fair."""

from __future__ import annotations

from itertools import groupby, pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lab.ethernet.agenda import NS, Agenda
from lab.ethernet.frames import Frame, wire_bytes
from lab.ethernet.networks import Network, make_network
from lab.stacks.core import Received
from lab.stacks.plan import LoadLevel, NetworkPlan
from lab.world.world import run_case

from world_toy import ToyStack, toy_plan  # isort: skip

RATE = 12.5e6
Arrival = tuple[float, int, int]
"""Time, target, number."""


class Net:
    def __init__(self, kind: str, nodes: int = 4, seed: int = 1) -> None:
        self.agenda = Agenda(seed)
        self.arrivals: list[tuple[float, int, int, str]] = []
        plan = NetworkPlan("hub" if kind == "hub" else "switch", RATE, 50e-6)
        self.network: Network = make_network(
            0, plan, nodes=nodes, agenda=self.agenda, seed=seed, arrive=self._arrive,
            on_collision=lambda network, nodes: None,
        )  # fmt: skip

    def _arrive(self, target: int, frame: Frame) -> None:
        self.arrivals.append((self.agenda.now_ns / NS, frame.source, target, frame.label))

    def send(self, source: int, *targets: int, size: int = 1000, label: str = "") -> None:
        item = Received(source, 0, "", b"", "")
        frame = Frame(source, 0, self.network.wire_ns(size), item, label)
        self.network.send(frame, targets)

    def run(self) -> list[tuple[float, int, int, str]]:
        self.agenda.run(NS)
        return self.arrivals


def test_wire_bytes_count_headers_padding_and_fragments() -> None:
    assert wire_bytes(1) == 84
    assert wire_bytes(1000) == 1066
    assert wire_bytes(1473) == 1473 + 2 * 66


def test_switch_serves_a_link_at_its_rate() -> None:
    net = Net("switch")
    for number in range(3):
        net.send(1, 2, label=str(number))
    one_s = 1066 / RATE
    expected = [2 * one_s + 50e-6 + number * one_s for number in range(3)]
    assert [t_s for t_s, *_ in net.run()] == pytest.approx(expected, abs=1e-8)
    assert [label for *_, label in net.arrivals] == ["0", "1", "2"]


def test_two_senders_share_the_receivers_link_but_not_each_others() -> None:
    net = Net("switch")
    net.send(1, 3)
    net.send(2, 3)
    net.send(2, 4)
    one_s = 1066 / RATE
    at_three = [t_s for t_s, _, target, _ in net.run() if target == 3]
    assert at_three == pytest.approx([2 * one_s + 50e-6, 3 * one_s + 50e-6], abs=1e-8)
    (at_four,) = [t_s for t_s, _, target, _ in net.arrivals if target == 4]
    assert at_four == pytest.approx(3 * one_s + 50e-6, abs=1e-8)


@pytest.mark.parametrize("kind", ["switch", "hub"])
def test_multicast_takes_the_senders_link_once(kind: str) -> None:
    net = Net(kind)
    net.send(1, 2, 3, 4)
    times = [t_s for t_s, *_ in net.run()]
    assert len(times) == 3
    assert max(times) - min(times) < 1e-9


def test_switch_never_collides_and_a_hub_does() -> None:
    counts = {}
    for kind in ("switch", "hub"):
        net = Net(kind, nodes=8)
        for source in range(1, 9):
            net.send(source, source % 8 + 1)
        assert len(net.run()) == 8
        counts[kind] = net.network.collisions
    assert counts["switch"] == 0
    assert counts["hub"] > 0


def test_hub_alone_never_collides() -> None:
    net = Net("hub")
    for _ in range(50):
        net.send(1, 2)
    assert len(net.run()) == 50
    assert net.network.collisions == 0


@settings(max_examples=40, deadline=None)
@given(
    sends=st.lists(st.tuples(st.integers(1, 6), st.integers(0, 2000)), max_size=60),
    seed=st.integers(0, 1000),
)
def test_hub_carries_one_frame_at_a_time_and_loses_none(
    sends: list[tuple[int, int]], seed: int
) -> None:
    net = Net("hub", nodes=6, seed=seed)
    for number, (source, size) in enumerate(sends):
        net.send(source, source % 6 + 1, size=size, label=f"{number} {size}")
    arrivals = net.run()
    assert len(arrivals) + net.network.lost == len(sends)
    for before, after in pairwise(arrivals):
        wire_s = net.network.wire_ns(int(after[3].split()[1])) / NS
        assert after[0] - before[0] >= wire_s - 1e-9
    for source in range(1, 7):
        own = [int(label.split()[0]) for _, s, _, label in arrivals if s == source]
        assert own == sorted(own)


def test_hub_lets_no_node_keep_the_medium_for_its_whole_train() -> None:
    longest = []
    for seed in range(20):
        net = Net("hub", nodes=4, seed=seed)
        for source in range(1, 5):
            for _ in range(30):
                net.send(source, source % 4 + 1)
        order = [source for _, source, *_ in net.run()]
        # Until the first train is through all four compete.
        first_done = min(len(order) - order[::-1].index(source) for source in range(1, 5))
        shares = [order[:first_done].count(source) for source in range(1, 5)]
        assert min(shares) > 10
        longest.append(max(len(list(run)) for _, run in groupby(order[:first_done])))
    assert max(longest) < 15


def test_collisions_are_counted_and_logged() -> None:
    result = run_case(toy_plan(6, 5.0, networks=(NetworkPlan("hub"),)), stack=ToyStack())
    logged = [e for e in result.events if e.kind == "collision"]
    assert result.collisions == len(logged) > 0
    assert all(e.node == 0 and len(e.fields["nodes"]) > 1 for e in logged)


@pytest.mark.parametrize(("level", "part"), [("moderate", 0.3), ("heavy", 0.8)])
def test_load_takes_its_part_of_a_hub(level: LoadLevel, part: float) -> None:
    net = Net("hub")
    net.network.load(level, ())
    for number in range(400):
        net.agenda.at(number * NS // 500, lambda _: net.send(1, 2))
    late = [t_s % 0.002 for t_s, *_ in net.run()]
    undisturbed_s = 1066 / RATE + 50e-6
    disturbed = sum(t_s > undisturbed_s + 1e-9 for t_s in late) / len(late)
    assert part - 0.1 < disturbed < part + 0.1
    assert net.network.collisions > 0
