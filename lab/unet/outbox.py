"""The sending half of an endpoint: the send queue and the buffers that feed it.

U-Net leaves the management of send buffers to the process (thesis section 2.3.4). Here the
buffers that are not in the free queue form a pool; a message takes one until the adapter has
taken the message off the queue. Messages of up to 40 bytes travel inside the descriptor and
need no buffer.
"""

from __future__ import annotations

import _thread
import os

from .rings import MASK32, SendRing, fence
from .segment import DESCRIPTOR, INLINE, INLINE_AT, INLINE_MAX, NI_IDLE_AT, REJECTED, Segment

TYPE_CHECKING = False  # importing typing would cost start-up time
if TYPE_CHECKING:
    import mmap
    from collections.abc import Callable

_ONE = (1).to_bytes(8, "little")


class Outbox:
    """Producer of the send queue.

    Attributes:
        accepted, injected, rejected: messages put on the queue, taken into the network by the
            adapter, and rejected by it.
        refused: channels of rejected messages that nobody has been told about yet.
        on_injected: called for every injected message as soon as we learn of it with the
            virtual times of its acceptance and of its injection (ns) and its length.
    """

    def __init__(self, segment: Segment, buffers: list[int], doorbell: int) -> None:
        self._memory = segment.memory
        self._words = segment.words
        self._ring = SendRing(segment)
        self._pool = buffers
        self._doorbell = doorbell
        self._head = 0
        self._reclaimed = 0
        self._lock = _thread.RLock()
        self.accepted = 0
        self.injected = 0
        self.rejected = 0
        self.refused: set[int] = set()
        self.on_injected: Callable[[int, int, int], None] | None = None

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
            while self._reclaimed != tail:
                channel, length, offset, flags, sent_ns, time_ns, _, _ = self._ring.read(
                    self._reclaimed
                )
                if not flags & INLINE:
                    self._pool.append(offset)
                if flags & REJECTED:
                    self.rejected += 1
                    self.refused.add(channel)
                else:
                    self.injected += 1
                    if self.on_injected is not None:
                        self.on_injected(sent_ns, time_ns, length)
                self._reclaimed = (self._reclaimed + 1) & MASK32

    def push(self, channel: int, data: bytes | bytearray | memoryview, now_ns: int) -> bool:
        """Put one message on the queue; False when there is no slot or no buffer."""
        length = len(data)
        with self._lock:
            self.reclaim()
            if (self._head - self._reclaimed) & MASK32 >= self._ring.slots:
                return False
            slot = self._ring.slot_at(self._head)
            if length <= INLINE_MAX:
                offset, flags = slot + INLINE_AT, INLINE
            elif self._pool:
                offset, flags = self._pool.pop(), 0
            else:
                return False
            self._memory[offset : offset + length] = data
            DESCRIPTOR.pack_into(
                self._memory, slot, channel, length, offset, flags, now_ns, 0, 0, 0
            )
            self._hand_over(1)
        return True

    def push_many(
        self,
        channel: int,
        length: int,
        count: int,
        fill: Callable[[mmap.mmap, int, int], None],
        now_ns: int,
    ) -> int:
        """Put up to ``count`` messages of equal length on the queue; return how many fitted.

        ``fill(memory, position, i)`` writes the data of the i-th at ``position``. They are
        handed to the adapter together, which is what makes this cheap.
        """
        with self._lock:
            self.reclaim()
            room = self._ring.slots - ((self._head - self._reclaimed) & MASK32)
            inline = length <= INLINE_MAX
            flags = INLINE if inline else 0
            fitting = min(count, room if inline else min(room, len(self._pool)))
            for i in range(fitting):
                slot = self._ring.slot_at(self._head + i)
                offset = slot + INLINE_AT if inline else self._pool.pop()
                fill(self._memory, offset, i)
                DESCRIPTOR.pack_into(
                    self._memory, slot, channel, length, offset, flags, now_ns, 0, 0, 0
                )
            if fitting:
                self._hand_over(fitting)
        return fitting

    def _hand_over(self, count: int) -> None:
        self._head = (self._head + count) & MASK32
        self.accepted += count
        self._ring.publish_head(self._head)
        # The adapter announces its sleep before it looks at the queue a last time; we publish
        # before we look at the announcement. With a barrier in between on both sides, one of
        # the two sees the other.
        fence()
        if self._words[NI_IDLE_AT // 4]:
            os.write(self._doorbell, _ONE)
