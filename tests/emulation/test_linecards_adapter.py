"""What the adapters do to messages: AAL5, buffers, times and costs, planned loss.

One link and no switch, so that virtual times are known to the nanosecond.
"""

import os
import struct
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from twohosts import attach

from lab.emulation.client import LineCards
from lab.errors import LabError
from lab.fabric.adapter import AdapterCosts
from lab.fabric.params import FabricParams
from lab.unet.endpoint import Endpoint
from lab.unet.segment import DESCRIPTOR, GATHER, INLINE, PART, PARTS_AT, SEND_HEAD_AT

pytestmark = pytest.mark.emulation

CELL_NS = 424
LEAST_NS = 3759  # at 266,000 messages/s
PROPAGATION_NS = 100
# What the line cards count of themselves, which goes on when all else stands still.
CARDS_OWN = {"batches", "idle_waits", "cpu_s"}
SIZES = (1, 40, 41, 88, 89, 2048, 8152, 8153, 16384, 65535, 65536)


def begin(cards: LineCards, costs: AdapterCosts | None = None, /, **params: Any) -> None:
    """Begin a pass that is under way already and has no end."""
    cards.call(
        "pass",
        flow_control="quench",
        epoch_ns=time.monotonic_ns(),
        params=FabricParams(**params).model_dump(),
        costs=(costs or AdapterCosts()).model_dump(),
        seed=7,
    )


class Forged(NamedTuple):
    """A descriptor as a process may write it that does not use our library."""

    flags: int
    length: int
    parts: list[tuple[int, int]]
    n_parts: int
    time_ns: int = 0


def push(endpoint: Endpoint, forged: Forged) -> None:
    """Put a descriptor on the send queue and ring."""
    flags, length, parts, n_parts, time_ns = forged
    memory, words = endpoint.segment.memory, endpoint.segment.words
    head = words[SEND_HEAD_AT // 4]
    slot = endpoint.segment.geometry.send_offset + (head & (endpoint.send_slots - 1)) * 128
    offset = parts[0][0] if parts and not flags else 0
    DESCRIPTOR.pack_into(memory, slot, 1, length, offset, flags, 0, time_ns, 0, n_parts)
    for index, part in enumerate(parts):
        PART.pack_into(memory, slot + PARTS_AT + index * PART.size, *part)
    words[SEND_HEAD_AT // 4] = head + 1
    os.eventfd_write(endpoint._outbox._doorbell, 1)


def until(endpoint: Endpoint, counter: str, value: int) -> None:
    """Wait until an adapter's counter has a value."""
    deadline = time.monotonic() + 10
    while endpoint.counters()[counter] < value:
        assert time.monotonic() < deadline
        time.sleep(0.005)
    assert endpoint.counters()[counter] == value


def stat(cards: LineCards, name: str, value: int) -> None:
    """Wait until a counter of the line cards has a value."""
    deadline = time.monotonic() + 10
    while cards.call("stats")[name] != value:
        assert time.monotonic() < deadline, cards.call("stats")
        time.sleep(0.01)


@pytest.mark.parametrize("frame_cells", [1, 7, 170])
def test_any_size_arrives_after_the_time_its_cells_take(
    cards: LineCards, tmp_path: Path, frame_cells: int
) -> None:
    begin(cards, frame_cells=frame_cells)
    with attach(tmp_path, "n1", "x.a") as a, attach(tmp_path, "n2", "x.b") as b:
        for size in SIZES:
            data = os.urandom(size)
            a.send_wait(1, data, timeout_s=10)
            message = b.receive(10)
            assert message is not None
            assert message.data == data
            cells = -(-(size + 8) // 48)
            assert message.latency_ns == max(cells * CELL_NS, LEAST_NS) + PROPAGATION_NS
            message.release()
        stats = cards.call("stats")
        assert stats["sent"] == stats["delivered"] == len(SIZES)
        assert stats["in_flight"] == 0


def test_the_adapters_processor_takes_its_time(cards: LineCards, tmp_path: Path) -> None:
    costs = AdapterCosts(
        single_cell_bytes=40,
        ni_send_single_ns=10_000,
        ni_receive_single_ns=20_000,
        ni_send_ns=30_000,
        ni_receive_ns=40_000,
        ni_send_cell_ns=2_000,
        ni_receive_cell_ns=1_000,
    )
    begin(cards, costs)
    with attach(tmp_path, "n1", "x.a") as a, attach(tmp_path, "n2", "x.b") as b:
        for size, own_ns in ((40, 30_000), (41, 70_000 + 2 * 3_000), (2048, 70_000 + 43 * 3_000)):
            a.send(1, b"p" * size)
            message = b.receive(10)
            assert message is not None
            cells = -(-(size + 8) // 48)
            on_link_ns = max(cells * CELL_NS, LEAST_NS) + PROPAGATION_NS
            assert message.latency_ns == own_ns + on_link_ns
            message.release()
        # Many frames and messages of one circuit stay in order behind the processor.
        sent = [os.urandom(20_000) for _ in range(6)]
        for data in sent:
            a.send_wait(1, data, timeout_s=10)
        for data in sent:
            message = b.receive(10)
            assert message is not None
            assert message.data == data
            message.release()


def test_a_message_is_sent_at_its_time_or_counted_as_late(cards: LineCards, tmp_path: Path) -> None:
    begin(cards)
    with attach(tmp_path, "n1", "x.a") as a, attach(tmp_path, "n2", "x.b") as b:
        first_ns = a.virtual_now_ns() + 100_000_000
        for i in range(3):
            assert a.try_send(1, b"then", not_before_ns=first_ns + i * 50_000)
        sent = []
        for _ in range(3):
            message = b.receive(10)
            assert message is not None
            sent.append(message.sent_ns)
            message.release()
        assert sent == [first_ns, first_ns + 50_000, first_ns + 100_000]
        assert cards.call("stats")["late_sends"] == 0

        assert a.try_send(1, b"too late", not_before_ns=1)
        message = b.receive(10)
        assert message is not None
        stats = cards.call("stats")
        assert stats["late_sends"] == 1
        assert stats["late_sends_max_ns"] > 0


def test_waiting_for_a_far_time_the_line_cards_still_listen(
    cards: LineCards, tmp_path: Path
) -> None:
    with attach(tmp_path, "n1", "x.a") as a, attach(tmp_path, "n2", "x.b") as b:
        assert a.try_send(1, b"in 100 s", not_before_ns=a.virtual_now_ns() + 100 * 10**9)
        time.sleep(0.1)
        begun = time.monotonic()
        b.send(1, b"now")
        assert a.receive(10) is not None
        assert time.monotonic() - begun < 10


def test_at_its_end_a_pass_stands_still_and_its_books_are_in_balance(
    cards: LineCards, tmp_path: Path
) -> None:
    end_ns, way_ns = 100_000_000, 500_000
    with attach(tmp_path, "n1", "x.a") as a:
        b = attach(tmp_path, "n2", "x.b")
        cards.call(
            "pass",
            flow_control="quench",
            epoch_ns=time.monotonic_ns(),
            end_ns=end_ns,
            params=FabricParams(propagation_ns=way_ns).model_dump(),
        )
        for i in range(1, 60):
            assert a.try_send(1, b"m" * 2048, not_before_ns=end_ns + (i - 50) * 20_000)
        while b.virtual_now_ns() < end_ns:
            time.sleep(0.02)
        assert b.detach()
        received = sum(1 for _ in iter(b.poll, None))
        stats = cards.call("stats")
        assert received == stats["delivered"] < stats["sent"] < 59
        assert stats["in_flight"] == stats["sent"] - received
        assert stats["now_ns"] == end_ns
        assert stats["dropped_endpoint"] == stats["pdu_discarded_missing"] == 0
        assert a.try_send(1, b"too late")
        time.sleep(0.05)
        later = cards.call("stats")
        assert all(later[name] == stats[name] for name in stats if name not in CARDS_OWN)


def test_samples_are_taken_while_nothing_moves(cards: LineCards, tmp_path: Path) -> None:
    cards.call(
        "pass",
        flow_control="quench",
        epoch_ns=time.monotonic_ns(),
        end_ns=20_000_000,
        sample_ns=2_000_000,
    )
    stat(cards, "now_ns", 20_000_000)
    cards.call("dump", dir=str(tmp_path), prefix="p")
    rows = np.load(tmp_path / "p-lateness.npy")
    assert len(rows) > 1
    assert rows["handed"].sum() == rows["crossed"].sum() == 0
    assert rows["t_ns"][-1] == 20_000_000  # the last is at the end, none is after it
    assert (np.diff(rows["t_ns"]) > 0).all()


def test_a_long_message_gets_all_its_buffers_or_none(cards: LineCards, tmp_path: Path) -> None:
    cards.call("endpoint", host="n2", name="x.b", segment={"buffers": 8, "send_slots": 2})
    with attach(tmp_path, "n1", "x.a") as a, attach(tmp_path, "n2", "x.b") as b:
        there = len(b._inbox.supplied_buffers())
        assert there < 8
        a.send_wait(1, b"l" * 65536, timeout_s=10)  # eight of 8 KByte
        until(b, "ni_drop_no_buffer", 1)
        fitting = os.urandom(there * 8192)
        a.send_wait(1, fitting, timeout_s=10)
        message = b.receive(10)
        assert message is not None
        assert message.data == fitting
        assert len(message.parts) == there
        message.release()
        assert cards.call("stats")["dropped_endpoint"] == 1


def test_gathered_parts_are_sent_as_one_message(cards: LineCards, tmp_path: Path) -> None:
    with attach(tmp_path, "n1", "x.a") as a, attach(tmp_path, "n2", "x.b") as b:
        shape = a.segment.geometry
        places = [(shape.buffer_offset(900 + 2 * i) + 3 * i, 1000 + i) for i in range(11)]
        expected = b""
        for offset, length in places:
            data = os.urandom(length)
            a.segment.memory[offset : offset + length] = data
            expected += data
        push(a, Forged(GATHER, len(expected), places, len(places)))
        message = b.receive(10)
        assert message is not None
        assert message.data == expected


def test_forged_descriptors_are_rejected_and_counted(cards: LineCards, tmp_path: Path) -> None:
    with attach(tmp_path, "n1", "x.a") as a, attach(tmp_path, "n2", "x.b") as b:
        shape = a.segment.geometry
        good, end = shape.buffer_offset(0), shape.segment_bytes
        forged = [
            Forged(GATHER, 100, [(good, 50), (0, 50)], 2),  # the header
            Forged(GATHER, 100, [(good, 50), (end - 49, 50)], 2),  # beyond the end
            Forged(GATHER, 100, [(good, 50), (0xFFFFFFF0, 50)], 2),
            Forged(GATHER, 100, [(good, 50), (good, 49)], 2),  # not what they say
            Forged(GATHER, 4, [(good, 5), (good, 0xFFFFFFFF)], 2),
            Forged(GATHER, 100, [(good, 100), (good, 0)], 2),
            Forged(GATHER, 100, [(good, 100)], 0),
            Forged(GATHER, 100, [(good, 100)], 12),
            Forged(GATHER, 100, [(good, 100)], 0xFFFFFFFF),
            Forged(GATHER | INLINE, 20, [(good, 20)], 1),
            Forged(GATHER, 65537, [(good, 65537)], 1),
            Forged(0, 65537, [(good, 65537)], 1),
            Forged(INLINE, 41, [], 0),
            Forged(0, 100, [(good, 100)], 1, 10**15),  # a time that never comes
            Forged(0, 100, [(good, 100)], 1, 2**63),
            Forged(0, 100, [(good, 100)], 1, 2**64 - 1),
        ]
        for descriptor in forged:
            push(a, descriptor)
        until(a, "ni_rejected", len(forged))
        assert b.pending() == 0
        push(a, Forged(0, 100, [(good, 100)], 1))
        message = b.receive(10)
        assert message is not None
        assert len(message.data) == 100


def test_free_buffers_outside_the_segment_are_not_written(cards: LineCards, tmp_path: Path) -> None:
    with attach(tmp_path, "n1", "x.a") as a, attach(tmp_path, "n2", "x.b") as b:
        shape = b.segment.geometry
        struct.pack_into("<I", b.segment.memory, shape.free_offset + 4, 0xFFFFF000)
        a.send_wait(1, b"l" * 20_000, timeout_s=10)  # the second of its three is the forged one
        until(b, "ni_drop_no_buffer", 1)
        a.send_wait(1, b"m" * 20_000, timeout_s=10)
        message = b.receive(10)
        assert message is not None
        assert message.data == b"m" * 20_000


@pytest.mark.parametrize(
    ("planned", "counter", "cells"),
    [
        ({"cell_loss": 0.0005}, "pdu_discarded_missing", "cells_lost_on_purpose"),
        ({"cell_corruption": 0.0005}, "pdu_discarded_crc", "cells_corrupted_on_purpose"),
    ],
)
def test_what_is_lost_or_damaged_on_purpose_is_discarded_and_counted(
    cards: LineCards, tmp_path: Path, planned: dict[str, Any], counter: str, cells: str
) -> None:
    n = 60
    counted = []
    for _ in range(2):
        begin(cards, frame_cells=43, **planned)
        with attach(tmp_path, "n1", "x.a") as a, attach(tmp_path, "n2", "x.b") as b:
            sent = [struct.pack("<I", i) + os.urandom(16_380) for i in range(n)]
            got = []
            for data in sent:
                a.send_wait(1, data, timeout_s=10)
                while message := b.poll():
                    got.append(message.data)
                    message.release()
            stat(cards, "in_flight", 0)
            while message := b.poll():
                got.append(message.data)
                message.release()
        stats = cards.call("stats")
        assert got == [data for data in sent if data in got]
        assert 0 < stats[counter] == n - len(got) < n
        assert stats[cells] > 0
        counted.append(stats[counter])
    assert counted[0] == counted[1]  # the seed decides


def test_everything_may_be_lost(cards: LineCards, tmp_path: Path) -> None:
    begin(cards, cell_loss=1.0)
    with attach(tmp_path, "n1", "x.a") as a, attach(tmp_path, "n2", "x.b") as b:
        for _ in range(5):
            a.send_wait(1, b"gone" * 5000, timeout_s=10)
        stat(cards, "pdu_discarded_missing", 5)
        assert b.pending() == 0


def test_parameters_that_only_the_simulator_can_have(cards: LineCards) -> None:
    with pytest.raises(LabError, match="frame_cells"):
        begin(cards, frame_cells=171)
    with pytest.raises(LabError, match="aal5_trailer_bytes"):
        begin(cards, aal5_trailer_bytes=0)
