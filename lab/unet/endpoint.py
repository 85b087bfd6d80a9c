"""An endpoint: a process's handle into the network (thesis section 2.3).

    with Endpoint.attach("bg2.a") as endpoint:
        endpoint.send(1, b"hello")
        message = endpoint.receive(timeout_s=2.0)

Sending and receiving touch shared memory only. System calls happen when the adapter sleeps
(the doorbell), and when the process itself wants to sleep.
"""

from __future__ import annotations

import os
import socket
import time

from .errors import (
    BadSegment,
    ChannelRefused,
    MessageTooLong,
    NoService,
    NotAttached,
    QueueFull,
    UNetError,
)
from .handshake import claim
from .inbox import Inbox
from .kernel_path import SOCKET_VARIABLE
from .outbox import Outbox
from .segment import RECV_TAIL_AT, SEND_HEAD_AT, SEND_NOT_WAITING, Segment
from .sleeper import LONGEST_S, Sleeper

TYPE_CHECKING = False  # importing typing would cost start-up time
if TYPE_CHECKING:
    import mmap
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from .inbox import Handler
    from .message import Message
    from .outbox import Fill
    from .rings import Descriptor
    from .upcalls import Upcall, Upcalls


class Endpoint:
    """One claimed endpoint. Make it with `attach`; a context manager that closes it.

    One thread uses it, plus the thread of its upcalls.

    Attributes:
        name: its name at the host's U-Net service.
        segment: the memory that it shares with the adapter.
        channels: the channels open when it was attached; the lab may open more later.
    """

    def __init__(
        self,
        name: str,
        segment: Segment,
        connection: socket.socket,
        *,
        channels: list[int],
        doorbell: int,
        wake: int,
    ) -> None:
        words = segment.words
        if words[SEND_HEAD_AT // 4] or words[RECV_TAIL_AT // 4]:
            raise BadSegment(f"the segment of {name} was used by another process before")
        self.name = name
        self.channels = channels
        self.segment = segment
        self._connection = connection
        self._fds = (doorbell, wake)
        self._attached = True
        self._inbox = Inbox(segment)
        receive_buffers = self._inbox.supplied_buffers()
        shape = segment.geometry
        every_buffer = {shape.buffer_offset(index) for index in range(shape.buffers)}
        self._outbox = Outbox(segment, sorted(every_buffer - receive_buffers), doorbell)
        self._sleeper = Sleeper(segment, wake, connection)
        self._upcalls: Upcalls | None = None

    @classmethod
    def attach(cls, name: str, socket_path: str | None = None) -> Endpoint:
        """Claim an endpoint of this host.

        Args:
            name: the endpoint, for example "bg2.a".
            socket_path: the host's U-Net service; by default ``LAB_UNET_SOCKET``.

        Raises:
            NoService: no service there (or the variable is not set).
            Refused: unknown endpoint, claimed by another process, or not this host's.
            BadSegment: the service speaks another version.
        """
        path = socket_path or os.environ.get(SOCKET_VARIABLE)
        if not path:
            raise NoService(f"{SOCKET_VARIABLE} is not set: this is not a host of a lab")
        connection, channels, (memory, doorbell, wake) = claim(path, name)
        try:
            segment = Segment(memory)
            return cls(name, segment, connection, channels=channels, doorbell=doorbell, wake=wake)
        except BaseException:
            connection.close()
            os.close(doorbell)
            os.close(wake)
            raise
        finally:
            os.close(memory)

    # Time

    @property
    def epoch_ns(self) -> int:
        """CLOCK_MONOTONIC (ns) of virtual time 0; 0 while no pass has started."""
        return self.segment.epoch_ns

    @property
    def dilation(self) -> float:
        """Real time divided by virtual time."""
        return self.segment.dilation

    def virtual_now_ns(self) -> int:
        """Return the virtual time since the pass began; before any pass, since boot."""
        return int((time.monotonic_ns() - self.segment.epoch_ns) / self.segment.dilation)

    # Sending

    @property
    def max_message_bytes(self) -> int:
        """Length of the longest message."""
        return self.segment.geometry.max_message_bytes

    @property
    def send_slots(self) -> int:
        """Length of the send queue."""
        return self._outbox.slots

    @property
    def accepted(self) -> int:
        """Messages put on the send queue so far."""
        return self._outbox.accepted

    @property
    def injected(self) -> int:
        """Messages that the adapter took into the network, as far as `reclaim` has learnt."""
        return self._outbox.injected

    @property
    def rejected(self) -> int:
        """Messages that the adapter refused to send, as far as `reclaim` has learnt."""
        return self._outbox.rejected

    def in_send_queue(self) -> int:
        """Return how many accepted messages the adapter has not taken yet."""
        return self._outbox.waiting()

    def reclaim(self) -> None:
        """Learn what became of sent messages and get their buffers back; sending does it too."""
        self._outbox.reclaim()

    @property
    def system_calls(self) -> dict[str, int]:
        """System calls made so far: to wake a sleeping adapter, and to sleep oneself."""
        return {"doorbells": self._outbox.doorbells, "sleeps": self._sleeper.sleeps}

    def on_injected(self, callback: Callable[[list[Descriptor]], None]) -> None:
        """Have ``callback(descriptors)`` called with messages that were injected.

        It is called from within `reclaim` and the sending functions; a descriptor's sent_ns is
        the virtual time at which the message was accepted, time_ns that of its injection.
        """
        self._outbox.on_injected = callback

    def try_send(
        self, channel: int, data: bytes | bytearray | memoryview, *, not_before_ns: int = 0
    ) -> bool:
        """Send if the queue has room; tell whether it had.

        With ``not_before_ns`` the adapter leaves the message in the queue until that virtual
        time: a process that knows when it would have sent, had it not been slow to wake up,
        sends at that time exactly.

        Raises:
            MessageTooLong: more than `max_message_bytes`.
            ChannelRefused: earlier messages went to a channel this endpoint does not have.
            NotAttached: the endpoint is detached.
        """
        self._check_sending(len(data))
        return self._outbox.push(channel, data, self.virtual_now_ns(), not_before_ns)

    def send(self, channel: int, data: bytes | bytearray | memoryview) -> None:
        """Send, or raise `QueueFull`; otherwise like `try_send`."""
        if not self.try_send(channel, data):
            raise QueueFull(f"the send queue of {self.name} is full")

    def send_wait(
        self, channel: int, data: bytes | bytearray | memoryview, timeout_s: float | None = None
    ) -> None:
        """Send, sleeping while the queue is full; `QueueFull` after ``timeout_s`` real seconds."""
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        while not self.try_send(channel, data):
            left_s = LONGEST_S if deadline is None else deadline - time.monotonic()
            if left_s <= 0:
                raise QueueFull(f"the send queue of {self.name} stayed full for {timeout_s} s")
            self.wait_for_room(self._outbox.slots - 1, left_s)

    def send_many(
        self,
        channel: int,
        length: int,
        count: int,
        fill: bytes | Fill,
    ) -> int:
        """Send up to ``count`` messages of equal length in one go; return how many fitted.

        ``fill`` is the data of all of them, or a function ``fill(memory, position, i)`` that
        writes the data of the i-th into the segment at ``position``. Errors as `try_send`.
        """
        self._check_sending(length)
        if isinstance(fill, bytes):
            data = fill

            def copy(memory: mmap.mmap | bytearray, position: int, _: int) -> None:
                memory[position : position + length] = data

            fill = copy
        return self._outbox.push_many(channel, length, count, fill, now_ns=self.virtual_now_ns())

    def push_raw(self, channel: int, length: int, offset: int, flags: int) -> None:
        """Push a descriptor as it stands, without a message; for trying what is refused."""
        self._check_attached()
        self._outbox.push_raw(channel, length, offset, flags)

    def wait_for_room(self, used_at_most: int, timeout_s: float) -> bool:
        """Sleep until the send queue holds so few messages; False if it still holds more.

        May return early (False) after a second or when other news comes in; call it again.
        """
        self._check_attached()

        def ready() -> bool:
            return self._outbox.waiting() <= used_at_most

        if not ready():
            self._sleeper.until_room(ready, timeout_s, used_at_most)
        return ready()

    def _check_sending(self, length: int) -> None:
        self._check_attached()
        if length > self.segment.geometry.max_message_bytes:
            raise MessageTooLong(
                f"a message of {length} bytes, the longest is {self.max_message_bytes}"
            )
        if self._outbox.refused:
            refused = sorted(self._outbox.refused)
            self._outbox.refused.clear()
            raise ChannelRefused(f"{self.name} has no channel {', '.join(map(str, refused))}")

    # Receiving

    def pending(self) -> int:
        """Return how many received messages wait."""
        return self._inbox.pending()

    def poll(self) -> Message | None:
        """Take the next message if there is one. Release it to give its buffer back."""
        return self._inbox.poll()

    def receive(
        self, timeout_s: float | None = None, *, at_least: int = 1, or_after_us: int = 0
    ) -> Message | None:
        """Take the next message, sleeping while there is none; None after ``timeout_s``.

        ``at_least`` and ``or_after_us`` coalesce wake-ups: sleep on until so many messages
        wait, or the oldest has waited so long (real time). Messages that wait already are
        taken without sleeping.

        Raises:
            NotAttached: the endpoint is detached and nothing is left, or the service has gone.
        """
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        while (message := self._inbox.poll()) is None:
            left_s = LONGEST_S if deadline is None else deadline - time.monotonic()
            if left_s <= 0:
                return None
            self.wait_for_messages(left_s, at_least=at_least, or_after_us=or_after_us)
        return message

    def wait_for_messages(
        self, timeout_s: float, *, at_least: int = 1, or_after_us: int = 0
    ) -> int:
        """Sleep until messages wait, coalesced as in `receive`; return how many do.

        May return early, with 0, after a second or when other news comes in.
        """
        self._check_attached()
        if self._upcalls is not None:
            raise UNetError(f"the messages of {self.name} go to its upcalls, do not wait for them")

        def ready() -> bool:
            return self._inbox.pending() >= at_least

        self._sleeper.until_received(ready, timeout_s, at_least, or_after_us)
        return self._inbox.pending()

    def consume(self, handler: Handler, limit: int = 64) -> int:
        """Pass up to ``limit`` pending messages to ``handler`` without copies; return how many.

        ``handler(memory, position, descriptor)`` is called with the place of the data in the
        mapped segment, valid during the call only; of a message that fills several buffers
        with a copy.
        """
        return self._inbox.consume(handler, limit)

    # Events

    def fileno(self) -> int:
        """Return a descriptor for select, poll or an event loop.

        It becomes readable after `arm`; then call `acknowledge`, take what is pending, and
        `arm` again.
        """
        return self._fds[1]

    def arm(self, at_least: int = 1, or_after_us: int = 0) -> bool:
        """Ask that `fileno` become readable when messages wait; False if they wait already."""
        self._sleeper.wish_received(at_least, or_after_us)
        return self._inbox.pending() < at_least

    def acknowledge(self) -> None:
        """Reset `fileno` and withdraw what `arm` asked for."""
        self._sleeper.acknowledge()
        self._sleeper.wish_received(0)
        self._sleeper.wish_room(SEND_NOT_WAITING)

    def on_nonempty(self, upcall: Upcall, *, at_least: int = 1, or_after_us: int = 0) -> None:
        """Have ``upcall(messages)`` called in a thread with all that is pending.

        Messages that the upcall did not release are released after it returns. Coalescing as
        in `receive`.
        """
        self._upcall_thread().set_nonempty(upcall, at_least, or_after_us)

    def on_almost_full(self, upcall: Upcall, *, pending: int | None = None) -> None:
        """Have ``upcall(messages)`` called when so many wait (three quarters of the queue).

        It is called instead of the other upcall, when both are registered.
        """
        threshold = pending or self._inbox.slots * 3 // 4
        self._upcall_thread().set_almost_full(upcall, threshold)

    def _upcall_thread(self) -> Upcalls:
        self._check_attached()
        if self._upcalls is None:
            from .upcalls import Upcalls  # threads cost start-up time; few programs use them

            self._upcalls = Upcalls(self._inbox, self._sleeper)
        return self._upcalls

    def end_upcalls(self) -> None:
        """Stop upcalls for good: messages are polled or waited for again."""
        if self._upcalls is not None:
            self._upcalls.stop()
            self._upcalls = None

    def disable_upcalls(self) -> AbstractContextManager[object]:
        """Return a context in which no upcall runs: a critical section. Costs one lock."""
        return self._inbox.lock

    def pause(self, seconds: float) -> None:
        """Sleep in real time; raises `NotAttached` as soon as the service goes away."""
        self._check_attached()
        self._sleeper.pause(seconds)

    # The end

    def _check_attached(self) -> None:
        if not self._attached:
            raise NotAttached(f"endpoint {self.name} is detached")

    def counters(self) -> dict[str, int]:
        """Return the adapter's counters of this endpoint."""
        return self.segment.counters()

    def detach(self, timeout_s: float = 5.0) -> bool:
        """Give the endpoint back, but keep what was received and all counters readable.

        Waits until the service has confirmed by closing its side: from then on the adapter
        touches nothing, and counters are final. Returns False when it does not confirm.
        """
        if not self._attached:
            return True
        self._attached = False
        if self._upcalls is not None:
            self._upcalls.stop()
        try:
            self._connection.shutdown(socket.SHUT_WR)
        except OSError:
            confirmed = True  # the service has gone, so nothing moves any more
        else:
            confirmed = self._sleeper.service_ended(timeout_s)
        self._outbox.reclaim()
        return confirmed

    def close(self) -> None:
        """Give the endpoint back and unmap the segment; pending messages are lost."""
        if self._connection.fileno() < 0:
            return
        self.detach()
        self._connection.close()
        for fd in self._fds:
            os.close(fd)
        self._inbox.closed = True
        self.segment.close()

    def __enter__(self) -> Endpoint:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
