"""Endpoints through a fake adapter: back-pressure, protection, sleeping, upcalls."""

from __future__ import annotations

import mmap
import select
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import unet_fake_ni
from unet_fake_ni import FakeNi

from lab.unet import (
    BadSegment,
    ChannelRefused,
    Endpoint,
    MessageTooLong,
    NoService,
    NotAttached,
    QueueFull,
    Refused,
    UNetError,
)
from lab.unet.segment import SEND_HEAD_AT, Geometry

PATIENCE_S = 30.0  # for what comes at once on an idle machine
CHANNELS = {1: ("a", "b"), 2: ("c", "d"), 3: ("a", "d")}
SMALL = Geometry(send_slots=8, recv_slots=16, free_slots=16, buffers=20, buffer_bytes=4096)


@pytest.fixture
def ni(tmp_path: Path):
    with FakeNi(tmp_path / "unet.sock", CHANNELS, geometry=SMALL) as fake:
        yield fake


def attach(ni: FakeNi, name: str) -> Endpoint:
    return Endpoint.attach(name, ni.path)


def eventually(condition: Callable[[], bool], timeout_s: float = PATIENCE_S) -> bool:
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.002)
    return True


@pytest.mark.parametrize("length", [0, 1, 40, 41, 2048, 4096, 4097, 16384])
def test_a_message_arrives_as_it_was_sent(ni: FakeNi, length: int):
    data = bytes(i * 7 & 0xFF for i in range(length))
    with attach(ni, "a") as a, attach(ni, "b") as b:
        assert (a.channels, b.channels) == ([1, 3], [1])
        for _ in range(50):
            a.send_wait(1, data, timeout_s=PATIENCE_S)
            with b.receive(PATIENCE_S) as message:
                assert message.data == data
                assert len(message) == length
                assert message.channel == 1
                assert message.latency_ns >= 0
        assert message.seq == 49
        a.reclaim()
        assert (a.accepted, a.injected, a.in_send_queue(), a.rejected) == (50, 50, 0, 0)
        assert a.counters()["ni_sent_bytes"] == b.counters()["ni_recv_bytes"] == 50 * length


def test_receive_times_out(ni: FakeNi):
    with attach(ni, "a") as a:
        began = time.monotonic()
        assert a.receive(0.05) is None
        assert a.receive(0) is None
        assert time.monotonic() - began > 0.04
        assert a.poll() is None


def test_a_full_queue_pushes_back_and_resumes(ni: FakeNi):
    ni.held.add(1)
    with attach(ni, "a") as a, attach(ni, "b") as b:
        assert [a.try_send(1, bytes(100)) for _ in range(9)] == [True] * 8 + [False]
        with pytest.raises(QueueFull):
            a.send(1, b"x")
        with pytest.raises(QueueFull):
            a.send_wait(1, b"x", timeout_s=0.05)
        assert not a.wait_for_room(4, 0.02)
        assert a.in_send_queue() == 8
        threading.Timer(0.1, ni.held.clear).start()
        a.send_wait(1, b"resumed")
        assert not ni.held  # it came back when there was room, not before
        assert a.wait_for_room(0, PATIENCE_S)
        lengths = [len(b.receive(PATIENCE_S)) for _ in range(9)]
        assert lengths == [100] * 8 + [7]


def test_a_held_channel_does_not_block_another_of_the_same_endpoint(ni: FakeNi):
    ni.held.add(1)
    with attach(ni, "a") as a, attach(ni, "b") as b, attach(ni, "d") as d:
        a.send(1, b"held")
        for number in range(5):
            a.send(3, bytes([number]))
        assert [d.receive(PATIENCE_S).data[0] for _ in range(5)] == list(range(5))
        assert (b.pending(), a.in_send_queue()) == (0, 6)
        ni.held.clear()
        assert b.receive(PATIENCE_S).data == b"held"
        assert eventually(lambda: a.in_send_queue() == 0)


def test_bulk_sending_of_equal_and_of_stamped_messages(ni: FakeNi):
    with attach(ni, "a") as a, attach(ni, "b") as b:
        assert a.send_many(1, 100, 5, bytes(range(100))) == 5
        assert [b.receive(PATIENCE_S).data for _ in range(5)] == [bytes(range(100))] * 5

        def stamp(memory: mmap.mmap, position: int, i: int) -> None:
            memory[position : position + 8] = i.to_bytes(8, "little")

        assert eventually(lambda: a.in_send_queue() == 0)
        ni.held.add(1)
        assert a.send_many(1, 8, 100, stamp) == 8
        assert a.send_many(1, 8, 100, stamp) == 0
        ni.held.clear()
        assert [b.receive(PATIENCE_S).data[0] for _ in range(8)] == list(range(8))


def test_an_exhausted_free_queue_drops_and_counts(ni: FakeNi):
    buffers = SMALL.receive_buffers
    with attach(ni, "a") as a, attach(ni, "b") as b:
        held = []
        for _ in range(buffers):
            a.send_wait(1, bytes(100), PATIENCE_S)
            held.append(b.receive(PATIENCE_S))
        a.send_wait(1, bytes(100), PATIENCE_S)
        assert eventually(lambda: b.counters()["ni_drop_no_buffer"] == 1)
        a.send_wait(1, b"inline needs no buffer", PATIENCE_S)
        assert b.receive(PATIENCE_S).data.startswith(b"inline")
        for message in held:
            message.release()
            message.release()
        with pytest.raises(ValueError, match="released"):
            bytes(held[0].view)
        for _ in range(2 * buffers):
            a.send_wait(1, bytes(100), PATIENCE_S)
            b.receive(PATIENCE_S).release()
        assert b.counters()["ni_drop_no_buffer"] == 1


def test_a_full_receive_queue_drops_and_counts(ni: FakeNi):
    with attach(ni, "a") as a, attach(ni, "b") as b:
        for _ in range(SMALL.recv_slots + 3):
            a.send_wait(1, b"short", PATIENCE_S)
        assert eventually(lambda: b.counters()["ni_drop_recv_full"] == 3)
        assert b.pending() == SMALL.recv_slots


def test_protection(ni: FakeNi, tmp_path: Path):
    with attach(ni, "a") as a, attach(ni, "b") as b:
        with pytest.raises(Refused, match="no such endpoint"):
            attach(ni, "z")
        with pytest.raises(Refused, match="claimed"):
            attach(ni, "a")
        with attach(ni, "d") as d:
            a.send(2, b"not mine")
            assert eventually(lambda: a.in_send_queue() == 0)
            a.reclaim()
            assert (a.rejected, a.injected) == (1, 0)
            with pytest.raises(ChannelRefused, match="no channel 2"):
                a.send(1, b"x")
            a.send(1, b"still works")
            assert b.receive(PATIENCE_S).data == b"still works"
            assert d.pending() == 0
            assert a.counters()["ni_rejected"] == 1
    with attach(ni, "a"):
        pass  # given back, so it can be claimed anew
    path = tmp_path / "other.sock"
    with FakeNi(path, CHANNELS, netns_inode=1), pytest.raises(Refused, match="host"):
        Endpoint.attach("a", str(path))


def test_no_service_is_a_clear_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("LAB_UNET_SOCKET", raising=False)
    with pytest.raises(NoService, match="LAB_UNET_SOCKET"):
        Endpoint.attach("a")
    monkeypatch.setenv("LAB_UNET_SOCKET", str(tmp_path / "nothing.sock"))
    with pytest.raises(NoService, match=r"nothing\.sock"):
        Endpoint.attach("a")


def test_a_used_segment_is_refused(ni: FakeNi, monkeypatch: pytest.MonkeyPatch):
    class Used(unet_fake_ni.Served):
        def __init__(self, *args: object) -> None:
            super().__init__(*args)
            self.set_word(SEND_HEAD_AT, 1)
            self.done.add(0)

    monkeypatch.setattr(unet_fake_ni, "Served", Used)
    with pytest.raises(BadSegment, match="another process"):
        attach(ni, "a")


def test_too_long_and_detached(ni: FakeNi):
    a = attach(ni, "a")
    with pytest.raises(MessageTooLong):
        a.send(1, bytes(a.max_message_bytes + 1))
    assert a.detach()
    assert a.detach()
    for use in (lambda: a.send(1, b"x"), lambda: a.receive(1), lambda: a.wait_for_room(0, 1)):
        with pytest.raises(NotAttached):
            use()
    a.close()
    a.close()


def test_detaching_makes_counts_final(ni: FakeNi):
    a, b = attach(ni, "a"), attach(ni, "b")
    for _ in range(6):
        a.send(1, bytes(50))
    ni.held.add(1)
    assert a.detach()
    injected = a.injected
    assert injected + a.in_send_queue() == 6
    assert b.detach()
    assert b.consume(lambda memory, position, descriptor: None) == injected
    a.close()
    b.close()


def test_the_end_of_the_service_ends_a_sleep(tmp_path: Path):
    with FakeNi(tmp_path / "unet.sock", CHANNELS) as ni:
        a = attach(ni, "a")
        stopper = threading.Timer(0.1, ni.__exit__)
        stopper.start()
        with pytest.raises(NotAttached, match="gone away"):
            a.receive(PATIENCE_S)
        with pytest.raises(NotAttached, match="gone away"):
            a.pause(5)
        stopper.join()
        a.close()


def test_messages_outlive_the_endpoint_as_memory_only(ni: FakeNi):
    with attach(ni, "a") as a, attach(ni, "b") as b:
        a.send(1, bytes(100))
        message = b.receive(PATIENCE_S)
    assert message.data == bytes(100)
    message.release()


def test_wake_ups_are_coalesced_but_not_forever(ni: FakeNi):
    with attach(ni, "a") as a, attach(ni, "b") as b:
        began = time.monotonic()
        a.send(1, b"early")
        assert eventually(lambda: b.pending() == 1)
        assert b.wait_for_messages(60, at_least=4, or_after_us=150_000) == 1
        assert 0.15 < time.monotonic() - began < 50
        threading.Timer(0.05, lambda: [a.send(1, b"x") for _ in range(3)]).start()
        assert b.wait_for_messages(30, at_least=4) == 4


def test_event_loops_can_wait_for_the_file_descriptor(ni: FakeNi):
    with attach(ni, "a") as a, attach(ni, "b") as b:
        assert b.arm()
        assert select.select([b], [], [], 0.02)[0] == []
        a.send(1, b"x")
        assert select.select([b], [], [], PATIENCE_S)[0] == [b]
        b.acknowledge()
        assert not b.arm()
        b.receive(0).release()
        b.acknowledge()
        assert b.arm()


def test_upcalls_get_everything_that_is_pending(ni: FakeNi):
    with attach(ni, "a") as a, attach(ni, "b") as b:
        batches: list[list[bytes]] = []
        b.on_nonempty(lambda messages: batches.append([m.data for m in messages]))
        with pytest.raises(UNetError, match="upcalls"):
            b.receive(1)
        with b.disable_upcalls():
            for number in range(7):
                a.send(1, bytes([number]) * 50)
            assert eventually(lambda: b.pending() == 7)
            time.sleep(0.02)
            assert batches == []
        assert eventually(lambda: sum(map(len, batches)) == 7)
        assert len(batches) == 1
        for turn in range(1, 26):  # never more under way than the receive queue holds
            for number in range(8):
                a.send_wait(1, bytes([number]) * 50, PATIENCE_S)
            assert eventually(lambda: sum(map(len, batches)) == 7 + 8 * turn)  # noqa: B023
        assert b.counters()["ni_drop_no_buffer"] == 0


def test_an_upcall_may_reply_and_the_foreground_may_block_meanwhile(ni: FakeNi):
    with attach(ni, "a") as a, attach(ni, "b") as b:
        answers: list[bytes] = []
        a.on_nonempty(lambda messages: answers.extend(m.data for m in messages))
        b.on_nonempty(lambda messages: [b.send_wait(1, m.view, PATIENCE_S) for m in messages])
        for number in range(300):
            # Both ways are full at most: what is under way fits the receive queues.
            assert eventually(lambda: number - len(answers) < 16)  # noqa: B023
            a.send_wait(1, number.to_bytes(2, "little"), PATIENCE_S)
        assert eventually(lambda: len(answers) == 300)
        assert answers == [number.to_bytes(2, "little") for number in range(300)]


def test_the_almost_full_upcall_waits_for_its_threshold(ni: FakeNi):
    with attach(ni, "a") as a, attach(ni, "b") as b:
        batches: list[int] = []
        b.on_almost_full(lambda messages: batches.append(len(messages)))
        for _ in range(11):
            a.send_wait(1, b"x", PATIENCE_S)
        assert eventually(lambda: b.pending() == 11)
        time.sleep(0.02)
        assert batches == []
        a.send_wait(1, b"x", PATIENCE_S)
        assert eventually(lambda: batches == [12])


SERVE = """
import sys
from lab.unet import ping, sleeper
sleeper.LONGEST_S = 60.0
sys.exit(ping.main(["--serve", "--endpoint", "b", "--channel", "1"]))
"""


def test_no_wake_up_is_lost_under_stress(ni: FakeNi, monkeypatch: pytest.MonkeyPatch):
    """Sleep and wake on every message, against a peer in another process.

    A sleeper looks again after a while by itself; that while is made so long that a lost wake-up
    shows as an answer that does not come.
    """
    monkeypatch.setattr("lab.unet.sleeper.LONGEST_S", 60.0)
    server = subprocess.Popen(
        [sys.executable, "-c", SERVE], env={"LAB_UNET_SOCKET": ni.path}, stdout=subprocess.PIPE
    )
    assert server.stdout is not None
    try:
        assert b"echoing" in server.stdout.readline()
        with attach(ni, "a") as a:
            for _ in range(2000):
                a.send_wait(1, b"ball", PATIENCE_S)
                with a.receive(PATIENCE_S) as message:
                    assert message.view == b"ball"
    finally:
        server.terminate()
        server.wait()
        server.stdout.close()
