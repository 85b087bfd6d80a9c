"""The send, receive and free queues: rings with one producer and one consumer each.

Head and tail are free-running 32-bit counters: slot = counter mod slots, used = head - tail
mod 2^32. The producer alone writes the head, the consumer alone the tail, so no lock is
needed; what is needed is that a counter is read and written whole and that the contents of a
slot are visible before the counter that announces them.

* Whole: the counters are aligned words accessed through a ``memoryview`` cast to "I", whose
  item access is a 4-byte copy that compilers turn into one load or store.
* Order: x86 keeps stores in program order and loads in program order (TSO), and the
  interpreter does not reorder operations of a program. On machines with weaker ordering
  `fence` supplies the barriers: it runs before a counter is published and after the other
  side's counter was read.
* Sleeping: "announce that I sleep, then look again" against "publish, then look whether the
  other sleeps" needs a store to be visible before a later load, which not even x86 grants
  without a barrier. `fence` is that barrier too.
"""

from __future__ import annotations

import _thread

from .segment import (
    DESCRIPTOR,
    DESCRIPTOR_BYTES,
    FREE_HEAD_AT,
    FREE_SLOT_BYTES,
    FREE_TAIL_AT,
    INLINE_AT,
    RECV_HEAD_AT,
    RECV_TAIL_AT,
    SEND_HEAD_AT,
    SEND_TAIL_AT,
    Segment,
)

MASK32 = 0xFFFFFFFF

# channel, length, offset, flags, sent_ns, time_ns, seq, reserved
Descriptor = tuple[int, int, int, int, int, int, int, int]

_fence_lock = _thread.allocate_lock()


def fence() -> None:
    """Order this thread's accesses to shared memory around this point.

    An acquire and release of a lock performs atomic read-modify-write operations: on x86 a
    locked instruction, which is a full barrier. The lock is this process's own and taken for
    no longer than that, so it costs some 50 ns and does not wait for the other side.
    """
    with _fence_lock:
        pass


class Ring:
    """One queue of a segment, seen from either side.

    Args:
        segment: the mapped segment.
        head_at, tail_at: byte offsets of the two counters.
        offset: byte offset of slot 0.
        slots: number of slots, a power of two.
        slot_bytes: size of a slot.
    """

    def __init__(
        self,
        segment: Segment,
        head_at: int,
        tail_at: int,
        *,
        offset: int,
        slots: int,
        slot_bytes: int,
    ) -> None:
        self._words = segment.words
        self._memory = segment.memory
        self._head = head_at // 4
        self._tail = tail_at // 4
        self._offset = offset
        self._mask = slots - 1
        self._slot_bytes = slot_bytes
        self.slots = slots

    def head(self) -> int:
        """Read the producer's counter; slots before it may be read afterwards."""
        value = self._words[self._head]
        fence()
        return value

    def tail(self) -> int:
        """Read the consumer's counter; slots before it may be overwritten afterwards."""
        value = self._words[self._tail]
        fence()
        return value

    def publish_head(self, counter: int) -> None:
        """Producer: hand over all slots before ``counter``."""
        fence()
        self._words[self._head] = counter & MASK32

    def publish_tail(self, counter: int) -> None:
        """Consumer: give back all slots before ``counter``."""
        fence()
        self._words[self._tail] = counter & MASK32

    def used(self) -> int:
        """Return how many slots are occupied."""
        used = (self._words[self._head] - self._words[self._tail]) & MASK32
        fence()
        return used

    def room(self) -> int:
        """Return how many slots are vacant."""
        return self.slots - self.used()

    def slot_at(self, counter: int) -> int:
        """Return the byte offset of the slot that ``counter`` stands for."""
        return self._offset + (counter & self._mask) * self._slot_bytes


class DescriptorRing(Ring):
    """A queue of message descriptors."""

    def read(self, counter: int) -> Descriptor:
        """Return the descriptor in a slot."""
        fields: Descriptor = DESCRIPTOR.unpack_from(self._memory, self.slot_at(counter))
        return fields

    def write(self, counter: int, fields: Descriptor, inline: bytes = b"") -> None:
        """Fill a slot; it is not visible to the consumer before `publish_head`."""
        slot = self.slot_at(counter)
        DESCRIPTOR.pack_into(self._memory, slot, *fields)
        if inline:
            start = slot + INLINE_AT
            self._memory[start : start + len(inline)] = inline


class SendRing(DescriptorRing):
    """From the process to the adapter."""

    def __init__(self, segment: Segment) -> None:
        shape = segment.geometry
        super().__init__(
            segment,
            SEND_HEAD_AT,
            SEND_TAIL_AT,
            offset=shape.send_offset,
            slots=shape.send_slots,
            slot_bytes=DESCRIPTOR_BYTES,
        )


class RecvRing(DescriptorRing):
    """From the adapter to the process."""

    def __init__(self, segment: Segment) -> None:
        shape = segment.geometry
        super().__init__(
            segment,
            RECV_HEAD_AT,
            RECV_TAIL_AT,
            offset=shape.recv_offset,
            slots=shape.recv_slots,
            slot_bytes=DESCRIPTOR_BYTES,
        )


class FreeRing(Ring):
    """Offsets of empty buffers, from the process to the adapter."""

    def __init__(self, segment: Segment) -> None:
        shape = segment.geometry
        super().__init__(
            segment,
            FREE_HEAD_AT,
            FREE_TAIL_AT,
            offset=shape.free_offset,
            slots=shape.free_slots,
            slot_bytes=FREE_SLOT_BYTES,
        )

    def read(self, counter: int) -> int:
        """Return the buffer offset in a slot."""
        return self._words[self.slot_at(counter) // 4]

    def write(self, counter: int, buffer_offset: int) -> None:
        """Fill a slot; it is not visible to the adapter before `publish_head`."""
        self._words[self.slot_at(counter) // 4] = buffer_offset
