"""The event loop of a shell: asyncio's own, with an eye on how long it was busy between waits."""

from __future__ import annotations

import selectors
import time
from asyncio import SelectorEventLoop
from collections.abc import Callable


class _WatchedSelector(selectors.EpollSelector):
    """Says how long the loop worked since the last wait, before each wait."""

    def __init__(self, on_idle: Callable[[float], None]) -> None:
        super().__init__()
        self._on_idle = on_idle
        self._woken_s = time.monotonic()

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        self._on_idle(time.monotonic() - self._woken_s)
        ready = super().select(timeout)
        self._woken_s = time.monotonic()
        return ready


def watched_loop(on_idle: Callable[[float], None]) -> SelectorEventLoop:
    """Return a loop that calls a function before each wait with the real seconds it was busy."""
    return SelectorEventLoop(_WatchedSelector(on_idle))
