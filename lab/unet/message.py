"""A received message, still lying in the communication segment."""

from __future__ import annotations

TYPE_CHECKING = False  # importing typing would cost start-up time
if TYPE_CHECKING:
    from collections.abc import Callable


class Message:
    """One received message; a context manager that gives its buffers back.

    Attributes:
        channel: the channel that it came on.
        seq: number of the message on its channel, counted by the sending adapter from 0.
        sent_ns, time_ns: virtual times at which it entered the network and was delivered.
        parts: the data without a copy, buffer by buffer, valid until `release`.
    """

    __slots__ = ("_give_back", "_offsets", "_view", "channel", "parts", "sent_ns", "seq", "time_ns")

    def __init__(
        self,
        *,
        channel: int,
        seq: int,
        sent_ns: int,
        time_ns: int,
        parts: list[memoryview],
        offsets: tuple[int, ...],
        give_back: Callable[[tuple[int, ...]], None] | None,
    ) -> None:
        self.channel = channel
        self.seq = seq
        self.sent_ns = sent_ns
        self.time_ns = time_ns
        self.parts = parts
        self._view: memoryview | None = parts[0] if len(parts) == 1 else None
        self._offsets = offsets
        self._give_back = give_back

    @property
    def view(self) -> memoryview:
        """The data in one piece: without a copy when one buffer held it; until `release`."""
        if self._view is None:
            self._view = memoryview(b"".join(self.parts))
        return self._view

    @property
    def place(self) -> int | None:
        """Offset in the segment of the first buffer; None when the descriptor held the data."""
        return self._offsets[0] if self._offsets else None

    @property
    def data(self) -> bytes:
        """A copy of the data, which outlives the message."""
        return b"".join(self.parts)

    @property
    def latency_ns(self) -> int:
        """Virtual time from entering the network to delivery."""
        return self.time_ns - self.sent_ns

    def release(self) -> None:
        """Return the buffers to the adapter; a second call does nothing."""
        for part in self.parts:
            part.release()
        if self._view is not None:
            self._view.release()
        give_back, self._give_back = self._give_back, None
        if give_back is not None:
            give_back(self._offsets)

    def __enter__(self) -> Message:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    def __len__(self) -> int:
        return sum([len(part) for part in self.parts])
