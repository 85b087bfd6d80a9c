"""The kernel's side of one emulated endpoint: what the adapter is to a real one.

As the adapter does, it trusts nothing that the process wrote: channels, lengths and places of
buffers are checked before use, and the own counters are kept here.
"""

from __future__ import annotations

import os
import time

from .rings import MASK32, FreeRing, RecvRing, SendRing, fence
from .segment import (
    ALMOST_FULL_AT,
    COUNTER_NAMES,
    COUNTERS_AT,
    DILATION_AT,
    EPOCH_NS_AT,
    GATHER,
    INJECTED,
    INLINE,
    INLINE_AT,
    INLINE_MAX,
    MAX_MESSAGE_BYTES,
    MAX_PARTS,
    NI_IDLE_AT,
    PART,
    PARTS_AT,
    RECV_WAKE_AT,
    RECV_WAKE_US_AT,
    REJECTED,
    SEND_NOT_WAITING,
    SEND_WAKE_AT,
    Segment,
    create_segment,
)

TYPE_CHECKING = False  # importing typing would cost start-up time
if TYPE_CHECKING:
    from .message import Message
    from .rings import Descriptor

_ONE = (1).to_bytes(8, "little")


class Emulated:
    """A segment in the hands of a process.

    Attributes:
        name: of the endpoint.
        doorbell: what the process writes when it has sent and we sleep.
        fds: what the process is handed: segment, doorbell, wake-up.
    """

    def __init__(self, name: str, channels: frozenset[int]) -> None:
        memory = create_segment(name)
        self.name = name
        self._channels = channels
        self._segment = Segment(memory)
        self.doorbell = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._wake = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self.fds = (memory, self.doorbell, self._wake)
        self._send = SendRing(self._segment)
        self._recv = RecvRing(self._segment)
        self._free = FreeRing(self._segment)
        self._next = self._send_tail = self._recv_head = self._free_tail = 0
        self._done: set[int] = set()
        self._pending_since_s = 0.0
        self._closed = False

    @property
    def segment_bytes(self) -> int:
        """Size of the segment."""
        return self._segment.geometry.segment_bytes

    def close(self) -> None:
        """Unmap and close everything."""
        self._closed = True
        self._segment.close()
        for fd in self.fds:
            os.close(fd)

    def follow(self, epoch_ns: int, dilation: float) -> None:
        """Pass on the virtual time of the real endpoint."""
        self._segment.doubles[DILATION_AT // 8] = dilation
        self._segment.longs[EPOCH_NS_AT // 8] = epoch_ns

    def _count(self, name: str, amount: int = 1) -> None:
        self._segment.longs[COUNTERS_AT // 8 + COUNTER_NAMES.index(name)] += amount

    def _word(self, at: int) -> int:
        return self._segment.words[at // 4]

    # Sending

    def wake_up(self) -> None:
        """Spare the process its doorbell while we look."""
        self._segment.words[NI_IDLE_AT // 4] = 0
        try:
            os.read(self.doorbell, 8)
        except BlockingIOError:
            return

    def announce_sleep(self) -> bool:
        """Ask for the doorbell; tell whether something was sent meanwhile."""
        self._segment.words[NI_IDLE_AT // 4] = 1
        fence()
        return self._send.head() != self._next and self._sound()

    def _sound(self) -> bool:
        """Tell whether the process kept its send queue's counter in bounds."""
        return (self._send.head() - self._send_tail) & MASK32 <= self._send.slots

    def next_to_send(self) -> tuple[int, int, bytes, int] | None:
        """Return slot counter, channel, data and earliest time of the next message, or None.

        Descriptors that are not the process's to use are flagged and passed over.
        """
        while self._sound() and self._next != self._send.head():
            counter = self._next
            fields = self._send.read(counter)
            data = self._data(counter, fields) if fields[0] in self._channels else None
            if data is not None:
                return counter, fields[0], data, fields[5]
            self._count("ni_rejected")
            self._next = (self._next + 1) & MASK32
            self._finish(counter, fields, REJECTED, 0)
        return None

    def _data(self, counter: int, fields: Descriptor) -> bytes | None:
        """Return the data of a descriptor, None when it points where it may not."""
        memory, length, flags = self._segment.memory, fields[1], fields[3]
        slot = self._send.slot_at(counter)
        if flags & INLINE:
            start = slot + INLINE_AT
            return memory[start : start + length] if length <= INLINE_MAX else None
        places = [(fields[2], length)]
        if flags & GATHER:
            if fields[7] > MAX_PARTS:
                return None
            first = slot + PARTS_AT
            places = list(PART.iter_unpack(memory[first : first + fields[7] * PART.size]))
        shape = self._segment.geometry
        inside = all(
            shape.buffers_offset <= at and at + n <= shape.segment_bytes for at, n in places
        )
        if not inside or length > MAX_MESSAGE_BYTES or sum(n for _, n in places) != length:
            return None
        return b"".join([memory[at : at + n] for at, n in places])

    def taken(self, counter: int) -> None:
        """The message that `next_to_send` returned is on its way."""
        self._next = (counter + 1) & MASK32

    def injected(self, counter: int, time_ns: int) -> None:
        """The message is in the network; it may be that the process has ended meanwhile."""
        if self._closed:
            return
        fields = self._send.read(counter)
        self._count("ni_sent_msgs")
        self._count("ni_sent_bytes", fields[1])
        self._finish(counter, fields, INJECTED, time_ns)

    def _finish(self, counter: int, fields: Descriptor, flag: int, time_ns: int) -> None:
        channel, length, offset, flags, sent_ns, _, seq, parts = fields
        done = (channel, length, offset, flags | flag, sent_ns, time_ns, seq, parts)
        self._send.write(counter, done)
        self._done.add(counter)
        while self._send_tail in self._done:
            self._done.discard(self._send_tail)
            self._send_tail = (self._send_tail + 1) & MASK32
        self._send.publish_tail(self._send_tail)

    # Receiving

    def deliver(self, message: Message) -> None:
        """Copy a message into free buffers and onto the receive queue, or drop it."""
        if (self._recv_head - self._recv.tail()) & MASK32 >= self._recv.slots:
            return self._count("ni_drop_recv_full")
        data, flags, offset, parts = message.data, 0, 0, 0
        extra = b""
        if len(data) <= INLINE_MAX:
            flags, extra = INLINE, data
        else:
            places = self._buffers(len(data))
            if places is None:
                return self._count("ni_drop_no_buffer")
            start = 0
            for at, n in places:
                self._segment.memory[at : at + n] = data[start : start + n]
                start += n
            if len(places) > 1:
                flags, parts = GATHER, len(places)
                extra = b"".join([PART.pack(at, n) for at, n in places])
            else:
                offset = places[0][0]
        fields = (message.channel, len(data), offset, flags)
        stamps = (message.sent_ns, message.time_ns, message.seq, parts)
        self._recv.write(self._recv_head, (*fields, *stamps), extra)
        self._recv_head = (self._recv_head + 1) & MASK32
        self._recv.publish_head(self._recv_head)
        self._count("ni_recv_msgs")
        return self._count("ni_recv_bytes", len(data))

    def _buffers(self, length: int) -> list[tuple[int, int]] | None:
        """Take free buffers for so many bytes; None when there are too few, or bad ones."""
        shape = self._segment.geometry
        needed = shape.parts(length)
        available = (self._free.head() - self._free_tail) & MASK32
        if not needed <= available <= self._free.slots:
            return None
        offsets = [self._free.read((self._free_tail + i) & MASK32) for i in range(needed)]
        self._free_tail = (self._free_tail + needed) & MASK32
        self._free.publish_tail(self._free_tail)
        last = shape.segment_bytes - shape.buffer_bytes
        if not all(shape.buffers_offset <= offset <= last for offset in offsets):
            return None
        size = shape.buffer_bytes
        return [(at, min(size, length - i * size)) for i, at in enumerate(offsets)]

    def heed_wishes(self) -> None:
        """Wake the process when what it waits for has come true."""
        fence()
        pending = (self._recv_head - self._recv.tail()) & MASK32
        now_s = time.monotonic()
        if not pending:
            self._pending_since_s = 0.0
        elif not self._pending_since_s:
            self._pending_since_s = now_s
        at_least, after_s = self._word(RECV_WAKE_AT), self._word(RECV_WAKE_US_AT) / 1e6
        almost_full, room_at = self._word(ALMOST_FULL_AT), self._word(SEND_WAKE_AT)
        waited = pending and after_s and now_s - self._pending_since_s >= after_s
        received = at_least and (pending >= at_least or waited)
        full = at_least and almost_full and pending >= almost_full
        in_queue = (self._send.head() - self._send_tail) & MASK32
        room = room_at != SEND_NOT_WAITING and in_queue <= room_at
        if received or full:
            self._segment.words[RECV_WAKE_AT // 4] = 0
        if room:
            self._segment.words[SEND_WAKE_AT // 4] = SEND_NOT_WAITING
        if received or full or room:
            try:
                os.write(self._wake, _ONE)
            except BlockingIOError:
                return  # it is awake already
