"""The last word on the quorum volume: how one of two members survives (thesis 7.7.2, third rule).

To own the quorum resource at this moment is not enough: the other member may have survived with
it, gone on alone, and failed since. So whoever survives by the resource writes down which run of
regroup that was, and nobody survives by it whose view is older than what it finds there.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeAlias

import msgspec

from lab.stacks.core import DiskDone, NodeId
from lab.stacks.mscs.context import Context
from lab.stacks.mscs.view import View

_KEY = "survivor"


class _Survivor(msgspec.Struct, frozen=True):
    cluster: str
    attempt: int
    node: NodeId


class Quorum(Protocol):
    """What this needs of the quorum resource."""

    def arbitrate(self, now_s: float, done: Callable[[float, bool], None]) -> None:
        """Try to own the resource."""


Judged: TypeAlias = Callable[[float, bool], None]
"""Told once whether this node may survive."""


class LastWord:
    """Asks for the quorum resource, and for what was decided with it before."""

    def __init__(self, ctx: Context, quorum: Quorum) -> None:
        self._ctx = ctx
        self._quorum = quorum

    def ask(self, now_s: float, origin: View, attempt: int, done: Judged) -> None:
        """Tell whether this node survives alone out of a view of two."""

        def arbitrated(at_s: float, owned: bool) -> None:
            if owned:
                self._ctx.disk("quorum", "list", _KEY, b"", listed)
            else:
                done(at_s, False)

        def listed(at_s: float, answer: DiskDone) -> None:
            if answer.ok and answer.data:
                self._ctx.disk("quorum", "read", _KEY, b"", found)
            elif answer.ok:
                write()
            else:
                done(at_s, False)

        def found(at_s: float, answer: DiskDone) -> None:
            if answer.ok and not self._is_overruled(answer.data, origin):
                write()
            else:
                done(at_s, False)

        def write() -> None:
            word = _Survivor(origin.cluster, attempt, self._ctx.node)
            self._ctx.disk("quorum", "write", _KEY, msgspec.json.encode(word), written)

        def written(at_s: float, answer: DiskDone) -> None:
            done(at_s, answer.ok)

        self._quorum.arbitrate(now_s, arbitrated)

    def _is_overruled(self, data: bytes, origin: View) -> bool:
        word = msgspec.json.decode(data, type=_Survivor)
        return (
            word.cluster == origin.cluster
            and word.attempt > origin.attempt
            and word.node != self._ctx.node
        )
