"""Waiting for the adapter without spinning and without missing its call.

A process that wants to sleep writes into the segment what it waits for, looks once more
whether that is already so, and only then polls the wake-up descriptor. The adapter publishes
first and reads the wishes afterwards. With a full barrier between the two steps on both sides
a wake-up cannot fall between them. A sleep lasts `LONGEST_S` at most before conditions are
looked at again, so even an adapter that errs here costs a delay and not a hang.
"""

from __future__ import annotations

import os
import select
import socket
import time

from .errors import NotAttached
from .rings import fence
from .segment import (
    ALMOST_FULL_AT,
    RECV_WAKE_AT,
    RECV_WAKE_US_AT,
    SEND_NOT_WAITING,
    SEND_WAKE_AT,
    Segment,
)

TYPE_CHECKING = False  # importing typing would cost start-up time
if TYPE_CHECKING:
    from collections.abc import Callable

    from .upcalls import Upcalls

LONGEST_S = 1.0
_ONE = (1).to_bytes(8, "little")


class Sleeper:
    """Sleeps of one endpoint.

    Attributes:
        proxy: the upcall thread when there is one; it then reads the wake-up descriptor for
            everybody, for two readers would steal each other's wake-ups.
        sleeps: how often the process gave itself to the kernel to sleep.
    """

    def __init__(self, segment: Segment, wake: int, connection: socket.socket) -> None:
        self._words = segment.words
        self._wake = wake
        self._connection = connection.fileno()
        self._poll = select.poll()
        self._poll.register(wake, select.POLLIN)
        self._poll.register(self._connection, select.POLLIN)
        self._service_only = select.poll()
        self._service_only.register(self._connection, select.POLLIN)
        self.proxy: Upcalls | None = None
        self.sleeps = 0
        os.set_blocking(wake, False)

    def wish_received(self, at_least: int, or_after_us: int = 0, almost_full: int = 0) -> None:
        """Ask for a wake-up at so many pending messages, or when the oldest has waited so long.

        Args:
            at_least: pending messages; 0 withdraws the wish.
            or_after_us: real time; 0 leaves it out.
            almost_full: a second, higher number of pending messages; 0 leaves it out.
        """
        self._words[RECV_WAKE_US_AT // 4] = or_after_us
        self._words[ALMOST_FULL_AT // 4] = almost_full
        self._words[RECV_WAKE_AT // 4] = at_least
        fence()

    def wish_room(self, used_at_most: int) -> None:
        """Ask for a wake-up when the send queue holds so few messages or fewer."""
        self._words[SEND_WAKE_AT // 4] = used_at_most
        fence()

    def until_received(
        self, ready: Callable[[], bool], timeout_s: float, at_least: int, or_after_us: int
    ) -> None:
        """Sleep until ``at_least`` messages are pending, ``ready`` being the test for that."""
        self.wish_received(at_least, or_after_us)
        try:
            if not ready():
                self.poll(timeout_s)
        finally:
            self.wish_received(0)

    def until_room(self, ready: Callable[[], bool], timeout_s: float, used_at_most: int) -> None:
        """Sleep until the send queue has drained to ``used_at_most``, as ``ready`` tests."""
        proxy = self.proxy
        if proxy is not None and not proxy.is_current():
            proxy.woken.clear()
        self.wish_room(used_at_most)
        try:
            if ready():
                return
            if proxy is not None and not proxy.is_current():
                proxy.woken.wait(min(timeout_s, LONGEST_S))
            else:
                self.poll(timeout_s)
        finally:
            self.wish_room(SEND_NOT_WAITING)

    def poll(self, timeout_s: float) -> None:
        """Wait for the wake-up descriptor and reset it.

        Raises:
            NotAttached: the adapter's side of the connection has closed.
        """
        self.sleeps += 1
        for fd, _ in self._poll.poll(max(0.0, min(timeout_s, LONGEST_S)) * 1e3):
            if fd == self._connection:
                raise NotAttached("the U-Net service has gone away")
            self.acknowledge()

    def acknowledge(self) -> None:
        """Reset the wake-up descriptor."""
        try:
            os.read(self._wake, 8)
        except BlockingIOError:
            return  # reset already

    def wake_self(self) -> None:
        """Make a sleep in another thread end."""
        os.write(self._wake, _ONE)

    def pause(self, seconds: float) -> None:
        """Sleep for a time, noticing when the service goes away.

        Raises:
            NotAttached: it went away.
        """
        self.sleeps += 1
        if self._service_only.poll(max(0.0, seconds) * 1e3):
            raise NotAttached("the U-Net service has gone away")

    def service_ended(self, timeout_s: float) -> bool:
        """Wait until the service has closed the connection; False when it does not in time."""
        deadline = time.monotonic() + timeout_s
        while (left_s := deadline - time.monotonic()) > 0:
            if not self._service_only.poll(left_s * 1e3):
                return False
            try:
                if not os.read(self._connection, 4096):
                    return True
            except OSError:
                return True
        return False
