"""Scorecards: the verdicts of one run, and the newest verdict of every claim.

``results/<scenario>/<run>/scorecard.json`` is a list of verdicts. ``results/scorecard.json`` and
``results/scorecard.md`` hold one row per claim of the registry: its verdict in the newest run
that tested it, or ``not tested``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from lab.claims.judge import Verdict
from lab.claims.registry import SYSTEMS, Claim, load_registry
from lab.errors import LabError
from lab.paths import RESULTS, shown
from lab.results.files import read_json, write_json, write_text
from lab.results.manifest import read_manifest
from lab.results.runs import list_runs

SCORECARD = "scorecard.json"
NOT_TESTED = "not tested"
VERDICTS = ("reproduced", "deviates", "unknown", "reported", "input", NOT_TESTED)

Row = dict[str, Any]


def write_scorecard(run_dir: Path, verdicts: Sequence[Verdict]) -> None:
    """Write the verdicts of one run."""
    write_json(run_dir / SCORECARD, [verdict.plain() for verdict in verdicts])


def read_scorecard(run_dir: Path) -> list[Row]:
    """The rows of one run's scorecard; ``LabError`` when it has none."""
    rows = read_json(run_dir / SCORECARD)
    if not isinstance(rows, list):
        raise LabError(f"{shown(run_dir / SCORECARD)} is not a scorecard")
    return cast(list[Row], rows)


def update_scorecard(*, root: Path = RESULTS) -> list[Row]:
    """Write the scorecard over all runs below ``root``; returns its rows.

    A run without a readable manifest or scorecard (one under way, or broken off) is left out.
    """
    newest: dict[str, Row] = {}
    for run_dir in _by_start(root):
        try:
            rows = read_scorecard(run_dir)
        except LabError:
            continue
        for row in rows:
            newest[str(row["claim"])] = {**row, "run": f"{run_dir.parent.name}/{run_dir.name}"}
    rows = [_row(claim, newest.get(claim.id)) for claim in load_registry()]
    root.mkdir(parents=True, exist_ok=True)
    write_json(root / SCORECARD, {"summary": count(rows), "claims": rows})
    write_text(root / "scorecard.md", markdown(rows))
    return rows


def _by_start(root: Path) -> list[Path]:
    """Runs below ``root``, the one that began first first."""
    starts: list[tuple[str, Path]] = []
    for run_dir in list_runs(root=root):
        try:
            starts.append((read_manifest(run_dir).start, run_dir))
        except LabError:
            continue
    return [run_dir for _, run_dir in sorted(starts)]


def _row(claim: Claim, tested: Mapping[str, Any] | None) -> Row:
    if tested is None:
        return {
            "claim": claim.id,
            "system": claim.system,
            "source": claim.source,
            "kind": claim.kind,
            "role": claim.role,
            "expected": claim.value,
            "measured": None,
            "unit": claim.unit,
            "baseline": None,
            "tolerance": claim.tolerance,
            "verdict": NOT_TESTED,
            "why": "",
            "run": None,
        }
    return {**tested, "system": claim.system}


def count(rows: Iterable[Mapping[str, Any]]) -> dict[str, dict[str, int]]:
    """Rows by system and verdict, both in a fixed order; zero counts are left out."""
    counts = Counter((str(row["system"]), str(row["verdict"])) for row in rows)
    return {
        system: {v: counts[system, v] for v in VERDICTS if counts[system, v]}
        for system in SYSTEMS
        if any(counts[system, v] for v in VERDICTS)
    }


def markdown(rows: Sequence[Mapping[str, Any]]) -> str:
    """The scorecard as a page: counts by system, then every claim that was tested."""
    heading = " | ".join(VERDICTS)
    lines = ["# Scorecard", "", "The newest verdict of every claim of the registry.", ""]
    lines += [f"| system | {heading} |", "|" + " --- |" * (len(VERDICTS) + 1)]
    for system, counts in count(rows).items():
        numbers = " | ".join(str(counts.get(verdict, 0)) for verdict in VERDICTS)
        lines.append(f"| {SYSTEMS[system]} | {numbers} |")
    lines += ["", "## Tested claims", ""]
    lines += ["| claim | verdict | published | measured | why | run |", "|" + " --- |" * 6]
    for row in rows:
        if row["verdict"] != NOT_TESTED:
            unit = f" {row['unit']}" if row["unit"] else ""
            published = _number(row["expected"])
            cells = (
                row["claim"],
                row["verdict"],
                f"{published}{unit}" if published else "",
                _number(row["measured"]),
                row["why"],
                row["run"],
            )
            lines.append("| " + " | ".join(_cell(text) for text in cells) + " |")
    return "\n".join(lines) + "\n"


def _number(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, list):
        return " to ".join(_number(item) for item in value)
    return f"{value:.4g}" if isinstance(value, (int, float)) else str(value)


def _cell(text: object) -> str:
    return str(text).replace("|", "\\|").replace("\n", " ")
