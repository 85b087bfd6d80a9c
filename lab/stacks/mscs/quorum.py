"""The quorum resource: a shared volume that one node at a time may own (thesis 6.7.4, 7.7).

Whoever owns it may form a cluster, keeps its checkpoints and logs there, and survives when a
cluster of two is split (regroup's third rule). The thesis says that much and no numbers; the
protocol is the challenge and defence by renewal of shared disks of that time:

- the owner defends: it renews its reservation every ``quorum_renew_s``;
- a challenger tries to reserve again and again, for ``quorum_challenge_s``, which is longer than a
  reservation lasts: against an owner that lives and reaches the volume it always loses;
- the owner counts from the moment it *asked* for a renewal that was granted. A reservation's length
  later it no longer owns the volume, whatever it hears, because another node may: an owner that was
  paused or cut off knows that by its own clock before it does anything else.

The volume also says which cluster was formed with it last. Who finds that one was before waits,
the reservation in its hands, before it forms another (``grace_s``): time for the old one's members
to answer, or to notice that they have lost the volume, and halt. And whoever gets the volume back
and finds that another cluster was formed meanwhile, halts. So two clusters never form.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from lab.stacks.core import DiskDone, DiskOperation
from lab.stacks.mscs.config import Config
from lab.stacks.mscs.context import Context

Arbitrated: TypeAlias = Callable[[float, bool], None]
"""Told once whether this node owns the quorum resource."""

_ASK, _GIVE_UP, _LAPSE = "quorum ask", "quorum give up", "quorum lapse"
_FORMED_KEY = "formed"
UNNAMED = "unnamed"
"""A cluster that has used the volume and came to its end before it could write its name there."""


class Quorum:
    """This node's side of the quorum resource."""

    def __init__(self, ctx: Context, config: Config) -> None:
        self.on_lost: list[Callable[[float], None]] = []
        """Called when this node owned the resource and no longer does, without having released it:
        whoever needs it halts the node or has another one take it."""
        self._ctx = ctx
        self._config = config
        self._owned_until_s: float | None = None
        """None: not owned."""
        self._arbitrating: list[Arbitrated] = []
        self._calling = False
        """A call that decides about the reservation is under way; there is one at a time."""
        self._epoch = 0
        """Grows when ownership ends; what was asked for before no longer counts."""

    def owned(self, now_s: float) -> bool:
        """Tell whether this node certainly owns the resource at this moment."""
        return self._owned_until_s is not None and now_s < self._owned_until_s

    def arbitrate(self, now_s: float, done: Arbitrated) -> None:
        """Own the resource: by renewing when this node does already, else by challenging."""
        if not self._arbitrating:
            give_up_s = now_s + self._config.quorum_challenge_s
            self._ctx.set_timer("service", _GIVE_UP, give_up_s, self._give_up)
        self._arbitrating.append(done)
        self._ask(now_s)

    def last_formed(self, now_s: float, done: Callable[[float, str | None], None]) -> None:
        """As the owner, tell which cluster was formed last.

        ``done`` gets an empty name when none was, and None when the volume cannot be read.
        """

        def listed(at_s: float, answer: DiskDone) -> None:
            keys = answer.data.decode().splitlines()
            if _FORMED_KEY in keys:
                self._ctx.disk("quorum", "read", _FORMED_KEY, b"", read)
            elif answer.ok:
                done(at_s, UNNAMED if keys else "")
            else:
                done(at_s, None)

        def read(at_s: float, answer: DiskDone) -> None:
            done(at_s, answer.data.decode() if answer.ok else None)

        self._ctx.disk("quorum", "list", "", b"", listed)

    def note_formed(self, now_s: float, cluster: str, done: Arbitrated) -> None:
        """As the owner, write down that a cluster is formed; tell whether that is durable."""

        def written(at_s: float, answer: DiskDone) -> None:
            done(at_s, answer.ok)

        self._ctx.disk("quorum", "write", _FORMED_KEY, cluster.encode(), written)

    def release(self, now_s: float) -> None:
        """Give the resource up, or stop trying to own it; whoever waits is told that it is not."""
        self._epoch += 1
        self._ctx.cancel_timer(_ASK)
        self._ctx.cancel_timer(_LAPSE)
        if self._owned_until_s is not None:
            self._owned_until_s = None
            self._ctx.emit("quorum", phase="released")
        self._ctx.disk("quorum", "release", "", b"", lambda at_s, answer: None)
        self._end_arbitration(now_s, owns=False)

    def state(self) -> dict[str, Any]:
        """Return the state as plain data."""
        return {
            "owned_until_s": self._owned_until_s,
            "arbitrating": len(self._arbitrating),
            "calling": self._calling,
            "epoch": self._epoch,
        }

    # --- challenge and defence -------------------------------------------------------------

    def _ask(self, now_s: float) -> None:
        """Ask the volume for the reservation, or to prolong it."""
        if self._calling:
            return
        self._calling = True
        epoch = self._epoch

        def answered(at_s: float, answer: DiskDone) -> None:
            self._calling = False
            until_s = now_s + self._config.quorum_reservation_s
            if answer.ok and at_s < until_s and epoch == self._epoch:
                self._granted(at_s, now_s, until_s)
            elif self._arbitrating or self.owned(at_s):
                again_s = at_s + self._config.quorum_retry_s
                self._ctx.set_timer("service", _ASK, again_s, self._ask)

        operation: DiskOperation = "renew" if self.owned(now_s) else "reserve"
        self._ctx.disk("quorum", operation, "", b"", answered)

    def _granted(self, now_s: float, asked_s: float, until_s: float) -> None:
        if self._owned_until_s is None:
            self._ctx.emit("quorum", phase="owned")
        self._owned_until_s = until_s
        self._ctx.set_timer("service", _LAPSE, until_s, self._lapse)
        self._ctx.set_timer("service", _ASK, asked_s + self._config.quorum_renew_s, self._ask)
        self._end_arbitration(now_s, owns=True)

    def _lapse(self, now_s: float) -> None:
        """The reservation was not renewed in time: from now on another node may have it."""
        self._epoch += 1
        self._owned_until_s = None
        self._ctx.emit("quorum", phase="lost")
        for lost in self.on_lost:
            lost(now_s)

    def _give_up(self, now_s: float) -> None:
        if not self.owned(now_s):
            self._ctx.cancel_timer(_ASK)
        self._ctx.emit("quorum", phase="refused")
        self._end_arbitration(now_s, owns=False)

    def _end_arbitration(self, now_s: float, *, owns: bool) -> None:
        self._ctx.cancel_timer(_GIVE_UP)
        waiting, self._arbitrating = self._arbitrating, []
        for done in waiting:
            done(now_s, owns)
