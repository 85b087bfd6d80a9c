"""A stack's scenario on the simulator, from its file to its report, with a toy stack."""

from collections.abc import Iterator
from concurrent.futures import Executor, Future
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from world_toy import LearnsOnce, ToyStack

from lab.analysis.run import observe_stack
from lab.engine import simulate_cases
from lab.engine.prepare import prepare
from lab.engine.progress import Event
from lab.engine.run import StackRun
from lab.errors import LabError
from lab.results.files import read_json
from lab.results.manifest import read_manifest

TEXT = """
name: toys
title: Toys that tell each other facts
source: nowhere
description: Nothing.
engines: [simulation]
stack: toy
topology: cluster_lan
playbook: heartbeat.yml
seed: 1
over_s: 12
variants:
  - {name: multicast, options: {multicast: true}}
  - {name: broken, options: {bug: twice}}
sweeps:
  - {nodes: [2, 3], variant: [plain, multicast]}
timeline:
  - {at_s: 2, ask: say, nodes: 1, arguments: {fact: 7}}
  - {at_s: 6, fault: kill, nodes: -1}
claims: []
"""


class Here(Executor):
    """Does what it is asked at once, in this process."""

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> "Future[Any]":
        future: Future[Any] = Future()
        future.set_result(fn(*args, **kwargs))
        return future


@contextmanager
def pool_here() -> Iterator[Executor]:
    yield Here()


@pytest.fixture(autouse=True)
def toy(monkeypatch: pytest.MonkeyPatch) -> None:
    for place in ("lab.scenarios.stack_check", "lab.stacks.registry", "lab.world.world"):
        monkeypatch.setattr(f"{place}.find_stack", lambda _: ToyStack())
    monkeypatch.setattr("lab.scenarios.stack_check.STACKS", ("toy",))
    monkeypatch.setattr("lab.stacks.registry.find_checkers", lambda _: (LearnsOnce,))
    monkeypatch.setattr(simulate_cases, "worker_pool", pool_here)


def simulated(folder: Path, **overrides: str) -> tuple[StackRun, list[Event]]:
    path = folder / "toys.yaml"
    path.write_text(TEXT, encoding="utf-8")
    run = prepare(str(path), overrides, engine="simulation", results=folder / "results")
    assert isinstance(run, StackRun)
    events: list[Event] = []
    simulate_cases.simulate_run(run, events.append)
    return run, events


def test_a_scenario_is_simulated_to_its_report(tmp_path: Path):
    run, events = simulated(tmp_path)
    assert events[-1].fraction == 1.0
    assert any("4 cases are simulated" in event.message for event in events)
    certificate = read_json(run.dir / "fidelity.json")
    assert isinstance(certificate, dict)
    assert certificate["valid"], certificate
    assert "Who sent what to whom" in (run.dir / "report.html").read_text(encoding="utf-8")
    seen = observe_stack(run.dir)
    assert list(seen.chosen().index) == ["n2", "n2-multicast", "n3", "n3-multicast"]
    assert list(seen.requests("n3", "say")["ok"]) == [True]
    assert list(seen.events("n3", "fault", "kill")["nodes"]) == [[3]]
    sent = {case: len(seen.messages(case, "beat")) for case in ("n3", "n3-multicast")}
    assert sent["n3"] == 2 * sent["n3-multicast"]
    received = {case: len(seen.messages(case, "beat", "receive")) for case in sent}
    assert received["n3"] == received["n3-multicast"]
    assert not list(run.case_dir("n3").glob("*.jsonl"))


def test_the_same_seed_gives_the_same_digest(tmp_path: Path):
    digests = []
    for name, seed in (("a", "1"), ("b", "1"), ("c", "2")):
        (tmp_path / name).mkdir()
        run, _ = simulated(tmp_path / name, seed=seed)
        digests.append(read_manifest(run.dir).digest)
    assert digests[0] == digests[1]
    assert digests[0] != digests[2]


def test_a_broken_invariant_makes_the_run_invalid(tmp_path: Path):
    run, _ = simulated(tmp_path, **{"sweeps.0.variant": "[broken]"})
    certificate = read_json(run.dir / "fidelity.json")
    assert isinstance(certificate, dict)
    assert not certificate["valid"]
    broken = next(check for check in certificate["checks"] if not check["ok"])
    assert broken["name"] == "invariants"
    assert "learned 7 again" in broken["why"]


def test_what_a_worker_complains_of_reaches_the_user(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def fail(*_: object, **__: object) -> None:
        raise LabError("no room")

    monkeypatch.setattr("lab.world.run_case", fail)
    with pytest.raises(LabError, match="no room"):
        simulated(tmp_path)
