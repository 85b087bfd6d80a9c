"""The fabric of thesis 4.3 in plain Python, for readers: the same rules as the compiled kernel.

Slow and short. Switches with a shared memory queue cells per VCI and port and serve the VCIs of a
port in turns; a congested VCI has its source quenched; a full input has its link stopped. A test
runs small random cases here and in the compiled kernel and compares their digests, numbers over
every delivery and flow control signal with its time: whoever doubts the C code can read this.
Left out: pings, the costs of adapters, and all measuring.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Sequence

from lab.fabric.reference_parts import MASK, Flow, Frame, Message, Node, Port, Queue, Vc, mix
from lab.fabric.setup import Change, Setup

SEND_SLOTS = 64
DONE, ARRIVE, CHANGE, DUE, HOLD = 0, 1, 2, 3, 7
DELIVERY, QUENCHED, UNQUENCHED, STOPPED, STARTED, HOLD_OVER = range(1, 7)


class ReferenceFabric:
    """A fabric with the interface of `lab.fabric.virtual.VirtualFabric`, as far as it goes.

    Args:
        params: thresholds, see `lab.fabric.setup.native_params`.
        setup: what else holds for all of it; costs of adapters must be 0.
    """

    def __init__(self, params: dict[str, int], setup: Setup) -> None:
        self._p = params
        self._setup = setup
        self._nodes: list[Node] = []
        self._ports: list[Port] = []
        self._vcs: list[Vc] = []
        self._flows: dict[int, Flow] = {}
        self._events: list[tuple[int, int, int, Callable[[], None]]] = []
        self._inserted = 0
        self._draws = 0
        self.now_ns = 0
        self.digest = 0
        self.overflowed_node: int | None = None

    # -- construction -------------------------------------------------------------------------

    def add_switch(self, buffer_cells: int) -> int:
        """Add a switch; return its number."""
        self._nodes.append(Node(len(self._nodes), buffer_cells))
        return len(self._nodes) - 1

    def add_host(self) -> int:
        """Add a host; return its number."""
        return self.add_switch(0)

    def add_port(
        self,
        node: int,
        peer: int,
        *,
        cell_ns: int = 424,
        least_ns: int = 0,
        propagation_ns: int = 100,
    ) -> int:
        """Add the transmitter from ``node`` to ``peer``; return its number."""
        ends = self._nodes[node], self._nodes[peer]
        self._ports.append(Port(len(self._ports), *ends, cell_ns, least_ns, propagation_ns))
        ends[1].inputs.append(self._ports[-1])
        return len(self._ports) - 1

    def add_vc(self, forward: Sequence[int], reverse: Sequence[int]) -> int:
        """Open a duplex VC over these ports; return the forward direction's number."""
        for way in (forward, reverse):
            ports = [self._ports[number] for number in way]
            queues = [Queue(p, before) for p, before in zip(ports, [None, *ports], strict=False)]
            self._vcs.append(Vc(len(self._vcs), queues))
        there, back = self._vcs[-2:]
        there.reverse, back.reverse = back, there
        return there.number

    def add_flow(
        self, vc: int, changes: Sequence[Change], *, end_ns: int, phase: float = 0.0
    ) -> None:
        """Give a VC a source."""
        flow = self._flows[vc] = Flow(self._vcs[vc], changes, end_ns, phase)
        self._schedule_change(flow)

    # -- events -------------------------------------------------------------------------------

    def _at(self, t_ns: int, kind: int, index: int, do: Callable[[], None]) -> None:
        """Put an event in; simultaneous ones are ordered by what, when and the seed."""
        what = (t_ns * 0x9E3779B97F4A7C15 ^ (kind << 32 | index)) & MASK
        order = mix(what ^ self._setup.tie_seed * 0xD1342543DE82EF95 & MASK) >> 32
        heapq.heappush(self._events, (t_ns, order, self._inserted, do))
        self._inserted += 1

    def run(self, until_ns: int) -> None:
        """Run up to a time, or until a memory overflows."""
        while self._events and self._events[0][0] < until_ns and self.overflowed_node is None:
            self.now_ns, _, _, do = heapq.heappop(self._events)
            do()

    def _note(self, tag: int, what: int, hop: int = 0) -> None:
        self.digest = mix(self.digest ^ mix(self.now_ns) ^ (tag << 56 | hop << 32 | what))

    def _draw(self) -> float:
        self._draws += 1
        return (mix(self._setup.loss.seed ^ self._draws) >> 11) * 2.0**-53

    # -- judging congestion: VCI, link and general buffer use ---------------------------------

    def _over_share(self, q: Queue) -> bool:
        """A link or a memory is over-full, and q has a fair share of its limit or more."""
        port, node = q.port, q.port.node
        link, memory = self._p["link_quench_cells"], self._p["buffer_quench_cells"]
        return (port.queued_cells >= link and q.cells * port.active_queues >= link) or (
            node.used_cells >= memory and q.cells * node.active_queues >= memory
        )

    def _must_quench(self, q: Queue) -> bool:
        if q.quenching:  # and yet something comes: the quench may have been lost
            return self.now_ns - q.quenched_ns >= self._p["quench_repeat_ns"]
        return q.cells >= self._p["vci_quench_cells"] or self._over_share(q)

    def _relieved(self, q: Queue) -> bool:
        low = q.cells <= self._p["vci_unquench_cells"]
        return not q.cells or (low and not self._over_share(q))

    # -- queues and ports ---------------------------------------------------------------------

    def _account(self, q: Queue, cells: int) -> None:
        was = q.cells > 0
        q.cells += cells
        change = (q.cells > 0) - was
        q.port.queued_cells += cells
        q.port.active_queues += change
        q.port.node.used_cells += cells
        q.port.node.active_queues += change

    def _arrive(self, frame: Frame) -> None:
        """A data frame comes into its queue."""
        vc, q = frame.vc, frame.vc.queues[frame.hop]
        node = q.port.node
        if node.buffer_cells and node.used_cells + frame.cells > node.buffer_cells:
            self.overflowed_node = node.number
            return
        q.frames.append(frame)
        self._account(q, frame.cells)
        if q.input is not None:
            self._fill(q.input, frame.cells)
            if self._p["flow_control"] and self._must_quench(q):
                q.quenching, q.quenched_ns = True, self.now_ns
                self._signal(vc, frame.hop, stop=True)
        if q not in q.port.ring and not (frame.hop == 0 and vc.held):
            q.deficit = 0
            q.port.ring.append(q)
        self._serve(q.port)

    def _fill(self, port: Port, cells: int) -> None:
        """Link-level control: a full input stops its link, a full memory all links."""
        port.input_cells += cells
        if not port.full and port.input_cells >= self._p["input_stop_cells"]:
            self._note_stops([port])
            port.full = True
        node, limit = port.peer, self._p["memory_stop_cells"]
        if limit and not node.full and node.used_cells >= limit:
            self._note_stops(node.inputs)
            node.full = True

    def _note_stops(self, ports: list[Port]) -> None:
        for port in (port for port in ports if not port.stopped):
            self._note(STOPPED, port.number)

    def _next_queue(self, port: Port) -> Queue:
        """Deficit round robin: whose credit covers its first frame may send it."""
        while True:
            q = port.ring[0]
            cells = q.frames[0].cells
            if len(port.ring) > 1 and q.deficit < cells:
                q.deficit += self._p["quantum_cells"]
                if q.deficit < cells:
                    port.ring.rotate(-1)
                    continue
            q.deficit = max(0, q.deficit - cells)
            return q

    def _serve(self, port: Port) -> None:
        if port.sending:
            return
        if port.control:
            self._start(port, None, port.control.popleft())
        elif port.ring and not port.stopped:
            q = self._next_queue(port)
            frame = q.frames.popleft()
            if not q.frames:
                port.ring.remove(q)
            elif q.deficit < q.frames[0].cells:
                port.ring.rotate(-1)
            self._start(port, q, frame)

    def _start(self, port: Port, q: Queue | None, frame: Frame) -> None:
        """Send; a switch sees the first cell, cut through, a host waits for the last one."""
        service_ns = frame.cells * port.cell_ns
        if frame.message and frame.part == 0:
            service_ns += max(0, port.least_ns - frame.message.cells * port.cell_ns)
        port.sending = q, frame
        done_ns = self.now_ns + service_ns
        self._at(done_ns, DONE, port.number, lambda: self._done(port))
        there_ns = done_ns + port.propagation_ns
        if port.peer.buffer_cells:
            there_ns += self._setup.switch_latency_ns - (frame.cells - 1) * port.cell_ns
        if frame.message is None or not self._is_lost(frame):
            self._at(there_ns, ARRIVE, port.number, lambda: self._reach(frame))

    def _is_lost(self, frame: Frame) -> bool:
        loss = self._setup.loss
        if loss.cell_loss and self._draw() >= math.prod([1 - loss.cell_loss] * frame.cells):
            return True
        each = 1 - loss.cell_corruption
        if loss.cell_corruption and self._draw() >= math.prod([each] * frame.cells):
            frame.damaged = True
        return False

    def _done(self, port: Port) -> None:
        """The last cell of what was being sent is out; its memory is free."""
        q, frame = port.sending or (None, None)
        port.sending = None
        if q and frame:
            self._account(q, -frame.cells)
            if q.input is not None:
                self._drain(q, frame)
        self._serve(port)
        if q and frame and q.input is None and frame.last:
            frame.vc.in_adapter -= 1
            self._feed(frame.vc)

    def _drain(self, q: Queue, frame: Frame) -> None:
        if q.quenching and self._relieved(q):
            q.quenching = False
            self._signal(frame.vc, frame.vc.queues.index(q), stop=False)
        if q.input is None:
            return
        q.input.input_cells -= frame.cells
        if q.input.full and q.input.input_cells <= self._p["input_go_cells"]:
            q.input.full = False
            self._start_again([q.input])
        node = q.port.node
        if node.full and node.used_cells <= self._p["memory_go_cells"]:
            node.full = False
            self._start_again(node.inputs)

    def _start_again(self, ports: list[Port]) -> None:
        for port in (port for port in ports if not port.stopped):
            self._note(STARTED, port.number)
            self._serve(port)

    def _reach(self, frame: Frame) -> None:
        if frame.hop + 1 < len(frame.vc.queues):
            frame.hop += 1
            if frame.about:
                self._control(frame)
            else:
                self._arrive(frame)
        elif frame.about:
            lossy = self._setup.loss.control_loss
            if not lossy or self._draw() >= lossy:
                self._heed(*frame.about)
        else:
            self._reassemble(frame)

    # -- quench -------------------------------------------------------------------------------

    def _signal(self, vc: Vc, hop: int, *, stop: bool) -> None:
        """A cell goes back to the source, before all data."""
        self._note(QUENCHED if stop else UNQUENCHED, vc.number, hop)
        if vc.reverse is not None:
            self._control(Frame(vc.reverse, len(vc.queues) - hop, 1, about=(vc, hop, stop)))

    def _control(self, frame: Frame) -> None:
        port = frame.vc.queues[frame.hop].port
        port.control.append(frame)
        self._serve(port)

    def _heed(self, vc: Vc, hop: int, stop: bool) -> None:
        """The source hears of it."""
        if stop:
            vc.quenched_by.add(hop)
            vc.hold_until_ns = self.now_ns + self._p["quench_hold_ns"]
            if not vc.hold_timer:
                self._set_hold_timer(vc)
        else:
            vc.quenched_by.discard(hop)
        self._hold(vc)

    def _hold(self, vc: Vc) -> None:
        held, q = bool(vc.quenched_by), vc.queues[0]
        if held == vc.held:
            return
        vc.held = held
        if held and q in q.port.ring:
            q.port.ring.remove(q)
        elif not held and q.frames:
            q.deficit = 0
            q.port.ring.append(q)
            self._serve(q.port)

    def _set_hold_timer(self, vc: Vc) -> None:
        vc.hold_timer = True
        self._at(vc.hold_until_ns, HOLD, vc.number, lambda: self._hold_over(vc))

    def _hold_over(self, vc: Vc) -> None:
        """Held for long and nothing heard: the unquench may have been lost."""
        vc.hold_timer = False
        if not vc.quenched_by:
            return
        if self.now_ns < vc.hold_until_ns:
            self._set_hold_timer(vc)
            return
        vc.quenched_by.clear()
        self._hold(vc)
        self._note(HOLD_OVER, vc.number)

    # -- adapters: messages to frames and back ------------------------------------------------

    def _feed(self, vc: Vc) -> None:
        while vc.send_queue and vc.in_adapter < self._setup.window:
            bytes_ = vc.send_queue.popleft()
            vc.in_adapter += 1
            cells = -(-(bytes_ + self._setup.trailer_bytes) // self._setup.cell_payload_bytes)
            message = Message(vc.sent, cells)
            vc.sent += 1
            self._took(vc)
            for part, first in enumerate(range(0, cells, self._setup.frame_cells)):
                some = min(self._setup.frame_cells, cells - first)
                self._arrive(Frame(vc, 0, some, message, part, last=first + some == cells))

    def _reassemble(self, frame: Frame) -> None:
        vc, message = frame.vc, frame.message
        if message is not vc.expected:
            vc.expected, vc.part, vc.spoilt = message, 0, False
        vc.spoilt |= frame.part != vc.part or frame.damaged
        vc.part += 1
        if frame.last and not vc.spoilt:
            self._note(DELIVERY, vc.number)

    # -- sources ------------------------------------------------------------------------------

    def _push(self, flow: Flow) -> bool:
        if len(flow.vc.send_queue) == SEND_SLOTS:
            return False
        flow.vc.send_queue.append(flow.changes[flow.at].message_bytes)
        return True

    def _took(self, vc: Vc) -> None:
        """The adapter has taken a message: the send queue has room."""
        flow = self._flows[vc.number]
        if flow.rate >= 1:
            self._push(flow)
        elif flow.blocked:  # it does not catch up
            flow.blocked, flow.base_ns, flow.taken = False, float(self.now_ns), 1
            self._push(flow)
            self._schedule_message(flow)

    def _schedule_change(self, flow: Flow) -> None:
        self._at(flow.next_ns, CHANGE, flow.vc.number, lambda: self._change(flow))

    def _change(self, flow: Flow) -> None:
        if flow.at + 1 < len(flow.changes) and self.now_ns < flow.end_ns:
            flow.at += 1
            self._schedule_change(flow)
        else:
            flow.over = True
        flow.generation += 1
        flow.blocked = False
        if flow.rate >= 1:
            while self._push(flow):
                pass
            self._feed(flow.vc)
        elif flow.rate > 0:
            flow.base_ns = self.now_ns + flow.phase * flow.changes[flow.at].interval_ns
            flow.taken = 0
            self._schedule_message(flow)

    def _schedule_message(self, flow: Flow) -> None:
        interval_ns, generation = flow.changes[flow.at].interval_ns, flow.generation
        due_ns = math.ceil(flow.base_ns + flow.taken * interval_ns)
        if due_ns < flow.next_ns:
            self._at(due_ns, DUE, flow.vc.number, lambda: self._due(flow, generation))

    def _due(self, flow: Flow, generation: int) -> None:
        if generation != flow.generation:
            return
        if not self._push(flow):
            flow.blocked = True
            return
        flow.taken += 1
        self._schedule_message(flow)
        self._feed(flow.vc)
