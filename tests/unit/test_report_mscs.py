"""Figures of the MSCS experiments: what they draw, and what they say of a run without it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from stack_run import StackRunMaker, scenario_of

from lab.analysis.stacks.observations import StackObservations
from lab.report.stacks.mscs import FIGURES
from lab.report.stacks.updates import failures_figure, pace_figure
from lab.scenarios.cases import planned_cases
from lab.world import run_case

UPDATES = [{"at_s": 5, "ask": "update", "nodes": -1, "arguments": {"bytes": 50, "count": 3}}]
FAILURE = [
    {"at_s": 4, "ask": "slow", "nodes": 2, "arguments": {"seconds": 2}},
    {"at_s": 5, "ask": "update", "nodes": 5, "arguments": {"bytes": 50}},
    {"at_s": 6, "fault": "kill", "nodes": 5},
]


def simulated(path: Path, **parts: Any) -> StackObservations:
    scenario = scenario_of(members="all", playbook="gup.yml", **parts)
    made = StackRunMaker(path, scenario)
    made.events = {case.name: run_case(case.plan).events for case in planned_cases(scenario)}
    return made.observe()


@pytest.mark.parametrize("name", FIGURES)
def test_a_run_without_what_a_figure_shows_says_so(tmp_path: Path, name: str) -> None:
    run = StackRunMaker(tmp_path, scenario_of(sweeps=[{"nodes": [2]}])).observe()
    for draw in FIGURES[name]:
        assert "no " in draw(run)
        assert "plotly" not in draw(run)


def test_the_pace_of_updates_is_drawn_for_idle_and_for_loaded_nodes(tmp_path: Path) -> None:
    quiet = {"name": "idle", "nodes": [2, 4], "over_s": 7, "parameters": {"bytes": [50]}}
    busy = {"name": "loaded", "nodes": [2, 3], "over_s": 25, "load": ["moderate"]}
    sweeps = [{**quiet, "timeline": UPDATES}, {**busy, "timeline": UPDATES}]
    shown = pace_figure(simulated(tmp_path / "both", sweeps=sweeps))
    lines = [(line.name, line.showlegend, tuple(line.x)) for line in shown.data]
    assert ("50 bytes", True, (2, 4)) in lines
    assert ("50 bytes", False, (2, 4)) in lines
    assert ("50 bytes, loaded nodes", True, (2, 3)) in lines
    assert ("the longest of them", True, (2, 3)) in lines
    # Without loaded nodes there is no panel for them.
    shown = pace_figure(simulated(tmp_path / "idle", sweeps=sweeps[:1]))
    assert not any("loaded" in (title.text or "") for title in shown.layout.annotations)


def test_a_failure_is_drawn_with_who_had_the_update_before_and_after(tmp_path: Path) -> None:
    sweeps = [{"name": "sender-fails", "nodes": [5], "over_s": 30, "timeline": FAILURE}]
    shown = failures_figure(simulated(tmp_path, sweeps=sweeps))
    marks = {line.name: dict(zip(line.customdata, line.x, strict=True)) for line in shown.data}
    case = "sender-fails-n5"
    assert marks["killed"] == {f"{case}, node 5": 6}
    had = {name for name, at_s in marks["applied"].items() if at_s < 6}
    assert had == {f"{case}, node 1", f"{case}, node 2"}
    assert set(marks["applied"]) == {f"{case}, node {node}" for node in (1, 2, 3, 4)}
    assert set(marks["completed by the locker"]) == {f"{case}, node 1"}
    assert "ended by its sender" not in marks
