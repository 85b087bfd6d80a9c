"""Carries out the actions of a plan when they are due, in time or after what was seen.

Actions of one time are carried out in the order of the plan.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from typing import Protocol

from lab.ethernet.agenda import Agenda, to_ns
from lab.stacks.events import Event
from lab.stacks.plan import Action, CasePlan, Seen
from lab.world.record import OnEvent


class Log(Protocol):
    """Where the nodes' events come from."""

    def listen(self, kind: str, listener: OnEvent) -> None:
        """Have a function called with every event of a kind."""


class Schedule:
    """The actions of one plan, for any runtime whose time is an agenda.

    Args:
        act: carries out one action.
    """

    def __init__(
        self, plan: CasePlan, agenda: Agenda, log: Log, act: Callable[[Action], None]
    ) -> None:
        self._plan = plan
        self._agenda = agenda
        self._log = log
        self._act = act
        self._left = len(plan.actions)
        timed: dict[int, list[int]] = defaultdict(list)
        for index, action in enumerate(plan.actions):
            if action.after is None or index == 0:
                timed[to_ns(action.at_s)].append(index)
        for due_ns, indices in timed.items():
            agenda.at(due_ns, self._due_in_order, indices)
        if not self._left:
            self._settle()

    def _due_in_order(self, indices: list[int]) -> None:
        for index in indices:
            self._due(index)

    def _due(self, index: int) -> None:
        actions = self._plan.actions
        self._act(actions[index])
        self._left -= 1
        following = index + 1
        if following < len(actions):
            seen = actions[following].after
            if seen is not None:
                _Watch(seen, self._agenda, self._log, lambda: self._seen(following))
        if not self._left:
            self._settle()

    def _seen(self, index: int) -> None:
        due_ns = self._agenda.now_ns + to_ns(self._plan.actions[index].at_s)
        self._agenda.at(due_ns, self._due, index)

    def _settle(self) -> None:
        if self._plan.settle_s is not None:
            end_ns = self._agenda.now_ns + to_ns(self._plan.settle_s)
            self._agenda.at(end_ns, lambda _: self._agenda.stop())


class _Watch:
    """Waits for an event, once."""

    def __init__(self, seen: Seen, agenda: Agenda, log: Log, then: Callable[[], None]) -> None:
        self._seen = seen
        self._missing = set(seen.nodes)
        self._then = then
        self._over = False
        log.listen(seen.kind, self._take)
        agenda.at(agenda.now_ns + to_ns(seen.at_most_s), lambda _: self._end())

    def _take(self, event: Event) -> None:
        if self._seen.phase and event.phase != self._seen.phase:
            return
        if self._seen.nodes:
            self._missing.discard(event.node)
        if not self._missing:
            self._end()

    def _end(self) -> None:
        if not self._over:
            self._over = True
            self._then()
