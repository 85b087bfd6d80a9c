"""From the logs of a case to its tables.

A case leaves one ``<node>.events.jsonl`` a node (:mod:`lab.stacks.events`) and a ``case.json`` in a
directory of its own. Logs of millions of lines go straight into columns: a line is decoded once,
what it holds of a datagram a second time, and words that repeat are stored once.

A datagram is called ``<node>.<incarnation>.<number>`` in logs; in tables it is one whole number
with those three in its digits of base 2: ``node << 48 | incarnation << 32 | number``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa

from lab.errors import LabError
from lab.paths import shown
from lab.results.tables import STACK_SCHEMAS
from lab.stacks.events import RECEIVE, REPLY, REQUEST, SEND

LOG_SUFFIX = ".events.jsonl"
Columns = dict[str, list[Any]]
_TYPES = {
    "str": pa.string(),
    "category": pa.dictionary(pa.int32(), pa.string()),
    "int64": pa.int64(),
    "float64": pa.float64(),
    "bool": pa.bool_(),
}


class _Line(msgspec.Struct, gc=False):
    """One line of a log, its fields still encoded."""

    t_s: float
    node: int
    kind: str
    phase: str = ""
    cause: str = ""
    incarnation: int = 1
    fields: msgspec.Raw = msgspec.Raw(b"{}")


class _Datagram(msgspec.Struct, gc=False):
    """The fields of ``send`` and ``receive``."""

    peer: int
    network: int
    channel: str
    label: str
    bytes: int


_line = msgspec.json.Decoder(_Line)
_datagram = msgspec.json.Decoder(_Datagram)
_fields = msgspec.json.Decoder(dict[str, Any])
_encode = msgspec.json.Encoder().encode


def message_number(name: str) -> int:
    """A datagram's name as one number.

    Raises:
        ValueError: it is no name of a datagram.
    """
    node, incarnation, number = name.split(".")
    return int(node) << 48 | int(incarnation) << 32 | int(number)


def message_name(number: int) -> str:
    """The name of a datagram, as logs have it."""
    return f"{number >> 48}.{number >> 32 & 0xFFFF}.{number & 0xFFFFFFFF}"


def case_tables(case: str, case_dir: Path) -> dict[str, pa.Table]:
    """The tables ``events``, ``messages`` and ``requests`` of one case, in the order of time.

    Raises:
        LabError: a log holds a line that is none; names it.
    """
    datagrams: list[tuple[_Line, _Datagram, int]] = []
    others: list[_Line] = []
    for path in case_logs(case_dir):
        for number, line in enumerate(_read(path), 1):
            if line.kind not in (SEND, RECEIVE):
                others.append(line)
                continue
            try:
                row = (line, _datagram.decode(line.fields), message_number(line.cause))
            except (msgspec.DecodeError, ValueError) as error:
                raise LabError(f"{shown(path)}, line {number}: {error}") from error
            datagrams.append(row)
    others.sort(key=lambda line: line.t_s)
    datagrams.sort(key=lambda row: row[0].t_s)
    return {
        "events": _table("events", case, len(others), _event_columns(others)),
        "messages": _table("messages", case, len(datagrams), _message_columns(datagrams)),
        "requests": _requests(case, others),
    }


def case_logs(case_dir: Path) -> list[Path]:
    """The logs of a case by node; the runtime's own, of node 0, first."""
    return sorted(
        case_dir.glob(f"*{LOG_SUFFIX}"), key=lambda path: int(path.name.removesuffix(LOG_SUFFIX))
    )


def _read(path: Path) -> list[_Line]:
    """All lines of a log; a last one that a crash cut off is left out."""
    data = path.read_bytes()
    data = data[: data.rfind(b"\n") + 1]
    try:
        return _line.decode_lines(data)
    except msgspec.DecodeError:
        lines = data.splitlines()
        return [_decoded(path, number, line) for number, line in enumerate(lines, 1) if line]


def _decoded(path: Path, number: int, line: bytes) -> _Line:
    try:
        return _line.decode(line)
    except msgspec.DecodeError as error:
        raise LabError(f"{shown(path)}, line {number}: not an event: {error}") from error


def _event_columns(lines: Sequence[_Line]) -> Columns:
    return {
        "t_s": [line.t_s for line in lines],
        "node": [line.node for line in lines],
        "incarnation": [line.incarnation for line in lines],
        "kind": [line.kind for line in lines],
        "phase": [line.phase for line in lines],
        "cause": [line.cause for line in lines],
        "fields": [bytes(line.fields).decode() for line in lines],
    }


def _message_columns(rows: Sequence[tuple[_Line, _Datagram, int]]) -> Columns:
    return {
        "t_s": [line.t_s for line, _, _ in rows],
        "node": [line.node for line, _, _ in rows],
        "incarnation": [line.incarnation for line, _, _ in rows],
        "direction": [line.kind for line, _, _ in rows],
        "peer": [datagram.peer for _, datagram, _ in rows],
        "network": [datagram.network for _, datagram, _ in rows],
        "channel": [datagram.channel for _, datagram, _ in rows],
        "label": [datagram.label for _, datagram, _ in rows],
        "bytes": [datagram.bytes for _, datagram, _ in rows],
        "message": [number for _, _, number in rows],
    }


def _requests(case: str, lines: Sequence[_Line]) -> pa.Table:
    """What was asked, each with the answer that has its number."""
    asked: dict[tuple[int, int, int], dict[str, Any]] = {}
    for line in lines:
        if line.kind not in (REQUEST, REPLY):
            continue
        fields = _fields.decode(line.fields)
        key = (line.node, line.incarnation, int(fields["id"]))
        if line.kind == REQUEST:
            asked[key] = {
                "t_s": line.t_s,
                "name": str(fields["name"]),
                "arguments": _encode(fields.get("arguments", {})).decode(),
                "replied_s": math.nan,
                "ok": False,
                "value": "null",
            }
        elif key in asked:
            value = _encode(fields.get("value")).decode()
            asked[key] |= {"replied_s": line.t_s, "ok": bool(fields["ok"]), "value": value}
    columns: Columns = {
        "node": [node for node, _, _ in asked],
        "incarnation": [incarnation for _, incarnation, _ in asked],
        "id": [number for _, _, number in asked],
    }
    for column in ("name", "arguments", "t_s", "replied_s", "ok", "value"):
        columns[column] = [row[column] for row in asked.values()]
    return _table("requests", case, len(asked), columns)


# --- columns --------------------------------------------------------------------------------


def arrow_schema(name: str) -> pa.Schema:
    """The schema of a table as Arrow has it: words that repeat are stored once."""
    return pa.schema([(column, _TYPES[dtype]) for column, dtype in STACK_SCHEMAS[name].items()])


def _table(name: str, case: str, rows: int, columns: Columns) -> pa.Table:
    schema = arrow_schema(name)
    filled = {"case": [case] * rows, **columns}
    return pa.table(
        [pa.array(filled[field.name], type=field.type) for field in schema], schema=schema
    )
