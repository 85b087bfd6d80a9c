"""Events of a run for people: of one that is over, and as they come."""

import json
import os
from pathlib import Path

import pytest
from stack_run import StackRunMaker, scenario_of, view
from typer.testing import CliRunner

from lab.cli.app import app
from lab.emulation.state import HostState, LabState
from lab.engine import live_events
from lab.engine.live_events import ContainedCases, SimulatedCases, run_under_way
from lab.engine.run import Owner, find_owner, process_started, write_owner
from lab.errors import LabError
from lab.results.event_logs import Follower, Wanted, events_of_case
from lab.results.manifest import finish_manifest
from lab.stacks.events import Event, event_line

RUNNER = CliRunner()


@pytest.fixture
def made(tmp_path: Path) -> StackRunMaker:
    made = StackRunMaker(tmp_path, scenario_of(sweeps=[{"nodes": [2, 3]}], over_s=3))
    made.events["n3"] += [view(1.5, node, 1, [1, 2]) for node in (1, 2)]
    made.events["n3"].append(Event(1.0, 0, "fault", "kill", fields={"nodes": [3]}))
    return made


def test_logs_and_tables_tell_the_same(made: StackRunMaker):
    made.write()
    case_dir = made.run.case_dir("n3")
    for wanted in (
        Wanted(messages=True),
        Wanted(kinds=frozenset({"view", "send"})),
        Wanted(nodes=frozenset({0, 2}), messages=True),
        Wanted(phases=frozenset({"kill"})),
    ):
        from_logs = list(events_of_case(case_dir, wanted))
        kept = {path: path.read_bytes() for path in case_dir.glob("*.jsonl")}
        for path in kept:
            path.unlink()
        from_tables = list(events_of_case(case_dir, wanted))
        assert from_logs
        assert sorted(map(repr, from_logs)) == sorted(map(repr, from_tables))
        assert [e.t_s for e in from_tables] == sorted(e.t_s for e in from_logs)
        for path, data in kept.items():
            path.write_bytes(data)


def test_without_messages_datagrams_are_left_out(made: StackRunMaker):
    made.write()
    found = list(events_of_case(made.run.case_dir("n3"), Wanted()))
    assert [e.kind for e in found] == ["started"] * 3 + ["fault", "view", "view"]


def test_a_follower_reads_what_was_added_and_waits_for_half_lines(tmp_path: Path):
    log, follower = tmp_path / "n1" / "1.events.jsonl", Follower()
    log.parent.mkdir()
    line = event_line(Event(1.0, 1, "view"))
    log.write_bytes(line + line[:5])
    assert follower.look([tmp_path / "2.events.jsonl"], Wanted()) == []
    assert [e.kind for e in follower.look([log], Wanted())] == ["view"]
    assert follower.look([log], Wanted()) == []
    with log.open("ab") as file:
        file.write(line[5:] + event_line(Event(0.5, 1, "started")))
    assert [e.t_s for e in follower.look([log], Wanted())] == [0.5, 1.0]
    log.write_bytes(line)  # another case begins
    assert [e.t_s for e in follower.look([log], Wanted())] == [1.0]


def test_a_simulated_case_is_told_when_it_has_ended(made: StackRunMaker):
    made.write()
    live = SimulatedCases(made.run)
    found = {case: len(list(events)) for case, events in live.look(Wanted())}
    assert found == {"n2": 2, "n3": 6}
    assert list(live.look(Wanted())) == []


@pytest.fixture
def standing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LabState:
    hosts = {n: HostState(n, "container", 1, 1, "c", 1000) for n in ("n1", "n2", "client")}
    state = LabState("lab-1", "cluster_lan", 1.0, 1, 0.0, hosts=hosts, medium_pid=7)
    monkeypatch.setattr(live_events, "standing_lab", lambda: state)
    monkeypatch.setattr(live_events, "host_dir", lambda _, host: tmp_path / "hosts" / host)
    monkeypatch.setattr(live_events, "list_runs", list)
    for log in live_events.node_logs(state):
        log.parent.mkdir(parents=True)
    return state


def test_a_case_in_containers_is_told_as_it_goes(tmp_path: Path, standing: LabState):
    made = StackRunMaker(tmp_path, scenario_of(sweeps=[{"nodes": [2]}]), engine="emulation")
    case_dir, logs = made.run.case_dir("n2"), live_events.node_logs(standing)
    live = ContainedCases(made.run)
    assert list(live.look(Wanted())) == []
    case_dir.mkdir()
    (case_dir / "0.events.jsonl").write_bytes(event_line(Event(2.0, 0, "fault", "kill")))
    logs[1].write_bytes(event_line(Event(1.0, 2, "started")))
    (told,) = [(case, [e.node for e in events]) for case, events in live.look(Wanted())]
    assert told == ("n2", [2, 0])
    made.write()
    assert list(live.look(Wanted())) == []


def test_nodes_of_a_lab_by_hand_are_followed_while_it_stands(
    standing: LabState, monkeypatch: pytest.MonkeyPatch
):
    live = live_events.find_source()
    live_events.node_logs(standing)[0].write_bytes(event_line(Event(1.0, 1, "started")))
    ((case, events),) = live.look(Wanted())
    assert (case, [e.node for e in events]) == (live_events.BY_HAND, [1])
    assert live.under_way()
    monkeypatch.setattr(live_events, "standing_lab", lambda: None)
    assert not live.under_way()
    with pytest.raises(LabError, match="no run of a stack is under way"):
        live_events.find_source()


def test_the_run_under_way_is_that_of_a_living_owner(
    made: StackRunMaker, monkeypatch: pytest.MonkeyPatch
):
    run_dir = made.write()
    monkeypatch.setattr(live_events, "list_runs", lambda: [run_dir])
    assert run_under_way() is None
    write_owner(run_dir, Owner(os.getpid(), process_started(os.getpid()) or 0))
    source = live_events.find_source()
    assert isinstance(source, SimulatedCases)
    assert source.run.dir == run_dir
    assert source.under_way()
    write_owner(run_dir, Owner(os.getpid(), 1))
    assert run_under_way() is None
    write_owner(run_dir, find_owner())
    finish_manifest(run_dir, ok=True)
    assert not source.under_way()


def test_the_command_line(made: StackRunMaker):
    run_dir = str(made.write())
    done = RUNNER.invoke(app, ["events", run_dir, "--case", "n3", "--kind", "view"])
    assert done.exit_code == 0
    lines = [line.split() for line in done.stdout.splitlines() if "view" in line]
    assert [line[:5] for line in lines] == [["n3", "1.5000", "node", n, "view"] for n in "12"]
    done = RUNNER.invoke(app, ["events", run_dir, "--messages", "--node", "2", "--json"])
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert {e["node"] for e in events} == {2}
    assert {e["kind"] for e in events} == {"started", "send", "receive", "view"}
    done = RUNNER.invoke(app, ["events", run_dir, "--case", "n9"])
    assert done.exit_code == 1
    assert "has no case 'n9'" in done.output
