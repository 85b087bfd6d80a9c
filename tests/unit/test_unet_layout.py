"""The native adapter and the Python side see the same segment."""

from __future__ import annotations

import re
from pathlib import Path

import cffi
import pytest

import lab
from lab.unet import segment as s

HEADER = Path(lab.__file__).parent / "native" / "unet.h"
TEXT = HEADER.read_text(encoding="utf-8")

FIELDS = {
    "magic": s.MAGIC_AT,
    "version": s.VERSION_AT,
    "segment_bytes": s.SEGMENT_BYTES_AT,
    "buffers_offset": s.BUFFERS_OFFSET_AT,
    "buffer_bytes": s.BUFFER_BYTES_AT,
    "n_buffers": s.N_BUFFERS_AT,
    "send_slots": s.SEND_SLOTS_AT,
    "recv_slots": s.RECV_SLOTS_AT,
    "free_slots": s.FREE_SLOTS_AT,
    "send_offset": s.SEND_OFFSET_AT,
    "recv_offset": s.RECV_OFFSET_AT,
    "free_offset": s.FREE_OFFSET_AT,
    "epoch_ns": s.EPOCH_NS_AT,
    "dilation": s.DILATION_AT,
    "pass_number": s.PASS_NUMBER_AT,
    "ni_idle": s.NI_IDLE_AT,
    "send_head": s.SEND_HEAD_AT,
    "send_tail": s.SEND_TAIL_AT,
    "recv_head": s.RECV_HEAD_AT,
    "recv_tail": s.RECV_TAIL_AT,
    "free_head": s.FREE_HEAD_AT,
    "free_tail": s.FREE_TAIL_AT,
    "send_wake_at": s.SEND_WAKE_AT,
    "recv_wake_at": s.RECV_WAKE_AT,
    "recv_wake_us": s.RECV_WAKE_US_AT,
    "almost_full_at": s.ALMOST_FULL_AT,
    **{name.removeprefix("ni_"): s.COUNTERS_AT + 8 * i for i, name in enumerate(s.COUNTER_NAMES)},
}
DESCRIPTOR = {
    "channel": 0,
    "length": 4,
    "offset": 8,
    "flags": 12,
    "sent_ns": 16,
    "time_ns": 24,
    "seq": 32,
    "parts": 36,
    "place": s.INLINE_AT,
}


@pytest.fixture(scope="module")
def ffi() -> cffi.FFI:
    """The two structures as the C compiler lays them out."""
    parser = cffi.FFI()
    for name in ("unet_header", "unet_descriptor"):
        found = re.search(r"typedef struct \{[^}]*\} " + name + ";", TEXT)
        assert found, name
        parser.cdef(found.group())
    return parser


@pytest.mark.parametrize(
    ("struct", "fields"), [("unet_header", FIELDS), ("unet_descriptor", DESCRIPTOR)]
)
def test_offsets_agree(ffi: cffi.FFI, struct: str, fields: dict[str, int]):
    assert {name: ffi.offsetof(struct, name) for name in fields} == fields


def test_sizes_agree(ffi: cffi.FFI):
    assert ffi.sizeof("unet_descriptor") == s.DESCRIPTOR_BYTES
    assert ffi.sizeof("unet_header") <= s.HEADER_BYTES


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("UNET_MAGIC", s.MAGIC),
        ("UNET_VERSION", s.VERSION),
        ("UNET_INJECTED", s.INJECTED),
        ("UNET_INLINE", s.INLINE),
        ("UNET_REJECTED", s.REJECTED),
        ("UNET_INLINE_BYTES", s.INLINE_MAX),
        ("UNET_MAX_MESSAGE_BYTES", s.MAX_MESSAGE_BYTES),
        ("UNET_GATHER", s.GATHER),
        ("UNET_MAX_PARTS", s.MAX_PARTS),
        ("UNET_NEVER", s.SEND_NOT_WAITING),
    ],
)
def test_constants_agree(name: str, value: int):
    found = re.search(rf"#define {name} (\S+)", TEXT)
    assert found
    assert int(found.group(1), 0) == value
