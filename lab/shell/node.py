"""The heart of a shell: hands inputs to the core, and says what came out and when to wake it.

It knows no sockets and no files. Inputs are handled one after the other, whatever level they are
for: in a container both levels of a stack share one process.
"""

from __future__ import annotations

from asyncio import AbstractEventLoop, TimerHandle
from collections import deque
from collections.abc import Callable

from lab.shell.clock import Clock
from lab.shell.journal import Journal
from lab.stacks.core import LEVELS, Core, Halt, Input, Level, Output, Post, Posted, Start, TimerDue
from lab.stacks.lateness import Histogram


class Node:
    """Runs one core.

    Args:
        carry_out: does what the core puts out, posts and the halt apart.
        on_halt: told the reason when the core halts the node.
        on_failure: told when the core raised something, which it must not.
    """

    def __init__(
        self,
        loop: AbstractEventLoop,
        core: Core,
        clock: Clock,
        journal: Journal | None,
        *,
        carry_out: Callable[[Output], None],
        on_halt: Callable[[str], None],
        on_failure: Callable[[Exception], None],
    ) -> None:
        self.late = Histogram()
        """How late timers were."""
        self.core = core
        self._loop = loop
        self._clock = clock
        self._journal = journal
        self._carry_out = carry_out
        self._on_halt = on_halt
        self._on_failure = on_failure
        self._inputs: deque[Input] = deque()
        self._works = True
        """No input may be handled now: one is being handled, or the node has not begun."""
        self._ended = False
        self._timers: dict[Level, TimerHandle | None] = dict.fromkeys(LEVELS)
        self._armed_s: dict[Level, float | None] = dict.fromkeys(LEVELS)

    def begin(self, start: Start) -> None:
        """Hand in the start, and after it whatever came before it."""
        self._inputs.appendleft(start)
        self._work()

    def enter(self, item: Input) -> None:
        """Hand an input to the core: at once, or after the one that it handles now."""
        self._inputs.append(item)
        if not self._works:
            self._work()

    def _work(self) -> None:
        self._works = True
        try:
            while self._inputs and not self._ended:
                self._handle(self._inputs.popleft())
        except Exception as error:
            self.end()
            self._on_failure(error)
            return
        if not self._ended:
            self._works = False
            self._arm_all()

    def end(self) -> None:
        """Hand nothing more to the core."""
        self._ended = True
        for level in LEVELS:
            self._disarm(level)

    def step_clock(self, ahead_s: float) -> None:
        """Set how far the node's clock is ahead."""
        self._clock.ahead_s = ahead_s
        for level in LEVELS:
            self._disarm(level)
        if not self._works:
            self._arm_all()

    def _handle(self, item: Input) -> None:
        now_s = self._clock.node_s()
        if self._journal is not None:
            self._journal.entered(now_s, item)
        self.core.handle(now_s, item)
        outputs = self.core.take_outputs()
        if self._journal is not None:
            self._journal.left(self.core, outputs)
        for output in outputs:
            if isinstance(output, Post):
                self._inputs.append(Posted(output.level, output.data))
            elif isinstance(output, Halt):
                self.end()
                self._on_halt(output.reason)
                return
            else:
                self._carry_out(output)

    # --- timers --------------------------------------------------------------------------

    def _arm_all(self) -> None:
        for level in LEVELS:
            self._arm(level)

    def _arm(self, level: Level) -> None:
        """Have the level woken when its core wants; a wake-up too early is harmless."""
        wanted_s = self.core.next_timer_s(level)
        armed_s = self._armed_s[level]
        if wanted_s is None or (armed_s is not None and armed_s <= wanted_s):
            return
        self._disarm(level)
        self._armed_s[level] = wanted_s
        when_s = self._clock.monotonic_s(wanted_s)
        self._timers[level] = self._loop.call_at(when_s, self._ring, level)

    def _disarm(self, level: Level) -> None:
        timer = self._timers[level]
        if timer is not None:
            timer.cancel()
        self._timers[level] = self._armed_s[level] = None

    def _ring(self, level: Level) -> None:
        self._timers[level] = self._armed_s[level] = None
        wanted_s = self.core.next_timer_s(level)
        late_s = None if wanted_s is None else self._clock.node_s() - wanted_s
        if late_s is None or late_s < 0:
            self._arm(level)
            return
        self.late.add(late_s)
        self.enter(TimerDue(level))
