"""Disks: a node's own, and the quorum volume that one node at a time may hold."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from lab.ethernet.agenda import Agenda, to_ns
from lab.ethernet.chance import chance
from lab.stacks.core import DiskCall, DiskDone
from lab.world.machine import Machine

OnDone: TypeAlias = Callable[[DiskDone], None]


@dataclass
class _Pending:
    node: int
    call: DiskCall
    done: OnDone
    dropped: bool = False


class Disk:
    """Serves a node's calls one after the other; a change is durable when its call is done."""

    def __init__(self, agenda: Agenda, machine: Machine, seed: int) -> None:
        self.keys: dict[str, bytes] = {}
        self.slower_ns: dict[int, int] = {}
        """How much longer each call of a node takes (fault ``slow-disk``)."""
        self._agenda = agenda
        self._machine = machine
        self._random = chance(seed)
        self._busy_until_ns: dict[int, int] = {}
        self._pending: list[_Pending] = []

    def call(self, node: int, call: DiskCall, done: OnDone) -> None:
        """Take a call; ``done`` is told the outcome."""
        size = len(call.data) or len(self.keys.get(call.key, b""))
        took_s = self._machine.disk_s + size / self._machine.disk_bytes_per_s
        begin_ns = max(self._agenda.now_ns, self._busy_until_ns.get(node, 0))
        end_ns = begin_ns + to_ns(took_s) + self.slower_ns.get(node, 0)
        self._busy_until_ns[node] = end_ns
        pending = _Pending(node, call, done)
        self._pending.append(pending)
        self._agenda.at(end_ns, self._finish, pending)

    def crash(self, node: int) -> None:
        """A node's program has ended: each change under way has been made, or not."""
        self._busy_until_ns.pop(node, None)
        for pending in [p for p in self._pending if p.node == node]:
            self._pending.remove(pending)
            pending.dropped = True
            if self._random.random() < 0.5:
                self._carry_out(pending)

    def _finish(self, pending: _Pending) -> None:
        if not pending.dropped:
            self._pending.remove(pending)
            pending.done(self._carry_out(pending))

    def _carry_out(self, pending: _Pending) -> DiskDone:
        call, keys = pending.call, self.keys
        match call.operation:
            case "read":
                data = keys.get(call.key)
                return DiskDone(call.token, data is not None, data or b"")
            case "list":
                found = sorted(key for key in keys if key.startswith(call.key))
                return DiskDone(call.token, ok=True, data="\n".join(found).encode())
            case "write":
                keys[call.key] = call.data
            case "delete":
                keys.pop(call.key, None)
            case _:
                return DiskDone(call.token, ok=False)
        return DiskDone(call.token, ok=True)


class QuorumVolume(Disk):
    """The shared disk: everything on it but ``reserve`` needs the reservation."""

    def __init__(self, agenda: Agenda, machine: Machine, seed: int) -> None:
        super().__init__(agenda, machine, seed)
        self.cut_off: set[int] = set()
        """Nodes that cannot reach it (fault ``quorum-cut``)."""
        self.holder: int | None = None
        self._renewed_ns = 0

    def _carry_out(self, pending: _Pending) -> DiskDone:
        node, call = pending.node, pending.call
        if node in self.cut_off:
            return DiskDone(call.token, ok=False)
        if call.operation == "reserve":
            return DiskDone(call.token, ok=self._reserve(node))
        if self.holder != node:
            return DiskDone(call.token, ok=False)
        if call.operation == "renew":
            self._renewed_ns = self._agenda.now_ns
        elif call.operation == "release":
            self.holder = None
        else:
            return super()._carry_out(pending)
        return DiskDone(call.token, ok=True)

    def _reserve(self, node: int) -> bool:
        now_ns = self._agenda.now_ns
        expired = now_ns - self._renewed_ns > to_ns(self._machine.reservation_s)
        if self.holder not in (None, node) and not expired:
            return False
        self.holder, self._renewed_ns = node, now_ns
        return True
