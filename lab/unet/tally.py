"""What an end of a stream counts, and its waiting in virtual time; shared by all roles."""

from __future__ import annotations

from .bins import Bins
from .payload import CORRUPTED, Payload, SequenceCheck
from .windows import Windows

TYPE_CHECKING = False  # importing typing would cost start-up time
if TYPE_CHECKING:
    import mmap

    from .endpoint import Endpoint
    from .message import Message
    from .plan import Plan
    from .rings import Descriptor

LOOK_UP_S = 0.1  # real; the longest sleep, so that a SIGTERM is heeded soon
EPOCH_LOOK_S = 0.01


class Tally:
    """The endpoint, the plan, the counts, and whether to stop.

    Attributes:
        unanswered: pings whose echo never came.
        observed: what a probe saw.
        late_wishes: messages that were to be sent at a virtual time which had passed already.
    """

    def __init__(self, endpoint: Endpoint, plan: Plan) -> None:
        self.endpoint = endpoint
        self.plan = plan
        self.bins = Bins(plan.bin_ns)
        self.windows = Windows(plan.windows)
        self.sequence = SequenceCheck()
        self.payload = Payload(plan.stream, plan.sizes)
        self.sent_bytes = 0
        self.corrupted = 0
        self.blocked_ns = 0
        self.unanswered = 0
        self.late_wishes = 0
        self.observed: dict[str, float] = {}
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

    def left_ns(self) -> int:
        """Return the virtual time until the end of the drain."""
        return self.plan.end_ns + self.plan.drain_ns - self.endpoint.virtual_now_ns()

    def count(self, times_ns: list[int], lengths: list[int], latencies_ns: list[int]) -> None:
        """Count messages in bins and windows."""
        if times_ns:
            self.bins.add_many(times_ns, lengths, latencies_ns)
            self.windows.add_many(times_ns, lengths, latencies_ns)

    def count_injected(self, descriptors: list[Descriptor]) -> None:
        """Count messages of ours that entered the network, by when they did."""
        self.count(
            [d[5] for d in descriptors],
            [d[1] for d in descriptors],
            [max(0, d[5] - d[4]) for d in descriptors],
        )

    def take_all(self) -> None:
        """Check and count everything that is pending."""
        check, sequence = self.payload.check, self.sequence
        times_ns: list[int] = []
        lengths: list[int] = []
        latencies_ns: list[int] = []

        def take(memory: mmap.mmap | bytes, position: int, descriptor: Descriptor) -> None:
            length, time_ns = descriptor[1], descriptor[5]
            times_ns.append(time_ns)
            lengths.append(length)
            latencies_ns.append(time_ns - descriptor[4])
            seq = check(memory, position, length, sequence.expected)
            if seq == sequence.expected:
                sequence.expected = seq + 1
            elif seq == CORRUPTED:
                self.corrupted += 1
            else:
                sequence.arrived(seq)

        while self.endpoint.consume(take):
            pass
        self.count(times_ns, lengths, latencies_ns)

    def take_messages(self, messages: list[Message]) -> None:
        """Check and count the messages of an upcall."""
        for message in messages:
            self.judge(message)
        self.count(
            [m.time_ns for m in messages],
            [len(m) for m in messages],
            [m.latency_ns for m in messages],
        )

    def judge(self, message: Message) -> int:
        """Check a message; return its sequence number, or `CORRUPTED`."""
        seq = self.payload.check(message.view, 0, len(message), self.sequence.expected)
        if seq == CORRUPTED:
            self.corrupted += 1
        else:
            self.sequence.arrived(seq)
        return seq
