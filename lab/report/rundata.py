"""What a run left behind, read tolerantly.

A report must also be made of a run that was aborted, so nothing here fails because a file is
missing, empty or broken: each such thing becomes a sentence in ``RunData.gaps`` that the page
shows to its reader.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from lab.errors import LabError

COLUMNS: Mapping[str, tuple[str, ...]] = {
    "flows": ("pass", "flow_control", "stream", "group", "role", "t_ns", "messages", "bytes"),
    "endpoints": ("pass", "stream", "group", "role", "host", "messages", "bytes"),
    "steps": (
        "pass",
        "flow_control",
        "step",
        "send_rate",
        "t_start_ns",
        "t_settled_ns",
        "t_end_ns",
    ),
    "vcs": ("vc", "stream", "group", "src", "dst", "hop", "node", "in_port", "out_port"),
    "queues": ("pass", "t_ns", "node", "port", "vc", "cells"),
    "quenches": ("pass", "t_ns", "node", "port", "vc", "kind"),
    "links": ("pass", "t_ns", "node", "port", "busy_ns"),
    "lateness": ("pass", "t_ns", "ticks", "mean_us", "max_us"),
    "machine": ("pass", "t_s", "what", "cpu"),
    "counters": ("pass", "where", "name", "value"),
}
"""The columns without which the report can not use a table."""


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

    def table(self, name: str) -> pd.DataFrame:
        """The table `name`, with its columns but without rows when the run has none."""
        return self.tables[name]


def load_run(run_dir: Path) -> RunData:
    """Read everything the report is made of.

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
    manifest = _read_json(run, "manifest.json")
    run.manifest = manifest if isinstance(manifest, dict) else {}
    fidelity = _read_json(run, "fidelity.json")
    run.fidelity = fidelity if isinstance(fidelity, dict) else {}
    scorecard = _read_json(run, "scorecard.json")
    run.scorecard = (
        [row for row in scorecard if isinstance(row, dict)] if isinstance(scorecard, list) else []
    )
    run.progress = _read_progress(run_dir / "progress.jsonl")
    for name, columns in COLUMNS.items():
        run.tables[name] = _read_table(run, name, columns)
    return run


def _read_json(run: RunData, name: str) -> object:
    path = run.run_dir / name
    try:
        content: object = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        run.gaps.append(f"{name} is missing")
        return None
    except (ValueError, OSError) as error:
        run.gaps.append(f"{name} can not be read: {error}")
        return None
    return content


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


def _read_table(run: RunData, name: str, columns: tuple[str, ...]) -> pd.DataFrame:
    empty = pd.DataFrame({column: [] for column in columns})
    path = run.run_dir / f"{name}.parquet"
    if not path.exists():
        run.gaps.append(f"table {name} is missing")
        return empty
    try:
        table = pd.read_parquet(path)
    except (ValueError, OSError) as error:
        run.gaps.append(f"table {name} can not be read: {error}")
        return empty
    lacking = [column for column in columns if column not in table.columns]
    if lacking:
        run.gaps.append(f"table {name} lacks {', '.join(lacking)}")
        return empty
    if table.empty:
        run.gaps.append(f"table {name} has no rows")
    return table
