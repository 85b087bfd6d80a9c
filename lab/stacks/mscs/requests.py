"""Requests to a node, by name: commands, clients, a scenario's workload."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from lab.errors import LabError
from lab.stacks.core import Request
from lab.stacks.mscs.context import Context

Reply: TypeAlias = Callable[[bool, Any], None]
"""Answers a request, at once or later: whether it went well, and plain JSON data or a sentence."""
RequestHandler: TypeAlias = Callable[[float, dict[str, Any], Reply], None]
"""Carries a request out: time, arguments, reply. What it raises as a LabError is the answer."""


class Requests:
    """Hands requests to whoever serves them."""

    def __init__(self, ctx: Context) -> None:
        self._ctx = ctx
        self._handlers: dict[str, RequestHandler] = {}

    def serve(self, name: str, handler: RequestHandler) -> None:
        """Say what a request does."""
        self._handlers[name] = handler

    def take(self, now_s: float, item: Request) -> None:
        """Take a request in."""

        def reply(ok: bool, value: Any = None) -> None:
            self._ctx.reply(item.id, ok=ok, value=value)

        handler = self._handlers.get(item.name)
        if handler is None:
            known = ", ".join(sorted(self._handlers))
            reply(False, f"there is no request {item.name!r}; there are: {known}")
            return
        try:
            handler(now_s, item.arguments, reply)
        except LabError as error:
            reply(False, str(error))
        except (KeyError, TypeError, ValueError) as error:
            reply(False, f"{item.name}: wrong arguments: {error!r}")
