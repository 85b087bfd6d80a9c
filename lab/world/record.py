"""What a case leaves: its events, logs, and the digest over all that entered and left the cores."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from lab.ethernet.agenda import NS, Agenda
from lab.ethernet.frames import Frame
from lab.stacks.core import Input, Output
from lab.stacks.events import RECEIVE, SEND, Event, event_line

_HASH_EVERY = 512

OnEvent = Callable[[Event], None]


class Record:
    """Takes down what happens.

    Args:
        agenda: gives the time.
        traffic: keep an event for every datagram sent and received, too.
    """

    def __init__(self, agenda: Agenda, *, traffic: bool) -> None:
        self.events: list[Event] = []
        self.traffic = traffic
        self._agenda = agenda
        self._listeners: dict[str, list[OnEvent]] = defaultdict(list)
        self._hash = hashlib.sha256()
        self._unhashed: list[tuple[int, int, Input, list[Output]]] = []
        self._encoder = msgspec.msgpack.Encoder()
        self._known_fields: dict[tuple[int, int, str, str, int], dict[str, Any]] = {}

    def listen(self, kind: str, listener: OnEvent) -> None:
        """Have a function called with every event of a kind that is kept."""
        self._listeners[kind].append(listener)

    def event(  # noqa: PLR0917 - the fields of an event, in its order
        self,
        node: int,
        incarnation: int,
        kind: str,
        phase: str = "",
        cause: str = "",
        fields: dict[str, Any] | None = None,
    ) -> None:
        """Take down an event."""
        t_s = self._agenda.now_ns / NS
        event = Event(t_s, node, kind, phase, cause, incarnation, fields or {})
        self.events.append(event)
        for listener in self._listeners.get(kind, ()):
            listener(event)

    def sent(self, node: int, incarnation: int, frame: Frame, peer: int, name: str) -> None:
        """Take down that a datagram was sent; call only if :attr:`traffic`."""
        self.event(node, incarnation, SEND, "", name, self._fields(frame, peer))

    def received(self, node: int, incarnation: int, frame: Frame, name: str) -> None:
        """Take down that a datagram has arrived; call only if :attr:`traffic`."""
        self.event(node, incarnation, RECEIVE, "", name, self._fields(frame, frame.source))

    def handled(self, node: int, item: Input, outputs: list[Output]) -> None:
        """Take down what entered a core and what came out, for the digest."""
        unhashed = self._unhashed
        unhashed.append((self._agenda.now_ns, node, item, outputs))
        if len(unhashed) == _HASH_EVERY:
            self._hash.update(self._encoder.encode(unhashed))
            unhashed.clear()

    def digest(self) -> str:
        """Return the digest over everything so far."""
        whole = self._hash.copy()
        whole.update(self._encoder.encode(self._unhashed))
        return whole.hexdigest()[:32]

    def write(self, directory: Path, nodes: int) -> None:
        """Write the logs, one file a node, node 0 being the runtime."""
        directory.mkdir(parents=True, exist_ok=True)
        lines: list[list[bytes]] = [[] for _ in range(nodes + 1)]
        for event in self.events:
            lines[event.node].append(event_line(event))
        for node, of_node in enumerate(lines):
            (directory / f"{node}.events.jsonl").write_bytes(b"".join(of_node))

    def _fields(self, frame: Frame, peer: int) -> dict[str, Any]:
        """Return the fields of a datagram's event: one dict for all that have the same."""
        item = frame.item
        key = (peer, frame.network, item.channel, frame.label, len(item.data))
        fields = self._known_fields.get(key)
        if fields is None:
            names = ("peer", "network", "channel", "label", "bytes")
            fields = self._known_fields[key] = dict(zip(names, key, strict=True))
        return fields
