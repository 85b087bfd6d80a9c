"""The tables of a run of a stack, put together from those of its cases.

Every case leaves its directory ``raw/<case>``:

    <node>.events.jsonl   what a node logged; node 0 is the runtime
    case.json             :class:`CaseRecord`: when it ended, digest, violations, instruments
    *.parquet             the case's own tables, made as soon as it has ended

The logs of a simulated case are removed once its tables are made: they hold the same, and the case
can be had again from its seed.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import msgspec
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from lab.errors import LabError
from lab.paths import shown
from lab.results.files import replacing, write_text
from lab.results.logs import arrow_schema, case_logs, case_tables
from lab.results.tables import table_path, write_table
from lab.scenarios.cases import PlannedCase

CASE_FILE = "case.json"
INVARIANTS = "invariants"
"""Where among the instruments broken invariants are counted."""
FROM_LOGS = ("events", "messages", "requests")


class Count(msgspec.Struct, frozen=True):
    """What an instrument of a runtime counted over a case."""

    where: str
    name: str
    value: float


class CaseRecord(msgspec.Struct, frozen=True):
    """How a case ended, by the runtime that carried it out."""

    ended_s: float
    digest: str = ""
    """Of a simulated case: over everything that happened in it."""
    violations: tuple[str, ...] = ()
    """What the stack's invariant checkers found broken, each in a sentence."""
    instruments: tuple[Count, ...] = ()


def write_case(case_dir: Path, record: CaseRecord) -> None:
    """Note how a case ended."""
    write_text(case_dir / CASE_FILE, msgspec.json.encode(record).decode() + "\n")


def read_case(case_dir: Path) -> CaseRecord | None:
    """How a case ended; None when it did not.

    Raises:
        LabError: the file is broken.
    """
    path = case_dir / CASE_FILE
    if not path.is_file():
        return None
    try:
        return msgspec.json.decode(path.read_bytes(), type=CaseRecord)
    except msgspec.DecodeError as error:
        raise LabError(f"{shown(path)} cannot be read: {error}") from error


def tabulate_case(case: str, case_dir: Path, *, keep_logs: bool = True) -> None:
    """Make the tables of one case from its logs; LabError when a log is broken."""
    for name, table in case_tables(case, case_dir).items():
        with replacing(table_path(case_dir, name)) as temporary:
            pq.write_table(table, temporary, compression="zstd")
    if not keep_logs:
        for path in case_logs(case_dir):
            path.unlink()


def collect_cases(run_dir: Path, raw: Path, cases: Sequence[PlannedCase]) -> dict[str, int]:
    """Write all tables of a run from those of its cases; returns the rows of each.

    A case that was not carried out has no rows, which the certificate notices.

    Raises:
        LabError: a file of a case is broken.
    """
    rows = {name: _merge(run_dir, raw, name, cases) for name in FROM_LOGS}
    records = {case.name: read_case(raw / case.name) for case in cases}
    for name, frame in (
        ("cases", _case_rows(cases, records)),
        ("instruments", _instrument_rows(records)),
    ):
        write_table(run_dir, name, frame)
        rows[name] = len(frame)
    return rows


def _merge(run_dir: Path, raw: Path, name: str, cases: Sequence[PlannedCase]) -> int:
    """One table after the other, so that no more than one case is in memory."""
    schema, rows = arrow_schema(name), 0
    with (
        replacing(table_path(run_dir, name)) as temporary,
        pq.ParquetWriter(temporary, schema, compression="zstd") as writer,
    ):
        for case in cases:
            part = table_path(raw / case.name, name)
            if not part.is_file():
                continue
            try:
                table = pq.read_table(part, schema=schema)
            except (OSError, pa.ArrowException) as error:
                raise LabError(f"{shown(part)} cannot be read: {error}") from error
            writer.write_table(table)
            rows += table.num_rows
    return rows


def _case_rows(cases: Sequence[PlannedCase], records: dict[str, CaseRecord | None]) -> pd.DataFrame:
    rows = []
    for case in cases:
        record = records[case.name]
        rows.append(
            {
                "case": case.name,
                "nodes": case.nodes,
                "load": case.load,
                "network_load": case.network_load,
                "medium": case.medium,
                "variant": case.variant,
                "parameters": json.dumps(dict(case.parameters)),
                "repetition": case.repetition,
                "seed": case.plan.seed,
                "over_s": case.plan.over_s,
                "ended_s": float("nan") if record is None else record.ended_s,
            }
        )
    return pd.DataFrame(rows)


def _instrument_rows(records: dict[str, CaseRecord | None]) -> pd.DataFrame:
    """Counts, and the number of broken invariants, which is one too."""
    rows = [
        {"case": case, "where": count.where, "name": count.name, "value": count.value}
        for case, record in records.items()
        if record is not None
        for count in (*record.instruments, *_violations(record))
    ]
    return pd.DataFrame(rows, columns=["case", "where", "name", "value"])


def _violations(record: CaseRecord) -> list[Count]:
    found = {"all": len(record.violations)}
    for sentence in record.violations:
        found[sentence] = found.get(sentence, 0) + 1
    return [Count(INVARIANTS, name, float(value)) for name, value in found.items()]
