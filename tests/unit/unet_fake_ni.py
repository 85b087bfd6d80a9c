"""A network adapter for tests: serves endpoints and moves messages between them in a thread."""

from __future__ import annotations

import contextlib
import os
import select
import socket
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from pathlib import Path

from lab.unet.handshake import grant, peer_netns_inode, read_request, refuse
from lab.unet.rings import MASK32, FreeRing, RecvRing, SendRing, fence
from lab.unet.segment import (
    ALMOST_FULL_AT,
    COUNTER_NAMES,
    COUNTERS_AT,
    DILATION_AT,
    EPOCH_NS_AT,
    GATHER,
    INJECTED,
    INLINE,
    INLINE_AT,
    INLINE_MAX,
    NI_IDLE_AT,
    PART,
    PARTS_AT,
    PASS_NUMBER_AT,
    RECV_WAKE_AT,
    RECV_WAKE_US_AT,
    REJECTED,
    SEND_NOT_WAITING,
    SEND_WAKE_AT,
    Geometry,
    Segment,
    create_segment,
)

QUANTUM_S = 0.001
_ONE = (1).to_bytes(8, "little")


class Served:
    """The adapter's side of one claimed endpoint."""

    def __init__(self, name: str, geometry: Geometry, dilation: float) -> None:
        fd = create_segment(name, geometry, dilation)
        self.name = name
        self.segment = Segment(fd)
        self.doorbell = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self.wake = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self.fds = (fd, self.doorbell, self.wake)
        self.send = SendRing(self.segment)
        self.recv = RecvRing(self.segment)
        self.free = FreeRing(self.segment)
        self.done: set[int] = set()
        self.next_seq: defaultdict[int, int] = defaultdict(int)
        self.pushed_at: dict[int, float] = {}
        self.next_at = 0.0

    def count(self, name: str, amount: int = 1) -> None:
        self.segment.longs[COUNTERS_AT // 8 + COUNTER_NAMES.index(name)] += amount

    def word(self, at: int) -> int:
        return self.segment.words[at // 4]

    def set_word(self, at: int, value: int) -> None:
        self.segment.words[at // 4] = value

    def deliver(self, channel: int, data: bytes, sent_ns: int, time_ns: int, seq: int) -> None:
        head = self.recv.head()
        if self.recv.used() >= self.recv.slots:
            return self.count("ni_drop_recv_full")
        flags, offset, inline = 0, 0, b""
        parts = 0
        if len(data) <= 40:
            flags, inline = INLINE, data
        else:
            buffer_bytes = self.segment.geometry.buffer_bytes
            pieces = [data[i : i + buffer_bytes] for i in range(0, len(data), buffer_bytes)]
            tail = self.free.tail()
            if self.free.used() < len(pieces):
                return self.count("ni_drop_no_buffer")
            places = b""
            for i, piece in enumerate(pieces):
                offset = self.free.read(tail + i)
                self.segment.memory[offset : offset + len(piece)] = piece
                places += PART.pack(offset, len(piece))
            self.free.publish_tail(tail + len(pieces))
            if len(pieces) > 1:
                flags, offset, inline, parts = GATHER, 0, places, len(pieces)
        fields = (channel, len(data), offset, flags, sent_ns, time_ns, seq, parts)
        self.recv.write(head, fields, inline)
        self.pushed_at[head] = time.monotonic()
        self.recv.publish_head(head + 1)
        self.count("ni_recv_msgs")
        return self.count("ni_recv_bytes", len(data))

    def heed_wishes(self) -> None:
        """Wake the process when what it waits for has come true."""
        fence()
        pending = self.recv.used()
        for counter in [c for c in self.pushed_at if (self.recv.head() - c) & MASK32 > pending]:
            del self.pushed_at[counter]
        at_least, after_us = self.word(RECV_WAKE_AT), self.word(RECV_WAKE_US_AT)
        almost_full = self.word(ALMOST_FULL_AT)
        oldest = min(self.pushed_at.values(), default=None)
        age_us = 0.0 if oldest is None else (time.monotonic() - oldest) * 1e6
        wanted = at_least and (pending >= at_least or (pending and 0 < after_us <= age_us))
        full = almost_full and pending >= almost_full
        wake_at = self.word(SEND_WAKE_AT)
        room = wake_at != SEND_NOT_WAITING and self.send.used() <= wake_at
        if wanted or full or room:
            with contextlib.suppress(BlockingIOError):
                os.write(self.wake, _ONE)

    def close(self) -> None:
        self.segment.close()
        for fd in self.fds:
            os.close(fd)


class FakeNi:
    """Service and adapter of any number of hosts in one thread.

    Args:
        path: the socket to serve.
        channels: channel number -> the two endpoints that it joins.
        netns_inode: the host's network namespace; by default this process's.
        messages_per_s: how many messages each endpoint may inject, in real time.

    Attributes:
        held: channels that inject nothing at the moment (as if quenched); change at will.
        corrupt: changes a message in passing.
        lose: tells whether a message gets lost.
    """

    def __init__(
        self,
        path: Path,
        channels: Mapping[int, tuple[str, str]],
        *,
        geometry: Geometry | None = None,
        dilation: float = 1.0,
        netns_inode: int | None = None,
        messages_per_s: float = 1e9,
    ) -> None:
        self.path = str(path)
        self.channels = channels
        self.held: set[int] = set()
        self.corrupt: Callable[[bytes], bytes] = lambda data: data
        self.lose: Callable[[bytes], bool] = lambda data: False
        self.served: dict[str, Served] = {}
        self.undelivered = 0
        self._geometry = geometry or Geometry()
        self._dilation = dilation
        self._messages_per_s = messages_per_s
        self._inode = netns_inode or Path("/proc/self/ns/net").stat().st_ino
        self._claims: dict[socket.socket, Served | None] = {}
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._listener.bind(self.path)
        self._listener.listen(64)
        self._epoch_ns = 0
        self._stopping = False
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> FakeNi:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._stopping:
            return
        self._stopping = True
        self._thread.join()
        for connection, served in self._claims.items():
            connection.close()
            if served is not None:
                served.close()
        self._listener.close()

    def begin_pass(self, epoch_ns: int | None = None) -> None:
        with self._lock:
            self._epoch_ns = epoch_ns or time.monotonic_ns()
            for served in self.served.values():
                served.segment.data[COUNTERS_AT : COUNTERS_AT + 56] = bytes(56)
                served.segment.doubles[DILATION_AT // 8] = self._dilation
                served.set_word(PASS_NUMBER_AT, served.word(PASS_NUMBER_AT) + 1)
                served.segment.longs[EPOCH_NS_AT // 8] = self._epoch_ns

    def wait_attached(self, count: int, timeout_s: float = 10.0) -> None:
        deadline = time.monotonic() + timeout_s
        while len(self.served) < count:
            assert time.monotonic() < deadline, f"only {sorted(self.served)} attached"
            time.sleep(0.005)

    def now_ns(self) -> int:
        return int((time.monotonic_ns() - self._epoch_ns) / self._dilation)

    def _run(self) -> None:
        while not self._stopping:
            with self._lock:
                busy = self._work()
                if not busy:
                    for served in self.served.values():
                        served.set_word(NI_IDLE_AT, 1)
                    fence()
                    busy = self._work()
                inputs = [self._listener, *self._claims]
                doorbells = [served.doorbell for served in self.served.values()]
            ready, _, _ = select.select([*inputs, *doorbells], [], [], QUANTUM_S if busy else 0.02)
            with self._lock:
                for served in self.served.values():
                    served.set_word(NI_IDLE_AT, 0)
                for item in sorted(ready, key=lambda item: not isinstance(item, int)):
                    self._serve(item)  # doorbells first: serving a connection may close one

    def _serve(self, item: socket.socket | int) -> None:
        if isinstance(item, int):
            with contextlib.suppress(BlockingIOError):
                os.read(item, 8)
        elif item is self._listener:
            self._claims[self._listener.accept()[0]] = None
        else:
            self._talk(item)

    def _talk(self, connection: socket.socket) -> None:
        request = read_request(connection)
        if request is None:
            served = self._claims.pop(connection)
            if served is not None:
                self._work()
                del self.served[served.name]
                served.close()
            connection.close()
            return
        name = str(request.get("endpoint"))
        channels = [number for number, ends in self.channels.items() if name in ends]
        if not channels:
            return refuse(connection, "no such endpoint on this host")
        if name in self.served:
            return refuse(connection, "claimed by another process")
        if peer_netns_inode(connection) != self._inode:
            return refuse(connection, "not a process of this host")
        served = Served(name, self._geometry, self._dilation)
        self.served[name] = self._claims[connection] = served
        return grant(connection, channels, self._geometry.segment_bytes, served.fds)

    def _work(self) -> bool:
        busy = False
        for served in self.served.values():
            busy |= self._inject(served)
        for served in self.served.values():
            served.heed_wishes()
            busy |= served.recv.used() > 0
        return busy

    def _inject(self, served: Served) -> bool:
        ring, moved = served.send, False
        head, tail = ring.head(), ring.tail()
        for counter in ((tail + i) & MASK32 for i in range((head - tail) & MASK32)):
            channel, length, offset, flags, sent_ns, not_before_ns, _, parts = ring.read(counter)
            if counter in served.done or channel in self.held:
                continue
            if not_before_ns > self.now_ns():
                moved = True
                continue
            moved = True
            now = time.monotonic()
            if served.next_at > now:
                break
            # Late by up to two quanta is the granularity of this thread, not idleness.
            served.next_at = max(served.next_at, now - 0.02) + 1 / self._messages_per_s
            now_ns = self.now_ns()
            verdict = INJECTED
            shape = served.segment.geometry
            places = [(offset, length)] if not flags & INLINE else []
            if flags & GATHER:
                at = ring.slot_at(counter) + PARTS_AT
                places = list(PART.iter_unpack(served.segment.memory[at : at + parts * PART.size]))
            inside = [shape.buffers_offset <= o and o + n <= shape.segment_bytes for o, n in places]
            fits = length <= INLINE_MAX if flags & INLINE else length == sum(n for _, n in places)
            if served.name not in self.channels.get(channel, ()) or not (all(inside) and fits):
                verdict = REJECTED
                served.count("ni_rejected")
            else:
                memory = served.segment.memory
                start = ring.slot_at(counter) + INLINE_AT if flags & INLINE else offset
                data = memory[start : start + length]
                if flags & GATHER:
                    data = b"".join(memory[o : o + n] for o, n in places)
                self._carry(served, channel, data, max(now_ns, not_before_ns))
            flags |= verdict
            ring.write(counter, (channel, length, offset, flags, sent_ns, now_ns, 0, parts))
            served.done.add(counter)
        while tail != head and tail in served.done:
            served.done.discard(tail)
            tail = (tail + 1) & MASK32
        ring.publish_tail(tail)
        return moved

    def _carry(self, sender: Served, channel: int, data: bytes, now_ns: int) -> None:
        sender.count("ni_sent_msgs")
        sender.count("ni_sent_bytes", len(data))
        seq = sender.next_seq[channel]
        sender.next_seq[channel] += 1
        ends = self.channels[channel]
        peer = self.served.get(ends[1] if ends[0] == sender.name else ends[0])
        if peer is None or self.lose(data):
            self.undelivered += 1
        else:
            peer.deliver(channel, self.corrupt(data), now_ns, self.now_ns(), seq)
