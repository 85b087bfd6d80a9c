"""The sender and the receiver of one stream of an experiment.

    python3 stream.py send    --endpoint bg2.a --plan PLAN.json --out OUT.json
    python3 stream.py receive --endpoint bg2.b --plan PLAN.json --out OUT.json

Runs in the hosts, also from this directory alone. The program claims its endpoint, waits for
the pass to begin (the adapter writes the epoch into the segment), follows the plan in virtual
time, and writes what happened. Every number it writes was counted from messages that the
send queue accepted, the adapter injected, or the receive queue delivered.

It works in batches: a greedy sender sleeps until its queue is half empty, a paced one sends
what has fallen due since it last looked, a receiver sleeps until 16 messages wait or the
oldest has waited for the poll interval.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import signal
import sys
import time
from pathlib import Path

if not __package__:  # started as a file: make relative imports work from this directory
    __package__ = "_unet"
    _home = type(sys)(__package__)
    _home.__path__ = [str(Path(__file__).resolve().parent)]
    sys.modules[__package__] = _home

from .bins import Bins
from .endpoint import Endpoint
from .errors import UNetError
from .pacing import GREEDY, Pacer
from .payload import CORRUPTED, Payload, SequenceCheck, stream_tag
from .plan import Plan, PlanError, load_plan

TYPE_CHECKING = False  # importing typing would cost start-up time
if TYPE_CHECKING:
    import mmap

    from .rings import Descriptor

RECEIVE_BATCH = 16
LOOK_UP_S = 0.1  # real; the longest sleep, so that a SIGTERM is heeded soon
EPOCH_LOOK_S = 0.01


class Stream:
    """What both roles share: the endpoint, the plan, the counts, and whether to stop."""

    def __init__(self, endpoint: Endpoint, plan: Plan) -> None:
        self.endpoint = endpoint
        self.plan = plan
        self.bins = Bins(plan.bin_ns)
        self.sequence = SequenceCheck()
        self.payload = Payload(plan.stream, plan.message_bytes)
        self.corrupted = 0
        self.blocked_ns = 0
        self.stopping = False

    def stop(self, *_: object) -> None:
        """Signal handler: end at the next opportunity."""
        self.stopping = True

    def wait_for_epoch(self) -> None:
        """Sleep until the pass begins."""
        while not self.stopping and not self.endpoint.epoch_ns:
            self.endpoint.pause(EPOCH_LOOK_S)
        while not self.stopping and (now_ns := self.endpoint.virtual_now_ns()) < 0:
            self.sleep_ns(-now_ns)

    def sleep_ns(self, virtual_ns: int) -> None:
        """Sleep for a virtual time, or less."""
        self.endpoint.pause(min(self.real_s(virtual_ns), LOOK_UP_S))

    def real_s(self, virtual_ns: int) -> float:
        """Convert a virtual time to real seconds."""
        return virtual_ns * self.endpoint.dilation / 1e9


def run_sender(stream: Stream) -> None:
    """Follow the plan's steps until its end, then let the queue drain."""
    plan, endpoint = stream.plan, stream.endpoint
    pacer = Pacer(plan.steps, plan.end_ns, phase=stream_tag(plan.stream) / 2**32)
    poll_ns = int(plan.poll_s * 1e9 / endpoint.dilation)
    endpoint.on_injected(
        lambda accepted_ns, injected_ns, length: stream.bins.add(
            injected_ns, length, injected_ns - accepted_ns
        )
    )

    def fill(memory: mmap.mmap, position: int, i: int) -> None:
        stream.payload.fill(memory, position, endpoint.accepted + i)

    over = False
    while not stream.stopping and not over:
        now_ns = endpoint.virtual_now_ns()
        over = now_ns >= plan.end_ns  # then only what fell due since the last look is sent
        endpoint.reclaim()
        due = pacer.due(now_ns)
        if over and due == GREEDY:
            break
        sent = endpoint.send_many(plan.channel, plan.message_bytes, due, fill) if due else 0
        pacer.took(sent)
        if sent < due:
            _wait_for_room(stream, pacer)
        elif not over:
            stream.sleep_ns(max(poll_ns, pacer.next_ns() - now_ns))
    end_ns = plan.end_ns + plan.drain_ns
    while not stream.stopping and (left_ns := end_ns - endpoint.virtual_now_ns()) > 0:
        if endpoint.wait_for_room(0, min(stream.real_s(left_ns), LOOK_UP_S)):
            break


def _wait_for_room(stream: Stream, pacer: Pacer) -> None:
    """Be blocked by a full queue until it is half empty, the step ends, or we are stopped."""
    endpoint = stream.endpoint
    began_ns = now_ns = endpoint.virtual_now_ns()
    while not stream.stopping and (left_ns := pacer.step_end_ns - now_ns) > 0:
        timeout_s = min(stream.real_s(left_ns), LOOK_UP_S)
        room = endpoint.wait_for_room(endpoint.send_slots // 2, timeout_s)
        now_ns = endpoint.virtual_now_ns()
        if room:
            break
    stream.blocked_ns += now_ns - began_ns
    pacer.restart(now_ns)


def run_receiver(stream: Stream) -> None:
    """Count and check messages until the plan's end and the drain after it."""
    plan, endpoint = stream.plan, stream.endpoint
    end_ns = plan.end_ns + plan.drain_ns
    coalesce_us = int(plan.poll_s * 1e6)
    while not stream.stopping and (left_ns := end_ns - endpoint.virtual_now_ns()) > 0:
        endpoint.wait_for_messages(
            min(stream.real_s(left_ns), LOOK_UP_S),
            at_least=RECEIVE_BATCH,
            or_after_us=coalesce_us,
        )
        take_all(stream)


def take_all(stream: Stream) -> None:
    """Check and count everything that is pending."""
    bins_add, check, arrived = stream.bins.add, stream.payload.check, stream.sequence.arrived

    def take(memory: mmap.mmap, position: int, descriptor: Descriptor) -> None:
        length, sent_ns, time_ns = descriptor[1], descriptor[4], descriptor[5]
        bins_add(time_ns, length, time_ns - sent_ns)
        seq = check(memory, position, length)
        if seq == CORRUPTED:
            stream.corrupted += 1
        else:
            arrived(seq)

    while stream.endpoint.consume(take):
        pass


def report(stream: Stream, ended: str) -> dict[str, object]:
    """Return what goes into the output file; the endpoint must be detached.

    ``blocked_s`` is virtual. Latency is the time in the network for a receiver, the time in
    the send queue for a sender. ``cpu_s`` is real.
    """
    plan, endpoint = stream.plan, stream.endpoint
    sending = plan.role == "send"
    messages = endpoint.accepted if sending else stream.bins.messages
    counters = endpoint.counters()
    return {
        "stream": plan.stream,
        "group": plan.group,
        "role": plan.role,
        "pass": plan.pass_name,
        "host": os.environ.get("LAB_HOST", ""),
        "pid": os.getpid(),
        "messages": messages,
        "bytes": messages * plan.message_bytes if sending else stream.bins.bytes,
        "injected": endpoint.injected,
        "in_send_queue": endpoint.in_send_queue(),
        "rejected": endpoint.rejected,
        "duplicates": stream.sequence.duplicates,
        "out_of_order": stream.sequence.out_of_order,
        "corrupted": stream.corrupted,
        "missing": stream.sequence.missing,
        "blocked_s": stream.blocked_ns / 1e9,
        "drop_no_buffer": counters["ni_drop_no_buffer"],
        "drop_recv_full": counters["ni_drop_recv_full"],
        "cpu_s": time.process_time(),
        "ended": ended,
        "bins": stream.bins.rows(),
    }


def write_atomically(path: Path, content: dict[str, object]) -> None:
    """Write JSON so that a reader finds the whole file or none."""
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    partial.write_text(json.dumps(content), encoding="utf-8")
    partial.replace(path)


def run(endpoint: Endpoint, plan: Plan, out: Path) -> str:
    """Run the plan and write the report; return how it ended ("complete" when as planned)."""
    stream = Stream(endpoint, plan)
    signal.signal(signal.SIGTERM, stream.stop)
    signal.signal(signal.SIGINT, stream.stop)
    gc.disable()  # nothing here makes cycles, and a collection would delay a batch
    try:
        stream.wait_for_epoch()
        (run_sender if plan.role == "send" else run_receiver)(stream)
        ended = "stopped" if stream.stopping else "complete"
    except UNetError as error:
        ended = str(error)
    if not endpoint.detach():
        ended = "the U-Net service did not confirm the end, counts may lack the last messages"
    take_all(stream)
    if endpoint.rejected:
        ended = f"{endpoint.rejected} messages rejected: not a channel of this endpoint"
    write_atomically(out, report(stream, ended))
    return ended


def main(arguments: list[str] | None = None) -> int:
    """Command line; returns the exit status: 0 when complete or stopped by a signal."""
    parser = argparse.ArgumentParser(
        prog="stream.py", description="Send or receive one stream of an experiment."
    )
    parser.add_argument("role", choices=("send", "receive"))
    parser.add_argument("--endpoint", required=True, help="endpoint of this host, such as bg2.a")
    parser.add_argument("--plan", required=True, help="JSON file: what to do")
    parser.add_argument("--out", required=True, type=Path, help="JSON file: what happened")
    options = parser.parse_args(arguments)
    try:
        plan = load_plan(options.plan)
        if plan.role != options.role:
            raise PlanError(f"the plan is one for role {plan.role!r}")  # noqa: TRY301
        with Endpoint.attach(options.endpoint) as endpoint:
            ended = run(endpoint, plan, options.out)
    except (UNetError, PlanError, OSError) as error:
        print(f"stream.py: {options.endpoint}: {error}", file=sys.stderr)
        return 1
    if ended in {"complete", "stopped"}:
        return 0
    print(f"stream.py: {options.endpoint}: {ended}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
