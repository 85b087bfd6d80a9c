"""Events of a run as they were logged: of one that is over, or as they come. Only reads."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import pyarrow.parquet as pq

from lab.results.cases import FROM_LOGS
from lab.results.logs import case_logs, message_name
from lab.results.tables import table_path
from lab.stacks.events import RECEIVE, SEND, Event, read_events

_decoder = msgspec.json.Decoder(Event)
_fields = msgspec.json.Decoder(dict)


_TRAFFIC = frozenset({SEND, RECEIVE})


@dataclass(frozen=True)
class Wanted:
    """Which events a reader wants; an empty choice is no choice."""

    nodes: frozenset[int] = frozenset()
    kinds: frozenset[str] = frozenset()
    phases: frozenset[str] = frozenset()
    messages: bool = False
    """Also the datagrams that nodes sent and received."""

    def takes(self, event: Event) -> bool:
        """Whether the reader wants an event."""
        traffic = event.kind in _TRAFFIC
        return (
            (not self.nodes or event.node in self.nodes)
            and (not self.phases or event.phase in self.phases)
            and (
                event.kind in self.kinds
                or (traffic and self.messages)
                or (not traffic and not self.kinds)
            )
        )

    @property
    def wants_messages(self) -> bool:
        """Whether datagrams have to be read at all."""
        return self.messages or bool(self.kinds & _TRAFFIC)


def case_names(raw: Path) -> list[str]:
    """The cases of a run that have left anything, in the order in which they began."""
    cases = [path for path in raw.iterdir() if path.is_dir()] if raw.is_dir() else []
    return [path.name for path in sorted(cases, key=lambda path: (path.stat().st_ctime, path.name))]


def events_of_case(case_dir: Path, wanted: Wanted) -> Iterator[Event]:
    """The events of a case in the order of time, from its logs or else from its tables.

    Raises:
        LabError: a log holds a line that is no event.
    """
    logs = case_logs(case_dir)
    found = (
        heapq.merge(*(read_events(path) for path in logs), key=lambda event: event.t_s)
        if logs
        else _from_tables(case_dir, wanted)
    )
    return (event for event in found if wanted.takes(event))


def _from_tables(case_dir: Path, wanted: Wanted) -> Iterator[Event]:
    parts = [_told(table_path(case_dir, "events"))]
    if wanted.wants_messages:
        parts.append(_sent_and_received(table_path(case_dir, "messages")))
    return heapq.merge(*parts, key=lambda event: event.t_s)


def _told(path: Path) -> Iterator[Event]:
    for row in _rows(path):
        yield Event(
            row["t_s"], row["node"], row["kind"], row["phase"], row["cause"], row["incarnation"],
            _fields.decode(row["fields"]),
        )  # fmt: skip


def _sent_and_received(path: Path) -> Iterator[Event]:
    for row in _rows(path):
        fields = {key: row[key] for key in ("peer", "network", "channel", "label", "bytes")}
        yield Event(
            row["t_s"], row["node"], row["direction"], "", message_name(row["message"]),
            row["incarnation"], fields,
        )  # fmt: skip


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    if not path.is_file():
        return
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches():
            yield from batch.to_pylist()


@dataclass
class Follower:
    """Reads what was added to logs since the last look; half-written lines wait."""

    offsets: dict[Path, int] = field(default_factory=dict)

    def look(self, logs: Iterable[Path], wanted: Wanted) -> list[Event]:
        """The new events of some logs, in the order of time; a log need not be there yet."""
        found = [event for path in logs for event in self._added(path) if wanted.takes(event)]
        return sorted(found, key=lambda event: event.t_s)

    def _added(self, path: Path) -> Sequence[Event]:
        begin = self.offsets.get(path, 0)
        try:
            with path.open("rb") as file:
                if path.stat().st_size < begin:
                    begin = 0  # another case writes at the same place
                file.seek(begin)
                data = file.read()
        except OSError:
            return ()
        whole = data[: data.rfind(b"\n") + 1]
        self.offsets[path] = begin + len(whole)
        return _decoder.decode_lines(whole)


def is_tabulated(case_dir: Path) -> bool:
    """Whether a case has ended and its tables are made."""
    return all(table_path(case_dir, name).is_file() for name in FROM_LOGS)
