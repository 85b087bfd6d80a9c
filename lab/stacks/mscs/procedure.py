"""Sequential protocols written as they are told: as generators that yield what is to be done next.

A global update or a join is a long series of calls, pauses and waits (thesis 7.7.1, 7.8). Written
as a generator it reads from top to bottom, and what it yields is a :data:`Step`::

    result = yield Call(sponsor, "join petition", {"node": me})
    yield Sleep(0.6)

It is driven by what the node already has: its RPC and its timers. Nothing here knows a clock.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol, TypeAlias, TypeVar

from lab.stacks.core import Level, NodeId

Done: TypeAlias = Callable[[float, Any], None]
"""Called once, with the time and what came out."""
Begin: TypeAlias = Callable[[float, Done], None]
"""Starts something at a time, and calls when it is over."""


@dataclass(frozen=True)
class Call:
    """One RPC; its result comes back."""

    to: NodeId | str
    method: str
    arguments: dict[str, Any] = field(default_factory=dict)
    timeout_s: float | None = None


@dataclass(frozen=True)
class Together:
    """Several RPCs at once; all results come back, in order, when the last of them is over."""

    calls: tuple[Call, ...]


@dataclass(frozen=True)
class Sleep:
    """A pause."""

    for_s: float


@dataclass(frozen=True)
class Await:
    """Anything else that takes time, such as a global update; what came out of it comes back."""

    begin: Begin


@dataclass(frozen=True)
class Do:
    """Something that takes no time but must know it; what it returns comes back."""

    action: Callable[[float], Any]


Step: TypeAlias = Call | Together | Sleep | Await | Do

T = TypeVar("T")
Steps: TypeAlias = Generator[Step, Any, T]
"""What a function that describes a procedure returns; ``T`` is the procedure's result."""


class Caller(Protocol):
    """Whoever makes RPCs; :class:`lab.stacks.mscs.rpc.Rpc`."""

    def call(
        self,
        now_s: float,
        to: NodeId | str,
        method: str,
        arguments: dict[str, Any],
        done: Done,
        *,
        timeout_s: float | None = None,
    ) -> None:
        """Call a method of another node."""


class Sleeper(Protocol):
    """Whoever wakes at a time; :class:`lab.stacks.mscs.context.Context`."""

    def set_timer(
        self, level: Level, name: str, at_s: float, callback: Callable[[float], None]
    ) -> None:
        """Have a function called at a time."""

    def cancel_timer(self, name: str) -> None:
        """Forget a timer."""


class Procedure:
    """One run of a procedure, from its first step to its result or until it is cancelled.

    Started by :class:`Procedures`.
    """

    def __init__(
        self, name: str, steps: Steps[Any], caller: Caller, sleeper: Sleeper, done: Done
    ) -> None:
        self.name = name
        self.running = True
        self._steps = steps
        self._caller = caller
        self._sleeper = sleeper
        self._done = done
        self._number = 0
        self._stepping = False
        self._ready: tuple[float, Any] | None = None
        """What came out of a step at once."""

    def cancel(self) -> None:
        """Stop where it stands; its steps' ``finally`` parts run, ``done`` is not called."""
        if not self.running:
            return
        self.running = False
        self._sleeper.cancel_timer(self.name)
        if not self._stepping:
            self._steps.close()

    def go_on(self, now_s: float, value: Any = None) -> None:
        """Take the next step, with what came out of the last one, and all that can follow."""
        self._ready = (now_s, value)
        if self._stepping:
            return
        self._stepping = True
        try:
            while self._ready is not None and self.running:
                self._step(*self._ready)
        finally:
            self._stepping = False
        if not self.running:
            self._steps.close()

    def _step(self, now_s: float, value: Any) -> None:
        self._ready = None
        try:
            step = self._steps.send(value)
        except StopIteration as stop:
            if self.running:
                self.running = False
                self._done(now_s, stop.value)
            return
        self._number += 1
        if self.running:  # it may have been cancelled by what it did itself
            self._take(now_s, step, self._resume(self._number))

    def _resume(self, number: int) -> Done:
        """Return what goes on after a step, and does nothing if that step is no longer awaited."""

        def resume(now_s: float, value: Any) -> None:
            if self.running and self._number == number:
                self._number += 1
                self.go_on(now_s, value)

        return resume

    def _take(self, now_s: float, step: Step, resume: Done) -> None:
        match step:
            case Call():
                self._call(now_s, step, resume)
            case Together():
                self._together(now_s, step, resume)
            case Sleep():
                self._sleeper.set_timer(
                    "service", self.name, now_s + step.for_s, lambda at_s: resume(at_s, None)
                )
            case Await():
                step.begin(now_s, resume)
            case Do():
                resume(now_s, step.action(now_s))

    def _call(self, now_s: float, call: Call, done: Done) -> None:
        self._caller.call(
            now_s, call.to, call.method, call.arguments, done, timeout_s=call.timeout_s
        )

    def _together(self, now_s: float, together: Together, resume: Done) -> None:
        results: dict[int, Any] = {}
        count = len(together.calls)

        def collect(index: int, at_s: float, result: Any) -> None:
            results[index] = result
            if len(results) == count:
                resume(at_s, [results[number] for number in range(count)])

        if not count:
            resume(now_s, [])
        for index, call in enumerate(together.calls):
            self._call(now_s, call, partial(collect, index))


class Procedures:
    """Runs procedures over a node's RPC and the timers of its service level, each under a name."""

    def __init__(self, caller: Caller, sleeper: Sleeper) -> None:
        self._caller = caller
        self._sleeper = sleeper
        self._running: dict[str, Procedure] = {}

    def start(self, now_s: float, name: str, steps: Steps[Any], done: Done) -> None:
        """Start one, of a name that does not run; ``done`` gets its result."""
        assert not self.runs(name)  # noqa: S101 - whoever starts it knows

        def ended(at_s: float, result: Any) -> None:
            del self._running[name]
            done(at_s, result)

        self._running[name] = Procedure(name, steps, self._caller, self._sleeper, ended)
        self._running[name].go_on(now_s)

    def runs(self, name: str) -> bool:
        """Tell whether a procedure runs."""
        return name in self._running

    def cancel(self, name: str) -> None:
        """Stop a procedure where it stands, if it runs."""
        procedure = self._running.pop(name, None)
        if procedure is not None:
            procedure.cancel()
