"""Upcalls: the adapter calls the process when its receive queue reaches a condition.

The two conditions are U-Net's: the queue is not empty, and it is almost full (thesis section
2.3.1). An upcall here runs in a thread of the process. It gets everything that is pending, so
its cost is spread over all of those messages, and holding one lock keeps it out of a critical
section.
"""

from __future__ import annotations

import threading

from .errors import NotAttached
from .sleeper import LONGEST_S

TYPE_CHECKING = False  # importing typing would cost start-up time
if TYPE_CHECKING:
    from collections.abc import Callable

    from .inbox import Inbox
    from .message import Message
    from .sleeper import Sleeper

    Upcall = Callable[[list[Message]], None]


class Upcalls:
    """The thread that delivers upcalls.

    Attributes:
        woken: set whenever the wake-up descriptor had fired; other threads wait on it.
    """

    def __init__(self, inbox: Inbox, sleeper: Sleeper) -> None:
        self._inbox = inbox
        self._sleeper = sleeper
        self._nonempty: Upcall | None = None
        self._almost_full: Upcall | None = None
        self._at_least = 0
        self._or_after_us = 0
        self._threshold = 0
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="unet-upcalls", daemon=True)
        self.woken = threading.Event()

    def set_nonempty(self, upcall: Upcall, at_least: int, or_after_us: int) -> None:
        """Register the upcall for a queue that is not empty; may be coalesced."""
        self._nonempty, self._at_least, self._or_after_us = upcall, at_least, or_after_us
        self._begin()

    def set_almost_full(self, upcall: Upcall, threshold: int) -> None:
        """Register the upcall for a queue that holds ``threshold`` messages or more."""
        self._almost_full, self._threshold = upcall, threshold
        self._begin()

    def _begin(self) -> None:
        if self._thread.ident is None:
            self._sleeper.proxy = self
            self._thread.start()
        else:
            self._sleeper.wake_self()

    def is_current(self) -> bool:
        """Tell whether the caller is an upcall."""
        return threading.current_thread() is self._thread

    def stop(self) -> None:
        """End the thread; from an upcall, right after that upcall."""
        self._stopping = True
        if self._thread.is_alive() and not self.is_current():
            self._sleeper.wake_self()
            self._thread.join()

    def _due(self) -> bool:
        pending = self._inbox.pending()
        if self._almost_full is not None and pending >= self._threshold:
            return True
        return self._nonempty is not None and pending >= self._at_least

    def _run(self) -> None:
        try:
            while not self._stopping:
                at_least = self._at_least or self._threshold
                self._sleeper.wish_received(at_least, self._or_after_us, self._threshold)
                if self._stopping or not self._due():
                    self._sleeper.poll(LONGEST_S)
                self._sleeper.wish_received(0)
                self._deliver()
                self.woken.set()
        except NotAttached:
            return  # the foreground learns the same from its own next call
        finally:
            self._sleeper.proxy = None
            self.woken.set()

    def _deliver(self) -> None:
        """Hand over all that is pending, whether or not coalescing wanted to wait for more."""
        with self._inbox.lock:
            while pending := self._inbox.pending():
                upcall = self._nonempty
                if self._almost_full is not None and pending >= self._threshold:
                    upcall = self._almost_full
                if upcall is None:
                    return
                messages = [m for _ in range(pending) if (m := self._inbox.poll()) is not None]
                try:
                    upcall(messages)
                finally:
                    for message in messages:
                        message.release()
