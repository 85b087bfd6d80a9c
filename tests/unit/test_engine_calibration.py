"""Finding, keeping and using the smallest valid dilation, with a machine that is made up."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lab.engine import calibrate as calibrating
from lab.engine import calibration
from lab.engine.calibrate import CLOSE_ENOUGH, FARTHEST, Judged, calibrate, rounded, search
from lab.engine.calibration import Calibration, Trial
from lab.engine.trial import MEASURE_REAL_S, SETTLE_REAL_S, frames_per_s, heaviest, trial
from lab.errors import LabError
from lab.scenarios import Scenario, load_scenario, steps
from lab.scenarios.plan import changes, pass_s

NAME = "switch-port-contention"


def from_on(least: float, tried: list[float] | None = None) -> Callable[[float], bool]:
    """A machine that follows from a dilation on."""

    def valid(dilation: float) -> bool:
        if tried is not None:
            tried.append(dilation)
        return dilation >= least

    return valid


@settings(deadline=None)
@given(first=st.floats(10, 1000), ratio=st.floats(1 / 30, 30))
def test_the_search_ends_close_above_the_smallest_valid(first: float, ratio: float) -> None:
    tried: list[float] = []
    least = first * ratio
    found = search(first, from_on(least, tried))
    assert found >= least
    # rounding to two digits may cost some percent of the answer, and of the step before it
    assert found <= least * CLOSE_ENOUGH * 1.12
    assert tried.count(found) >= 2
    assert len(tried) <= 14


def test_the_search_stops_at_its_limits() -> None:
    assert search(100, from_on(0)) <= 2 * 100 / FARTHEST
    with pytest.raises(LabError, match="no dilation from 100 to 6400"):
        search(100, from_on(1e9))


def test_a_lucky_trial_is_not_believed() -> None:
    answers = iter([True, False, True, False, True, True])
    tried: list[float] = []

    def valid(dilation: float) -> bool:
        tried.append(dilation)
        return next(answers) if len(tried) <= 4 else dilation >= 84

    found = search(100, valid)
    assert found >= 84
    assert tried.count(found) == 2


@pytest.mark.parametrize(
    ("exact", "shown"), [(70.71, 71), (123.4, 120), (0.1234, 0.12), (9.99, 10)]
)
def test_a_dilation_has_two_digits(exact: float, shown: float) -> None:
    assert rounded(exact) == shown


# -- trials ------------------------------------------------------------------------------


def test_a_trial_is_the_heaviest_moment() -> None:
    scenario = load_scenario(NAME)
    short = trial(scenario, 100.0)
    assert short.dilation == 100
    assert [passing.name for passing in short.passes] == ["on"]
    (step,) = steps(short)
    assert step.t_settled_ns == pytest.approx(SETTLE_REAL_S / 100 * 1e9)
    assert scenario.timeline.settle_s > step.t_settled_ns / 1e9
    length_s = (SETTLE_REAL_S + MEASURE_REAL_S) / 100 + scenario.timeline.drain_s
    assert pass_s(short) <= max(pass_s(scenario), length_s)
    for stream in short.all_streams:
        (change,) = changes(short, stream)
        assert (change.rate, change.message_bytes) == (1.0, 2048)
    assert Scenario.model_validate(short.plain()) == short


def test_small_messages_are_the_heavy_ones_and_large_ones_are_tried_too() -> None:
    scenario = load_scenario(
        NAME, {"timeline.sweep": "{message_bytes: [65536, 2048, 40, 8192]}", "streams": TWO}
    )
    passing, chosen = heaviest(scenario)
    assert [steps(scenario)[index].message_bytes for index in chosen] == [65536, 40]
    stream = scenario.all_streams[0]
    # 1366 cells are nine trains of up to 170
    loads = [frames_per_s(scenario, passing, stream, index) for index in chosen]
    assert loads[0] == pytest.approx(9 * scenario.fabric.full_messages_per_s(65536))
    assert loads[1] == pytest.approx(266_000)
    assert [step.message_bytes for step in steps(trial(scenario, 100))] == [65536, 40]


def test_a_ping_pong_stream_is_light() -> None:
    scenario = load_scenario(NAME, {"streams": TWO})
    stream = scenario.all_streams[0]
    echo = stream.model_copy(update={"echo": True})
    passing = scenario.passes[0]
    assert frames_per_s(scenario, passing, echo, -1) < frames_per_s(scenario, passing, stream, -1)
    silent = stream.model_copy(update={"rate": 0.0})
    assert frames_per_s(scenario, passing, silent, 0) == 0


TWO = (
    "[{name: bg2, group: background, from: n7, to: n25},"
    " {name: cong2, group: congestion, from: n3, to: n13}]"
)


@settings(deadline=None, max_examples=40)
@given(dilation=st.floats(0.1, 1e5))
def test_a_trial_is_a_sound_scenario_at_any_dilation(dilation: float) -> None:
    scenario = load_scenario(NAME)
    short = trial(scenario, dilation)
    assert Scenario.model_validate(short.plain()) == short
    assert pass_s(short) <= pass_s(scenario)


# -- calibrating -------------------------------------------------------------------------


@pytest.fixture
def machine_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[float], list[float]]:
    """Let trials be judged by a made-up machine; gives the dilations tried."""

    def make(least: float) -> list[float]:
        tried: list[float] = []

        def run_trial(_name: str, scenario: Scenario) -> Judged:
            tried.append(scenario.dilation)
            valid = scenario.dilation >= least
            return Judged(valid, "" if valid else "machine-idle is 0.01, not >= 0.05")

        monkeypatch.setattr(calibrating, "run_trial", run_trial)
        monkeypatch.setattr(calibrating, "clear_the_way", lambda: False)
        return tried

    return make


def test_a_calibration_is_kept(
    tmp_path: Path, machine_from: Callable[[float], list[float]]
) -> None:
    tried = machine_from(60)
    scenario = load_scenario(NAME)
    told: list[Trial] = []
    found = calibrate(NAME, scenario, told.append, results=tmp_path)
    assert 60 <= found.dilation <= 60 * 1.34
    assert [one.dilation for one in told] == tried
    assert [one.valid for one in told] == [dilation >= 60 for dilation in tried]
    again = calibration.recall(scenario, tmp_path)
    assert again is not None
    assert (again.dilation, again.trials) == (found.dilation, found.trials)
    assert again.when


def test_an_earlier_answer_stays_when_calibrating_fails(
    tmp_path: Path, machine_from: Callable[[float], list[float]]
) -> None:
    scenario = load_scenario(NAME)
    note_down(tmp_path, scenario, 80)
    machine_from(1e9)
    with pytest.raises(LabError, match="no dilation"):
        calibrate(NAME, scenario, lambda _: None, results=tmp_path)
    known = calibration.recall(scenario, tmp_path)
    assert known is not None
    assert known.dilation == 80


def test_trials_that_contradict_each_other_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # every dilation is valid once, and never again
    seen: set[float] = set()

    def run_trial(_name: str, scenario: Scenario) -> Judged:
        fresh = scenario.dilation not in seen
        seen.add(scenario.dilation)
        return Judged(fresh, "")

    monkeypatch.setattr(calibrating, "run_trial", run_trial)
    monkeypatch.setattr(calibrating, "clear_the_way", lambda: False)
    with pytest.raises(LabError):
        calibrate(NAME, load_scenario(NAME), lambda _: None, results=tmp_path)
    assert len(seen) <= calibrating.MOST_TRIALS


def test_a_pass_that_breaks_off_is_an_invalid_trial(monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []

    def broken(*_: object) -> None:
        raise LabError("the send endpoint bg2.a did not end\nlast lines of its log")

    monkeypatch.setattr(calibrating, "up", lambda _run: done.append("up"))
    monkeypatch.setattr(calibrating, "start", lambda _run: done.append("start"))
    monkeypatch.setattr(calibrating, "down", lambda _run: done.append("down"))
    monkeypatch.setattr(calibrating, "drive_pass", broken)
    judged = calibrating.run_trial(NAME, trial(load_scenario(NAME), 100))
    assert judged == Judged(valid=False, why="the send endpoint bg2.a did not end")
    assert done == ["up", "start", "down"]


def note_down(results: Path, scenario: Scenario, dilation: float) -> None:
    found = Calibration(scenario.name, dilation, calibration.fingerprint(scenario), ())
    calibration.remember(found, results)


def test_only_a_change_of_the_load_makes_it_stale(tmp_path: Path) -> None:
    note_down(tmp_path, load_scenario(NAME), 80)
    same = load_scenario(NAME, {"seed": "5", "dilation": "40", "timeline.measure_s": "0.01"})
    assert calibration.recall(same, tmp_path) is not None
    for change in (
        {"workload.message_bytes": "40"},
        {"fabric.host_messages_per_s": "500e3"},
        {"timeline.sweep.send_rates": "[0, 0.5]"},
        {"exact_timing": "true"},
    ):
        assert calibration.recall(load_scenario(NAME, change), tmp_path) is None, change


def test_another_machine_has_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scenario = load_scenario(NAME)
    note_down(tmp_path, scenario, 80)
    here = calibration.machine()
    monkeypatch.setattr(calibration, "machine", lambda: "a toaster, 1 cores")
    assert calibration.recall(scenario, tmp_path) is None
    note_down(tmp_path, scenario, 9000)
    entries = json.loads((tmp_path / "calibration.json").read_text())
    assert {name: entry[NAME]["dilation"] for name, entry in entries.items()} == {
        here: 80,
        "a toaster, 1 cores": 9000,
    }


def test_a_run_below_the_calibrated_dilation_is_told(tmp_path: Path) -> None:
    scenario = load_scenario(NAME)
    assert calibration.warning(scenario, tmp_path) == ""
    assert "lab calibrate" in calibration.about(scenario, tmp_path)
    note_down(tmp_path, scenario, scenario.dilation + 1)
    assert "below 101" in calibration.warning(scenario, tmp_path)
    assert "too small" in calibration.about(scenario, tmp_path)
    note_down(tmp_path, scenario, scenario.dilation)
    assert calibration.warning(scenario, tmp_path) == ""
    assert "valid here" in calibration.about(scenario, tmp_path)


def test_what_dilation_may_say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calibration.recall, "__defaults__", (tmp_path,))
    assert calibration.dilation_of(None, NAME, {}) is None
    assert calibration.dilation_of("12.5", NAME, {}) == 12.5
    with pytest.raises(LabError, match="neither a number nor auto"):
        calibration.dilation_of("fast", NAME, {})
    with pytest.raises(LabError, match="not calibrated") as caught:
        calibration.dilation_of("auto", NAME, {})
    assert caught.value.remedy == f"lab calibrate {NAME}"
    note_down(tmp_path, load_scenario(NAME), 85)
    assert calibration.dilation_of("auto", NAME, {}) == 85


def test_a_damaged_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "calibration.json").write_text("[]")
    with pytest.raises(LabError, match="is not what"):
        calibration.recall(load_scenario(NAME), tmp_path)
