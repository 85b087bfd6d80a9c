"""Benchmarks: the search for the highest load, the chain, the file of figures."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from lab.bench import kernel, run
from lab.bench.chain import chain, circuit, roomy_params
from lab.bench.generator import mpls_frame
from lab.bench.load import GROWTH, Trial, highest_load
from lab.bench.run import Figure, write
from lab.cli.app import app
from lab.errors import LabError


def carrying(capacity: float) -> Trial:
    return Trial(capacity, capacity, 0)


@given(st.floats(1000, 200_000))
def test_the_highest_load_is_found(capacity: float) -> None:
    offered = []

    def trial(load: float) -> Trial:
        offered.append(load)
        lost = 0 if load <= capacity else int(load - capacity) + 1
        return Trial(load, load - lost, lost)

    found = highest_load(trial, 1000, 10**6)
    assert capacity / 1.03 <= found <= capacity
    assert max(offered) <= capacity * GROWTH


def test_one_bad_trial_is_no_proof() -> None:
    seen: dict[float, int] = {}

    def trial(load: float) -> Trial:
        seen[load] = seen.get(load, 0) + 1
        return Trial(load, load, 0 if seen[load] > 1 and load < 5000 else 7)

    assert highest_load(trial, 1000, 10**6) > 4000


def test_what_cannot_carry_anything_carries_nothing() -> None:
    assert highest_load(lambda load: Trial(load, 0, 1), 1000, 10**6) == 0


def test_a_load_that_is_not_reached_is_not_good() -> None:
    assert not Trial(offered=1000, carried=900, lost=0).good
    assert Trial(offered=1000, carried=990, lost=0).good


def test_the_search_ends_at_its_limit() -> None:
    assert highest_load(carrying, 1000, 3000) <= 3000


def test_the_circuit_crosses_every_switch() -> None:
    vc = circuit(chain())
    assert vc.switches == ("s1", "s2", "s3", "s4", "s5")


def test_roomy_links_carry_the_load_and_no_more() -> None:
    params = roomy_params(20_000, 43)
    cell_ns = params.cell_bytes * 1e9 / params.link_bytes_per_s
    assert 1e9 / (43 * cell_ns) == pytest.approx(20_000)


def test_a_frame_bears_its_label() -> None:
    frame = mpls_frame(0x12345, 200)
    assert len(frame) == 200
    assert frame[12:14] == b"\x88\x47"
    assert int.from_bytes(frame[14:18], "big") >> 12 == 0x12345


def test_figures_of_other_parts_stay_in_the_file(tmp_path: Path) -> None:
    path = tmp_path / "bench.json"
    write({"a": Figure(1.0, "s"), "b": Figure(2.0, "s")}, path)
    write({"b": Figure(3.0, "s", "a", 3.0)}, path)
    assert json.loads(path.read_text()) == {
        "a": {"value": 1.0, "unit": "s", "compared_with": None, "ratio": None},
        "b": {"value": 3.0, "unit": "s", "compared_with": "a", "ratio": 3.0},
    }


def test_the_command_measures_and_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    speed = kernel.KernelSpeed(hops=1000, events=1, seconds=0.5, virtual_s=0.1, digest=1)
    monkeypatch.setattr(kernel, "cell_speed", lambda: speed)
    monkeypatch.setattr(kernel, "packet_speed", lambda: speed)
    monkeypatch.setattr(run, "FILE", tmp_path / "bench.json")
    result = CliRunner().invoke(app, ["bench", "simulation", "--json"])
    assert result.exit_code == 0, result.output
    figures = json.loads(result.stdout)
    assert figures["simulator_cells"]["value"] == 2000
    assert figures["simulator_cells_speed"]["ratio"] == pytest.approx(0.2)


def test_an_unknown_part_is_refused() -> None:
    with pytest.raises(LabError, match="no benchmark"):
        list(run.measure(["nothing"], lambda _: None))
    assert CliRunner().invoke(app, ["bench", "nothing"]).exit_code == 1
