"""Scenarios on the simulator: repeatable, complete, stoppable, and chosen where it must be."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from lab.engine import engines, prepare, supervise
from lab.engine.engines import choose_engine
from lab.engine.progress import Event
from lab.engine.run import Run
from lab.engine.supervise import Request, run_scenario
from lab.errors import LabError
from lab.results.manifest import read_manifest
from lab.scenarios import Scenario, load_scenario
from lab.simulation.engine import Stopped, simulate_pass
from lab.simulation.plan import PassPlan, plan_passes, scenario_vcs
from lab.simulation.record import PassRecord, run_digest

NAME = "switch-port-contention"
SHORT = {
    "timeline.sweep.send_rates": "[0, 0.2, 1.0]",
    "timeline.settle_s": "0.002",
    "timeline.measure_s": "0.002",
    "timeline.drain_s": "0.02",
}
# Of SHORT with seed 1: the same on any machine. It changes only with the model or the scenario.
RECORDED = "1789d4e176288348"


def scenario(**more: str) -> Scenario:
    return load_scenario(NAME, {**SHORT, **more}, engine="simulation")


def plans(wanted: Scenario, tie_seed: int | None = None) -> tuple[PassPlan, ...]:
    return plan_passes(wanted, scenario_vcs(wanted), tie_seed=tie_seed)


def simulate(wanted: Scenario, tie_seed: int | None = None) -> list[PassRecord]:
    return [simulate_pass(plan, lambda _: None) for plan in plans(wanted, tie_seed)]


def digest(wanted: Scenario, tie_seed: int | None = None) -> str:
    names = [passing.name for passing in wanted.passes]
    records = simulate(wanted, tie_seed)
    return run_digest([(n, r.digest) for n, r in zip(names, records, strict=True)])


# -- repeatability -------------------------------------------------------------------------


def test_the_digest_is_the_one_on_record() -> None:
    assert digest(scenario()) == RECORDED


def test_another_process_has_the_same_digest() -> None:
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); import test_simulation as t;"
        "print(t.digest(t.scenario()))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(Path(__file__).parent)],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONHASHSEED": "7"},
    )
    assert done.stdout.strip() == digest(scenario())


def test_another_seed_has_another_digest() -> None:
    found = {digest(scenario()), digest(scenario(seed="2")), digest(scenario(), tie_seed=5)}
    assert len(found) == 3


def test_cell_mode_is_another_course_of_events() -> None:
    assert digest(scenario(**{"fabric.frame_cells": "1"})) != digest(scenario())


def test_looking_at_the_progress_changes_nothing() -> None:
    plan = plans(scenario())[0]
    seen: list[float] = []
    record = simulate_pass(plan, lambda part: (time.sleep(0.001), seen.append(part))[1])
    assert record.digest == simulate(scenario())[0].digest
    assert seen == sorted(seen)
    assert seen[-1] == 1.0


# -- what it observes ----------------------------------------------------------------------


@pytest.mark.parametrize("frame_cells", ["170", "1"])
def test_messages_and_rules_are_kept(frame_cells: str) -> None:
    wanted = scenario(
        **{
            "fabric.frame_cells": frame_cells,
            "timeline.sweep.send_rates": "[1.0]",
            "timeline.settle_s": "0.0005",
            "timeline.measure_s": "0.0005",
            "timeline.bin_s": "0.0005",
            "timeline.drain_s": "0.001",
        }
    )
    for plan in plans(wanted):
        record = simulate_pass(plan, lambda _: None, checking=frame_cells == "170")
        ends = record.endpoints.values()
        sent = sum(end["injected"] for end in ends if end["role"] == "send")
        received = sum(end["messages"] for end in ends if end["role"] == "receive")
        assert received > 100
        assert sent == received + record.stats["in_flight"]
        assert record.stats["rules_broken"] == 0
        for end in ends:
            assert end["missing"] == 0
            assert sum(row[1] for row in end["bins"]) == end["messages"] - end["in_send_queue"]
            assert [window["step"] for window in end["windows"]] == [0]
            window = end["windows"][0]
            assert sum(window["buckets"].values()) == window["messages"]


def test_vcs_bear_the_numbers_of_the_lab() -> None:
    plan = plans(scenario())[0]
    record = simulate_pass(plan, lambda _: None)
    known = {0, *(vc.id for vc in plan.vcs), *(-vc.id for vc in plan.vcs)}
    assert set(record.series["queues"]["vc"].tolist()) <= known
    assert set(record.series["events"]["vc"].tolist()) <= known
    assert max(record.series["queues"]["port"]) < len(record.ports)


def test_a_memory_that_is_too_small_is_named() -> None:
    small = {
        "fabric.buffer_cells": "200",
        "fabric.input_stop_cells": "190",
        "fabric.input_go_cells": "150",
        "fabric.vci_quench_cells": "180",
        "fabric.vci_unquench_cells": "100",
    }
    with pytest.raises(LabError, match=r"memory of switch s\d+ overflowed, 200 cells"):
        simulate(scenario(**small))


def test_a_pass_can_be_stopped() -> None:
    def stop(_part: float) -> None:
        raise Stopped

    with pytest.raises(Stopped):
        simulate_pass(plans(scenario())[0], stop)


# -- whole runs ----------------------------------------------------------------------------


@pytest.fixture
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Runs go into a folder of the test."""

    def make_run(name: str, overrides: dict[str, str], resolved: tuple[Scenario, str]) -> Run:
        return prepare.make_run(name, overrides, resolved, results=tmp_path)

    monkeypatch.setattr(supervise, "make_run", make_run)
    return tmp_path


def request(name: str = NAME, **more: str) -> Request:
    overrides = tuple(f"{path}={value}" for path, value in {**SHORT, **more}.items())
    return Request(name, overrides, engine="simulation")


def test_a_run_ends_with_its_digest_and_verdicts(results: Path) -> None:
    events: list[Event] = []
    outcome = run_scenario(request(), events.append, lambda _: None)
    manifest = read_manifest(outcome.run_dir)
    assert manifest.engine == "simulation"
    assert manifest.digest == RECORDED
    assert manifest.exit is not None
    assert manifest.exit.ok
    for name in ("fidelity.json", "scorecard.json", "report.html", "flows.parquet"):
        assert (outcome.run_dir / name).is_file()
    assert outcome.run_dir.parent.parent == results
    assert {event.phase for event in events} == {"prepare", "simulate", "collect", "analyse"}


def test_a_scenario_may_be_a_path(results: Path, tmp_path: Path) -> None:
    text = Path(prepare.scenario_path(NAME)).read_text(encoding="utf-8")
    path = tmp_path / "my-own.yaml"
    path.write_text(text.replace(f"name: {NAME}", "name: my-own"), encoding="utf-8")
    outcome = run_scenario(request(str(path)), lambda _: None, lambda _: None)
    assert outcome.run_dir.parent == results / "my-own"


def test_an_interrupt_ends_the_threads(results: Path) -> None:
    said: list[str] = []

    def interrupt(event: Event) -> None:
        if event.phase == "simulate":
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(1)

    before = threading.active_count()
    wanted = request(**{"timeline.measure_s": "20", "timeline.bin_s": "0.001"})
    outcome = run_scenario(wanted, interrupt, said.append)
    assert outcome.interrupted_by == signal.SIGTERM
    assert threading.active_count() == before
    ending = read_manifest(outcome.run_dir).exit
    assert ending is not None
    assert (ending.ok, ending.message) == (False, "interrupted by SIGTERM")
    assert "interrupted" in said[-1]


def test_an_error_is_noted_in_the_manifest(results: Path) -> None:
    wanted = request(
        **{
            "fabric.buffer_cells": "200",
            "fabric.input_stop_cells": "190",
            "fabric.input_go_cells": "150",
            "fabric.vci_quench_cells": "180",
            "fabric.vci_unquench_cells": "100",
        }
    )
    with pytest.raises(LabError, match="overflowed"):
        run_scenario(wanted, lambda _: None, lambda _: None)
    (run_dir,) = (results / NAME).iterdir()
    ending = read_manifest(run_dir).exit
    assert ending is not None
    assert not ending.ok
    assert "overflowed" in ending.message


# -- the choice of the engine --------------------------------------------------------------


def test_the_engine_that_is_asked_for_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "OBSTACLES", {"emulation": lambda: "emulation needs root"})
    both = ("emulation", "simulation")
    assert choose_engine("x", both, "emulation").engine == "emulation"
    with pytest.raises(LabError, match="does not run on engine 'magic'"):
        choose_engine("x", both, "magic")


def test_where_emulation_is_impossible_it_is_the_simulation(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    both = ("emulation", "simulation")
    monkeypatch.setattr(engines, "OBSTACLES", {"emulation": lambda: None})
    assert choose_engine("x", both, None) == engines.Choice("emulation")
    monkeypatch.setattr(engines, "OBSTACLES", {"emulation": lambda: "emulation needs root"})
    choice = choose_engine("x", both, None)
    assert choice.engine == "simulation"
    assert choice.why == "emulation needs root: running the simulation instead"
    assert choose_engine("x", ("emulation",), None).engine == "emulation"


def test_obstacles_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert engines.emulation_obstacle() == "emulation needs root"
    monkeypatch.setattr(engines.platform, "system", lambda: "Darwin")
    assert "needs Linux" in (engines.emulation_obstacle() or "")
