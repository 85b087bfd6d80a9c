"""Scorecards: the verdicts of one run, and the newest verdict of every claim.

``results/<scenario>/<run>/scorecard.json`` is a list of verdicts. ``results/scorecard.json`` and
``results/scorecard.md`` hold one row per claim of the registry. A claim may be tested by several
scenarios, each on two engines: of each scenario and engine the newest run counts, of the scenarios
the worst verdict. The row as a whole has the verdict of the emulation where that knows one, else
that of the simulation, or it is ``not tested``. The scorecard is published without its runs: what
it says of a scenario and an engine stays until there is a run of them here, or until no scenario
has that name any more.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast, get_args

from lab.claims.judge import Verdict
from lab.claims.registry import SYSTEMS, Claim, load_registry
from lab.errors import LabError
from lab.paths import RESULTS, shown
from lab.results.files import read_json, write_json, write_text
from lab.results.manifest import read_manifest
from lab.results.runs import list_runs
from lab.scenarios import scenario_names
from lab.scenarios.model import Engine

SCORECARD = "scorecard.json"
NOT_TESTED = "not tested"
VERDICTS = ("reproduced", "deviates", "unknown", "reported", "input", NOT_TESTED)
ENGINES: tuple[str, ...] = get_args(Engine)
_OF_CLAIM = ("claim", "source", "kind", "role", "expected", "unit", "tolerance")
_OF_RUN = ("scenario", "run", "verdict", "measured", "baseline", "why")
# The first of these that any scenario has is what an engine has to say.
_WORST_FIRST = ("deviates", "unknown", "reproduced", "reported", "input")

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
    newest: dict[tuple[str, str], list[Row]] = _published(root / SCORECARD)
    for engine, run_dir in _by_start(root):
        try:
            rows = read_scorecard(run_dir)
        except LabError:
            continue
        scenario = run_dir.parent.name
        where = {"scenario": scenario, "run": f"{scenario}/{run_dir.name}"}
        newest[engine, scenario] = [{**row, **where} for row in rows]
    tested: dict[str, dict[tuple[str, str], Row]] = {}
    for pair in sorted(newest):
        for row in newest[pair]:
            tested.setdefault(str(row["claim"]), {})[pair] = row
    rows = [_row(claim, tested.get(claim.id, {})) for claim in load_registry()]
    root.mkdir(parents=True, exist_ok=True)
    write_json(root / SCORECARD, {"summary": count(rows), "claims": rows})
    write_text(root / "scorecard.md", markdown(rows))
    return rows


def _published(path: Path) -> dict[tuple[str, str], list[Row]]:
    """What a scorecard says of each engine and scenario that there is; nothing without one."""
    found: dict[tuple[str, str], list[Row]] = {}
    names = scenario_names()
    if not path.is_file():
        return found
    saved = cast(dict[str, Any], read_json(path))
    for row in saved["claims"]:
        common = {key: row[key] for key in _OF_CLAIM}
        for engine, told in row["engines"].items():
            for one in told["scenarios"]:
                if one["scenario"] in names:
                    found.setdefault((engine, one["scenario"]), []).append({**common, **one})
    return found


def _by_start(root: Path) -> list[tuple[str, Path]]:
    """Engine and directory of the runs below ``root``, the one that began first first."""
    starts: list[tuple[str, str, Path]] = []
    for run_dir in list_runs(root=root):
        try:
            manifest = read_manifest(run_dir)
        except LabError:
            continue
        starts.append((manifest.start, manifest.engine, run_dir))
    return [(engine, run_dir) for _, engine, run_dir in sorted(starts)]


def _row(claim: Claim, tested: Mapping[tuple[str, str], Row]) -> Row:
    engines = {
        engine: _worst([row for (ran_on, _), row in tested.items() if ran_on == engine])
        for engine in ENGINES
        if any(ran_on == engine for ran_on, _ in tested)
    }
    if not engines:
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
            "engines": {},
        }
    tried = [engines[engine] for engine in ENGINES if engine in engines]
    first = next((found for found in tried if found["verdict"] != "unknown"), tried[0])
    overall = {key: value for key, value in first.items() if key != "scenarios"}
    if first is not tried[0]:
        overall["why"] = f"{first['why']} Emulated: {tried[0]['why']}".lstrip()
    return {**overall, "system": claim.system, "engines": engines}


def _worst(rows: Sequence[Row]) -> Row:
    """The row of the scenario that did worst, with the verdicts of all.

    Its keys have one order, whether it comes from a run or was published.
    """
    worst = min(rows, key=lambda row: _WORST_FIRST.index(str(row["verdict"])))
    told = {key: worst[key] for key in (*_OF_CLAIM, *_OF_RUN)}
    return {**told, "scenarios": [{key: row[key] for key in _OF_RUN} for row in rows]}


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
    lines.append(f"| claim | published | {' | '.join(ENGINES)} | why | run |")
    lines.append("|" + " --- |" * (len(ENGINES) + 4))
    lines += [_line(row) for row in rows if row["verdict"] != NOT_TESTED]
    return "\n".join(lines) + "\n"


def _line(row: Mapping[str, Any]) -> str:
    unit = f" {row['unit']}" if row["unit"] else ""
    published = _number(row["expected"])
    cells = [row["claim"], f"{published}{unit}" if published else ""]
    for engine in ENGINES:
        found = row["engines"].get(engine)
        measured = _number(found["measured"]) if found else ""
        cells.append(
            (f"{found['verdict']}: {measured}" if measured else found["verdict"]) if found else ""
        )
    cells += [row["why"], row["run"]]
    return "| " + " | ".join(_cell(text) for text in cells) + " |"


def _number(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, list):
        return " to ".join(_number(item) for item in value)
    return f"{value:.4g}" if isinstance(value, (int, float)) else str(value)


def _cell(text: object) -> str:
    return str(text).replace("|", "\\|").replace("\n", " ")
