"""A case in containers as the engine sees it: carried out, checked, tabulated, on record."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from stack_run import StackRunMaker, heartbeats, scenario_of
from world_toy import LearnsOnce

from lab.engine import drive_case
from lab.engine.progress import Follower
from lab.engine.run import StackRun, load_stack_run
from lab.errors import LabError
from lab.results.cases import CaseRecord, Count, read_case
from lab.results.event_logs import is_tabulated
from lab.stacks.events import Event, event_line


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StackRun:
    scenario = scenario_of(sweeps=[{"nodes": [2]}], over_s=4, journal=True)
    made = StackRunMaker(tmp_path, scenario, engine="emulation")
    monkeypatch.setattr(drive_case, "load_state", lambda: "the lab")
    monkeypatch.setattr(drive_case, "find_checkers", lambda _: (LearnsOnce,))
    return load_stack_run(made.run.dir)


def containers(*more: Event) -> Callable[..., CaseRecord]:
    """Stands for the containers: leaves the logs of heartbeats and some more events."""

    def carry_out(
        state: object, plan: Any, case_dir: Path, *, journal: bool, on_progress: Any
    ) -> CaseRecord:
        assert (state, plan.nodes, journal) == ("the lab", 2, True)
        case_dir.mkdir(parents=True)
        on_progress("at 2 s", 0.5)
        for node in (1, 2):
            own = sorted(
                (e for e in (*heartbeats(2, 4.0), *more) if e.node == node), key=lambda e: e.t_s
            )
            path = case_dir / f"{node}.events.jsonl"
            path.write_bytes(b"".join(event_line(event) for event in own))
        return CaseRecord(plan.over_s, instruments=(Count("medium", "frames", 16.0),))

    return carry_out


def test_a_case_is_on_record_with_its_tables(run: StackRun, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(drive_case, "carry_out", containers())
    record = drive_case.drive_case(run, run.case("n2"))
    assert record.violations == ()
    assert read_case(run.case_dir("n2")) == record
    assert is_tabulated(run.case_dir("n2"))
    assert list(run.case_dir("n2").glob("*.jsonl"))
    told = [(event.phase, event.message) for event in Follower(run.dir).new_events()]
    assert told == [("case n2", "at 2 s"), ("case n2", "ended after 4 s")]


def test_what_the_logs_show_to_be_broken_is_on_record(
    run: StackRun, monkeypatch: pytest.MonkeyPatch
):
    twice = (Event(t_s, 1, "learned", fields={"fact": 7}) for t_s in (1.0, 3.0))
    monkeypatch.setattr(drive_case, "carry_out", containers(*twice))
    drive_case.drive_case(run, run.case("n2"))
    record = read_case(run.case_dir("n2"))
    assert record is not None
    assert record.violations == ("learns once at 3.000 s: node 1 learned 7 again",)


def test_the_lab_is_as_large_as_the_largest_case(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    asked: dict[str, Any] = {}

    def up(topology: Any, stack: str, nodes: int, **more: Any) -> str:
        asked.update(topology=topology.name, stack=stack, nodes=nodes, owner=more["owner"])
        return "the lab"

    monkeypatch.setattr(drive_case, "clear_the_way", lambda: False)
    monkeypatch.setattr(drive_case.standing, "up", up)
    made = StackRunMaker(tmp_path, scenario_of(sweeps=[{"nodes": [2, 9, 4]}]), engine="emulation")
    assert drive_case.up(made.run) == "the lab"
    assert asked == {"topology": "cluster_lan", "stack": "mscs", "nodes": 9, "owner": "run"}


def test_a_case_that_is_none_is_refused(run: StackRun):
    with pytest.raises(LabError) as caught:
        run.case("n3")
    assert "has no case 'n3'" in caught.value.message
    assert "n2" in caught.value.remedy
