"""How runs are compared: figures, their spread, ties, and the table of both engines."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from lab.analysis import agreement
from lab.analysis.compare import (
    ALL,
    Difference,
    Figure,
    compare,
    figures,
    tie_effects,
)
from lab.analysis.measuring import Measures
from lab.analysis.observations import Observations
from lab.claims.judge import Measurement
from lab.cli.app import app
from lab.results.tables import SCHEMAS, empty_table
from lab.scenarios import Scenario, load_scenario
from lab.scenarios.plan import steps

SHORT = {
    "timeline.sweep.send_rates": "[0, 1.0]",
    "timeline.settle_s": "0.01",
    "timeline.measure_s": "0.02",
    "timeline.drain_s": "0.01",
}
BACKGROUND = "on, congestion at 0%, background: throughput"


@pytest.fixture(scope="module")
def scenario() -> Scenario:
    return load_scenario("switch-port-contention", SHORT)


def run(scenario: Scenario, *, bytes_a_bin: float, noise: float = 0.0, seed: int = 1) -> Any:
    """A run in which every stream receives about as much in each bin."""
    random = np.random.default_rng(seed)
    bin_ns = round(scenario.timeline.bin_s * 1e9)
    times = np.arange(0, steps(scenario)[-1].t_end_ns, bin_ns)
    rows = []
    for passing in scenario.passes:
        for stream in scenario.streams_of(passing):
            count = bytes_a_bin * (1 + noise * random.standard_normal(len(times)))
            rows.append(
                pd.DataFrame(
                    {
                        "pass": passing.name,
                        "flow_control": passing.flow_control,
                        "stream": stream.name,
                        "group": stream.group,
                        "role": "recv",
                        "t_ns": times,
                        "messages": 10,
                        "bytes": count.astype(np.int64),
                        "latency_sum_ns": 10 * 5000,
                    }
                )
            )
    table = pd.DataFrame(
        [
            {
                "pass": passing.name,
                "flow_control": passing.flow_control,
                "step": step.index,
                "name": step.name,
                "value": step.value,
                "send_rate": step.send_rate,
                "message_bytes": step.message_bytes,
                "t_start_ns": step.t_start_ns,
                "t_settled_ns": step.t_settled_ns,
                "t_end_ns": step.t_end_ns,
            }
            for passing in scenario.passes
            for step in steps(scenario)
        ]
    )
    tables = {name: empty_table(name) for name in SCHEMAS}
    return Observations(scenario, {**tables, "flows": pd.concat(rows), "steps": table})


def test_a_figure_is_a_mean_over_the_measured_part(scenario: Scenario) -> None:
    found = figures(run(scenario, bytes_a_bin=100_000))
    background = found[BACKGROUND]
    assert background.value == pytest.approx(7 * 100.0)  # 100,000 bytes/ms are 100 MByte/s
    assert background.error == 0
    assert background.grain == pytest.approx(7 * 2048 / 0.02 / 1e6)
    assert found[f"on, congestion at 0%, {ALL}: throughput"].value == pytest.approx(1400)
    assert found["off, congestion at 100%, congestion: latency"].value == 5.0
    assert len(found) == 2 * 2 * 3 * 2


def test_equal_runs_agree_and_others_do_not(scenario: Scenario) -> None:
    one = figures(run(scenario, bytes_a_bin=100_000))
    same = compare(one, figures(run(scenario, bytes_a_bin=100_000)))
    assert {d.inside for d in same} == {True}
    slower = compare(one, figures(run(scenario, bytes_a_bin=90_000)))
    throughputs = [d for d in slower if d.kind == "throughput"]
    assert {d.inside for d in throughputs} == {False}
    assert throughputs[0].relative == pytest.approx(-0.1)
    within = compare(one, figures(run(scenario, bytes_a_bin=90_000)), within=0.11)
    assert {d.inside for d in within} == {True}


def test_noise_is_inside_its_own_spread(scenario: Scenario) -> None:
    verdicts = []
    for seed in range(0, 16, 2):
        a, b = (
            figures(run(scenario, bytes_a_bin=100_000, noise=0.05, seed=seed + i)) for i in (0, 1)
        )
        verdicts += [d.inside for d in compare(a, b) if d.kind == "throughput"]
    assert verdicts.count(False) <= 0.05 * len(verdicts)  # about one in a hundred is expected


def test_a_claim_gets_its_spread_from_parts_of_the_windows(scenario: Scenario) -> None:
    measures = Measures()

    @measures.of("fabric-port-contention-total")
    def total(observations: Observations) -> Measurement:
        return Measurement("x", value=float(observations.throughput["mbyte_per_s"].sum()))

    @measures.of("fabric-max-hops")
    def hops(_observations: Observations) -> Measurement:
        return Measurement("x", value=5.0)

    found = figures(run(scenario, bytes_a_bin=100_000, noise=0.05), measures)
    assert (found["claim fabric-port-contention-total"].error or 0) > 0
    assert found["claim fabric-max-hops"].error is None
    assert "claim fabric-lossless" not in found


def test_what_has_no_spread_is_unknown_unless_equal() -> None:
    five = {"x": Figure("x", "claim", "", 5.0)}
    assert compare(five, five)[0].inside is True
    assert compare(five, {"x": Figure("x", "claim", "", 5.1)})[0].inside is None


def test_figures_that_only_one_run_has_are_left_out() -> None:
    assert compare({"x": Figure("x", "claim", "", 1.0)}, {}) == ()


def test_ties_show_the_range_of_each_figure() -> None:
    each = [
        {"x": Figure("x", "throughput", "MByte/s", value), "y": Figure("y", "claim", "", 1.0)}
        for value in (90.0, 100.0, 110.0)
    ]
    first, second = tie_effects(each)
    assert (first.figure, first.least, first.mean, first.most) == ("x", 90.0, 100.0, 110.0)
    assert first.range == pytest.approx(0.2)
    assert second.range == 0.0
    assert tie_effects([]) == ()


# -- the table of both engines ------------------------------------------------------------


def claim(emulated: object, simulated: object, unit: str = "MByte/s") -> dict[str, Any]:
    return agreement.claim_row(
        {
            "claim": "fabric-x",
            "system": "fabric",
            "source": "thesis 4.6",
            "role": "check",
            "unit": unit,
            "expected": 100.0,
            "engines": {
                "emulation": {"measured": emulated, "verdict": "reproduced", "run": "a/b"},
                "simulation": {"measured": simulated, "verdict": "deviates", "run": "a/c"},
            },
        }
    )


def test_a_throughput_that_differs_is_marked() -> None:
    assert claim(100.0, 104.0)["notable"] is False
    assert claim(100.0, 94.0)["notable"] is True
    assert claim(100.0, 94.0, unit="us")["notable"] is False
    assert claim("holds", "holds")["difference"] is None


def test_a_claim_that_nobody_measured_is_a_row_too() -> None:
    row = agreement.claim_row(
        {
            "claim": "fabric-x",
            "system": "fabric",
            "source": "s",
            "role": "check",
            "unit": None,
            "expected": None,
            "engines": {},
        }
    )
    assert row["emulation"] is None
    assert row["simulation"] is None


def test_the_page_shows_both_engines_and_the_mark() -> None:
    apart = Difference("f", "throughput", "MByte/s", 100.0, 80.0, -0.2, 1.0, inside=False)
    chance = Difference("g", "throughput", "MByte/s", 100.0, 80.0, -0.2, 50.0, inside=True)
    assert agreement.notable([apart, chance]) == [apart]
    page = agreement.markdown(
        {
            "notable": 0.05,
            "claims": [claim(100.0, 80.0)],
            "scenarios": [
                {
                    "scenario": "slow-host",
                    "emulation": "one",
                    "simulation": "two",
                    "valid": False,
                    **agreement.tally([apart, chance]),
                    "notable": [apart.__dict__],
                }
            ],
        }
    )
    assert "| fabric-x | MByte/s | 100 | 100 (reproduced) | 80 (deviates) | -20.0% | ! |" in page
    assert "## AC3 Velocity fabric" in page
    assert "| slow-host | one | two | NO | 1 | 1 | 0 |" in page
    assert "| slow-host | f | 100 | 80 | -20.0% |" in page


def test_a_run_without_a_valid_certificate_is_no_evidence(tmp_path: Path) -> None:
    assert not agreement.is_valid(tmp_path)
    for word, valid in (("true", True), ("false", False)):
        (tmp_path / "fidelity.json").write_text(f'{{"valid": {word}}}')
        assert agreement.is_valid(tmp_path) is valid


def test_an_empty_results_folder_still_gives_a_table(tmp_path: Path) -> None:
    table = agreement.write_agreement(root=tmp_path)
    assert table["scenarios"] == []
    assert len(table["claims"]) >= 48
    assert json.loads((tmp_path / "agreement.json").read_text()) == table
    assert "No scenario has a complete run" in (tmp_path / "agreement.md").read_text()


def test_what_was_published_of_a_scenario_stays_without_its_runs(tmp_path: Path) -> None:
    told = {"scenario": "slow-host", "emulation": "one", "simulation": "two", "valid": True}
    told |= {"inside": 3, "outside": 1, "unknown": 0, "notable": []}
    gone = {**told, "scenario": "a-former-name"}
    (tmp_path / "agreement.json").write_text(json.dumps({"scenarios": [gone, told]}))
    (tmp_path / "slow-host").mkdir()
    assert agreement.write_agreement(root=tmp_path)["scenarios"] == [told]
    assert "| slow-host | one | two | yes | 3 | 1 | 0 |" in (tmp_path / "agreement.md").read_text()


# -- the command ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("one",), "two runs are compared, 1 given"),
        (("--claims", "one"), "--claims takes no run"),
        (("--ties", "3"), "--ties takes one scenario, 0 given"),
        (("no/such", "no/other"), "no run 'no/such'"),
        (("nothing:simulation", "x"), "lab run nothing --engine simulation"),
        (("--ties", "2", "no-such"), "no scenario 'no-such'"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_errors_say_what_is_wrong(words: tuple[str, ...], complaint: str) -> None:
    result = CliRunner().invoke(app, ["compare", *words])
    assert result.exit_code == 1
    assert complaint in result.stderr
    assert result.stdout == ""
