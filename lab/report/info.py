"""What the manifest says about a run, whichever of its fields are there."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from lab.report.rundata import RunData


def scenario(run: RunData) -> Mapping[str, Any]:
    """The scenario as it was run: a mapping with the keys of the scenario file, maybe empty."""
    value = run.manifest.get("parameters")
    return value if isinstance(value, Mapping) else {}


def name(run: RunData) -> str:
    """The scenario's name."""
    return told(run, "scenario") or told(run, "name") or "unnamed scenario"


def told(run: RunData, key: str) -> str:
    """A text of the manifest, or of the scenario inside it; empty when neither has it."""
    value = run.manifest.get(key, scenario(run).get(key))
    return "" if value is None else str(value)


def claims(run: RunData) -> set[str]:
    """The claims that the run tests."""
    tested = {str(row.get("claim")) for row in run.scorecard}
    return tested | {str(claim) for claim in scenario(run).get("claims", [])}


def passes(run: RunData) -> list[tuple[str, str]]:
    """(pass, flow_control) in the order in which they ran."""
    listed = scenario(run).get("passes", [])
    found = [(str(p["name"]), str(p.get("flow_control", p["name"]))) for p in listed]
    steps = run.table("steps")
    pairs = zip(steps["pass"].astype(str), steps["flow_control"].astype(str), strict=True)
    return list(dict.fromkeys([*found, *pairs]))


def contended(run: RunData) -> tuple[str, int]:
    """The switch under test and its contended port.

    A scenario names them; otherwise it is the switch that most streams cross, and the port by
    which most of them leave it. The switch is empty when there is nothing to go by.
    """
    observe = scenario(run).get("observe")
    if isinstance(observe, Mapping) and "switch" in observe:
        return str(observe["switch"]), int(observe.get("contended_port", 1))
    hops = run.table("vcs")
    inside = hops[(hops["in_port"] > 0) & (hops["out_port"] > 0)]
    if inside.empty:
        return "", 1
    switch = str(inside.groupby("node")["vc"].nunique().idxmax())
    ports = Counter(int(port) for port in inside.loc[inside["node"] == switch, "out_port"])
    return switch, ports.most_common(1)[0][0]
