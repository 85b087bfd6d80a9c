"""A received message, still lying in the communication segment."""

from __future__ import annotations

TYPE_CHECKING = False  # importing typing would cost start-up time
if TYPE_CHECKING:
    from collections.abc import Callable


class Message:
    """One received message; a context manager that gives its buffer back.

    Attributes:
        channel: the channel that it came on.
        seq: number of the message on its channel, counted by the sending adapter from 0.
        sent_ns, time_ns: virtual times at which it entered the network and was delivered.
        view: the data without a copy, valid until `release`.
    """

    __slots__ = ("_give_back", "_offset", "channel", "sent_ns", "seq", "time_ns", "view")

    def __init__(
        self,
        *,
        channel: int,
        seq: int,
        sent_ns: int,
        time_ns: int,
        view: memoryview,
        offset: int,
        give_back: Callable[[int], None] | None,
    ) -> None:
        self.channel = channel
        self.seq = seq
        self.sent_ns = sent_ns
        self.time_ns = time_ns
        self.view = view
        self._offset = offset
        self._give_back = give_back

    @property
    def data(self) -> bytes:
        """A copy of the data, which outlives the message."""
        return bytes(self.view)

    @property
    def latency_ns(self) -> int:
        """Virtual time from entering the network to delivery."""
        return self.time_ns - self.sent_ns

    def release(self) -> None:
        """Return the buffer to the adapter; a second call does nothing."""
        self.view.release()
        give_back, self._give_back = self._give_back, None
        if give_back is not None:
            give_back(self._offset)

    def __enter__(self) -> Message:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    def __len__(self) -> int:
        return len(self.view)
