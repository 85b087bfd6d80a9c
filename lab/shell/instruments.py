"""How a shell fares, told as events of its log, so that a run's certificate can judge it."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from lab.shell.clock import Clock
from lab.shell.datagrams import Datagrams
from lab.shell.log import EventLog
from lab.shell.node import Node
from lab.shell.streams import Streams
from lab.stacks.events import SHELL
from lab.stacks.lateness import Histogram

WINDOW_S = 5.0
"""Real seconds."""


class Instruments:
    """Tells at regular times how the parts of a shell fare."""

    def __init__(self, clock: Clock, log: EventLog) -> None:
        self._clock = clock
        self._log = log
        self._busy = Histogram()
        self._told_s = clock.now_s()
        self._told_cpu_s = time.process_time()
        self._told: dict[str, int] = {}

    def note_busy(self, real_s: float) -> None:
        """Note how long the process worked between two waits."""
        self._busy.add(real_s / self._clock.dilation)

    async def tell_regularly(self, node: Node, datagrams: Datagrams, streams: Streams) -> None:
        """Tell again and again, until cancelled."""
        while True:
            await asyncio.sleep(WINDOW_S)
            self.tell("window", node, datagrams, streams)

    def tell(self, phase: str, node: Node, datagrams: Datagrams, streams: Streams) -> None:
        """Tell of the time since the last telling."""
        now_s, cpu_s = self._clock.now_s(), time.process_time()
        counts = {
            "sent": datagrams.sent,
            "received": datagrams.received,
            "unsent": datagrams.unsent,
            "refused": datagrams.refused + streams.refused,
            "dropped": datagrams.dropped(),
        }
        fields: dict[str, Any] = {
            "window_s": now_s - self._told_s,
            "cpu_s": cpu_s - self._told_cpu_s,
            **{name: count - self._told.get(name, 0) for name, count in counts.items()},
            "timers_late": node.late.take(),
            "waited": datagrams.waited.take(),
            "busy": self._busy.take(),
        }
        self._told, self._told_s, self._told_cpu_s = counts, now_s, cpu_s
        self._log.event(SHELL, phase, fields=fields)
