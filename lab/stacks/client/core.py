"""The client's core: asks again and again, whatever became of the last time."""

from __future__ import annotations

from typing import Any

import msgspec

from lab.stacks.core import (
    Effect,
    EffectDone,
    Emit,
    Input,
    Level,
    Output,
    Reply,
    Request,
    Start,
    TimerDue,
)
from lab.stacks.plan import ClientPlan

POLL = "poll"
"""Event of a client: what came of asking once. Phase ``answered`` (field ``server``: the node that
did) or ``unanswered`` (its cause: why); ``asked_s`` is when it asked, by its own clock."""
ANSWERED, UNANSWERED = "answered", "unanswered"


class _Answer(msgspec.Struct):
    """What the service says."""

    node: int


class Client:
    """One client."""

    def __init__(self, plan: ClientPlan) -> None:
        self._plan = plan
        self._next_s: float | None = None
        self._asked = 0
        self._waiting: dict[int, float] = {}
        """By token, when it asked."""
        self._outputs: list[Output] = []

    def handle(self, now_s: float, item: Input) -> None:
        """Take in one input."""
        if isinstance(item, Start):
            self._next_s = now_s
        elif isinstance(item, TimerDue):
            self._ask_when_due(now_s)
        elif isinstance(item, EffectDone):
            self._done(item)
        elif isinstance(item, Request):
            self._outputs.append(Reply(item.id, ok=False, value="a client takes no requests"))

    def _ask_when_due(self, now_s: float) -> None:
        if self._next_s is None or now_s < self._next_s:
            return
        plan = self._plan
        missed = int((now_s - self._next_s) / plan.every_s)
        self._next_s += (missed + 1) * plan.every_s
        self._asked += 1
        self._waiting[self._asked] = now_s
        arguments = {"address": plan.address, "port": plan.port, "timeout_s": plan.timeout_s}
        self._outputs.append(Effect(self._asked, "http-get", arguments))

    def _done(self, outcome: EffectDone) -> None:
        asked_s = self._waiting.pop(outcome.token, None)
        if asked_s is None:
            return
        why = outcome.detail
        if outcome.ok:
            try:
                server = msgspec.json.decode(outcome.detail, type=_Answer).node
            except msgspec.DecodeError:
                why = "the answer is not the service's"
            else:
                fields = {"asked_s": asked_s, "server": server}
                self._outputs.append(Emit(POLL, ANSWERED, fields=fields))
                return
        self._outputs.append(Emit(POLL, UNANSWERED, cause=why, fields={"asked_s": asked_s}))

    def take_outputs(self) -> list[Output]:
        """Return what has come out."""
        outputs, self._outputs = self._outputs, []
        return outputs

    def next_timer_s(self, level: Level) -> float | None:
        """When it asks next."""
        return self._next_s if level == "service" else None

    def state(self) -> dict[str, Any]:
        """Return the state."""
        return {"next_s": self._next_s, "asked": self._asked, "waiting": dict(self._waiting)}
