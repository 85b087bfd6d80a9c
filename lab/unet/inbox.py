"""The receiving half of an endpoint: the receive queue, and buffers going back to the adapter."""

from __future__ import annotations

import _thread

from .message import Message
from .rings import MASK32, Descriptor, FreeRing, RecvRing
from .segment import (
    DESCRIPTOR,
    FREE_HEAD_AT,
    GATHER,
    INLINE,
    INLINE_AT,
    PART,
    PARTS_AT,
    Segment,
)

TYPE_CHECKING = False  # importing typing would cost start-up time
if TYPE_CHECKING:
    import mmap
    from collections.abc import Callable

    Handler = Callable[[mmap.mmap | bytes, int, Descriptor], None]


class Inbox:
    """Consumer of the receive queue and producer of the free queue."""

    def __init__(self, segment: Segment) -> None:
        self._memory = segment.memory
        self._data = segment.data
        self._ring = RecvRing(segment)
        self._free = FreeRing(segment)
        self._tail = 0
        self._free_head = segment.words[FREE_HEAD_AT // 4]
        self.lock = _thread.RLock()
        self.closed = False  # set before the segment is unmapped; messages may outlive it

    @property
    def slots(self) -> int:
        """Length of the receive queue."""
        return self._ring.slots

    def supplied_buffers(self) -> set[int]:
        """Return the offsets of the buffers that the free queue was created with."""
        return {self._free.read(i) for i in range(self._free_head)}

    def pending(self) -> int:
        """Return how many messages wait in the receive queue."""
        return (self._ring.head() - self._tail) & MASK32

    def poll(self) -> Message | None:
        """Take the next message, or None; its buffers are ours until the message is released."""
        with self.lock:
            if not self.pending():
                return None
            slot = self._ring.slot_at(self._tail)
            fields = self._ring.read(self._tail)
            if fields[3] & INLINE:
                # The slot is about to be reused, so these few bytes are copied out.
                start = slot + INLINE_AT
                parts = [memoryview(self._memory[start : start + fields[1]])]
                offsets: tuple[int, ...] = ()
            else:
                places = self._places(slot, fields)
                parts = [self._data[at : at + length].toreadonly() for at, length in places]
                offsets = tuple([at for at, _ in places])
            self._tail = (self._tail + 1) & MASK32
            self._ring.publish_tail(self._tail)
            return Message(
                channel=fields[0],
                seq=fields[6],
                sent_ns=fields[4],
                time_ns=fields[5],
                parts=parts,
                offsets=offsets,
                give_back=self._give_back if offsets else None,
            )

    def _places(self, slot: int, fields: Descriptor) -> list[tuple[int, int]]:
        """Return offset and length of every part of a message that lies in buffers."""
        if not fields[3] & GATHER:
            return [(fields[2], fields[1])]
        first = slot + PARTS_AT
        places = self._memory[first : first + fields[7] * PART.size]
        return list(PART.iter_unpack(places))

    def _give_back(self, offsets: tuple[int, ...]) -> None:
        with self.lock:
            if self.closed:
                return
            for offset in offsets:
                self._free.write(self._free_head, offset)
                self._free_head = (self._free_head + 1) & MASK32
            self._free.publish_head(self._free_head)

    def consume(self, handler: Handler, limit: int) -> int:
        """Pass up to ``limit`` pending messages to ``handler`` in place; return how many.

        ``handler(memory, position, descriptor)`` finds the data at ``position`` and may not
        keep references to it. Of a message in several buffers it gets a copy in one piece.
        Slots and buffers go back together after the last one.
        """
        memory, slot_at, give_back = self._memory, self._ring.slot_at, self._free.write
        with self.lock:
            count = min(self.pending(), limit)
            first = tail = self._tail
            try:
                for tail in range(first + 1, first + 1 + count):
                    slot = slot_at(tail - 1)
                    fields: Descriptor = DESCRIPTOR.unpack_from(memory, slot)
                    flags = fields[3]
                    if flags & INLINE:
                        handler(memory, slot + INLINE_AT, fields)
                    elif flags & GATHER:
                        places = self._places(slot, fields)
                        for offset, _ in places:
                            give_back(self._free_head, offset)
                            self._free_head += 1
                        handler(b"".join([memory[at : at + n] for at, n in places]), 0, fields)
                    else:
                        give_back(self._free_head, fields[2])
                        self._free_head += 1
                        handler(memory, fields[2], fields)
            finally:
                if tail != first:
                    self._tail = tail & MASK32
                    self._free_head &= MASK32
                    self._free.publish_head(self._free_head)
                    self._ring.publish_tail(self._tail)
        return count
