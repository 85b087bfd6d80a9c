"""The medium between hosts and switches: what becomes of a frame, in virtual time."""

import json
import socket
from collections.abc import Callable
from itertools import pairwise

import pytest

from lab.emulation.medium import frames
from lab.emulation.medium.keeper import Holder, HostAddresses
from lab.emulation.medium.lan import Ends, Lan
from lab.errors import LabError
from lab.ethernet.agenda import Agenda
from lab.ethernet.frames import Frame
from lab.ethernet.links import Links
from lab.ethernet.paths import Paths
from lab.ethernet.switch import QUEUE_FRAMES
from lab.stacks.plan import Fault, NetworkPlan

HOSTS = (1, 2, 3)
PLAN = NetworkPlan(rate_bytes_per_s=1e6, delay_s=0.01)
HUB = NetworkPlan(kind="hub", rate_bytes_per_s=1e6, delay_s=0.01)
MS = 1_000_000


class Bench:
    """One network whose switch is played here: it forwards at once."""

    def __init__(self, plan: NetworkPlan) -> None:
        self.agenda = Agenda(1)
        self.got: list[tuple[int, int, bytes]] = []
        """Time in microseconds, host, frame."""
        self.collided: list[list[int]] = []
        self.paths = Paths(self.agenda, 1, self._deliver)
        ends = {host: Ends(host_if=10 + host, switch_if=20 + host) for host in HOSTS}
        self.lan = Lan(
            0, len(HOSTS), plan, ends, self.agenda, self.paths, self._out, 1,
            lambda _network, hosts: self.collided.append(hosts),
        )  # fmt: skip

    def _deliver(self, host: int, frame: Frame) -> None:
        self.lan.deliver(host, frame.item)

    def _out(self, interface: int, data: bytes) -> None:
        if interface > 20:
            targets = [frames.number_of(frames.target_of(data), 0)]
            if frames.is_for_many(data):
                targets = [host for host in HOSTS if host != interface - 20]
            for target in targets:
                self.lan.from_switch(target, data)
        else:
            self.got.append((self.agenda.now_ns // 1000, interface - 10, data))

    def send(self, source: int, target: int, size: int = 976) -> None:
        self.lan.from_host(source, frame(source, target, size))

    def run(self, until_ms: int = 10_000) -> list[tuple[int, int]]:
        self.agenda.run(until_ms * MS)
        return [(at, host) for at, host, _ in self.got]


def frame(source: int, target: int, size: int) -> bytes:
    """A frame that occupies ``size`` + 24 bytes; to everybody when the target is 0."""
    to = frames.hardware_address(target, 0) if target else frames.BROADCAST
    return (to + frames.hardware_address(source, 0)).ljust(size, b"\0")


def test_a_frame_takes_two_links_and_the_delay():
    bench = Bench(PLAN)
    bench.send(1, 2)
    assert bench.run() == [(1000 + 10_000 + 1000, 2)]
    assert (bench.lan.counts[1].sent_bytes, bench.lan.counts[2].received_bytes) == (1000, 1000)


def test_links_carry_one_frame_after_the_other_and_each_host_has_its_own():
    bench = Bench(PLAN)
    bench.send(1, 3)
    bench.send(2, 3)
    bench.send(1, 2)
    # 1 and 2 send side by side, the link of 3 takes one after the other.
    assert sorted(bench.run()) == [(12_000, 3), (13_000, 2), (13_000, 3)]


def test_a_small_frame_is_padded_and_a_broadcast_reaches_all_others():
    bench = Bench(PLAN)
    bench.send(2, 0, 20)
    assert sorted(bench.run()) == [(84 + 10_000 + 84, 1), (84 + 10_000 + 84, 3)]


def test_faults_are_of_a_direction_and_of_each_copy():
    bench = Bench(PLAN)
    bench.paths.set(Fault("one-way-cut"), [(1, 2, 0)])
    bench.send(1, 0)
    bench.send(2, 1)
    assert [host for _, host in bench.run()] == [1, 3]
    assert bench.paths.lost == 1


def test_what_is_clogged_arrives_after_healing():
    bench = Bench(PLAN)
    bench.paths.set(Fault("clog"), [(1, 2, 0)])
    bench.send(1, 2)
    assert bench.run(100) == []
    bench.paths.heal(lambda host: host == 2)
    assert [host for _, host in bench.run()] == [2]


def test_a_full_queue_loses_frames_and_says_so():
    bench = Bench(PLAN)
    for _ in range(2 * QUEUE_FRAMES):
        bench.send(1, 2, 1514)
    assert len(bench.run()) + bench.lan.lost() == 2 * QUEUE_FRAMES
    assert 0 < bench.lan.lost() < QUEUE_FRAMES


def test_load_makes_frames_wait_and_heavier_load_more_so():
    def mean_wait_ns(level: str) -> float:
        links = Links(PLAN, seed=7)
        links.load(level, [1])  # type: ignore[arg-type]
        ends = [links.carry(at, 1, 1) for at in range(0, 1000 * 10**9, 10**9)]
        return sum(end - at * 10**9 for at, end in enumerate(ends) if end is not None) / 1000

    assert mean_wait_ns("idle") == 1.0
    assert 1.0 < mean_wait_ns("moderate") < mean_wait_ns("heavy")


def test_a_forged_source_is_not_carried():
    bench = Bench(PLAN)
    bench.lan.from_host(1, frame(3, 2, 100))
    assert bench.run() == []
    assert bench.lan.foreign == 1


def test_frames_on_a_hub_collide_and_arrive_all_the_same():
    bench = Bench(HUB)
    for host in HOSTS:
        bench.send(host, host % 3 + 1)
    arrived = bench.run()
    assert sorted(host for _, host in arrived) == [1, 2, 3]
    assert bench.lan.collisions == len(bench.collided) >= 1
    assert bench.collided[0] == [1, 2, 3]
    assert all(bench.lan.counts[host].collisions >= 1 for host in HOSTS)
    # One medium: no two frames at the same time.
    times = sorted(at for at, _ in arrived)
    assert all(later - earlier >= 1000 for earlier, later in pairwise(times))


def test_a_switch_left_standing_does_not_feed_a_hub():
    bench = Bench(HUB)
    bench.lan.from_switch(2, frame(1, 2, 100))
    assert bench.run() == []


def test_gratuitous_arp_tells_everybody_who_has_an_address():
    hardware = frames.hardware_address(7, 1)
    arp = frames.gratuitous_arp(hardware, bytes((10, 2, 0, 250)))
    assert len(arp) == 42
    assert arp[:14] == b"\xff" * 6 + hardware + b"\x08\x06"
    assert arp[22:32] == arp[22:28] + arp[38:42] == hardware + bytes((10, 2, 0, 250))
    assert frames.number_of(frames.source_of(arp), 1) == 7
    assert frames.number_of(frames.source_of(arp), 0) == 0


class Recorded(HostAddresses):
    """Changes no interface."""

    def __init__(self) -> None:
        self.changes: list[tuple[str, str]] = []

    def up(self, address: str) -> None:
        if not address.startswith("10.1.0.2"):
            raise LabError(f"{address} is no address that can move")
        self.changes.append(("up", address))

    def down(self, address: str) -> None:
        self.changes.append(("down", address))


@pytest.fixture
def holder() -> tuple[Recorded, Callable[..., list[dict[str, object]]]]:
    addresses = Recorded()
    ours, theirs = socket.socketpair()
    holding = Holder(theirs, addresses)

    def say(*lines: dict[str, str], end: bool = False) -> list[dict[str, object]]:
        if end:
            ours.close()
            assert not holding.readable()
            return []
        ours.sendall(b"".join(json.dumps(line).encode() + b"\n" for line in lines))
        assert holding.readable()
        return [json.loads(line) for line in ours.recv(65536).splitlines()]

    return addresses, say


def test_a_program_keeps_addresses_while_its_connection_stands(
    holder: tuple[Recorded, Callable[..., list[dict[str, object]]]],
):
    addresses, say = holder
    assert say({"up": "10.1.0.250"}, {"up": "10.1.0.251"}) == [{"ok": True}, {"ok": True}]
    assert say({"down": "10.1.0.251"}) == [{"ok": True}]
    say(end=True)
    assert addresses.changes == [
        ("up", "10.1.0.250"),
        ("up", "10.1.0.251"),
        ("down", "10.1.0.251"),
        ("down", "10.1.0.250"),
    ]


def test_what_a_program_may_not_have_is_refused(
    holder: tuple[Recorded, Callable[..., list[dict[str, object]]]],
):
    addresses, say = holder
    (refused,) = say({"up": "10.9.9.9"})
    assert refused == {"ok": False, "detail": "10.9.9.9 is no address that can move"}
    (nonsense,) = say({"sideways": "x"})
    assert nonsense["ok"] is False
    assert say({"down": "10.1.0.200"}) == [{"ok": True}]
    assert addresses.changes == []


def igmp_report(source: int) -> bytes:
    """What a host that has joined a group tells routers (IGMPv3, to 224.0.0.22)."""
    ethernet = bytes.fromhex("01005e000016") + frames.hardware_address(source, 0) + b"\x08\x00"
    ip = bytes.fromhex("46c0 0028 0000 4000 01 02 0000") + bytes(8)
    return ethernet + ip + bytes(40)


@pytest.mark.parametrize("plan", [PLAN, HUB])
def test_reports_for_routers_go_nowhere(plan: NetworkPlan) -> None:
    bench = Bench(plan)
    bench.lan.from_host(1, igmp_report(1))
    assert bench.run() == []
    assert bench.lan.foreign == 0


@pytest.mark.parametrize("plan", [PLAN, HUB])
def test_hosts_that_are_switched_off_neither_hear_nor_speak(plan: NetworkPlan) -> None:
    bench = Bench(plan)
    bench.lan.hosts = 2
    many = frames.gratuitous_arp(frames.hardware_address(1, 0), bytes(4))
    bench.lan.from_host(1, many)
    bench.lan.from_host(3, frames.gratuitous_arp(frames.hardware_address(3, 0), bytes(4)))
    assert [host for _, host in bench.run()] == [2]
