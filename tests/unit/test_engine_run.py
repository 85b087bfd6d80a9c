"""Preparing a run: checked before made, owned by a process, and told to Ansible."""

import json
import os
from pathlib import Path

import pytest
import yaml
from engine_fakes import SHORT, lab_state, short_run, sleeper

from lab.emulation.cleanup import DownReport
from lab.engine import lifecycle, playbook, prepare
from lab.engine.inventory import inventory
from lab.engine.playbook import Failure, ansible_environment, command
from lab.engine.run import Owner, load_run, process_started, read_owner, schedule, write_owner
from lab.errors import LabError

NAME = "switch-port-contention"


def test_overrides() -> None:
    assert prepare.parse_overrides(["a.b=c", " x = [1, 2] "]) == {"a.b": "c", "x": "[1, 2]"}
    for wrong in ("a.b", "=3"):
        with pytest.raises(LabError, match="path=value"):
            prepare.parse_overrides([wrong])


def test_a_prepared_run_can_be_loaded(tmp_path: Path) -> None:
    run = prepare.prepare(NAME, SHORT, seed=7, dilation=20.0, results=tmp_path)
    again = load_run(run.dir)
    assert again.scenario == run.scenario
    assert (again.scenario.seed, again.scenario.dilation) == (7, 20.0)
    assert run.dir.parent == tmp_path / NAME
    assert "seed7" in run.dir.name
    owner = read_owner(run.dir)
    assert owner is not None
    assert owner.alive()
    hosts = yaml.safe_load((run.dir / "inventory.yml").read_text())
    assert "localhost" in hosts["all"]["hosts"]


@pytest.mark.parametrize(
    ("name", "overrides", "engine"),
    [
        ("no-such", {}, None),
        (NAME, {"timeline.settle_s": "-1"}, None),
        (NAME, {"hosts.containers": "[n99]"}, None),
        (NAME, {}, "magic"),
    ],
)
def test_a_mistake_leaves_nothing(
    tmp_path: Path, name: str, overrides: dict[str, str], engine: str | None
) -> None:
    with pytest.raises(LabError):
        prepare.prepare(name, overrides, engine=engine, results=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_told_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prepare, "MIN_FREE_BYTES", 2**80)
    with pytest.raises(LabError, match="MByte are free"):
        prepare.prepare(NAME, results=tmp_path)


def test_an_owner_is_one_process_not_a_number(tmp_path: Path) -> None:
    process = sleeper()
    owner = Owner(process.pid, process_started(process.pid) or 0)
    write_owner(tmp_path, owner)
    assert owner.alive()
    assert not Owner(process.pid, owner.started - 1).alive()
    process.kill()
    while process_started(process.pid) is not None:  # killed, but not waited for yet: a zombie
        os.sched_yield()
    assert read_owner(tmp_path) == owner
    assert not owner.alive()
    process.wait()


def test_schedule_has_a_phase_per_pass(tmp_path: Path) -> None:
    run = short_run(tmp_path)
    phases = list(schedule(run.scenario).phases)
    assert phases[0] == "prepare"
    assert phases[3:5] == ["drive on", "drive off"]
    with pytest.raises(LabError, match="no pass 'sideways'"):
        run.passing("sideways")


def test_inventory_knows_every_host(tmp_path: Path) -> None:
    scenario = short_run(tmp_path).scenario
    groups = inventory(scenario, "/py")["all"]["children"]["lab_hosts"]["children"]
    assert set(groups["containers"]["hosts"]) == set(scenario.hosts.containers)
    named = {**groups["containers"]["hosts"], **groups["mininet"]["hosts"]}
    assert set(named) == set(scenario.used_hosts())
    assert named["n7"]["lab_streams_out"] == ["bg2"]


def test_ansible_is_told_the_run(tmp_path: Path) -> None:
    run = short_run(tmp_path)
    words = command(run)
    variables = json.loads(words[words.index("-e") + 1])
    assert variables["run_dir"] == str(tmp_path)
    environment = ansible_environment(run)
    assert environment["LAB_RUN"] == tmp_path.name
    assert environment["LAB_RUN_OWNER"] == str(os.getpid())


def test_the_first_cause_of_a_failure_is_told(tmp_path: Path) -> None:
    run = short_run(tmp_path)
    (tmp_path / "ansible.log").write_text(
        'noise\n{"event": "failed", "task": "Up", "message": "no", "remedy": "yes"}\n'
    )
    told = playbook._failure(run, 2, [Failure("first", "do"), Failure("second")])
    assert (told.message, told.remedy) == ("first", "do")
    told = playbook._failure(run, 2, [])
    assert (told.message, told.remedy) == ("Up: no", "yes")
    assert "SIGKILL" in playbook._failure(run, -9, []).message
    (tmp_path / "ansible.log").write_text("ERROR! broken playbook\n")
    assert "broken playbook" in playbook._failure(run, 4, []).message


def test_only_an_abandoned_lab_is_cleared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    removed = []

    def down() -> DownReport:
        removed.append(True)
        return DownReport(removed={"bridge": 1})

    monkeypatch.setattr(lifecycle.net, "down", down)
    run = short_run(tmp_path)

    state = lab_state(run, 1)
    monkeypatch.setattr(lifecycle, "standing_lab", lambda: state)
    write_owner(tmp_path, Owner(os.getpid(), process_started(os.getpid()) or 0))
    with pytest.raises(LabError, match="stands on this machine already"):
        lifecycle.clear_the_way()
    state.owner = "hand"
    with pytest.raises(LabError, match="made by hand"):
        lifecycle.clear_the_way()
    assert not removed
    state.owner = "run"
    write_owner(tmp_path, Owner(os.getpid(), 1))
    assert lifecycle.clear_the_way()
    assert removed
