"""A case for readers: what was done to it and what happened, one line each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import Any

from lab.stacks.checking import Violation
from lab.stacks.events import FAULT, RECEIVE, SEND, Event
from lab.stacks.plan import Action, Ask, CasePlan

_LONGEST = 160
_USUAL: tuple[Any, ...] = ([], None, 0.0, "idle")
"""What a fault has where nothing was said."""


def plan_lines(plan: CasePlan) -> Iterator[str]:
    """Say what a plan asks for."""
    networks = ", ".join(f"{network.kind} {network.delay_s:g} s" for network in plan.networks)
    yield f"{plan.nodes} nodes of {plan.stack} on {networks}; seed {plan.seed}"
    if plan.options:
        yield "options: " + ", ".join(f"{key}={value}" for key, value in plan.options.items())
    for text, group in groupby(plan.actions, action_text):
        same = list(group)
        times = f" ({len(same)} times until {same[-1].at_s:g} s)" if len(same) > 1 else ""
        yield f"{same[0].at_s:9.1f} s  {text}{times}"


def action_text(action: Action) -> str:
    """Say in words what an action does."""
    does = action.does
    who = nodes_text(does.nodes)
    if isinstance(does, Ask):
        arguments = ", ".join(f"{key}={value}" for key, value in does.arguments.items())
        return f"ask {who}: {does.request}({arguments})"
    words = [does.fault, who]
    if does.peers:
        words.append(f"from {nodes_text(does.peers)}")
    if does.network is not None:
        words.append(f"on network {does.network}")
    if does.value:
        words.append(f"by {does.value:g}")
    if does.level != "idle":
        words.append(does.level)
    if action.after is not None:
        words.append(f"after {action.after.kind} {action.after.phase}".rstrip())
    return " ".join(words)


def nodes_text(nodes: Sequence[int]) -> str:
    """Name some nodes; none are all."""
    if not nodes:
        return "all"
    return ("node " if len(nodes) == 1 else "nodes ") + ",".join(str(node) for node in nodes)


def trace_lines(events: Iterable[Event], violations: Sequence[Violation]) -> Iterator[str]:
    """Tell events and violations in order of time."""
    for event in events:
        yield f"{event.t_s:13.6f}  {_event_text(event)}"[:_LONGEST]
    for violation in sorted(violations, key=lambda found: found.t_s):
        yield f"{violation.t_s:13.6f}  VIOLATION of {violation.checker!r}: {violation.reason}"


def _event_text(event: Event) -> str:
    fields = event.fields
    if event.kind == SEND:
        to = f"n{fields['peer']}" if fields["peer"] else "all"
        return f"n{event.node} -> {to}: {fields['label']} ({event.cause})"
    if event.kind == RECEIVE:
        return f"n{event.node} <- n{fields['peer']}: {fields['label']} ({event.cause})"
    if event.kind == FAULT:
        return f"--- {event.phase} {_told({k: v for k, v in fields.items() if v not in _USUAL})}"
    told = _told(fields)
    cause = f" because of {event.cause}" if event.cause else ""
    return f"n{event.node} {event.kind} {event.phase} {told}{cause}".replace("  ", " ")


def _told(fields: dict[str, Any]) -> str:
    return ", ".join(
        f"{key}={value:.6g}" if isinstance(value, float) else f"{key}={value}"
        for key, value in fields.items()
    )
