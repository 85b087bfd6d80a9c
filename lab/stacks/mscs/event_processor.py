"""The event processor: how a node's managers tell each other what happened (thesis 7.7.2, 8).

Local publish and subscribe by type of event. An event published while another one is being handled
waits for its turn, so that all subscribers see all events in one order.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from lab.stacks.core import NodeId

E = TypeVar("E")


@dataclass(frozen=True)
class MembersChanged:
    """Other nodes than before take part in the cluster."""

    joined: frozenset[NodeId]
    left: frozenset[NodeId]


@dataclass(frozen=True)
class DatabaseChanged:
    """An update was made, or another database taken over."""

    keys: frozenset[str]


@dataclass(frozen=True)
class LocalGroupChanged:
    """A resource of a group has changed on this node."""

    group: str


class EventProcessor:
    """Hands events to those who subscribed to their type, in the order of subscription."""

    def __init__(self) -> None:
        self._handlers: dict[type, list[Callable[[float, Any], None]]] = defaultdict(list)
        self._waiting: deque[tuple[float, Any]] = deque()
        self._handing_out = False

    def subscribe(self, kind: type[E], handler: Callable[[float, E], None]) -> None:
        """Have a function called with the time and each event of a type."""
        self._handlers[kind].append(handler)

    def publish(self, now_s: float, event: object) -> None:
        """Tell everybody."""
        self._waiting.append((now_s, event))
        if self._handing_out:
            return
        self._handing_out = True
        try:
            while self._waiting:
                at_s, next_event = self._waiting.popleft()
                for handler in self._handlers[type(next_event)]:
                    handler(at_s, next_event)
        finally:
            self._handing_out = False
