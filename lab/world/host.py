"""One node: its core, the processor that its service level competes for, clock, timers, queues."""

from __future__ import annotations

import traceback
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from lab.ethernet.agenda import NS, Agenda, to_ns
from lab.stacks.core import (
    Core,
    Input,
    Level,
    Multicast,
    Output,
    Post,
    Posted,
    Received,
    Send,
    Start,
    TimerDue,
)
from lab.world.disks import Disk
from lab.world.machine import Processor
from lab.world.record import Record

_NEVER_NS = 1 << 62
_MOST_WAKINGS = 1000
"""So often may one timer be due in one nanosecond; more is a core that never lets go."""


class Outside(Protocol):
    """What a node puts its outputs into."""

    @property
    def ways(self) -> Mapping[type, Callable[[Host, Level, Any], None]]:
        """By type of output, what does what a core put out."""

    def failed(self, host: Host, what: str, why: str) -> None:
        """A core broke its contract; ``what`` is the same for failures of one kind."""


class _Timer:
    """When a level is to be woken next."""

    __slots__ = ("armed_ns", "asked_s", "due", "last_ns", "level", "wakings")

    def __init__(self, level: Level) -> None:
        self.level: Level = level
        self.due = TimerDue(level)
        self.armed_ns = _NEVER_NS
        self.asked_s: float | None = None
        self.last_ns = -1
        self.wakings = 0


class Host:
    """A machine with the program of one core, which may start, end and start again."""

    def __init__(
        self,
        number: int,
        *,
        agenda: Agenda,
        record: Record,
        processor: Processor,
        disk: Disk,
        outside: Outside,
    ) -> None:
        self.number = number
        self.incarnation = 0
        self.runs = False
        self.paused = False
        self.core: Core | None = None
        self.processor = processor
        self.disk = disk
        self.clock_ns = 0
        """How far its clock is ahead."""
        self.busy_ns = 0
        """Processor time that the service level has used, all incarnations."""
        self.overflowed = 0
        """Inputs lost because it was paused for too long."""
        self._agenda = agenda
        self._record = record
        self._outside = outside
        self._reset()

    def _reset(self) -> None:
        self._kernel_timer = _Timer("kernel")
        self._service_timer = _Timer("service")
        self._queue: deque[Input] = deque()
        """What waits for the processor."""
        self._posts: deque[Posted] = deque()
        """What the service level posted to the kernel level."""
        self._held: list[tuple[Level, Input]] = []
        """What came while the node was paused."""
        self._awake = False
        self._free_ns = 0
        self._output_ns = 0

    # --- the program's life --------------------------------------------------------------

    def start(self, core: Core) -> None:
        """Start the program."""
        self.incarnation += 1
        self.core = core
        self.runs = True
        self._reset()
        self._feed("service", Start(self.incarnation, dict(self.disk.keys)))

    def end(self) -> None:
        """End the program: what waits for it is gone."""
        self.runs = False
        self.paused = False
        self._reset()

    def resume(self) -> None:
        """Let a paused program go on: first with what came meanwhile."""
        if not self.paused:
            return
        self.paused = False
        held, self._held = self._held, []
        for level, item in held:
            self.take(level, item)
        if self.runs:
            self._arm_again()
            if self._queue and not self._awake:
                self._wake()

    def step_clock(self, by_s: float) -> None:
        """Let the clock jump."""
        self.clock_ns += to_ns(by_s)
        if self.runs:
            self._arm_again()

    # --- inputs --------------------------------------------------------------------------

    def take(self, level: Level, item: Input) -> None:
        """Hand in something: at once to the kernel level, in turn to the service level."""
        if not self.runs:
            return
        if self.paused:
            if len(self._held) < self.processor.machine.receive_buffer:
                self._held.append((level, item))
            else:
                self.overflowed += 1
        elif level == "kernel":
            self._feed(level, item)
        else:
            self._queue.append(item)
            if not self._awake:
                self._wake()

    def post(self, level: Level, data: bytes) -> None:
        """Take what one level posts to another."""
        if level == "kernel":
            self._posts.append(Posted(level, data))
        else:
            self.take(level, Posted(level, data))

    def _wake(self) -> None:
        """Wake the service level; one that still works just goes on."""
        self._awake = True
        now_ns = self._agenda.now_ns
        if now_ns >= self._free_ns:
            self._free_ns = now_ns + to_ns(self.processor.wake_s())
        self._serve_next()

    def _serve_next(self) -> None:
        item, machine = self._queue[0], self.processor.machine
        cost_s = machine.input_s
        if type(item) is Received:
            cost_s += len(item.data) * machine.byte_s
        cost_ns = to_ns(cost_s)
        self.busy_ns += cost_ns
        self._free_ns += cost_ns
        self._agenda.at(self._free_ns, self._serve, self.core)

    def _serve(self, core: Core) -> None:
        """Let the service level handle the first input of its queue."""
        if core is not self.core or not self._queue:
            return
        if self.paused:
            self._awake = False
            return
        self._feed("service", self._queue.popleft())
        self.busy_ns += self._output_ns
        self._free_ns = self._agenda.now_ns + self._output_ns
        self._output_ns = 0
        if self._queue:
            self._serve_next()
        else:
            self._awake = False

    def _feed(self, level: Level, item: Input) -> None:
        """Let the core handle an input now, and carry out what it puts out."""
        core = self.core
        if core is None:
            return
        try:
            core.handle((self._agenda.now_ns + self.clock_ns) / NS, item)
            outputs = core.take_outputs()
        except Exception as error:
            self._outside.failed(self, type(error).__name__, traceback.format_exc(limit=-3))
            return
        self._record.handled(self.number, item, outputs)
        if type(item) is TimerDue:
            timer = self._kernel_timer if item.level == "kernel" else self._service_timer
            timer.asked_s = None
        for output in outputs:
            if level == "service":
                self._charge(output)
            self._outside.ways[type(output)](self, level, output)
            if not self.runs:
                return
        while self._posts:
            self._feed("kernel", self._posts.popleft())
        if self.runs:
            self._arm(self._kernel_timer)
            self._arm(self._service_timer)

    def _charge(self, output: Output) -> None:
        """Note what an output costs the process."""
        kind = type(output)
        if kind is Send or kind is Multicast or kind is Post:
            machine = self.processor.machine
            size = len(output.data)  # type: ignore[union-attr]
            self._output_ns += to_ns(machine.output_s + size * machine.byte_s)

    # --- timers --------------------------------------------------------------------------

    def _arm(self, timer: _Timer) -> None:
        """Have the level woken when its core wants, if that is news."""
        assert self.core is not None  # noqa: S101 - called for a running program only
        wanted_s = self.core.next_timer_s(timer.level)
        if wanted_s == timer.asked_s:
            return
        timer.asked_s = wanted_s
        if wanted_s is None:
            return
        due_ns = self._due_ns(wanted_s)
        if timer.level == "kernel" and self.processor.level != "idle":
            due_ns += to_ns(self.processor.timer_lateness_s())
        if due_ns < timer.armed_ns:
            timer.armed_ns = due_ns
            self._agenda.at(due_ns, self._ring, (timer, due_ns))

    def _due_ns(self, wanted_s: float) -> int:
        """Return the world's time when the node's clock reads at least the time wanted."""
        clock_ns = to_ns(wanted_s)
        if clock_ns / NS < wanted_s:
            clock_ns += 1
        return max(clock_ns - self.clock_ns, self._agenda.now_ns)

    def _arm_again(self) -> None:
        for timer in (self._kernel_timer, self._service_timer):
            timer.asked_s = None
            self._arm(timer)

    def _ring(self, what: tuple[_Timer, int]) -> None:
        timer, armed_ns = what
        current = timer is self._kernel_timer or timer is self._service_timer
        if timer.armed_ns != armed_ns or not current:
            return
        timer.armed_ns = _NEVER_NS
        timer.asked_s = None
        if self.paused or self.core is None:
            return
        wanted_s = self.core.next_timer_s(timer.level)
        if wanted_s is None:
            return
        now_ns = self._agenda.now_ns
        if self._due_ns(wanted_s) > now_ns:
            self._arm(timer)
            return
        timer.wakings = timer.wakings + 1 if timer.last_ns == now_ns else 0
        timer.last_ns = now_ns
        if timer.wakings > _MOST_WAKINGS:
            self._outside.failed(self, "timer", f"wants to be woken at {wanted_s} for ever")
            return
        timer.asked_s = wanted_s
        self.take(timer.level, timer.due)
