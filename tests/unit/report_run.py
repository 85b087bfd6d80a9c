"""Puts a synthetic run on disk with a small scorecard and certificate of the report's own."""

import json
from pathlib import Path

import synthetic_run

from lab.results.runs import RunDir


def tables() -> synthetic_run.Tables:
    """All tables of the synthetic run."""
    return synthetic_run.synthetic().tables


def write_run(root: Path, *, sample_s: float = 0.0005, valid: bool = True) -> RunDir:
    """Write every file of a finished run below `root`."""
    scenario = synthetic_run.short_scenario(**{"timeline.sample_s": str(sample_s)})
    run = synthetic_run.write_run(root, synthetic_run.synthetic(scenario))
    write_json(run.path / "fidelity.json", fidelity(valid=valid))
    write_json(run.path / "scorecard.json", scorecard(valid=valid))
    start = 1_700_000_000.0
    events = [("up", 0.0), ("up", 5.0), ("start", 8.0), ("drive", 12.0), ("down", 90.0)]
    lines = [
        json.dumps({"t": start + t, "phase": p, "message": "", "fraction": 0.1, "eta_s": 1})
        for p, t in events
    ]
    cut_short = '{"t": 17'
    (run.path / "progress.jsonl").write_text("\n".join([*lines, cut_short]), encoding="utf-8")
    return run


def write_json(path: Path, content: object) -> None:
    """Write a document of the run."""
    path.write_text(json.dumps(content), encoding="utf-8")


def fidelity(*, valid: bool) -> dict[str, object]:
    """A certificate; when not valid, the line cards were too late."""
    late_us = 900.0 if valid else 7300.0
    checks = [
        (
            "line-card lateness p99.9",
            late_us,
            "<= 5000 us",
            valid,
            "pass off: late (delays frames)",
        ),
        ("frames lost in OVS", 0, "<= 0 frames", True, "pass on: none (loses messages)"),
    ]
    names = ("name", "value", "bound", "ok", "why")
    return {"valid": valid, "checks": [dict(zip(names, c, strict=True)) for c in checks]}


def scorecard(*, valid: bool) -> list[dict[str, object]]:
    """Four rows: reproduced, deviating, input and reported."""
    common = {"source": "thesis 4.6.3 / fig 4.8", "kind": "ratio", "unit": "MByte/s"}
    rows: list[dict[str, object]] = [
        {
            "claim": "fabric-port-contention-background",
            "expected": 98,
            "measured": 96.0,
            "tolerance": 0.05,
            "verdict": "reproduced",
            "why": "Measured 0.857 of the baseline against 0.875: -2.0%, within 5%.",
        },
        {
            "claim": "fabric-port-contention-port1",
            "expected": [91, 105],
            "measured": 112.0,
            "tolerance": 0.05,
            "verdict": "deviates",
            "why": "Measured 1.0 <of> the baseline against 0.9375: beyond the tolerance of 5%.",
        },
        {
            "claim": "fabric-port-contention-setup",
            "expected": "7 and 7",
            "measured": "7 and 7",
            "tolerance": None,
            "verdict": "input",
            "why": "Configured, so never counted as reproduced.",
        },
        {
            "claim": "fabric-off-port-onset",
            "expected": 0.15,
            "measured": 0.15,
            "tolerance": 0.15,
            "verdict": "reported",
            "why": "An absolute value of its time: shown, not judged.",
        },
    ]
    for row in rows:
        if not valid and row["verdict"] != "input":
            row |= {"verdict": "unknown", "why": "The run has no valid certificate."}
    return [common | row for row in rows]
