"""Stands in for a node's context, so that one manager is tested alone, under a time of the test's.

All desks of a test share an agenda and a quorum volume with the rules of the contract.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from lab.stacks.core import DiskDone, EffectDone

DISK_S, EFFECT_S = 0.005, 0.001


class Agenda:
    """What happens when."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self._heap = []
        self._number = itertools.count()

    def at(self, at_s: float, action: Callable[[], None]):
        heapq.heappush(self._heap, (max(at_s, self.now_s), next(self._number), action))

    def run_until(self, end_s: float):
        while self._heap and self._heap[0][0] <= end_s:
            self.now_s, _, action = heapq.heappop(self._heap)
            action()
        self.now_s = end_s


class Volume:
    """The quorum volume."""

    def __init__(self, agenda: Agenda, reservation_s: float = 10.0) -> None:
        self.keys = {}
        self.holder = None
        self.cut = set()
        self._agenda = agenda
        self._reservation_s = reservation_s
        self._renewed_s = 0.0

    def carry_out(self, node: int, operation: str, key: str, data: bytes) -> tuple[bool, bytes]:  # noqa: PLR0911
        now_s = self._agenda.now_s
        if node in self.cut:
            return False, b""
        if operation == "reserve":
            expired = now_s - self._renewed_s > self._reservation_s
            if self.holder not in (None, node) and not expired:
                return False, b""
            self.holder, self._renewed_s = node, now_s
            return True, b""
        if self.holder != node:
            return False, b""
        match operation:
            case "renew":
                self._renewed_s = now_s
            case "release":
                self.holder = None
            case "write":
                self.keys[key] = data
            case "delete":
                self.keys.pop(key, None)
            case "read":
                return key in self.keys, self.keys.get(key, b"")
            case "list":
                return True, "\n".join(sorted(k for k in self.keys if k.startswith(key))).encode()
        return True, b""


class Desk:
    """One node's context; ``paused`` holds back all that would enter it."""

    def __init__(self, agenda: Agenda, volume: Volume, node: int = 1) -> None:
        self.node, self.incarnation = node, 1
        self.events = []
        self.effects = []
        self.running = {}
        """What tells the end of each effect that lasts, by name."""
        self.refuse = set()
        """Effects that fail, as (name of the effect, name of the thing)."""
        self.paused = False
        self._held = []
        self._agenda, self._volume = agenda, volume
        self._timers = {}

    @property
    def now_s(self):
        return self._agenda.now_s

    def emit(self, kind: str, phase: str = "", **fields: Any):
        self.events.append(SimpleNamespace(t_s=self.now_s, kind=kind, phase=phase, fields=fields))

    def phases(self, kind: str):
        return [event.phase for event in self.events if event.kind == kind]

    def set_timer(self, level: str, name: str, at_s: float, callback: Callable[[float], None]):
        timer = self._timers[name] = object()

        def ring() -> None:
            if self._timers.get(name) is timer:
                del self._timers[name]
                callback(self.now_s)

        self._agenda.at(at_s, lambda: self._enter(ring))

    def cancel_timer(self, name: str):
        self._timers.pop(name, None)

    def disk(
        self, volume: Volume, operation: str, key: str, data: bytes, done: Callable[..., None]
    ):
        assert volume == "quorum"

        def carry_out() -> None:
            ok, found = self._volume.carry_out(self.node, operation, key, data)
            self._enter(lambda: done(self.now_s, DiskDone(0, ok, found)))

        self._agenda.at(self.now_s + DISK_S, carry_out)

    def effect(self, name: str, arguments: dict[str, Any], done: Callable[..., None]):
        thing = arguments["name"]
        self.effects.append((name, thing))

        def over(ok: bool = True, detail: str = "") -> None:
            self._enter(lambda: done(self.now_s, EffectDone(0, ok, detail)))

        if (name, thing) in self.refuse:
            self._agenda.at(self.now_s + EFFECT_S, lambda: over(False, "refused"))
        elif name == "program-start":
            self.running[thing] = over
        else:
            self._agenda.at(self.now_s + EFFECT_S, over)

    def resume(self):
        self.paused = False
        held, self._held = self._held, []
        for action in held:
            action()

    def _enter(self, action: Callable[[], None]) -> None:
        if self.paused:
            self._held.append(action)
        else:
            action()
