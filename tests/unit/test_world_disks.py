"""Disks keep what they said they kept; the quorum volume has one holder at a time."""

from __future__ import annotations

from lab.ethernet.agenda import NS, Agenda
from lab.stacks.core import DiskCall, DiskDone, DiskOperation
from lab.world.disks import Disk, QuorumVolume
from lab.world.machine import Machine


class Bench:
    def __init__(self, kind: type[Disk], seed: int = 1) -> None:
        self.agenda = Agenda(seed)
        self.disk = kind(self.agenda, Machine(), seed)
        self.done: list[DiskDone] = []
        self.token = 0

    def begin(self, operation: DiskOperation, key: str = "", data: bytes = b"", node: int = 1):
        self.token += 1
        call = DiskCall(self.token, "own", operation, key, data)
        self.disk.call(node, call, self.done.append)

    def do(self, operation: DiskOperation, key: str = "", data: bytes = b"", node: int = 1):
        self.begin(operation, key, data, node)
        self.wait(1.0)
        return self.done[-1]

    def wait(self, s: float) -> None:
        self.agenda.run(self.agenda.now_ns + round(s * NS))


def test_what_was_written_is_read_listed_and_deleted() -> None:
    bench = Bench(Disk)
    for key in ("log/2", "log/1", "database"):
        assert bench.do("write", key, key.encode()).ok
    assert bench.do("read", "log/1").data == b"log/1"
    assert bench.do("list", "log/").data == b"log/1\nlog/2"
    assert bench.do("delete", "log/1").ok
    assert not bench.do("read", "log/1").ok
    assert bench.do("delete", "log/1").ok


def test_calls_are_served_in_order_and_take_time() -> None:
    bench = Bench(Disk)
    bench.begin("write", "a", b"x" * 100_000)
    bench.begin("read", "a")
    bench.wait(0.014)
    assert not bench.done
    bench.wait(0.002)
    assert [done.token for done in bench.done] == [1]
    bench.wait(1.0)
    assert len(bench.done[1].data) == 100_000


def test_crash_loses_or_keeps_what_was_under_way_but_nothing_that_was_done() -> None:
    kept = set()
    for seed in range(40):
        bench = Bench(Disk, seed)
        bench.do("write", "done", b"1")
        bench.begin("write", "done", b"2")
        bench.begin("write", "new", b"2")
        bench.disk.crash(1)
        bench.wait(1.0)
        assert len(bench.done) == 1
        kept.add((bench.disk.keys["done"], bench.disk.keys.get("new")))
    assert kept == {(done, new) for done in (b"1", b"2") for new in (None, b"2")}


def test_quorum_volume_has_one_holder() -> None:
    bench = Bench(QuorumVolume)
    assert not bench.do("write", "a", b"1", node=1).ok
    assert bench.do("reserve", node=1).ok
    assert bench.do("write", "a", b"1", node=1).ok
    assert not bench.do("reserve", node=2).ok
    assert not bench.do("read", "a", node=2).ok
    assert bench.do("release", node=1).ok
    assert bench.do("reserve", node=2).ok
    assert bench.do("read", "a", node=2).data == b"1"


def test_holder_that_does_not_renew_loses_it_to_who_asks() -> None:
    bench = Bench(QuorumVolume)
    bench.do("reserve", node=1)
    for _ in range(3):
        bench.wait(6.0)
        assert bench.do("renew", node=1).ok
        assert not bench.do("reserve", node=2).ok
    bench.wait(11.0)
    assert bench.do("write", "a", node=1).ok, "nobody else has taken it yet"
    assert bench.do("reserve", node=2).ok
    assert not bench.do("renew", node=1).ok


def test_node_that_is_cut_off_reaches_nothing() -> None:
    bench = Bench(QuorumVolume)
    assert isinstance(bench.disk, QuorumVolume)
    bench.do("reserve", node=1)
    bench.disk.cut_off.add(1)
    assert not bench.do("renew", node=1).ok
    bench.disk.cut_off.discard(1)
    assert bench.do("renew", node=1).ok


def test_slow_disk_of_one_node_does_not_slow_the_others() -> None:
    bench = Bench(QuorumVolume)
    bench.disk.slower_ns[1] = 3 * NS
    bench.begin("reserve", node=1)
    bench.begin("reserve", node=2)
    bench.wait(1.0)
    assert [(done.token, done.ok) for done in bench.done] == [(2, True)]
    bench.wait(3.0)
    assert [(done.token, done.ok) for done in bench.done] == [(2, True), (1, False)]
