"""Segment layout, and the rings under arbitrary interleavings."""

from __future__ import annotations

import fcntl
import mmap
import os
import struct
from collections import deque

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.unet.errors import BadSegment
from lab.unet.rings import MASK32, DescriptorRing, FreeRing, RecvRing, SendRing
from lab.unet.segment import (
    BUFFERS_OFFSET_AT,
    DESCRIPTOR,
    FREE_HEAD_AT,
    INLINE_AT,
    MAGIC_AT,
    N_BUFFERS_AT,
    RECV_OFFSET_AT,
    SEND_SLOTS_AT,
    VERSION_AT,
    Geometry,
    Segment,
    create_segment,
    segment_size,
)


def mapped(geometry: Geometry | None = None) -> Segment:
    fd = create_segment("test", geometry, dilation=100.0)
    try:
        return Segment(fd)
    finally:
        os.close(fd)


def test_descriptor_has_the_agreed_offsets():
    packed = DESCRIPTOR.pack(1, 2, 3, 4, 5, 6, 7, 8)
    assert packed == struct.pack("<IIIIQQII", 1, 2, 3, 4, 5, 6, 7, 8)
    assert DESCRIPTOR.size == INLINE_AT == 40


def test_new_segment_is_complete_and_sealed():
    fd = create_segment("test", Geometry(buffers=100, free_slots=64, send_slots=32), 100.0)
    with pytest.raises(PermissionError):
        os.ftruncate(fd, 4096)
    with pytest.raises(PermissionError):
        os.ftruncate(fd, 1 << 24)
    assert fcntl.fcntl(fd, fcntl.F_GET_SEALS) & fcntl.F_SEAL_SEAL
    segment = Segment(fd)
    os.close(fd)
    shape = segment.geometry
    assert (shape.buffers, shape.free_slots, shape.send_slots) == (100, 64, 32)
    assert segment.dilation == 100.0
    assert (segment.epoch_ns, segment.pass_number) == (0, 0)
    assert set(segment.counters().values()) == {0}
    assert segment.words[FREE_HEAD_AT // 4] == shape.receive_buffers == 50
    free = FreeRing(segment)
    offsets = [free.read(i) for i in range(50)]
    assert offsets == [shape.buffer_offset(i) for i in range(50)]
    assert max(offsets) + shape.buffer_bytes <= segment_size(shape)
    segment.close()


@given(
    st.integers(0, 10).map(lambda n: 1 << n),
    st.integers(0, 10).map(lambda n: 1 << n),
    st.integers(2, 300),
    st.integers(1, 64).map(lambda n: n * 64),
)
def test_parts_of_any_geometry_fit_and_do_not_overlap(
    send: int, recv: int, buffers: int, buffer_bytes: int
):
    shape = Geometry(send, recv, recv, buffers, buffer_bytes)
    shape.place(
        shape.send_offset,
        shape.recv_offset,
        shape.free_offset,
        shape.buffers_offset,
        size=shape.segment_bytes,
    )
    assert 0 < shape.receive_buffers < buffers
    assert shape.receive_buffers <= shape.free_slots


@pytest.mark.parametrize(
    ("at", "value"),
    [
        (MAGIC_AT, 1),
        (VERSION_AT, 2),
        (SEND_SLOTS_AT, 3),
        (SEND_SLOTS_AT, 1 << 16),
        (N_BUFFERS_AT, 1 << 20),
        (BUFFERS_OFFSET_AT, 64),
        (RECV_OFFSET_AT, 4096),
        (RECV_OFFSET_AT, 0xFFFFFFC0),
    ],
)
def test_a_header_that_lies_is_refused(at: int, value: int):
    fd = create_segment()
    with mmap.mmap(fd, 4096) as header:
        struct.pack_into("<I", header, at, value)
    with pytest.raises(BadSegment):
        Segment(fd)
    os.close(fd)


def test_a_short_file_is_no_segment():
    fd = os.memfd_create("short")
    with pytest.raises(BadSegment):
        Segment(fd)
    os.close(fd)


@pytest.mark.parametrize(
    "wrong",
    [
        {"send_slots": 0},
        {"recv_slots": 48},
        {"buffers": 1},
        {"buffer_bytes": 100},
        {"buffers": 1 << 20},
    ],
)
def test_impossible_geometry_is_refused(wrong: dict[str, int]):
    with pytest.raises(BadSegment):
        Geometry(**wrong)


@given(
    ring_class=st.sampled_from([SendRing, RecvRing]),
    start=st.sampled_from([0, 7, MASK32 - 5, MASK32]),
    pushes=st.lists(st.tuples(st.booleans(), st.binary(max_size=40)), max_size=200),
)
def test_descriptors_come_out_as_they_went_in(
    ring_class: type[SendRing] | type[RecvRing], start: int, pushes: list[tuple[bool, bytes]]
):
    """Pushes and pops in any order; the counters wrap around 2^32 on the way."""
    segment = mapped(Geometry(8, 8, 8, 4, 64))
    ring: DescriptorRing = ring_class(segment)
    ring.publish_head(start)
    ring.publish_tail(start)
    head = tail = start
    model: deque[tuple[int, bytes]] = deque()
    for number, (push, data) in enumerate(pushes):
        assert ring.used() == len(model)
        if push and ring.used() < ring.slots:
            ring.write(head, (number, len(data), 0, 2, 1 << 63, number, 0, 0), data)
            head = (head + 1) & MASK32
            ring.publish_head(head)
            model.append((number, data))
        elif not push and ring.used():
            fields = ring.read(tail)
            at = ring.slot_at(tail) + INLINE_AT
            assert (fields[0], segment.memory[at : at + fields[1]]) == model.popleft()
            assert fields[4:6] == (1 << 63, fields[0])
            tail = (tail + 1) & MASK32
            ring.publish_tail(tail)
    assert (ring.head(), ring.tail()) == (head, tail)
    segment.close()


@given(start=st.sampled_from([0, MASK32 - 2]), pops=st.lists(st.booleans(), max_size=100))
def test_free_ring_keeps_order_across_the_wrap(start: int, pops: list[bool]):
    segment = mapped(Geometry(8, 8, 8, 4, 64))
    ring = FreeRing(segment)
    ring.publish_head(start)
    ring.publish_tail(start)
    head = tail = start
    model: deque[int] = deque()
    for number, pop in enumerate(pops):
        if pop and model:
            assert ring.read(tail) == model.popleft()
            tail = (tail + 1) & MASK32
            ring.publish_tail(tail)
        elif ring.used() < ring.slots:
            ring.write(head, number)
            head = (head + 1) & MASK32
            ring.publish_head(head)
            model.append(number)
        assert ring.used() == len(model)
    segment.close()
