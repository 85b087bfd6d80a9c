"""The real line-card process with real endpoints, on two hosts joined by one link.

No switch lies between, so what is tested is the adapter: U-Net's queues, protection, back-pressure
and the passing of virtual time.
"""

import os
import struct
import subprocess
import sys
import time
from pathlib import Path

import pytest
from twohosts import DILATION, attach, vc

from lab.emulation.client import LineCards
from lab.errors import LabError
from lab.unet.errors import ChannelRefused, QueueFull, Refused

pytestmark = pytest.mark.emulation


def test_messages_arrive_in_order_and_unharmed(cards: LineCards, tmp_path: Path) -> None:
    with attach(tmp_path, "n1", "x.a") as a, attach(tmp_path, "n2", "x.b") as b:
        sent = [struct.pack("<I", i) * (1 + 97 * i % 2000) for i in range(300)]
        got = []
        for data in sent:
            a.send_wait(1, data, timeout_s=10)
            while message := b.poll():
                got.append(message.data)
                message.release()
        while len(got) < len(sent):
            message = b.receive(10)
            assert message is not None
            assert message.latency_ns > 0
            got.append(message.data)
            message.release()
        assert got == sent
        stats = cards.call("stats")
        assert stats["sent"] == stats["delivered"] == len(sent)
        assert stats["in_flight"] == 0


def test_both_directions_of_a_vc_carry(cards: LineCards, tmp_path: Path) -> None:
    with attach(tmp_path, "n1", "x.a") as a, attach(tmp_path, "n2", "x.b") as b:
        a.send(1, b"there")
        there = b.receive(10)
        assert there is not None
        assert there.data == b"there"
        b.send(1, b"back")
        back = a.receive(10)
        assert back is not None
        assert back.data == b"back"


def test_a_greedy_sender_gets_the_links_rate_in_virtual_time(
    cards: LineCards, tmp_path: Path
) -> None:
    """2048 bytes are 43 cells of 424 ns: a message every 18.2 us, 182 us real at dilation 10."""
    n = 2000
    data = bytes(2048)
    with attach(tmp_path, "n1", "x.a") as a, attach(tmp_path, "n2", "x.b") as b:
        times = []
        sent = 0
        while len(times) < n:
            if sent < n:
                sent += a.send_many(1, len(data), n - sent, data)
            b.wait_for_messages(0.05, at_least=16, or_after_us=5000)
            while message := b.poll():
                times.append(message.time_ns)
                message.release()
        per_message_ns = (times[-1] - times[100]) / (n - 101)
        assert per_message_ns == pytest.approx(43 * 424, rel=0.01)


def test_a_full_send_queue_pushes_back(cards: LineCards, tmp_path: Path) -> None:
    cards.call("cut", node="n1", port=0, cut=True)
    with attach(tmp_path, "n1", "x.a") as a, attach(tmp_path, "n2", "x.b") as b:
        taken = a.send_slots  # and perhaps a few more, which the adapter holds
        for _ in range(taken):
            a.send_wait(1, b"x" * 100, timeout_s=0.3)
        while a.try_send(1, b"x" * 100):
            taken += 1
            time.sleep(0.05)
        with pytest.raises(QueueFull):
            a.send_wait(1, b"x" * 100, timeout_s=0.3)
        cards.call("cut", node="n1", port=0, cut=False)
        a.send_wait(1, b"y", timeout_s=10)
        for _ in range(taken + 1):
            message = b.receive(10)
            assert message is not None
            message.release()


def test_a_message_without_a_free_buffer_is_dropped_and_counted(
    cards: LineCards, tmp_path: Path
) -> None:
    cards.call("endpoint", host="n2", name="x.b", segment={"buffers": 4, "send_slots": 2})
    with attach(tmp_path, "n1", "x.a") as a, attach(tmp_path, "n2", "x.b") as b:
        for _ in range(20):
            a.send_wait(1, b"z" * 500, timeout_s=10)
        deadline = time.monotonic() + 10
        while b.pending() + b.counters()["ni_drop_no_buffer"] < 20:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        assert b.counters()["ni_drop_no_buffer"] > 0
        assert cards.call("stats")["dropped_endpoint"] == b.counters()["ni_drop_no_buffer"]


def test_a_channel_that_was_not_opened_is_refused(cards: LineCards, tmp_path: Path) -> None:
    cards.call("vcs", vcs=[vc(2, "other", 30)])
    with (
        attach(tmp_path, "n1", "x.a") as a,
        attach(tmp_path, "n2", "other.b") as other,
        attach(tmp_path, "n2", "x.b") as b,
    ):
        a.send(2, b"not mine")  # channel 2 belongs to endpoint other.a
        a.send(1, b"mine")
        mine = b.receive(10)
        assert mine is not None
        assert mine.data == b"mine"
        assert other.pending() == 0
        assert a.counters()["ni_rejected"] == 1
        a.reclaim()
        with pytest.raises(ChannelRefused):
            a.send(1, b"and is told")


def test_a_forged_descriptor_reaches_no_memory_outside(cards: LineCards, tmp_path: Path) -> None:
    with attach(tmp_path, "n1", "x.a") as a, attach(tmp_path, "n2", "x.b") as b:
        words = a.segment.words
        ring = a.segment.geometry.send_offset // 4
        head = words[0x80 // 4]
        for offset in (0, 0xFFFFFF00, a.segment.geometry.segment_bytes - 8):
            slot = ring + (head & (a.send_slots - 1)) * 32
            words[slot : slot + 4] = memoryview(struct.pack("4I", 1, 4096, offset, 0)).cast("I")
            head += 1
        words[0x80 // 4] = head
        os.eventfd_write(a._outbox._doorbell, 1)
        deadline = time.monotonic() + 10
        while a.counters()["ni_rejected"] < 3:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        assert b.pending() == 0


def test_an_endpoint_has_one_owner_and_is_free_again_after_it(
    cards: LineCards, tmp_path: Path
) -> None:
    with attach(tmp_path, "n1", "x.a"):
        with pytest.raises(Refused, match="in use"):
            attach(tmp_path, "n1", "x.a")
        with pytest.raises(Refused, match="no endpoint nobody"):
            attach(tmp_path, "n1", "nobody")
    attach(tmp_path, "n1", "x.a").close()


def test_a_process_of_another_host_is_refused(cards: LineCards, tmp_path: Path) -> None:
    """The socket file can be reached, but the caller lives in another network namespace."""
    code = (
        "import sys; from lab.unet.endpoint import Endpoint\n"
        f"Endpoint.attach('x.a', {str(tmp_path / 'n1' / 'unet.sock')!r})"
    )
    result = subprocess.run(
        ["unshare", "--net", sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode != 0
    assert "no process of host n1" in result.stderr


def test_endpoints_wait_for_a_pass_and_know_its_epoch(cards: LineCards, tmp_path: Path) -> None:
    cards.call("hold")
    with attach(tmp_path, "n1", "x.a") as a:
        assert a.epoch_ns == 0
        epoch_ns = time.monotonic_ns() + 50_000_000
        cards.call("pass", flow_control="quench", epoch_ns=epoch_ns, sample_ns=100_000)
        assert a.epoch_ns == epoch_ns
        assert a.dilation == DILATION
    with pytest.raises(LabError, match="flow_control"):
        cards.call("pass", flow_control="none", epoch_ns=epoch_ns)


def test_a_circuit_can_be_closed_under_traffic(cards: LineCards, tmp_path: Path) -> None:
    with attach(tmp_path, "n1", "x.a") as a, attach(tmp_path, "n2", "x.b") as b:
        while a.try_send(1, b"x" * 2000):
            pass  # more than the adapter holds: frames are under way
        cards.call("close", ids=[1])
        time.sleep(0.2)
        cards.call("vcs", vcs=[vc(1, "x", 16)])
        while (message := b.poll()) is not None:
            message.release()
        a.send_wait(1, b"again", timeout_s=10)
        while (message := b.receive(10)) is not None and message.data != b"again":
            message.release()
        assert message is not None


def test_idle_line_cards_do_not_spin(cards: LineCards, tmp_path: Path) -> None:
    with attach(tmp_path, "n1", "x.a") as a, attach(tmp_path, "n2", "x.b") as b:
        a.send(1, b"one")
        assert b.receive(10) is not None
        time.sleep(0.3)
        before = cards.call("stats")["batches"]
        time.sleep(1.0)
        assert cards.call("stats")["batches"] - before < 20


def test_bad_requests_are_answered_and_survived(cards: LineCards) -> None:
    for op, arguments, word in (
        ("fly", {}, "no operation"),
        (
            "configure",
            {"dilation": 1, "quantum_us": 2000, "params": {}, "nodes": [], "links": []},
            "already",
        ),
        ("vcs", {"vcs": [{"id": 9}]}, "KeyError"),
        ("host", {"name": "n99", "dir": "/nowhere"}, "n99"),
    ):
        with pytest.raises(LabError, match=word):
            cards.call(op, **arguments)
    assert cards.call("stats")["in_flight"] == 0
