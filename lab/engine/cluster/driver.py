"""The actions of a plan in real time, and what waits for events of the nodes.

The order of things is that of the simulated world: its schedule, driven by the monotonic clock.
Events are read from the nodes' logs while anything waits for one.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from pathlib import Path

import msgspec

from lab.ethernet.agenda import NS, Agenda, to_ns
from lab.stacks.events import Event
from lab.stacks.lateness import Histogram
from lab.stacks.plan import Action, CasePlan
from lab.world.schedule import Schedule

_LOOK_S = 0.01
_TELL_S = 0.5
OnEvent = Callable[[Event], None]


class Tail:
    """A node's log as it grows."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._at = 0
        """After the last whole line; the rest is read again, because a restarted node cuts it."""
        self._decoder = msgspec.json.Decoder(Event)

    def new_events(self, kinds: Iterable[str]) -> list[Event]:
        """Return the events of these kinds that were written since the last call."""
        try:
            with self._path.open("rb") as file:
                file.seek(self._at)
                data = file.read()
        except FileNotFoundError:
            return []
        *lines, half = data.split(b"\n")
        self._at += len(data) - len(half)
        marks = [f'"kind":"{kind}"'.encode() for kind in kinds]
        return [self._decoder.decode(line) for line in lines if any(mark in line for mark in marks)]


class Listening:
    """Tells those who listen what the nodes log, but nothing from before they listened."""

    def __init__(self, logs: Iterable[Path], now_s: Callable[[], float]) -> None:
        self._tails = [Tail(path) for path in logs]
        self._now_s = now_s
        self._listeners: defaultdict[str, list[tuple[float, OnEvent]]] = defaultdict(list)

    def listen(self, kind: str, listener: OnEvent) -> None:
        """Have a function called with every event of a kind from now on."""
        self._listeners[kind].append((self._now_s(), listener))

    @property
    def anybody(self) -> bool:
        """Whether anybody listens."""
        return bool(self._listeners)

    def look(self) -> None:
        """Read what is new and tell it."""
        for tail in self._tails:
            for event in tail.new_events(self._listeners):
                for since_s, listener in self._listeners.get(event.kind, ()):
                    if event.t_s >= since_s:
                        listener(event)


class _Clockwork(Agenda):
    """An agenda that remembers that it was told to stop."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        self.stopped = False

    def stop(self) -> None:
        """Let nothing more happen."""
        self.stopped = True
        super().stop()


class Driver:
    """Carries out a plan's actions at their times.

    Args:
        plan: the case.
        epoch_ns: CLOCK_MONOTONIC at virtual time 0.
        logs: of the nodes.
        act: carries out one action.
        meanwhile: called several times a second with the virtual time.
    """

    def __init__(
        self,
        plan: CasePlan,
        epoch_ns: int,
        logs: Iterable[Path],
        *,
        act: Callable[[Action], None],
        meanwhile: Callable[[float], None],
    ) -> None:
        self.late = Histogram()
        """How much later than planned actions were begun, virtual."""
        self._plan = plan
        self._epoch_ns = epoch_ns
        self._act = act
        self._meanwhile = meanwhile
        self._agenda = _Clockwork(plan.seed)
        self._listening = Listening(logs, self.now_s)
        Schedule(plan, self._agenda, self._listening, self._do)

    def now_s(self) -> float:
        """The present virtual time."""
        return (time.monotonic_ns() - self._epoch_ns) / NS / self._plan.dilation

    def run(self) -> float:
        """Drive the case to its end, and return when that was."""
        told_s = 0.0
        end_ns = to_ns(self._plan.over_s)
        while not self._agenda.stopped and self._agenda.now_ns < end_ns:
            if self._listening.anybody:
                self._listening.look()
            self._agenda.run(min(end_ns, to_ns(self.now_s())))
            if time.monotonic() - told_s > _TELL_S:
                told_s = time.monotonic()
                self._meanwhile(self.now_s())
            time.sleep(self._rest_s(end_ns))
        return self.now_s()

    def _do(self, action: Action) -> None:
        self.late.add(self.now_s() - self._agenda.now_ns / NS)
        self._act(action)

    def _rest_s(self, end_ns: int) -> float:
        """How long there is nothing to do, in real seconds."""
        due_ns = self._agenda.next_ns
        due_ns = end_ns if due_ns is None else min(due_ns, end_ns)
        left_s = (due_ns / NS - self.now_s()) * self._plan.dilation
        return max(0.0, min(left_s, _LOOK_S if self._listening.anybody else _TELL_S))
