"""What experiments ask of a node beside its commands: global updates of a size (thesis 7.8)."""

from __future__ import annotations

from typing import Any

from lab.errors import LabError
from lab.stacks.core import NodeId
from lab.stacks.mscs.gup import Gup, GupResult
from lab.stacks.mscs.procedure import Await, Done, Procedures, Steps
from lab.stacks.mscs.requests import Reply, Requests

UPDATE = "update"
"""The request: ``count`` global updates of ``bytes`` each, one after the other."""
SLOW = "slow"
"""The request: from now on this node answers senders of updates ``seconds`` later."""
_KIND = "note"
MOST_BYTES = 32_000
"""An update must fit into one datagram."""


class Workload:
    """Makes global updates that change nothing."""

    def __init__(self, requests: Requests, procedures: Procedures, gup: Gup) -> None:
        self._procedures = procedures
        self._gup = gup
        self._requests = 0
        gup.register(_KIND, self._apply)
        requests.serve(UPDATE, self._update)
        requests.serve(SLOW, self._slow)

    def _apply(self, now_s: float, payload: Any, origin: NodeId) -> None:
        """An update is there to be brought to all members, not to do anything."""

    def _update(self, now_s: float, arguments: dict[str, Any], reply: Reply) -> None:
        size_bytes, count = int(arguments.get("bytes", 50)), int(arguments.get("count", 1))
        if not 0 <= size_bytes <= MOST_BYTES or count < 1:
            raise LabError(
                f"update: {count} updates of {size_bytes} bytes cannot be made",
                remedy=f"count from 1 on, bytes from 0 to {MOST_BYTES}",
            )
        self._requests += 1
        self._procedures.start(
            now_s,
            f"workload {self._requests}",
            self._series("x" * size_bytes, count),
            lambda at_s, made: reply(made == count, {"made": made}),
        )

    def _slow(self, now_s: float, arguments: dict[str, Any], reply: Reply) -> None:
        self._gup.member.answers_after_s = max(0.0, float(arguments["seconds"]))
        reply(True, None)

    def _series(self, payload: str, count: int) -> Steps[int]:
        """Make updates one after the other; returns how many were made."""

        def begin(now_s: float, done: Done) -> None:
            self._gup.update(now_s, _KIND, payload, done)

        for number in range(count):
            result: GupResult = yield Await(begin)
            if not result.ok:
                return number
        return count
