"""What the manifest says about a run, whichever of its fields are there."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from lab.analysis.observations import Observations
from lab.report.axis import StepAxis, step_axis
from lab.report.measures import Rates
from lab.report.rundata import RunData
from lab.scenarios.model import Scenario
from lab.scenarios.plan import steps, stream_rates

SIMULATION = "simulation"


@dataclass(frozen=True)
class PassSet:
    """Passes that differ in nothing but their flow control; the title says what they share."""

    title: str
    passes: tuple[tuple[str, str], ...]


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


def model(run: RunData) -> Scenario | None:
    """The scenario as a checked model; None when the manifest does not hold a whole one."""
    try:
        return Scenario.model_validate(scenario(run))
    except ValidationError:
        return None


def observations(run: RunData) -> Observations | None:
    """The run as the analysis sees it; None when its scenario is not known."""
    asked = model(run)
    if asked is None:
        return None
    return Observations(asked, run.tables, engine="simulation" if simulated(run) else "emulation")


def rates(run: RunData) -> Rates:
    """Send rate by stream and step as the scenario asks for it; empty when that is not known."""
    asked = model(run)
    if asked is None:
        return {}
    indices = [step.index for step in steps(asked)]
    return {
        (stream.name, index): rate
        for stream in asked.all_streams
        for index, rate in zip(indices, stream_rates(asked, stream), strict=True)
    }


def axis(run: RunData) -> StepAxis:
    """What varies from step to step."""
    timeline = scenario(run).get("timeline")
    sweep = timeline.get("sweep") if isinstance(timeline, Mapping) else None
    return step_axis(run.table("steps"), sweep if isinstance(sweep, Mapping) else None)


def simulated(run: RunData) -> bool:
    """Whether the run was a simulation, which has no machine to be judged."""
    return told(run, "engine") == SIMULATION


def pass_sets(run: RunData) -> list[PassSet]:
    """The passes of a run, those together that show flow control on against off."""
    listed = {str(p["name"]): p for p in scenario(run).get("passes", []) if "name" in p}
    sets: list[tuple[str, list[tuple[str, str]]]] = []
    for name_, mode in passes(run):
        title = _shared(listed.get(name_, {}))
        for known, members in sets:
            if known == title and mode not in [m for _, m in members]:
                members.append((name_, mode))
                break
        else:
            sets.append((title, [(name_, mode)]))
    alone = len(sets) == 1
    found = []
    for title, members in sets:
        names = ", ".join(name_ for name_, _ in members)
        found.append(
            PassSet("" if alone else title if title and members[1:] else names, tuple(members))
        )
    return found


def _shared(told_pass: Mapping[str, Any]) -> str:
    """What sets a pass apart from others, apart from its flow control."""
    parts = [str(group) for group in told_pass.get("groups") or []]
    for key in ("fabric", "adapter"):
        parts += [
            f"{name_.replace('_', ' ')} {value:,g}"
            for name_, value in (told_pass.get(key) or {}).items()
        ]
    if told_pass.get("reception", "block") != "block":
        parts.append(str(told_pass["reception"]))
    return ", ".join(parts)


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
