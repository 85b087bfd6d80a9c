"""The roles send and receive: a stream that goes one way.

Both work in batches: a greedy sender sleeps until its queue is half empty, a paced one sends
what has fallen due since it last looked, a receiver sleeps until 16 messages wait or the
oldest has waited for the poll interval.
"""

from __future__ import annotations

from .pacing import GREEDY, Pacer
from .payload import stream_tag
from .tally import LOOK_UP_S, Tally

TYPE_CHECKING = False  # importing typing would cost start-up time
if TYPE_CHECKING:
    import mmap

RECEIVE_BATCH = 16


def run_sender(tally: Tally) -> None:
    """Follow the plan's steps until its end, then let the queue drain."""
    plan, endpoint = tally.plan, tally.endpoint
    pacer = Pacer(plan.steps, plan.end_ns, phase=stream_tag(plan.stream) / 2**32)
    poll_ns = int(plan.poll_s * 1e9 / endpoint.dilation)
    endpoint.on_injected(tally.count_injected)
    over = False
    while not tally.stopping and not over:
        now_ns = endpoint.virtual_now_ns()
        over = now_ns >= plan.end_ns  # then only what fell due since the last look is sent
        endpoint.reclaim()
        while due := pacer.due(now_ns):
            if over and due == GREEDY:
                return _drain(tally)
            sent = _send(tally, pacer.step.message_bytes, due)
            pacer.took(sent)
            if sent < due:
                _wait_for_room(tally, pacer)
                break
        else:
            if not over:
                tally.sleep_ns(max(poll_ns, pacer.next_ns() - now_ns))
    return _drain(tally)


def _send(tally: Tally, length: int, count: int) -> int:
    """Put up to so many messages on the send queue; return how many it took."""
    endpoint, first = tally.endpoint, tally.endpoint.accepted

    def fill(memory: mmap.mmap | bytearray, position: int, i: int) -> None:
        tally.payload.fill(memory, position, length, first + i)

    sent = endpoint.send_many(tally.plan.channel, length, count, fill)
    tally.sent_bytes += sent * length
    return sent


def _drain(tally: Tally) -> None:
    """Let the adapter empty the queue, as long as the plan gives it."""
    while not tally.stopping and (left_ns := tally.left_ns()) > 0:
        if tally.endpoint.wait_for_room(0, min(tally.real_s(left_ns), LOOK_UP_S)):
            break


def _wait_for_room(tally: Tally, pacer: Pacer) -> None:
    """Be blocked by a full queue until it is half empty, the step ends, or we are stopped."""
    endpoint = tally.endpoint
    began_ns = now_ns = endpoint.virtual_now_ns()
    half = min(endpoint.send_slots, endpoint.in_send_queue()) // 2
    while not tally.stopping and (left_ns := pacer.step_end_ns - now_ns) > 0:
        timeout_s = min(tally.real_s(left_ns), LOOK_UP_S)
        room = endpoint.wait_for_room(half, timeout_s)
        now_ns = endpoint.virtual_now_ns()
        if room:
            break
    tally.blocked_ns += now_ns - began_ns
    pacer.restart(now_ns)


def run_receiver(tally: Tally) -> None:
    """Count and check messages until the plan's end and the drain after it."""
    plan, endpoint = tally.plan, tally.endpoint
    coalesce_us = int(plan.poll_s * 1e6)
    if plan.reception == "upcall":
        endpoint.on_nonempty(tally.take_messages, at_least=RECEIVE_BATCH, or_after_us=coalesce_us)
    while not tally.stopping and (left_ns := tally.left_ns()) > 0:
        timeout_s = min(tally.real_s(left_ns), LOOK_UP_S)
        if plan.reception == "upcall":
            endpoint.pause(timeout_s)
        elif plan.reception == "poll":
            endpoint.pause(min(timeout_s, plan.poll_s))
            tally.take_all()
        else:
            endpoint.wait_for_messages(timeout_s, at_least=RECEIVE_BATCH, or_after_us=coalesce_us)
            tally.take_all()
