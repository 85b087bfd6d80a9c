"""The roles ping and pong: one message to and fro, one round trip after the other.

A round trip lasts from the ping's wish to send until it has the echo. What the processes
spend on it (``host_send_ns`` and so on) is given in virtual time, and so they reckon: a message
that was delivered at a virtual time is answered at that time plus the costs, whenever this
process really got round to it; the adapter keeps the message back until then. With enough
dilation the real process is always earlier, and the measured round trip has none of its own
slowness. Whenever it was later, `Tally.late_wishes` counts it.
"""

from __future__ import annotations

from .payload import CORRUPTED
from .tally import LOOK_UP_S, Tally

TYPE_CHECKING = False  # importing typing would cost start-up time
if TYPE_CHECKING:
    from collections.abc import Callable

    from .message import Message
    from .pacing import Step

POLL_S = 0.0002  # real, between looks at the receive queue when polling
PATIENCE_NS = 50_000_000  # virtual; an echo that takes longer was lost


def run_pong(tally: Tally) -> None:
    """Send every message back until the plan's end and the drain after it."""
    plan = tally.plan

    def answer(messages: list[Message]) -> None:
        for message in messages:
            tally.judge(message)
            at_ns = message.time_ns + plan.receive_cost_ns + plan.send_cost_ns
            _send(tally, message.data, at_ns)
        tally.count(
            [m.time_ns for m in messages],
            [len(m) for m in messages],
            [m.latency_ns for m in messages],
        )

    _listen(tally, answer, lambda: tally.left_ns() > 0, lambda: LOOK_UP_S)


def run_ping(tally: Tally) -> None:
    """Make round trips while the plan's rate is above 0, until its end."""
    ping = Ping(tally)
    _listen(tally, ping.take, ping.goes_on, ping.next_look_s)


def _send(tally: Tally, data: bytes, not_before_ns: int) -> None:
    endpoint = tally.endpoint
    if not_before_ns < endpoint.virtual_now_ns():
        tally.late_wishes += 1
    while not endpoint.try_send(tally.plan.channel, data, not_before_ns=not_before_ns):
        if tally.stopping:
            return
        endpoint.wait_for_room(endpoint.send_slots - 1, LOOK_UP_S)
    tally.sent_bytes += len(data)


def _listen(
    tally: Tally,
    take: Callable[[list[Message]], None],
    goes_on: Callable[[], bool],
    next_look_s: Callable[[], float],
) -> None:
    """Pass messages to ``take``, received in the plan's way, while ``goes_on``."""
    endpoint, reception = tally.endpoint, tally.plan.reception
    if reception == "upcall":
        endpoint.on_nonempty(take)
    while not tally.stopping and goes_on():
        timeout_s = min(next_look_s(), LOOK_UP_S, max(0.0, tally.real_s(tally.left_ns())))
        if reception == "block":
            endpoint.wait_for_messages(timeout_s)
        else:
            endpoint.pause(POLL_S if reception == "poll" else timeout_s)
        if reception != "upcall":
            while (message := endpoint.poll()) is not None:
                with message:
                    take([message])


class Ping:
    """The state of the end that begins."""

    def __init__(self, tally: Tally) -> None:
        self._tally = tally
        self._want_ns = 0  # when the process wants, or wanted, to send
        self._seq = -1  # of the message whose echo is awaited; -1: none
        self._next_seq = 0

    def _step(self, at_ns: int) -> Step | None:
        """Return the step at a time, or None before the first."""
        found = [step for step in self._tally.plan.steps if step.start_ns <= at_ns]
        return found[-1] if found else None

    def goes_on(self) -> bool:
        """Tell whether there is more to do; begins a round trip when none is under way."""
        tally, now_ns = self._tally, self._tally.endpoint.virtual_now_ns()
        end_ns = tally.plan.end_ns
        if self._seq >= 0:
            if now_ns - self._want_ns > PATIENCE_NS:
                self._seq = -1
                tally.unanswered += 1
                self._want_ns = now_ns
            return now_ns < end_ns + tally.plan.drain_ns
        if now_ns >= end_ns:
            return False
        self._begin(max(self._want_ns, now_ns))
        return True

    def next_look_s(self) -> float:
        """Return how long `goes_on` need not be asked, in real seconds."""
        if self._seq >= 0:
            return LOOK_UP_S
        now_ns = self._tally.endpoint.virtual_now_ns()
        later = [s.start_ns - now_ns for s in self._tally.plan.steps if s.start_ns > now_ns]
        return max(0.0, self._tally.real_s(min(later, default=0)))

    def _begin(self, want_ns: int) -> None:
        """Send a message, if the plan has one for that time."""
        tally = self._tally
        step = self._step(want_ns)
        if step is None or step.silent or want_ns >= tally.plan.end_ns:
            return
        data = bytearray(step.message_bytes)
        self._want_ns, self._seq = want_ns, self._next_seq
        self._next_seq += 1
        tally.payload.fill(data, 0, len(data), self._seq)
        _send(tally, bytes(data), want_ns + tally.plan.send_cost_ns)

    def take(self, messages: list[Message]) -> None:
        """Note the round trips that are over, and begin the next one where the last ended."""
        for message in messages:
            seq = self._tally.judge(message)
            if seq == CORRUPTED or seq != self._seq:
                continue
            have_ns = message.time_ns + self._tally.plan.receive_cost_ns
            self._tally.count([message.time_ns], [len(message)], [have_ns - self._want_ns])
            self._seq, self._want_ns = -1, have_ns
            self._begin(have_ns)
