"""When a sender's next messages are due, and how long they are. Pure.

A schedule is a sequence of steps. In a step the sender is silent, greedy (always wants to send
as much as it can), or paced: one message every so many virtual ns. A sender that was kept
from sending does not catch up: it calls `Pacer.restart`, and what was due is forgotten.
"""

from __future__ import annotations

import math

TYPE_CHECKING = False  # importing typing would cost start-up time
if TYPE_CHECKING:
    from collections.abc import Sequence

GREEDY = 1 << 30  # "due" messages of a greedy step: more than any queue holds


class Step:
    """One step of a schedule.

    Args:
        start_ns: its beginning in virtual ns; it lasts until the next one begins.
        messages_per_s: virtual rate; 0 is silent, infinity greedy.
        message_bytes: length of its messages.
    """

    def __init__(self, start_ns: int, messages_per_s: float, message_bytes: int = 1) -> None:
        if not messages_per_s >= 0:
            raise ValueError(f"a rate cannot be {messages_per_s}")
        self.start_ns = start_ns
        self.message_bytes = message_bytes
        self.silent = messages_per_s == 0
        self.greedy = math.isinf(messages_per_s)
        paced = not self.greedy and not self.silent
        self.interval_ns = 1e9 / messages_per_s if paced else 0.0


class Pacer:
    """Says how many messages are due.

    Args:
        steps: the schedule, by rising start.
        end_ns: when it is over.
        phase: 0..1, shifts paced steps by a part of their interval, so that senders of the
            same schedule do not fire at the same instants.
    """

    def __init__(self, steps: Sequence[Step], end_ns: int, phase: float = 0.0) -> None:
        starts = [step.start_ns for step in steps]
        if starts != sorted(starts):
            raise ValueError("the steps of a schedule must be in the order of their start")
        before = Step(-1 << 62, 0.0)
        self._steps = [before, *(step for step in steps if step.start_ns < end_ns)]
        self._end_ns = end_ns
        self._phase = phase
        self._index = 0
        self._base_ns = 0.0  # when message 0 of the current count is due
        self._taken = 0

    @property
    def step(self) -> Step:
        """The step that the messages belong to which the last `due` spoke of."""
        return self._steps[self._index]

    @property
    def step_end_ns(self) -> int:
        """End of the current step."""
        following = self._index + 1
        return self._steps[following].start_ns if following < len(self._steps) else self._end_ns

    def due(self, now_ns: int) -> int:
        """Return how many messages are due and not taken; `GREEDY` in a greedy step.

        All of them belong to one step. Paced messages that an earlier step left come first;
        once they are taken, the next call speaks of the step after.
        """
        now_ns = min(now_ns, self._end_ns - 1)
        while self.step_end_ns <= now_ns:
            left = self._due_in_step(self.step_end_ns - 1)
            if left > 0:
                return left
            self._index += 1
            self._base_ns = self.step.start_ns + self._phase * self.step.interval_ns
            self._taken = 0
        return GREEDY if self.step.greedy else self._due_in_step(now_ns)

    def _due_in_step(self, now_ns: int) -> int:
        interval_ns = self.step.interval_ns
        if not interval_ns or now_ns < self._base_ns:
            return 0
        return int((now_ns - self._base_ns) / interval_ns) + 1 - self._taken

    def took(self, count: int) -> None:
        """Note that ``count`` of the due messages were sent."""
        self._taken += count

    def restart(self, now_ns: int) -> None:
        """Forget what was due; the next message is due now."""
        self._base_ns = now_ns
        self._taken = 0

    def next_ns(self) -> int:
        """Return when something will be due next, or the step ends, whichever is first."""
        interval_ns = self.step.interval_ns
        if not interval_ns:
            return self.step_end_ns
        due_ns = math.ceil(self._base_ns + self._taken * interval_ns)
        return min(due_ns, self.step_end_ns)
