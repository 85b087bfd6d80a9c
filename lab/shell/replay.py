"""Plays the journal of a node through a fresh core, and compares what comes out."""

from __future__ import annotations

from collections import deque
from pathlib import Path
from typing import Any

import msgspec

from lab.shell.journal import (
    Entered,
    Header,
    Left,
    StateSeen,
    outputs_digest,
    read_journal,
    state_digest,
)
from lab.stacks.core import Core, Output, Stack
from lab.stacks.registry import find_stack

_CONTEXT = 5


class Difference(msgspec.Struct, frozen=True):
    """Where the replay first went another way than the node did."""

    input: int
    """The number of the input, from 1."""
    t_s: float
    """By the node's clock."""
    what: str
    item: Any
    """The input, as plain data."""
    outputs: list[Any]
    """What came out now, as plain data; the journal has only a digest of what came out then."""
    before: list[Any]
    """The inputs before it, as plain data, each with its time."""


class Replayed(msgspec.Struct, frozen=True):
    """What became of a replay."""

    stack: str
    node: int
    incarnation: int
    inputs: int
    by_kind: dict[str, int]
    from_s: float
    to_s: float
    whole: bool
    """The journal has a clean end; if not, the node was killed or its core failed."""
    failed: str
    """What the core raised at the last input, as it did in the node; else empty."""
    state: str
    """The digest of the last state."""
    difference: Difference | None


class _Replay:
    """A replay under way."""

    def __init__(self, core: Core) -> None:
        self.core = core
        self.inputs = 0
        self.by_kind: dict[str, int] = {}
        self.times_s: list[float] = []
        self.whole = False
        self.failed = ""
        self._last: Entered | None = None
        self._outputs: list[Output] = []
        self._before: deque[Entered] = deque(maxlen=_CONTEXT)

    def play(self, record: Entered | Left | StateSeen) -> Difference | None:
        """Take the next record; return the difference that it shows, if any."""
        if isinstance(record, Entered):
            return self._enter(record)
        if isinstance(record, Left):
            if self.failed:
                return self._difference("the core failed, which it did not in the node")
            if record.digest != outputs_digest(self._outputs):
                return self._difference("the core put out something else")
        else:
            self.whole = record.last
            if record.digest != state_digest(self.core):
                return self._difference("the core's state is another one")
        return None

    def _enter(self, entered: Entered) -> Difference | None:
        if self.failed:
            return self._difference("the core failed, which it did not in the node")
        if self._last is not None:
            self._before.append(self._last)
        self._last = entered
        self.inputs += 1
        kind = type(entered.item).__name__
        self.by_kind[kind] = self.by_kind.get(kind, 0) + 1
        self.times_s = [*self.times_s[:1], entered.now_s]
        try:
            self.core.handle(entered.now_s, entered.item)
            self._outputs = self.core.take_outputs()
        except Exception as error:
            self._outputs = []
            self.failed = f"{type(error).__name__}: {error}"
        return None

    def _difference(self, what: str) -> Difference:
        last = self._last
        return Difference(
            input=self.inputs,
            t_s=0.0 if last is None else last.now_s,
            what=f"{what}: {self.failed}" if self.failed else what,
            item=None if last is None else msgspec.to_builtins(last.item),
            outputs=[msgspec.to_builtins(output) for output in self._outputs],
            before=[msgspec.to_builtins(entered) for entered in self._before],
        )


def replay(path: Path, stack: Stack | None = None) -> Replayed:
    """Play a journal up to its end, or to the first difference.

    Args:
        path: the journal.
        stack: the stack; the one that the journal names if None.

    Raises:
        LabError: it is no journal, or damaged, or its stack is not known here.
    """
    records = read_journal(path)
    header = next(records)
    assert isinstance(header, Header)  # noqa: S101 - read_journal sees to it
    stack = stack or find_stack(header.stack)
    playing = _Replay(stack.make(header.node, header.options, header.seed))
    difference = None
    for record in records:
        if not isinstance(record, Header):
            difference = playing.play(record)
        if difference is not None:
            break
    times_s = playing.times_s or [0.0]
    return Replayed(
        stack=header.stack,
        node=header.node,
        incarnation=header.incarnation,
        inputs=playing.inputs,
        by_kind=playing.by_kind,
        from_s=times_s[0],
        to_s=times_s[-1],
        whole=playing.whole,
        failed="" if difference else playing.failed,
        state=state_digest(playing.core).hex(),
        difference=difference,
    )
