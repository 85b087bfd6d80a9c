"""One schema for the event logs of all stacks and both runtimes: JSON lines, one event a line.

A node's log is ``<node>.events.jsonl``. The runtime adds time, node and incarnation to what the
core emits, and writes lines of its own for what it sees itself: datagrams sent and received
(``send``, ``receive``), starts, halts, faults. Times are virtual seconds since the experiment
began, on one clock for all nodes.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from lab.errors import LabError

SEND, RECEIVE, STARTED, HALTED, FAULT = "send", "receive", "started", "halted", "fault"
REQUEST, REPLY = "request", "reply"
SHELL = "shell"
"""In containers a node's shell tells with these how it fares itself, each covering the time since
the one before (phase ``window``; the last one of a clean end: ``end``). Fields: ``window_s``;
``cpu_s``, the process's real seconds of processor time; ``sent`` and ``received`` datagrams;
``unsent``, which the kernel would not take; ``refused``, which no shell had sent; ``dropped``, for
which sockets had no room; and three histograms (:mod:`lab.stacks.lateness`): ``timers_late``,
``waited`` (datagrams in sockets), ``busy`` (the process, between two waits)."""


class Event(msgspec.Struct, frozen=True, omit_defaults=True):
    """One line of a log.

    ``send`` and ``receive`` have the fields ``peer`` (0: all), ``network``, ``channel``, ``label``,
    ``bytes``; their ``cause`` is the name of the datagram, the same at both ends. ``request`` has
    ``id``, ``name``, ``arguments``; ``reply`` has ``id``, ``ok``, ``value``. ``fault`` of node 0
    has the fields of the plan's :class:`~lab.stacks.plan.Fault`.
    """

    t_s: float
    node: int
    kind: str
    phase: str = ""
    cause: str = ""
    incarnation: int = 1
    fields: dict[str, Any] = {}


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Event)


def event_line(event: Event) -> bytes:
    """Return the event as one line, with its newline."""
    return _encoder.encode(event) + b"\n"


def read_events(path: Path) -> Iterator[Event]:
    """Read a log; a last line that was cut off by a crash is left out.

    Raises:
        LabError: another line is not an event; names the line.
    """
    lines = path.read_bytes().split(b"\n")
    for number, line in enumerate(lines, 1):
        if not line:
            continue
        try:
            yield _decoder.decode(line)
        except msgspec.DecodeError as error:
            if number == len(lines):
                return
            raise LabError(f"{path}, line {number}: not an event: {error}") from error
