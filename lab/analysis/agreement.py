"""Emulation, simulation and thesis beside each other, claim by claim.

The two engines drive one model or one protocol's code, one by real frames and real processes, the
other by events. Where a throughput differs between them by more than :data:`NOTABLE`, one of them
shows something that the other leaves out, and it is worth finding out what. Like the scorecard, the
comparison is published without its runs: what it says of a scenario stays until both engines have
run it here, or until no scenario has that name any more.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any, get_args

from lab.analysis.compare import Difference, compare, figures
from lab.analysis.run import FIDELITY, observe
from lab.claims import SYSTEMS
from lab.paths import RESULTS
from lab.results.files import read_json, write_json, write_text
from lab.results.manifest import read_manifest
from lab.results.runs import newest_run
from lab.results.scorecard import update_scorecard
from lab.scenarios import is_of_stack, scenario_names
from lab.scenarios.model import Engine

EMULATION, SIMULATION = get_args(Engine)
NOTABLE = 0.05
SYSTEM = "fabric"
"""Its claims are all listed, those of other systems when an engine has judged them."""
JSON_FILE = "agreement.json"
MARKDOWN_FILE = "agreement.md"
_RATES = ("MByte/s", "KByte/s", "bytes/s", "messages/s")

Row = Mapping[str, Any]


def write_agreement(*, root: Path = RESULTS) -> dict[str, Any]:
    """Compare the newest runs of both engines; writes ``agreement.{json,md}``, returns the data.

    Raises:
        LabError: a run that is complete by its manifest cannot be read.
    """
    rows = [row for row in update_scorecard(root=root) if row["system"] == SYSTEM or row["engines"]]
    names = sorted(path.name for path in root.iterdir() if path.is_dir())
    here = {name: found for name in names if (found := _scenario(name, root)) is not None}
    scenarios = {**_published(root / JSON_FILE), **here}
    table = {
        "notable": NOTABLE,
        "claims": [claim_row(row) for row in rows],
        "scenarios": [scenarios[name] for name in sorted(scenarios)],
    }
    write_json(root / JSON_FILE, table)
    write_text(root / MARKDOWN_FILE, markdown(table))
    return table


def _published(path: Path) -> dict[str, Row]:
    """What the file says of each scenario that there is; nothing without a file."""
    saved = read_json(path) if path.is_file() else None
    scenarios = saved.get("scenarios", []) if isinstance(saved, dict) else []
    names = scenario_names()
    return {str(found["scenario"]): found for found in scenarios if found["scenario"] in names}


def claim_row(row: Row) -> dict[str, Any]:
    """One claim: what was published, what each engine measured, and how far they are apart."""
    engines: Mapping[str, Row] = row.get("engines") or {}
    each = {engine: _of_engine(engines.get(engine)) for engine in (EMULATION, SIMULATION)}
    values = [found["measured"] if found else None for found in each.values()]
    apart = relative(*values)
    throughput = row["unit"] in _RATES
    return {
        "claim": row["claim"],
        "system": row["system"],
        "source": row["source"],
        "role": row["role"],
        "unit": row["unit"],
        "thesis": row["expected"],
        **each,
        "difference": apart,
        "throughput": throughput,
        "notable": throughput and apart is not None and abs(apart) > NOTABLE,
    }


def _of_engine(found: Row | None) -> dict[str, Any] | None:
    if found is None:
        return None
    return {key: found.get(key) for key in ("measured", "verdict", "run")}


def relative(a: object, b: object) -> float | None:
    """b / a - 1, where both are numbers."""
    if not isinstance(a, (int, float)) or not isinstance(b, (int, float)) or not a:
        return None
    return b / a - 1


def _scenario(name: str, root: Path) -> dict[str, Any] | None:
    """The newest runs of both engines, figure by figure; None unless there are both.

    Of equal seeds where it can be: other seeds lose other cells, and send other bursts.
    """
    simulation = newest_run(name, SIMULATION, root=root)
    if simulation is None:
        return None
    seed = read_manifest(simulation).seed
    emulation = newest_run(name, EMULATION, root=root, seed=seed) or newest_run(
        name, EMULATION, root=root
    )
    if emulation is None:
        return None
    if is_of_stack(read_manifest(emulation).parameters):
        return None  # figures of stacks are compared claim by claim
    differences = compare(figures(observe(emulation)), figures(observe(simulation)))
    return {
        "scenario": name,
        EMULATION: emulation.name,
        SIMULATION: simulation.name,
        "valid": is_valid(emulation) and is_valid(simulation),
        **tally(differences),
        "notable": [asdict(d) for d in notable(differences)],
    }


def is_valid(run_dir: Path) -> bool:
    """Whether a run's certificate is valid; figures of one that is not are no evidence."""
    path = run_dir / FIDELITY
    document = read_json(path) if path.is_file() else None
    return isinstance(document, dict) and document.get("valid") is True


def tally(differences: Iterable[Difference]) -> dict[str, int]:
    """How many figures are inside the spread, outside, and unknown."""
    counts = {"inside": 0, "outside": 0, "unknown": 0}
    for difference in differences:
        word = {True: "inside", False: "outside", None: "unknown"}[difference.inside]
        counts[word] += 1
    return counts


def notable(differences: Iterable[Difference]) -> list[Difference]:
    """Throughputs that differ by more than :data:`NOTABLE` and not by chance; largest first."""
    found = [
        d
        for d in differences
        if d.kind == "throughput"
        and d.inside is not True
        and (d.relative is None or abs(d.relative) > NOTABLE)
    ]
    return sorted(found, key=lambda d: -abs(d.relative) if d.relative is not None else 0.0)


def markdown(table: Mapping[str, Any]) -> str:
    """The table as a page."""
    lines = [
        "# Emulation, simulation, thesis",
        "",
        "Every claim of the fabric, and those of other systems that an engine has judged, from the "
        "newest run of each engine. A throughput that differs between them by more than "
        f"{table['notable']:.0%} is marked `!`.",
    ]
    for system, rows in groupby(table["claims"], key=itemgetter("system")):
        lines += [
            "",
            f"## {SYSTEMS[system]}",
            "",
            "| claim | unit | thesis | emulation | simulation | difference | |",
            "| --- | --- | --- | --- | --- | --- | --- |",
            *(_claim_line(row) for row in rows),
        ]
    lines += ["", "## The runs, figure by figure", ""]
    if not table["scenarios"]:
        lines.append("No scenario has a complete run on both engines.")
    else:
        lines += [
            "Inside: the two values differ by no more than either run's own spread would explain.",
            "",
            "| scenario | emulation | simulation | both valid | inside | outside | unknown |",
            "| --- | --- | --- | --- | --- | --- | --- |",
        ]
        for found in table["scenarios"]:
            runs = [found[key] for key in ("scenario", EMULATION, SIMULATION)]
            counts = [found[key] for key in ("inside", "outside", "unknown")]
            lines.append(_line([*runs, "yes" if found["valid"] else "NO", *counts]))
    lines += _notable_lines(table["scenarios"])
    return "\n".join(lines) + "\n"


def _notable_lines(scenarios: Sequence[Row]) -> list[str]:
    rows = [(found["scenario"], d) for found in scenarios for d in found["notable"]]
    if not rows:
        return []
    heading = f"## Throughputs that differ by more than {NOTABLE:.0%}"
    lines = ["", heading, "", "| scenario | figure | emulation | simulation | difference |"]
    lines.append("| --- | --- | --- | --- | --- |")
    lines += [
        _line([name, d["figure"], number(d["a"]), number(d["b"]), percent(d["relative"])])
        for name, d in rows
    ]
    return lines


def _claim_line(row: Row) -> str:
    cells = [row["claim"], row["unit"] or "", number(row["thesis"])]
    for engine in (EMULATION, SIMULATION):
        found = row[engine]
        cells.append(f"{number(found['measured'])} ({found['verdict']})" if found else "")
    cells += [percent(row["difference"]), "!" if row["notable"] else ""]
    return _line(cells)


def _line(cells: Iterable[object]) -> str:
    return "| " + " | ".join(str(c).replace("|", "\\|").replace("\n", " ") for c in cells) + " |"


def number(value: object) -> str:
    """A measured or published value as a reader wants it."""
    if value is None:
        return ""
    if isinstance(value, list):
        return " to ".join(number(item) for item in value)
    return f"{value:.4g}" if isinstance(value, (int, float)) else str(value)


def percent(value: float | None) -> str:
    """A relative difference; empty where there is none."""
    return "" if value is None else f"{value:+.1%}"
