"""The other end of the probes: does what the prober asks for, and tells what it saw."""

from __future__ import annotations

import json
import select
import time

from .errors import NotAttached

TYPE_CHECKING = False  # importing typing would cost start-up time
if TYPE_CHECKING:
    from collections.abc import Callable

    from .endpoint import Endpoint
    from .message import Message
    from .tally import Tally

ENOUGH_S = 60.0  # real; nothing that a probe waits for takes longer
QUIET_S = 0.5  # real; nothing more is on its way after that


class Mate:
    """The end that is asked."""

    def __init__(self, tally: Tally) -> None:
        self._tally = tally
        self._endpoint: Endpoint = tally.endpoint
        self._channel = tally.plan.channel

    def serve(self) -> dict[str, float]:
        """Do what is asked until the prober is done; return how many requests there were."""
        requests = 0
        while not self._tally.stopping:
            message = self._endpoint.receive(1.0)
            if message is None:
                if self._tally.left_ns() < 0:
                    raise NotAttached("the prober has not come to its end")
                continue
            with message:
                request = json.loads(message.data)
            requests += 1
            what = request.pop("do")
            if what == "end":
                self._tell({})
                self._endpoint.wait_for_room(0, ENOUGH_S)
                break
            getattr(self, f"_{what}")(**request)
        return {"requests": requests}

    def _tell(self, answer: dict[str, float]) -> None:
        self._endpoint.send_wait(self._channel, json.dumps(answer).encode(), ENOUGH_S)

    def _take(self, count: int) -> None:
        """Take messages by blocking; tell about the last one."""
        self._tell({"ready": 1})
        answer: dict[str, float] = {}
        for number in range(count):
            message = self._endpoint.receive(ENOUGH_S)
            if message is None:
                break
            with message:
                answer = {
                    "received": number + 1,
                    "parts": len(message.parts),
                    "sum": sum(message.data),
                    "in_segment": float(self._lies_in_segment(message)),
                }
        self._tell(answer)

    def _lies_in_segment(self, message: Message) -> bool:
        """Tell whether a change of the segment is seen through the message: then it is no copy."""
        place = message.place
        if place is None or len(message.parts) != 1:
            return False
        memory, view = self._endpoint.segment.memory, message.parts[0]
        old = memory[place]
        memory[place] = old ^ 0xFF
        seen = view[0] == old ^ 0xFF
        memory[place] = old
        return seen

    def _poll(self, count: int) -> None:
        """Take messages by polling, counting this process's system calls."""
        from .probing import read_write_calls

        self._tell({"ready": 1})
        self._endpoint.wait_for_room(0, ENOUGH_S)
        received, before, until_s = 0, read_write_calls(), time.monotonic() + ENOUGH_S
        while received < count and time.monotonic() < until_s:
            message = self._endpoint.poll()
            if message is not None:
                message.release()
                received += 1
        self._tell({"received": received, "calls": read_write_calls() - before})

    def _select(self) -> None:
        """Block in select until a message is there."""
        self._tell({"ready": 1})
        self._endpoint.arm()
        woken = bool(select.select([self._endpoint], [], [], ENOUGH_S)[0])
        self._endpoint.acknowledge()
        message = self._endpoint.poll()
        if message is not None:
            message.release()
        self._tell({"woken": woken, "received": float(message is not None)})

    def _upcall(self) -> None:
        """Get an upcall; forbid upcalls while nine messages come; get those in one upcall."""
        batches: list[int] = []
        self._endpoint.on_nonempty(lambda messages: batches.append(len(messages)))
        self._tell({"ready": 1})
        self._until(lambda: sum(batches) == 1)
        with self._endpoint.disable_upcalls():
            self._tell({"received": sum(batches), "switch_ns": self._switch_ns()})
            self._until(lambda: self._endpoint.pending() == 9)
            while_disabled = len(batches) - 1
        self._until(lambda: sum(batches) == 10)
        self._endpoint.end_upcalls()
        self._tell({"while_disabled": while_disabled, "largest": max(batches)})

    def _switch_ns(self) -> float:
        """Return what disabling and enabling upcalls takes, real ns."""
        count = 1000
        began_ns = time.perf_counter_ns()
        for _ in range(count):
            with self._endpoint.disable_upcalls():
                pass
        return (time.perf_counter_ns() - began_ns) / count

    def _almost_full(self) -> None:
        """Be warned when twelve messages wait, and not when eleven do."""
        batches: list[int] = []
        self._endpoint.on_almost_full(lambda m: batches.append(len(m)), pending=12)
        self._tell({"ready": 1})
        self._until(lambda: self._endpoint.pending() == 11)
        time.sleep(0.05)
        self._tell({"early": len(batches)})
        self._until(lambda: bool(batches))
        self._endpoint.end_upcalls()
        self._tell({"warned_at": max(batches, default=0)})

    def _keep(self, count: int) -> None:
        """Keep all buffers until no more comes; then give them back and see what comes then."""
        self._tell({"ready": 1})
        kept: list[Message] = []
        dropped_before = self._dropped()
        until_s = time.monotonic() + ENOUGH_S
        while len(kept) + self._dropped() - dropped_before < count and time.monotonic() < until_s:
            message = self._endpoint.receive(QUIET_S)
            if message is not None:
                kept.append(message)
        for message in kept:
            message.release()
        later = self._endpoint.receive(QUIET_S)
        self._tell(
            {
                "kept": len(kept),
                "dropped": self._dropped() - dropped_before,
                "later": float(later is not None),
            }
        )

    def _dropped(self) -> int:
        return self._endpoint.counters()["ni_drop_no_buffer"]

    def _until(self, condition: Callable[[], bool]) -> None:
        until_s = time.monotonic() + ENOUGH_S
        while not condition() and time.monotonic() < until_s:
            time.sleep(0.001)
