"""Probes of base-level U-Net (thesis section 2.3): what does an endpoint really do?

Two processes, each with one end of a channel. The prober tries one thing after the other and
writes down what it saw, as numbers; the other one, the mate, does what the prober asks of it by
messages and answers with what it saw. Nothing is judged here: a number that should be 0 and is
not is written down as it is.
"""

from __future__ import annotations

import contextlib
import json
import sys
import time

from .errors import ChannelRefused, NoService, QueueFull, Refused
from .mating import ENOUGH_S, Mate
from .segment import DESCRIPTOR, DESCRIPTOR_BYTES, INJECTED, SEND_HEAD_AT
from .tally import LOOK_UP_S

TYPE_CHECKING = False  # importing typing would cost start-up time
if TYPE_CHECKING:
    import mmap

    from .endpoint import Endpoint
    from .tally import Tally

    Observed = dict[str, float]

GROUP = "probes"  # streams of this group are probed instead of sending by their plan
SYSTEM_CALL_MESSAGES = 400
PUSHES = 200
PUSH_BYTES = 500


def run_probe(tally: Tally) -> Observed:
    """Play the part that the plan's role gives; return what was observed."""
    if tally.plan.role == "receive":
        return Mate(tally).serve()
    return Prober(tally).run()


class Prober:
    """The end that tries things."""

    def __init__(self, tally: Tally) -> None:
        self._tally = tally
        self._endpoint: Endpoint = tally.endpoint
        self._channel = tally.plan.channel
        self.observed: Observed = {}

    def run(self) -> Observed:
        """Try everything, one after the other; then let the mate go."""
        for probe in (
            self._structure,
            self._copies,
            self._back_pressure,
            self._kernel_entries,
            self._receive_models,
            self._protection,
            self._no_buffer,
        ):
            began_s = time.monotonic()
            probe()
            took_s = time.monotonic() - began_s
            print(f"{probe.__name__[1:]}: {took_s:.2f} s", file=sys.stderr, flush=True)
        self._ask("end")
        return self.observed

    # Talking to the mate

    def _send(self, data: bytes) -> None:
        self._endpoint.send_wait(self._channel, data, ENOUGH_S)

    def _answer(self) -> dict[str, float]:
        message = self._endpoint.receive(ENOUGH_S)
        if message is None:
            raise NoService("the probe's mate does not answer")
        with message:
            answer: dict[str, float] = json.loads(message.data)
        return answer

    def _ask(self, what: str, **options: int) -> dict[str, float]:
        """Have the mate do something, and wait until it is ready or done."""
        self._send(json.dumps({"do": what, **options}).encode())
        return self._answer()

    def _settled(self) -> None:
        """Wait until the adapter has taken everything."""
        self._endpoint.wait_for_room(0, ENOUGH_S)
        self._endpoint.reclaim()

    # The probes

    def _structure(self) -> None:
        """Queues and segment; a message gathered from several buffers; the injected flag."""
        shape = self._endpoint.segment.geometry
        self.observed |= {
            "send_slots": shape.send_slots,
            "recv_slots": shape.recv_slots,
            "free_slots": shape.free_slots,
            "buffers": shape.buffers,
            "segment_bytes": shape.segment_bytes,
        }
        data = bytes(i * 7 & 0xFF for i in range(20_000))
        self._ask("take", count=1)
        self._send(data)
        answer = self._answer()
        self.observed["gathered_parts"] = shape.parts(len(data))
        self.observed["scattered_parts"] = answer["parts"]
        self.observed["gathered_intact"] = float(answer["sum"] == sum(data))
        self._settled()
        last = self._endpoint.segment.words[SEND_HEAD_AT // 4] - 1
        slot = shape.send_offset + (last & (shape.send_slots - 1)) * DESCRIPTOR_BYTES
        flags = DESCRIPTOR.unpack_from(self._endpoint.segment.memory, slot)[3]
        self.observed["flagged_injected"] = float(bool(flags & INJECTED))

    def _copies(self) -> None:
        """Compose a message in its buffer, and have the mate read one in its buffer."""
        places: list[tuple[bool, int]] = []

        def compose(memory: mmap.mmap | bytearray, position: int, _: int) -> None:
            places.append((memory is self._endpoint.segment.memory, position))
            memory[position : position + 100] = bytes(range(100))

        self._ask("take", count=1)
        self._endpoint.send_many(self._channel, 100, 1, compose)
        answer = self._answer()
        intact = answer["sum"] == sum(range(100))
        self.observed["composed_in_segment"] = float(places[0][0] and intact)
        self.observed["read_in_segment"] = answer["in_segment"]

    def _back_pressure(self) -> None:
        """Send far more than the fibre takes, never waiting; then count what arrives."""
        self._settled()
        self._ask("take", count=PUSHES)
        accepted = refused = 0
        while not refused and accepted < PUSHES:
            try:
                self._endpoint.send(self._channel, bytes(PUSH_BYTES))
                accepted += 1
            except QueueFull:
                refused += 1
        waiting = self._endpoint.in_send_queue()
        began_s = time.monotonic()
        while accepted < PUSHES:
            self._send(bytes(PUSH_BYTES))
            accepted += 1
        self.observed |= {
            "pushed_refused": refused,
            "pushed_waiting_when_refused": waiting,
            "pushed_blocked_s": time.monotonic() - began_s,
            "pushed_accepted": accepted,
            "pushed_arrived": self._answer()["received"],
        }

    def _kernel_entries(self) -> None:
        """Count this process's and the mate's system calls while messages flow."""
        self._settled()
        self._ask("poll", count=SYSTEM_CALL_MESSAGES)
        endpoint, left = self._endpoint, SYSTEM_CALL_MESSAGES
        doorbells = endpoint.system_calls["doorbells"]
        before = read_write_calls()
        while left:
            left -= endpoint.try_send(self._channel, b"no kernel")
        calls = read_write_calls() - before
        answer = self._answer()
        self.observed |= {
            "flow_messages": SYSTEM_CALL_MESSAGES,
            "flow_doorbells": endpoint.system_calls["doorbells"] - doorbells,
            "flow_calls_sending": calls,
            "flow_calls_receiving": answer["calls"],
            "flow_received": answer["received"],
        }

    def _receive_models(self) -> None:
        """The mate blocks in select, gets upcalls, forbids them, and is warned before overflow."""
        for model, bursts in (
            ("select", [1]),
            ("upcall", [1, 9]),
            ("almost_full", [11, 1]),
        ):
            self._settled()
            self._ask(model)
            for burst in bursts:
                for _ in range(burst):
                    self._send(b"for the model")
                answer = self._answer()
                self.observed |= {f"{model}_{name}": value for name, value in answer.items()}

    def _protection(self) -> None:
        """Try to use what is not ours: endpoints, channels, memory."""
        self.observed["refused_endpoints"] = 0
        for name in ("bystander.a", "bystander.b", "nobody.a", self._endpoint.name):
            try:
                type(self._endpoint).attach(name).close()
            except Refused:
                self.observed["refused_endpoints"] += 1
        foreign = [number for number in range(1, 17) if number != self._channel]
        self.observed["forged_channels"] = len(foreign)
        self.observed["rejected_channels"] = self._rejected(
            [(number, 4, 0, 2) for number in foreign]
        )
        end = self._endpoint.segment.geometry.segment_bytes
        bad = [
            (self._channel, 100, 0, 0),  # the header with the queues' counters
            (self._channel, 100, end - 8, 0),  # beyond the end
            (self._channel, 100, 0xFFFF_FFC0, 0),
            (self._channel, 1 << 20, end - 4096, 0),
            (self._channel, 41, 0, 2),  # more than a descriptor holds
            (self._channel, 4000, 0, 8),  # parts that are none
        ]
        self.observed["forged_descriptors"] = len(bad)
        self.observed["rejected_descriptors"] = self._rejected(bad)

    def _rejected(self, forged: list[tuple[int, int, int, int]]) -> float:
        """Push descriptors by hand; return how many the adapter rejected."""
        endpoint = self._endpoint
        self._settled()
        before = endpoint.rejected
        for channel, length, offset, flags in forged:
            endpoint.push_raw(channel, length, offset, flags)
        self._settled()
        if endpoint.rejected > before:
            with contextlib.suppress(ChannelRefused):  # the endpoint tells once, with the next send
                endpoint.try_send(self._channel, b"")
        return endpoint.rejected - before

    def _no_buffer(self) -> None:
        """The mate keeps its buffers: what finds none is dropped, and nobody sends it again."""
        self._settled()
        buffers = self._endpoint.segment.geometry.receive_buffers
        extra = 20
        self._ask("keep", count=buffers + extra)
        for _ in range(buffers + extra):
            self._send(bytes(48))
        answer = self._answer()
        self.observed |= {
            "unbuffered_sent": buffers + extra,
            "unbuffered_kept": answer["kept"],
            "unbuffered_dropped": answer["dropped"],
            "unbuffered_later": answer["later"],
        }
        self._tally.endpoint.pause(LOOK_UP_S)


def read_write_calls() -> int:
    """Return how often this process has called read and write, by the kernel's own count.

    Looking reads a file, which counts itself alike each time.
    """
    with open("/proc/self/io", encoding="ascii") as file:  # noqa: PTH123 - fewest calls
        counts = dict(line.split(": ") for line in file.read().splitlines())
    return int(counts["syscr"]) + int(counts["syscw"])
