"""The drive phase against stand-ins: order of events, deaths, faults."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from engine_fakes import FakeLineCards, lab_state, short_run, sleeper

from lab.emulation import labels
from lab.emulation.state import LabState
from lab.engine import drive, endpoints, faults
from lab.engine.drive import drive_pass
from lab.engine.faults import Fault
from lab.engine.run import Run
from lab.errors import LabError
from lab.scenarios import Pass

# What a stand-in endpoint does: wait, then write its result, unless told to fail at once.
PROGRAM = """
import json, sys, time
plan, out, seconds, code = sys.argv[1], sys.argv[2], float(sys.argv[3]), int(sys.argv[4])
time.sleep(seconds)
if code:
    sys.exit("cannot go on")
json.dump({"stream": json.load(open(plan))["stream"]}, open(out, "w"))
"""


@dataclass
class World:
    """Everything that a pass needs, in a temporary directory."""

    run: Run
    state: LabState
    cards: FakeLineCards
    linecards: "subprocess.Popen[bytes]"
    started: list[tuple[str, str]] = field(default_factory=list)
    lifetime_s: dict[str, float] = field(default_factory=dict)
    code: dict[str, int] = field(default_factory=dict)
    processes: dict[str, "subprocess.Popen[bytes]"] = field(default_factory=dict)

    def popen(
        self, _state: LabState, host: str, argv: list[str], *, stdout: Any, stderr: Any
    ) -> "subprocess.Popen[bytes]":
        words = dict(zip(argv[5::2], argv[6::2], strict=True))
        name = words["--endpoint"]
        self.started.append((host, name))
        seconds = self.lifetime_s.get(name, 1.5)
        self.processes[name] = subprocess.Popen(
            [
                *(sys.executable, "-S", "-E", "-c", PROGRAM, words["--plan"], words["--out"]),
                *(str(seconds), str(self.code.get(name, 0))),
            ],
            stdout=stdout,
            stderr=stderr,
        )
        return self.processes[name]


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    monkeypatch.setattr(labels, "RUN_ROOT", tmp_path / "labs")
    run = short_run(
        tmp_path / "run",
        streams="[{name: bg2, group: background, from: n7, to: n25},"
        " {name: cong2, group: congestion, from: n3, to: n13}]",
    )
    linecards, switches = sleeper(), sleeper()
    state = lab_state(run, linecards.pid)
    for host in state.hosts:
        labels.host_dir(state.lab_id, host).mkdir(parents=True)
    made: list[World] = []
    stats = lambda: {"attached": made[0].started, "in_flight": 3, "in_switches": 0}  # noqa: E731
    cards = FakeLineCards(state.control_socket, {"stats": stats})
    world = World(run, state, cards, linecards)
    made.append(world)
    pid_file = tmp_path / "pid"
    pid_file.write_text(str(switches.pid))
    monkeypatch.setattr(drive, "PID_FILES", {"ovs-vswitchd": pid_file})
    monkeypatch.setattr(drive, "LEAD_S", 0.05)
    monkeypatch.setattr(drive, "load_state", lambda: state)
    monkeypatch.setattr(drive, "read_counters", lambda _pids: {("kernel", "x"): 1.0})
    monkeypatch.setattr(endpoints, "popen_in_host", world.popen)
    yield world
    for process in (linecards, switches):
        process.kill()
        process.wait()
    cards.close()


def test_a_pass_from_beginning_to_end(world: World) -> None:
    outcome = drive_pass(world.run, "off")
    assert (outcome.endpoints, outcome.in_flight) == (4, 3)
    operations = [op for op in world.cards.operations() if op != "stats"]
    assert operations == ["hold", "pass", "dump"]
    request = next(r for r in world.cards.requests if r["op"] == "pass")
    assert request["flow_control"] == "link"
    assert request["sample_ns"] == 500_000
    assert request["end_ns"] == 50_000_000
    assert request["params"] == world.run.scenario.fabric.model_dump()
    assert request["costs"] == world.run.scenario.adapter.model_dump()
    assert request["seed"] == world.run.scenario.seed
    raw = world.run.raw
    assert json.loads((raw / "off-bg2.a.out.json").read_text()) == {"stream": "bg2"}
    assert json.loads((raw / "off-os-counters.json").read_text())[0]["value"] == 0
    assert (raw / "off-machine.jsonl").read_text().count("linecards") > 1
    plan = json.loads(
        (labels.host_dir(world.state.lab_id, "n3") / "off-cong2.a.plan.json").read_text()
    )
    assert [change["rate"] for change in plan["changes"]] == [0, 1.0]
    assert plan["channel"] == 2
    assert {name for _, name in world.started} == {"bg2.a", "bg2.b", "cong2.a", "cong2.b"}


def test_the_books_are_closed_when_the_switches_are_empty(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = iter([7, 2, 0])

    def stats() -> dict[str, Any]:
        ended = "pass" in world.cards.operations() and all(
            process.poll() is not None for process in world.processes.values()
        )
        return {"attached": world.started, "in_switches": next(held) if ended else 9}

    world.cards.answers["stats"] = stats
    drive_pass(world.run, "on")
    assert json.loads((world.run.raw / "on-stats.json").read_text())["in_switches"] == 0

    # What a switch has lost never comes, and is not waited for for ever.
    monkeypatch.setattr(drive, "EMPTY_TIMEOUT_S", 0.1)
    world.cards.answers["stats"] = lambda: {"attached": world.started, "in_switches": 9}
    drive_pass(world.run, "off")
    assert json.loads((world.run.raw / "off-stats.json").read_text())["in_switches"] == 9


def test_a_pass_has_its_own_streams_and_parameters(world: World) -> None:
    passing = Pass(
        name="some",
        flow_control="quench",
        groups=["congestion"],
        fabric={"buffer_cells": 9000.0},
        adapter={"signal_ns": 30_000.0},
    )
    scenario = world.run.scenario.model_copy(update={"passes": [passing]})
    outcome = drive_pass(Run(world.run.dir, scenario), "some")
    assert outcome.endpoints == 2
    assert {name for _, name in world.started} == {"cong2.a", "cong2.b"}
    request = next(r for r in world.cards.requests if r["op"] == "pass")
    assert request["params"]["buffer_cells"] == 9000
    assert request["costs"]["signal_ns"] == 30_000
    assert {path.name for path in world.run.raw.glob("some-*.out.json")} == {
        "some-cong2.a.out.json",
        "some-cong2.b.out.json",
    }


def test_dead_line_cards_end_the_pass_at_once(world: World) -> None:
    log = world.state.directory / "linecards.log"
    log.write_text("invariant broken\n")
    world.lifetime_s = dict.fromkeys(("bg2.a", "bg2.b", "cong2.a", "cong2.b"), 300.0)
    killer = subprocess.Popen(["/bin/sh", "-c", f"sleep 0.6; kill -9 {world.linecards.pid}"])
    started_s = time.monotonic()
    with pytest.raises(LabError) as caught:
        drive_pass(world.run, "on")
    killer.wait()
    assert time.monotonic() - started_s < 200
    assert "the line-card process" in caught.value.message
    assert "invariant broken" in caught.value.message
    assert world.linecards.wait() == -9


def test_a_dying_endpoint_is_named(world: World) -> None:
    world.lifetime_s = {"cong2.a": 0.3}
    world.code = {"cong2.a": 1}
    with pytest.raises(LabError) as caught:
        drive_pass(world.run, "on")
    assert "the send endpoint cong2.a on n3" in caught.value.message
    assert "cannot go on" in caught.value.message


def test_an_endpoint_that_never_ends_is_named(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drive, "END_TIMEOUT_S", 0.3)
    world.lifetime_s = {"bg2.b": 30.0}
    with pytest.raises(LabError, match=r"bg2\.b on n25 did not end"):
        drive_pass(world.run, "on")


def test_an_endpoint_that_does_not_attach_is_named(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drive, "ATTACH_TIMEOUT_S", 0.3)
    monkeypatch.setattr(endpoints.EndpointSet, "missing", lambda self, _: self.endpoints[:1])
    with pytest.raises(LabError, match=r"bg2\.b on n25 did not attach"):
        drive_pass(world.run, "on")


def test_faults_come_at_their_virtual_time_and_are_healed(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[tuple[str, str]] = []
    monkeypatch.setattr(
        faults, "_configure_link", lambda _s, target, *, cut: done.append((target, str(cut)))
    )
    drive_pass(world.run, "on", [Fault("cut", "s40-s19", at_s=0.02)])
    assert done == [("s40-s19", "True"), ("s40-s19", "False")]
    line = json.loads((world.run.raw / "on-faults.jsonl").read_text())
    assert line["t_s"] >= 0.02
    assert faults.read_faults(world.state) == []


def test_a_killed_endpoint_is_expected_to_die(world: World) -> None:
    world.lifetime_s = {"cong2.a": 30.0}

    def kill(_state: LabState, _target: str) -> None:
        world.processes["cong2.a"].kill()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(faults, "_kill", kill)
        drive_pass(world.run, "on", [Fault("kill", "n3", at_s=0.01)])
    assert not (world.run.raw / "on-cong2.a.out.json").exists()
    assert (world.run.raw / "on-cong2.b.out.json").exists()


def test_a_lab_of_another_run_is_left_alone(world: World, tmp_path: Path) -> None:
    world.state.run_dir = str(tmp_path / "other")
    with pytest.raises(LabError, match="does not belong"):
        drive_pass(world.run, "on")
    assert world.cards.requests == []


@pytest.mark.parametrize("wrong", [{"action": "burn", "target": "n1"}, {"action": "cut"}, "cut"])
def test_wrong_faults_are_refused(wrong: Any) -> None:
    with pytest.raises(LabError):
        faults.parse_fault(wrong)


def test_a_fault_is_injected_and_undone_once() -> None:
    cut, heal = Fault("cut", "s1-s17", 0.1), Fault("heal", "s1-s17")
    assert faults.changes([], cut)
    assert not faults.changes([cut], cut)
    assert faults.changes([cut], heal)
    assert not faults.changes([], heal)
    assert faults.changes([], Fault("kill", "n1"))
