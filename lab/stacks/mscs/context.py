"""What every part of a node may use: its name, its chance, its timers, and the way out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from random import Random
from typing import Any, TypeAlias, TypeVar

import msgspec

from lab.stacks.core import (
    DiskCall,
    DiskDone,
    DiskOperation,
    Effect,
    EffectDone,
    Emit,
    Halt,
    Level,
    Multicast,
    NodeId,
    Output,
    Post,
    Received,
    Reply,
    Send,
    Volume,
)
from lab.stacks.mscs.timers import Callback, Timers

T = TypeVar("T")
DiskAnswered: TypeAlias = Callable[[float, DiskDone], None]
EffectAnswered: TypeAlias = Callable[[float, EffectDone], None]


class Context:
    """One node's surroundings. Nothing leaves a node that has halted."""

    def __init__(self, node: NodeId, random: Random) -> None:
        self.node = node
        self.incarnation = 0
        """Known from the start of the node on."""
        self.random = random
        self.timers = Timers()
        self.halted = False
        self.garbage: Counter[str] = Counter()
        """Datagrams by channel that no node of this stack has sent."""
        self._outputs: list[Output] = []
        self._token = 0
        self._disk: dict[int, DiskAnswered] = {}
        self._effects: dict[int, EffectAnswered] = {}

    def decode(self, item: Received, decoder: msgspec.msgpack.Decoder[T]) -> T | None:
        """Return what is in a datagram; None for garbage, which is counted."""
        try:
            return decoder.decode(item.data)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            self.count_garbage(item)
            return None

    def count_garbage(self, item: Received) -> None:
        """Note a datagram that no node of this stack has sent."""
        self.garbage[item.channel] += 1

    # --- out -------------------------------------------------------------------------------

    def send(self, to: NodeId | str, network: int, channel: str, data: bytes, label: str) -> None:
        """Send a datagram."""
        self._put(Send(to, network, channel, data, label))

    def multicast(self, network: int, channel: str, data: bytes, label: str) -> None:
        """Send a datagram to every other node of a network."""
        self._put(Multicast(network, channel, data, label))

    def post(self, level: Level, data: bytes) -> None:
        """Hand something to another level of this node."""
        self._put(Post(level, data))

    def emit(self, kind: str, /, *, phase: str = "", cause: str = "", **fields: Any) -> None:
        """Log an event."""
        self._put(Emit(kind, phase, cause, fields))

    def reply(self, request: int, *, ok: bool, value: Any = None) -> None:
        """Answer a request."""
        self._put(Reply(request, ok, value))

    def halt(self, reason: str) -> None:
        """Stop this node, at once and for good."""
        self._put(Halt(reason))
        self.halted = True

    def disk(
        self, volume: Volume, operation: DiskOperation, key: str, data: bytes, done: DiskAnswered
    ) -> None:
        """Use a disk."""
        self._token += 1
        self._disk[self._token] = done
        self._put(DiskCall(self._token, volume, operation, key, data))

    def effect(self, name: str, arguments: dict[str, Any], done: EffectAnswered) -> int:
        """Change something of the node outside the core; returns the effect's token."""
        self._token += 1
        self._effects[self._token] = done
        self._put(Effect(self._token, name, arguments))
        return self._token

    # --- timers ----------------------------------------------------------------------------

    def set_timer(self, level: Level, name: str, at_s: float, callback: Callback) -> None:
        """Have a function called at a time; a timer of this name is moved."""
        self.timers.set(level, name, at_s, callback)

    def cancel_timer(self, name: str) -> None:
        """Forget a timer."""
        self.timers.cancel(name)

    # --- for the core ----------------------------------------------------------------------

    def disk_done(self, now_s: float, item: DiskDone) -> None:
        """Tell whoever called the disk."""
        done = self._disk.pop(item.token, None)
        if done is not None:
            done(now_s, item)

    def effect_done(self, now_s: float, item: EffectDone) -> None:
        """Tell whoever wanted the effect."""
        done = self._effects.pop(item.token, None)
        if done is not None:
            done(now_s, item)

    def take_outputs(self) -> list[Output]:
        """Return what has come out since the last call."""
        outputs, self._outputs = self._outputs, []
        return outputs

    def state(self) -> dict[str, Any]:
        """Return the state as plain data."""
        return {
            "incarnation": self.incarnation,
            "halted": self.halted,
            "timers": self.timers.state(),
            "garbage": dict(sorted(self.garbage.items())),
            "disk": sorted(self._disk),
            "effects": sorted(self._effects),
        }

    def _put(self, output: Output) -> None:
        if not self.halted:
            self._outputs.append(output)
