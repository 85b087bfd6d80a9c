"""Runs of stacks: certificate, observations, counts, fits, figures."""

import json
import math
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from stack_run import StackRunMaker, machine_counts, scenario_of, shell_tells, view

from lab.analysis import analyse, regression
from lab.analysis.compare import compare
from lab.analysis.observations import MissingDataError
from lab.analysis.run import figures_of
from lab.analysis.stacks.counting import durations, rate_per_s, sent_by_label, span_s
from lab.analysis.stacks.fidelity import certify_stack
from lab.results.cases import CaseRecord
from lab.stacks.events import Event


@pytest.fixture
def made(tmp_path: Path) -> StackRunMaker:
    return StackRunMaker(tmp_path)


def failed(made: StackRunMaker) -> set[str]:
    return {check.name for check in certify_stack(made.observe()).checks if not check.ok}


# --- certificate ----------------------------------------------------------------------------


def test_a_good_run_is_valid(made: StackRunMaker):
    certificate = certify_stack(made.observe())
    assert certificate.valid, certificate.why
    assert all(check.why for check in certificate.checks)


def test_a_case_that_broke_off_or_is_missing(made: StackRunMaker):
    made.records["n4"] = replace(made.records["n4"], ended_s=3.0)
    assert failed(made) == {"cases-complete"}
    made.records["n4"] = None
    (made.run.case_dir("n4") / "case.json").unlink()
    assert {"cases-complete", "invariants"} <= failed(made)
    assert not certify_stack(made.observe()).observed_well


def test_a_case_may_settle_early_when_it_is_planned_so(tmp_path: Path):
    made = StackRunMaker(tmp_path, scenario_of(settle_s=5.0))
    made.records["n4"] = replace(made.records["n4"], ended_s=6.0)
    assert failed(made) == set()


def test_a_node_without_a_start(made: StackRunMaker):
    made.events["n2"] = [e for e in made.events["n2"] if e.kind != "started" or e.node == 1]
    assert failed(made) == {"nodes-started"}


def test_a_broken_invariant_is_told(made: StackRunMaker):
    made.records["n2"] = replace(made.records["n2"], violations=("agreement at 3 s: two views",))
    certificate = certify_stack(made.observe())
    checks = {check.name: check for check in certificate.checks}
    assert not checks["invariants"].ok
    assert "two views" in checks["invariants"].why
    assert certificate.observed_well
    assert not certificate.valid


def test_a_datagram_from_nowhere(made: StackRunMaker):
    events = made.events["n2"]
    events.remove(next(e for e in events if e.kind == "send"))
    assert failed(made) == {"logs-complete"}


def test_no_digest(tmp_path: Path):
    assert failed(StackRunMaker(tmp_path, digest="")) == {"digest"}


def test_analysing_writes_certificate_and_scorecard(tmp_path: Path):
    scenario = scenario_of(claims=["mscs-hb-parameters"])
    run_dir = StackRunMaker(tmp_path, scenario).write()
    certificate, verdicts = analyse(run_dir)
    assert certificate.valid
    assert [(v.claim, v.verdict) for v in verdicts] == [("mscs-hb-parameters", "input")]
    assert json.loads((run_dir / "fidelity.json").read_text())["valid"]
    assert (run_dir.parent / "latest").resolve() == run_dir


# --- certificate of containers --------------------------------------------------------------


def kept(made: StackRunMaker, *events: Event) -> dict[str, bool]:
    """Which checks are met when case n4 has these events too."""
    made.events["n4"] += events
    return {check.name: check.ok for check in certify_stack(made.observe()).checks}


@pytest.fixture
def contained(tmp_path: Path) -> StackRunMaker:
    return StackRunMaker(tmp_path, engine="emulation")


def test_a_good_run_in_containers_is_valid(contained: StackRunMaker):
    certificate = certify_stack(contained.observe())
    assert certificate.valid, certificate.why
    assert "digest" not in {check.name for check in certificate.checks}


LATE = {"n": 50, "max_s": 0.9, "counts": {"79": 50}}


@pytest.mark.parametrize(
    ("fields", "check"),
    [
        ({"timers_late": LATE}, "shell-timers"),
        ({"waited": LATE}, "shell-queues"),
        ({"dropped": 3}, "socket-drops"),
        ({"unsent": 1}, "socket-drops"),
    ],
)
def test_a_slow_shell_is_noticed_unless_it_is_slow_on_purpose(
    contained: StackRunMaker, fields: dict[str, Any], check: str
):
    slow = [e for e in shell_tells(4, **fields) if e.node == 2]
    assert not kept(contained, *slow)[check]
    load = Event(0.0, 0, "fault", "cpu-load", fields={"nodes": [2], "level": "heavy"})
    assert kept(contained, load)[check]


@pytest.mark.parametrize(
    ("count", "check"),
    [
        ({"medium__late_p99_s": 0.002}, "medium-lateness"),
        ({"medium__ring_drops": 1}, "medium-drops"),
        ({"ovs s1__tx_dropped": 1}, "switch-drops"),
        ({"kernel__softnet_dropped": 1}, "softnet-drops"),
        ({"driver__late_max_s": 0.2}, "driver-lateness"),
        ({"n2__nr_throttled": 1}, "container-throttling"),
        ({"machine__machine_cores": 1000}, "machine-idle"),
        ({"machine__steal_cores": 1000}, "machine-steal"),
    ],
)
def test_each_instrument_of_the_machine_can_break_a_run(
    contained: StackRunMaker, count: dict[str, float], check: str
):
    assert kept(contained)[check]
    contained.records["n4"] = CaseRecord(20.0, instruments=machine_counts(4, **count))
    assert not kept(contained)[check]
    contained.records["n4"] = CaseRecord(20.0)
    assert not kept(contained)[check]


def test_load_on_purpose_is_not_held_against_the_machine(contained: StackRunMaker):
    counts = machine_counts(4, machine__machine_cores=1000, n2__nr_throttled=5)
    contained.records["n4"] = CaseRecord(20.0, instruments=counts)
    load = Event(0.0, 0, "fault", "cpu-load", fields={"nodes": [], "level": "moderate"})
    met = kept(contained, load)
    assert met["machine-idle"]
    assert met["container-throttling"]


def test_a_silent_shell_is_noticed_unless_its_node_is_dead(contained: StackRunMaker):
    contained.events["n4"] = [e for e in contained.events["n4"] if e.kind != "shell" or e.node != 2]
    assert not kept(contained)["shells-tell"]
    killed = Event(4.0, 0, "fault", "kill", fields={"nodes": [2]})
    assert kept(contained, killed)["shells-tell"]


def test_without_a_word_of_shells_nothing_can_be_ruled_out(contained: StackRunMaker):
    for case, events in contained.events.items():
        contained.events[case] = [e for e in events if e.kind != "shell"]
    missing = {c.name for c in certify_stack(contained.observe()).checks if c.value is None}
    assert {"shell-timers", "shells-tell", "socket-drops"} <= missing


def test_more_than_a_few_lost_lines_are_not_forgiven(contained: StackRunMaker):
    assert kept(contained)["logs-complete"]
    events = contained.events["n4"]
    events.remove(next(e for e in events if e.kind == "send"))
    assert not kept(contained)["logs-complete"]


# --- observations and counts ----------------------------------------------------------------


def test_cases_are_chosen_by_their_labels(tmp_path: Path):
    sweeps = [
        {"nodes": [2, 4], "parameters": {"bytes": [50, 60]}},
        {"nodes": [3], "load": ["heavy"], "name": "loaded"},
    ]
    run = StackRunMaker(tmp_path, scenario_of(sweeps=sweeps)).observe()
    assert list(run.chosen(bytes=50).index) == ["n2-bytes50", "n4-bytes50"]
    assert list(run.chosen(load="heavy")["nodes"]) == [3]
    assert list(run.chosen(sweep="loaded").index) == ["loaded-n3-heavy"]
    for labels in ({"load": "moderate"}, {"colour": "red"}):
        with pytest.raises(MissingDataError, match="has no case with"):
            run.chosen(**labels)


def test_events_have_their_fields_as_columns(made: StackRunMaker):
    made.events["n4"] += [view(3.0, 1, 7, [1, 2]), view(3.5, 2, 7, [1, 2])]
    made.events["n4"].append(Event(2.0, 0, "fault", "kill", fields={"nodes": [3]}))
    run = made.observe()
    views = run.events("n4", "view")
    assert list(views["node"]) == [1, 2]
    assert list(views["id"]) == [7, 7]
    assert list(views["members"]) == [[1, 2], [1, 2]]
    assert run.events("n2", "view").empty
    assert run.fault_times_s("n4", "kill") == [2.0]
    assert run.fault_times_s("n4", "cut") == []
    assert span_s(views) == 0.5
    with pytest.raises(MissingDataError):
        span_s(run.events("n2", "view"))


def test_messages_are_counted_by_label(made: StackRunMaker):
    run = made.observe()
    counts = sent_by_label(run).set_index(["case", "label"])["messages"]
    assert counts["n2", "heartbeat"] == 2 * 20
    assert counts["n4", "heartbeat"] == 4 * 3 * 20
    assert len(run.messages("n4", "heartbeat", None)) == 2 * 4 * 3 * 20
    assert rate_per_s(run.messages("n4")["t_s"], 5.0, 15.0) == 12
    with pytest.raises(MissingDataError):
        rate_per_s(run.messages("n4")["t_s"], 5.0, 5.0)


def test_durations_pair_each_begin_with_the_next_end():
    begins = pd.DataFrame({"node": [1, 2, 1, 2], "t_s": [1.0, 1.5, 5.0, 6.0]})
    ends = pd.DataFrame({"node": [2, 1, 1], "t_s": [2.0, 4.0, 9.0]})
    paired = durations(begins, ends)
    assert list(zip(paired["node"], paired["took_s"], strict=True)) == [
        (1, 3.0),
        (2, 0.5),
        (1, 4.0),
    ]
    again = pd.DataFrame({"node": [1, 1], "t_s": [1.0, 2.0]})
    assert list(durations(again, ends)["t_s"]) == [2.0]


# --- figures --------------------------------------------------------------------------------


def test_two_runs_are_compared_case_by_case(tmp_path: Path):
    a = StackRunMaker(tmp_path / "a").write()
    slower = StackRunMaker(tmp_path / "b")
    slower.events["n4"] = [e for e in slower.events["n4"] if int(e.t_s) % 2 == 0]
    found = {d.figure: d for d in compare(figures_of(a), figures_of(slower.write()))}
    assert found["n2: heartbeat sent"].inside is True
    assert (found["n4: heartbeat sent"].a, found["n4: heartbeat sent"].b) == (12, 6)
    assert found["n4: heartbeat sent"].inside is False


# --- fits -----------------------------------------------------------------------------------

NODES = [2.0, 4.0, 8.0, 16.0, 32.0]


def test_shapes_fit_what_has_them_and_nothing_else():
    quadratic = [n * (n - 1) / 0.3 for n in NODES]
    assert regression.proportional(NODES, quadratic, "n(n-1)").deviation < 1e-9
    assert regression.linear(NODES, quadratic).deviation > 0.5
    line = [0.5 + 0.1 * n for n in NODES]
    fitted = regression.linear(NODES, line)
    assert fitted.coefficients == pytest.approx((0.5, 0.1))
    assert fitted.at(10) == pytest.approx(1.5)
    assert fitted.formula == "0.5 + 0.1 n"
    assert "r^2 1.0000, farthest 0.0% off at n =" in fitted.text
    assert regression.proportional(NODES, line, "n(n-1)").deviation > 0.5
    assert regression.proportional(NODES, [6 / n for n in NODES], "1/n").deviation < 1e-9
    assert regression.exponent(NODES, [n**2 for n in NODES]) == pytest.approx(2)


def test_the_deviation_is_that_of_the_farthest_point():
    fitted = regression.flat(NODES, [1.0, 1.0, 1.0, 1.0, 1.3])
    assert fitted.farthest == 32
    assert 0.2 < fitted.deviation < 0.3
    assert math.isnan(regression.flat(NODES, [1.0] * 5).r_squared)


@pytest.mark.parametrize(
    ("x", "y", "terms"),
    [([2, 2, 2], [1, 2, 3], ("1",)), ([2, 4], [1, 2], ("1", "n")), (NODES, [0] * 5, ("n",))],
)
def test_what_is_too_little_for_a_fit(x: list[float], y: list[float], terms: tuple[str, ...]):
    with pytest.raises(ValueError, match=r"shape|relative"):
        regression.fit(x, y, *terms)


@given(
    a=st.floats(0.1, 100),
    b=st.floats(0.01, 10),
    noise=st.lists(st.floats(-0.04, 0.04), min_size=5, max_size=5),
)
@settings(max_examples=50, deadline=None)
def test_noise_moves_a_fit_by_no_more_than_itself(a: float, b: float, noise: list[float]):
    values = [(a + b * n) * (1 + off) for n, off in zip(NODES, noise, strict=True)]
    assert regression.linear(NODES, values).deviation < 0.1
