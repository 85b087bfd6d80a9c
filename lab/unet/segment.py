"""The communication segment: one piece of shared memory per endpoint, and its layout.

Base-level U-Net (thesis section 2.3.4) keeps message buffers and three queues of descriptors
in memory that the process and the adapter both see. Everything is little endian and every
word is aligned to its size. The native adapter uses the same offsets (``unet.h``).

Counters of one queue lie 64 bytes apart, so that the writer of the one and the writer of the
other do not fight for a cache line.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import struct
import sys

from .errors import BadSegment

MAGIC = 0x54454E55  # the bytes "UNET"
VERSION = 1

# Header, byte offsets.
MAGIC_AT = 0x000
VERSION_AT = 0x004
SEGMENT_BYTES_AT = 0x008
BUFFERS_OFFSET_AT = 0x00C
BUFFER_BYTES_AT = 0x010
N_BUFFERS_AT = 0x014
SEND_SLOTS_AT = 0x018
RECV_SLOTS_AT = 0x01C
FREE_SLOTS_AT = 0x020
SEND_OFFSET_AT = 0x024
RECV_OFFSET_AT = 0x028
FREE_OFFSET_AT = 0x02C

EPOCH_NS_AT = 0x040  # u64, CLOCK_MONOTONIC of virtual time 0; 0 = no pass has started
DILATION_AT = 0x048  # f64
PASS_NUMBER_AT = 0x050
NI_IDLE_AT = 0x054  # 1: the adapter sleeps, write the doorbell after a push

SEND_HEAD_AT = 0x080  # process
SEND_TAIL_AT = 0x0C0  # adapter
RECV_HEAD_AT = 0x100  # adapter
RECV_TAIL_AT = 0x140  # process
FREE_HEAD_AT = 0x180  # process
FREE_TAIL_AT = 0x1C0  # adapter

# What the process wants to be woken for; only the process writes these.
SEND_WAKE_AT = 0x200
RECV_WAKE_AT = 0x204
RECV_WAKE_US_AT = 0x208
ALMOST_FULL_AT = 0x20C
SEND_NOT_WAITING = 0xFFFFFFFF

# Counters of the adapter, u64 each.
COUNTERS_AT = 0x240
COUNTER_NAMES = (
    "ni_sent_msgs",
    "ni_sent_bytes",
    "ni_recv_msgs",
    "ni_recv_bytes",
    "ni_drop_no_buffer",
    "ni_drop_recv_full",
    "ni_rejected",
)
HEADER_BYTES = 0x280

# channel, length, offset, flags, sent_ns, time_ns, seq, parts. From byte INLINE_AT on follow the
# data of a small message (INLINE) or the places of the parts of a large one (GATHER): pairs of
# u32, offset in the segment and length. sent_ns on the send queue: when the process wanted to
# send; time_ns: not to be sent before (0: at once), and once injected, when that was. On the
# receive queue: when the message entered the network, and when it was delivered.
# The leading "@" packs with plain aligned stores, "<" would go byte by byte.
DESCRIPTOR = struct.Struct("@IIIIQQII")
DESCRIPTOR_BYTES = 128
INLINE_AT = 40
INLINE_MAX = 40
PARTS_AT = 40
PART = struct.Struct("@II")
MAX_PARTS = 11
INJECTED = 1
INLINE = 2
REJECTED = 4
GATHER = 8
FREE_SLOT_BYTES = 4

MAX_MESSAGE_BYTES = 65536
DEFAULT_SEND_SLOTS = 64
DEFAULT_RECV_SLOTS = 1024
DEFAULT_FREE_SLOTS = 512
DEFAULT_BUFFERS = 1024
DEFAULT_BUFFER_BYTES = 8192

_PAGE = 4096
_LIMIT_BYTES = 1 << 31


class Geometry:
    """Where everything lies in a segment.

    Args:
        send_slots, recv_slots, free_slots: lengths of the queues, powers of two.
        buffers: number of message buffers, at least two.
        buffer_bytes: size of one buffer, a multiple of 64; longer messages take several.

    Raises:
        BadSegment: for values that no segment can have.
    """

    def __init__(
        self,
        send_slots: int = DEFAULT_SEND_SLOTS,
        recv_slots: int = DEFAULT_RECV_SLOTS,
        free_slots: int = DEFAULT_FREE_SLOTS,
        buffers: int = DEFAULT_BUFFERS,
        buffer_bytes: int = DEFAULT_BUFFER_BYTES,
    ) -> None:
        for name, slots in (("send", send_slots), ("recv", recv_slots), ("free", free_slots)):
            if not 0 < slots <= 1 << 20 or slots & (slots - 1):
                raise BadSegment(f"{name}_slots must be a power of two up to 2^20, not {slots}")
        if buffers < 2:
            raise BadSegment(f"a segment needs two buffers or more, not {buffers}")
        if buffer_bytes < 64 or buffer_bytes % 64:
            raise BadSegment(f"buffer_bytes must be a multiple of 64, not {buffer_bytes}")
        self.send_slots = send_slots
        self.recv_slots = recv_slots
        self.free_slots = free_slots
        self.buffers = buffers
        self.buffer_bytes = buffer_bytes
        self.send_offset = _PAGE
        self.recv_offset = self.send_offset + send_slots * DESCRIPTOR_BYTES
        self.free_offset = self.recv_offset + recv_slots * DESCRIPTOR_BYTES
        self.buffers_offset = _pages(self.free_offset + free_slots * FREE_SLOT_BYTES)
        self.segment_bytes = _pages(self.buffers_offset + buffers * buffer_bytes)
        if self.segment_bytes > _LIMIT_BYTES:
            raise BadSegment(f"a segment of {self.segment_bytes} bytes is beyond 2 GB")

    def place(
        self,
        send_offset: int,
        recv_offset: int,
        free_offset: int,
        buffers_offset: int,
        *,
        size: int,
    ) -> None:
        """Take over the placement that a segment's header gives, when it is sound.

        Raises:
            BadSegment: a part is misaligned, lies outside, or overlaps another.
        """
        parts = sorted(
            (
                (send_offset, self.send_slots * DESCRIPTOR_BYTES),
                (recv_offset, self.recv_slots * DESCRIPTOR_BYTES),
                (free_offset, self.free_slots * FREE_SLOT_BYTES),
                (buffers_offset, self.buffers * self.buffer_bytes),
            )
        )
        end = HEADER_BYTES
        for offset, length in parts:
            if offset % 64 or offset < end:
                raise BadSegment(f"a part of the segment at {offset} is misaligned or overlaps")
            end = offset + length
        if end > size:
            raise BadSegment(f"the parts of the segment need {end} bytes, there are {size}")
        self.send_offset = send_offset
        self.recv_offset = recv_offset
        self.free_offset = free_offset
        self.buffers_offset = buffers_offset
        self.segment_bytes = size

    @property
    def receive_buffers(self) -> int:
        """How many buffers start in the free queue: the first ones; the others are for sending.

        A send queue full of the longest messages is as much as can be in use; with few buffers
        both directions get half.
        """
        for_sending = min(self.send_slots * self.parts(MAX_MESSAGE_BYTES), self.buffers // 2)
        return min(self.free_slots, self.buffers - for_sending)

    def parts(self, length: int) -> int:
        """Return how many buffers a message of that length takes."""
        return -(-length // self.buffer_bytes)

    @property
    def max_message_bytes(self) -> int:
        """Length of the longest message, which a descriptor and the send buffers can hold."""
        buffers = min(MAX_PARTS, self.buffers - self.receive_buffers)
        return min(MAX_MESSAGE_BYTES, buffers * self.buffer_bytes)

    def buffer_offset(self, index: int) -> int:
        """Return the offset in the segment of buffer number ``index``."""
        return self.buffers_offset + index * self.buffer_bytes


def _pages(n_bytes: int) -> int:
    return -(-n_bytes // _PAGE) * _PAGE


def segment_size(geometry: Geometry) -> int:
    """Return the size in bytes of a segment of this geometry."""
    return geometry.segment_bytes


def create_segment(
    name: str = "endpoint", geometry: Geometry | None = None, dilation: float = 1.0
) -> int:
    """Make a new segment, ready to be handed to a process, and return its memfd.

    The header is complete, the free queue holds the receive buffers, ``epoch_ns`` is 0. The
    size is sealed: nobody who gets the descriptor can make the other side's accesses fault by
    truncating it. A segment serves one claim; a new claim of the endpoint gets a new segment,
    so that a process which kept its mapping cannot meddle with its successor's messages.
    """
    shape = geometry or Geometry()
    fd = os.memfd_create(f"unet-{name}"[:200], os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        os.ftruncate(fd, shape.segment_bytes)
        fcntl.fcntl(
            fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL
        )
        with mmap.mmap(fd, _PAGE + shape.buffers_offset) as memory:
            _initialise(memory, shape, dilation)
    except BaseException:
        os.close(fd)
        raise
    return fd


def _initialise(memory: mmap.mmap, shape: Geometry, dilation: float) -> None:
    struct.pack_into(
        "<12I",
        memory,
        0,
        MAGIC,
        VERSION,
        shape.segment_bytes,
        shape.buffers_offset,
        shape.buffer_bytes,
        shape.buffers,
        shape.send_slots,
        shape.recv_slots,
        shape.free_slots,
        shape.send_offset,
        shape.recv_offset,
        shape.free_offset,
    )
    struct.pack_into("<d", memory, DILATION_AT, dilation)
    struct.pack_into("<I", memory, SEND_WAKE_AT, SEND_NOT_WAITING)
    for index in range(shape.receive_buffers):
        slot = shape.free_offset + index * FREE_SLOT_BYTES
        struct.pack_into("<I", memory, slot, shape.buffer_offset(index))
    struct.pack_into("<I", memory, FREE_HEAD_AT, shape.receive_buffers)


class Segment:
    """A mapped segment.

    Attributes:
        memory: the mapping; slices copy.
        data: the mapping as bytes; slices are views.
        words, longs, doubles: the mapping as u32, u64 and f64 words. An item access through such
            a view is one aligned load or store, never a torn one.
        geometry: sizes and offsets, taken from the header.
    """

    def __init__(self, fd: int) -> None:
        """Map the segment behind ``fd`` (which may be closed afterwards) and validate it.

        Raises:
            BadSegment: not a segment, another version, or its header contradicts itself.
        """
        if sys.byteorder != "little":
            raise BadSegment("segments are little endian, this machine is not")
        size = os.fstat(fd).st_size
        if size < HEADER_BYTES or size % 8:
            raise BadSegment(f"a file of {size} bytes is no segment")
        self.memory = mmap.mmap(fd, size)
        self.data = memoryview(self.memory)
        self.words = self.data.cast("I")
        self.longs = self.data.cast("Q")
        self.doubles = self.data.cast("d")
        try:
            self.geometry = self._checked_geometry(size)
        except BadSegment:
            self.close()
            raise

    def _checked_geometry(self, size: int) -> Geometry:
        header = struct.unpack_from("<12I", self.memory, 0)
        magic, version, segment_bytes, buffers_offset, buffer_bytes, buffers = header[:6]
        send_slots, recv_slots, free_slots, send_offset, recv_offset, free_offset = header[6:]
        if magic != MAGIC:
            raise BadSegment(f"not a U-Net segment (magic {magic:#x})")
        if version != VERSION:
            raise BadSegment(f"segment version {version}, this package speaks {VERSION}")
        shape = Geometry(send_slots, recv_slots, free_slots, buffers, buffer_bytes)
        if segment_bytes != size:
            raise BadSegment(f"the header speaks of {segment_bytes} bytes, there are {size}")
        shape.place(send_offset, recv_offset, free_offset, buffers_offset, size=size)
        return shape

    @property
    def epoch_ns(self) -> int:
        """CLOCK_MONOTONIC (ns) at virtual time 0; 0 while no pass has started."""
        return self.longs[EPOCH_NS_AT // 8]

    @property
    def dilation(self) -> float:
        """Real time divided by virtual time."""
        return self.doubles[DILATION_AT // 8]

    @property
    def pass_number(self) -> int:
        """Which pass the adapter is in, counted by the adapter."""
        return self.words[PASS_NUMBER_AT // 4]

    def counters(self) -> dict[str, int]:
        """Return the adapter's counters by name (messages and bytes since the pass began)."""
        first = COUNTERS_AT // 8
        return {name: self.longs[first + i] for i, name in enumerate(COUNTER_NAMES)}

    def close(self) -> None:
        """Unmap. Views into the segment that a caller still holds keep the mapping alive."""
        for view in (self.words, self.longs, self.doubles, self.data):
            view.release()
        try:
            self.memory.close()
        except BufferError:
            return  # a message's view is still in use; the mapping goes with the last of them
