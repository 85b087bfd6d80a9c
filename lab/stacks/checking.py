"""Invariants of a stack as objects that are fed its events, live or from logs.

A stack supplies its checkers in ``lab.stacks.<name>.invariants.CHECKERS``, one maker each, because
a checker carries the state of one case. The simulated world feeds them while it runs, and
:func:`check` feeds them the merged logs of a run in containers: a verdict rests on events alone.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import Protocol, TypeAlias

import msgspec

from lab.stacks.events import FAULT, HALTED, STARTED, Event


class Checker(Protocol):
    """Watches over one invariant."""

    name: str
    kinds: frozenset[str]
    """The kinds of events that it is to be fed."""

    def feed(self, event: Event) -> str | None:
        """Take the next event in time; return what is wrong with it, if the invariant breaks."""

    def finish(self, now_s: float) -> str | None:
        """Take notice that the case is over; return what should have happened by now."""


CheckerMaker: TypeAlias = Callable[[], Checker]


class Violation(msgspec.Struct, frozen=True):
    """An invariant that broke."""

    checker: str
    t_s: float
    reason: str

    @property
    def text(self) -> str:
        """The violation in a sentence."""
        return f"{self.checker} at {self.t_s:.3f} s: {self.reason}"


class Checking:
    """Feeds checkers and keeps what they find; each tells of its first violation only."""

    def __init__(self, makers: Iterable[CheckerMaker]) -> None:
        self.violations: list[Violation] = []
        self._checkers = [make() for make in makers]
        self._by_kind: dict[str, list[Checker]] = defaultdict(list)
        for checker in self._checkers:
            for kind in sorted(checker.kinds):
                self._by_kind[kind].append(checker)

    @property
    def kinds(self) -> frozenset[str]:
        """The kinds of events that any checker wants."""
        return frozenset(self._by_kind)

    def feed(self, event: Event) -> None:
        """Feed one event to whoever wants its kind."""
        for checker in self._by_kind.get(event.kind, ()):
            reason = checker.feed(event)
            if reason is not None:
                self._violated(checker, event.t_s, reason)

    def finish(self, now_s: float) -> list[Violation]:
        """End the case and return all violations."""
        for checker in self._checkers:
            reason = checker.finish(now_s)
            if reason is not None:
                self._violated(checker, now_s, reason)
        return self.violations

    def _violated(self, checker: Checker, t_s: float, reason: str) -> None:
        if all(violation.checker != checker.name for violation in self.violations):
            self.violations.append(Violation(checker.name, t_s, reason))


def check(makers: Iterable[CheckerMaker], events: Sequence[Event]) -> list[Violation]:
    """Check the events of a whole case, which need not be in order of time."""
    checking = Checking(makers)
    ordered = sorted(events, key=lambda event: event.t_s)
    for event in ordered:
        checking.feed(event)
    return checking.finish(ordered[-1].t_s if ordered else 0.0)


class Running:
    """Follows which nodes run, for checkers that need to know; feed it :attr:`KINDS`."""

    KINDS = frozenset({STARTED, HALTED, FAULT})

    def __init__(self) -> None:
        self.nodes: set[int] = set()

    def feed(self, event: Event) -> None:
        """Take the next event in time."""
        if event.kind == STARTED:
            self.nodes.add(event.node)
        elif event.kind == HALTED:
            self.nodes.discard(event.node)
        elif event.phase in ("kill", "wipe"):
            self.nodes -= set(event.fields["nodes"]) or set(self.nodes)
