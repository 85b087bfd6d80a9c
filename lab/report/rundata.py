"""What a run left behind, read tolerantly.

A report must also be made of a run that was aborted, so nothing here fails because a file is
missing, empty or broken: each such thing becomes a sentence in ``RunData.gaps`` that the page
shows to its reader.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from lab.errors import LabError
from lab.results.files import read_json
from lab.results.tables import SCHEMAS, STACK_SCHEMAS, empty_table, read_table, table_path
from lab.scenarios import is_of_stack

_EMULATION_ONLY = ("lateness", "machine")
_MAY_BE_EMPTY = ("queues", "quenches", "latency", "requests")
"""Of a quiet network there is nothing to tell here, and nothing need be asked of nodes."""


@dataclass
class RunData:
    """One run's documents and tables; a table that is missing is an empty frame."""

    run_dir: Path
    manifest: dict[str, Any] = field(default_factory=dict)
    fidelity: dict[str, Any] = field(default_factory=dict)
    scorecard: list[dict[str, Any]] = field(default_factory=list)
    tables: dict[str, pd.DataFrame] = field(default_factory=dict)
    progress: list[dict[str, Any]] = field(default_factory=list)
    gaps: list[str] = field(default_factory=list)

    @property
    def of_stack(self) -> bool:
        """Whether it is a run of a stack, and not on the fabric."""
        return is_of_stack(_mapping(self.manifest.get("parameters")))

    def table(self, name: str) -> pd.DataFrame:
        """The table `name`, with its columns but without rows when the run has none."""
        return self.tables[name]


def load_run(run_dir: Path) -> RunData:
    """Read all that the report is made of.

    Raises:
        LabError: `run_dir` is not a directory, or holds nothing of a run at all.
    """
    if not run_dir.is_dir():
        raise LabError(f"no run at {run_dir}", remedy="name a directory results/<scenario>/<run>")
    if not (run_dir / "manifest.json").exists() and not any(run_dir.glob("*.parquet")):
        raise LabError(
            f"{run_dir} has neither manifest.json nor tables: nothing to report",
            remedy="name a directory results/<scenario>/<run>",
        )
    run = RunData(run_dir)
    run.manifest = _mapping(_document(run, "manifest.json"))
    run.fidelity = _mapping(_document(run, "fidelity.json"))
    rows = _document(run, "scorecard.json")
    run.scorecard = [_mapping(row) for row in rows] if isinstance(rows, list) else []
    run.progress = _read_progress(run_dir / "progress.jsonl")
    without = _EMULATION_ONLY if run.manifest.get("engine") == "simulation" else ()
    for name in STACK_SCHEMAS if run.of_stack else SCHEMAS:
        run.tables[name] = empty_table(name) if name in without else _table(run, name)
    return run


def _document(run: RunData, name: str) -> object:
    path = run.run_dir / name
    if not path.exists():
        run.gaps.append(f"{name} is missing")
        return None
    try:
        return read_json(path)
    except LabError as error:
        run.gaps.append(error.message)
        return None


def _mapping(value: object) -> dict[str, Any]:
    return {str(key): item for key, item in value.items()} if isinstance(value, dict) else {}


def _table(run: RunData, name: str) -> pd.DataFrame:
    if not table_path(run.run_dir, name).exists():
        run.gaps.append(f"table {name} is missing")
        return empty_table(name)
    try:
        table = read_table(run.run_dir, name)
    except LabError as error:
        run.gaps.append(error.message)
        return empty_table(name)
    if table.empty and name not in _MAY_BE_EMPTY:
        run.gaps.append(f"table {name} has no rows")
    return table


def _read_progress(path: Path) -> list[dict[str, Any]]:
    """The run's progress events; a last line that was cut off by a crash is left out."""
    events: list[dict[str, Any]] = []
    if not path.exists():
        return events
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            event = json.loads(line)
        except ValueError:
            continue
        if isinstance(event, dict) and "t" in event:
            events.append(event)
    return events
