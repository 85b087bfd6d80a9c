"""Regroup in the kernel, as the thesis recommends (7.9.3): what it then posts to the service."""

from __future__ import annotations

import msgspec

from lab.stacks.mscs.context import Context
from lab.stacks.mscs.regroup.state import Phase
from lab.stacks.mscs.view import View


class CleanUp(msgspec.Struct, frozen=True, array_like=True, tag=True):
    """Run a clean-up phase for a view."""

    phase: int
    view: View


class AskQuorum(msgspec.Struct, frozen=True, array_like=True, tag=True):
    """Try to own the quorum resource."""

    attempt: int


Upcall = CleanUp | AskQuorum


class Upcalls:
    """Stands in for the membership manager, which is in another level."""

    def __init__(self, ctx: Context) -> None:
        self._ctx = ctx

    def clean_up(self, now_s: float, phase: Phase, view: View) -> None:
        """Have a clean-up phase run."""
        self._ctx.post("service", msgspec.msgpack.encode(CleanUp(phase, view)))

    def ask_quorum(self, now_s: float, attempt: int) -> None:
        """Have the quorum resource arbitrated."""
        self._ctx.post("service", msgspec.msgpack.encode(AskQuorum(attempt)))
