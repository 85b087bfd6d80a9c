"""The sending half of an endpoint: the send queue and the buffers that feed it.

U-Net leaves the management of send buffers to the process (thesis section 2.3.4). Here the
buffers that are not in the free queue form a pool; a message takes as many as it fills until
the adapter has taken the message off the queue. Messages of up to 40 bytes travel inside the
descriptor and need no buffer.
"""

from __future__ import annotations

import _thread
import os

from .rings import MASK32, SendRing, fence
from .segment import (
    DESCRIPTOR,
    GATHER,
    INLINE,
    INLINE_AT,
    INLINE_MAX,
    NI_IDLE_AT,
    PART,
    PARTS_AT,
    REJECTED,
    Segment,
)

TYPE_CHECKING = False  # importing typing would cost start-up time
if TYPE_CHECKING:
    import mmap
    from collections.abc import Callable

    from .rings import Descriptor

    Fill = Callable[[mmap.mmap | bytearray, int, int], None]

_ONE = (1).to_bytes(8, "little")


class Outbox:
    """Producer of the send queue.

    Attributes:
        accepted, injected, rejected: messages put on the queue, taken into the network by the
            adapter, and rejected by it.
        refused: channels of rejected messages that nobody has been told about yet.
        doorbells: how often the sleeping adapter had to be woken, each time by a system call.
        on_injected: called with the descriptors of injected messages as soon as we learn of
            them; their sent_ns is the virtual time of acceptance, time_ns that of injection.
    """

    def __init__(self, segment: Segment, buffers: list[int], doorbell: int) -> None:
        self._memory = segment.memory
        self._words = segment.words
        self._parts = segment.geometry.parts
        self._buffer_bytes = segment.geometry.buffer_bytes
        self._ring = SendRing(segment)
        self._pool = buffers
        self._held: list[list[int]] = [[] for _ in range(self._ring.slots)]  # buffers by slot
        self._doorbell = doorbell
        self._head = 0
        self._reclaimed = 0
        self._lock = _thread.RLock()
        self.accepted = 0
        self.injected = 0
        self.rejected = 0
        self.doorbells = 0
        self.refused: set[int] = set()
        self.on_injected: Callable[[list[Descriptor]], None] | None = None

    @property
    def slots(self) -> int:
        """Length of the send queue."""
        return self._ring.slots

    def waiting(self) -> int:
        """Return how many messages the adapter has not taken yet."""
        return (self._head - self._ring.tail()) & MASK32

    def reclaim(self) -> None:
        """Take back what the adapter has finished with: slots, buffers, and how each fared.

        The adapter frees slots in order, so everything before the tail is done.
        """
        with self._lock:
            tail = self._ring.tail()
            if tail == self._reclaimed:
                return
            injected: list[Descriptor] = []
            mask = self._ring.slots - 1
            while self._reclaimed != tail:
                fields = self._ring.read(self._reclaimed)
                held = self._held[self._reclaimed & mask]
                if held:
                    self._pool += held
                    held.clear()
                if fields[3] & REJECTED:
                    self.rejected += 1
                    self.refused.add(fields[0])
                else:
                    injected.append(fields)
                self._reclaimed = (self._reclaimed + 1) & MASK32
            self.injected += len(injected)
            if injected and self.on_injected is not None:
                self.on_injected(injected)

    def push(
        self,
        channel: int,
        data: bytes | bytearray | memoryview,
        now_ns: int,
        not_before_ns: int = 0,
    ) -> bool:
        """Put one message on the queue; False when there is no slot or no buffer."""

        def copy(memory: mmap.mmap | bytearray, position: int, _: int) -> None:
            memory[position : position + len(data)] = data

        return bool(
            self.push_many(channel, len(data), 1, copy, now_ns=now_ns, not_before_ns=not_before_ns)
        )

    def push_many(
        self,
        channel: int,
        length: int,
        count: int,
        fill: Fill,
        *,
        now_ns: int,
        not_before_ns: int = 0,
    ) -> int:
        """Put up to ``count`` messages of equal length on the queue; return how many fitted.

        ``fill(memory, position, i)`` writes the data of the i-th at ``position``. They are
        handed to the adapter together, which is what makes this cheap.
        """
        with self._lock:
            self.reclaim()
            fitting = min(count, self._ring.slots - ((self._head - self._reclaimed) & MASK32))
            parts = 0 if length <= INLINE_MAX else self._parts(length)
            if parts:
                fitting = min(fitting, len(self._pool) // parts)
            for i in range(fitting):
                counter = self._head + i
                slot = self._ring.slot_at(counter)
                if not parts:
                    offset, flags = slot + INLINE_AT, INLINE
                    fill(self._memory, offset, i)
                elif parts == 1:
                    offset, flags = self._pool.pop(), 0
                    self._held[counter & self._ring.slots - 1].append(offset)
                    fill(self._memory, offset, i)
                else:
                    offset, flags = 0, GATHER
                    self._scatter(counter, length, parts, fill, i)
                DESCRIPTOR.pack_into(
                    self._memory,
                    slot,
                    *(channel, length, offset, flags, now_ns, not_before_ns, 0),
                    parts if flags == GATHER else 0,
                )
            if fitting:
                self._hand_over(fitting)
        return fitting

    def push_raw(self, channel: int, length: int, offset: int, flags: int) -> None:
        """Push a descriptor as it stands; the queue must have room."""
        with self._lock:
            slot = self._ring.slot_at(self._head)
            DESCRIPTOR.pack_into(self._memory, slot, channel, length, offset, flags, 0, 0, 0, 3)
            self._hand_over(1)

    def _scatter(self, counter: int, length: int, parts: int, fill: Fill, i: int) -> None:
        """Spread a message over several buffers and note their places in its descriptor."""
        whole = bytearray(length)
        fill(whole, 0, i)
        place = self._ring.slot_at(counter) + PARTS_AT
        held = self._held[counter & self._ring.slots - 1]
        for start in range(0, length, self._buffer_bytes):
            piece = whole[start : start + self._buffer_bytes]
            offset = self._pool.pop()
            held.append(offset)
            self._memory[offset : offset + len(piece)] = bytes(piece)
            PART.pack_into(self._memory, place, offset, len(piece))
            place += PART.size

    def _hand_over(self, count: int) -> None:
        self._head = (self._head + count) & MASK32
        self.accepted += count
        self._ring.publish_head(self._head)
        # The adapter announces its sleep before it looks at the queue a last time; we publish
        # before we look at the announcement. With a barrier in between on both sides, one of
        # the two sees the other.
        fence()
        if self._words[NI_IDLE_AT // 4]:
            self.doorbells += 1
            os.write(self._doorbell, _ONE)
