"""What the commands print and how they fail; no lab is touched."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from lab.cli import reading
from lab.cli.app import app
from lab.emulation import state as state_module

LAB = Path(sys.executable).with_name("lab")


@pytest.fixture(autouse=True)
def no_lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever stands on the machine, these tests see none."""
    monkeypatch.setattr(state_module, "CURRENT", tmp_path / "current")


def invoke(*words: str) -> Result:
    return CliRunner().invoke(app, list(words))


def test_list_json_names_every_scenario() -> None:
    result = invoke("list", "--json")
    assert result.exit_code == 0
    names = [entry["name"] for entry in json.loads(result.stdout)]
    assert "switch-port-contention" in names


def test_list_is_a_table() -> None:
    lines = invoke("list").stdout.splitlines()
    assert lines[0].startswith("NAME")
    assert any(line.startswith("switch-port-contention ") for line in lines)


def test_show_applies_overrides() -> None:
    result = invoke("show", "switch-port-contention", "--set", "timeline.measure_s=0.02", "--json")
    assert json.loads(result.stdout)["timeline"]["measure_s"] == 0.02


def test_show_without_json_is_a_scenario_file_and_a_note() -> None:
    result = invoke("show", "switch-port-contention")
    assert result.stdout.startswith("name: switch-port-contention")
    assert "takes about" in result.stderr
    result = invoke("show", "switch-port-contention", "--engine", "simulation")
    assert "2 passes of" in result.stderr
    assert "driving" not in result.stderr


@pytest.mark.parametrize(
    ("words", "complaint", "remedy"),
    [
        (("show", "no-such"), "no-such", "switch-port-contention"),
        (("run", "no-such"), "no-such", "switch-port-contention"),
        (("show", "switch-port-contention", "--set", "nonsense"), "nonsense", "--set"),
        (("show", "switch-port-contention", "--set", "timeline.measur_s=1"), "measur_s", ""),
        (("run", "switch-port-contention", "--set", "dilation=fast"), "dilation", ""),
        (("run", "switch-port-contention", "--engine", "magic"), "magic", "emulation"),
        (("claims", "--system", "nope"), "nope", "fabric"),
        (("claims", "--verdict", "nope"), "nope", "reproduced"),
        (("report", "no/such/run"), "no/such/run", "results"),
        (("scorecard", "no/such/run"), "no/such/run", "results"),
        (("up", "no_such_net"), "no_such_net", "fat_tree"),
        (("up", "fat_tree", "--containers", "n1,n99"), "n99", "n64"),
        (("exec", "n1", "--", "true"), "no lab", "lab up"),
        (("vc", "list"), "no lab", "lab up"),
        (("vc", "trace", "1"), "no lab", "lab up"),
        (("vc", "open", "n1", "n2"), "no lab", "lab up"),
        (("vc", "close", "1"), "no lab", "lab up"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_errors_name_the_trouble_and_the_remedy(
    words: tuple[str, ...], complaint: str, remedy: str
) -> None:
    result = invoke(*words)
    assert result.exit_code == 1
    assert result.stdout == ""
    first = next(line for line in result.stderr.splitlines() if line.startswith("error: "))
    assert complaint in result.stderr
    assert remedy in result.stderr
    assert "Traceback" not in result.stderr
    assert "internal failure" not in first


@pytest.mark.parametrize(
    "words",
    [
        ("nonsense",),
        ("show",),
        ("exec",),
        ("exec", "n1"),
        ("list", "--nonsense"),
        ("vc", "trace", "x"),
    ],
    ids=" ".join,
)
def test_usage_errors_exit_2(words: tuple[str, ...]) -> None:
    result = invoke(*words)
    assert result.exit_code == 2
    assert "Traceback" not in result.output


def test_status_without_a_lab() -> None:
    assert "no lab is standing" in invoke("status").stdout
    assert json.loads(invoke("status", "--json").stdout) == {"standing": False}


def test_claims_by_system() -> None:
    rows = json.loads(invoke("claims", "--system", "fabric", "--json").stdout)
    assert rows
    assert {row["system"] for row in rows} == {"fabric"}


def test_claims_by_verdict(monkeypatch: pytest.MonkeyPatch) -> None:
    newest = [{"claim": "fabric-fair", "verdict": "deviates"}]
    monkeypatch.setattr(reading, "_newest_verdicts", lambda: newest)
    rows = json.loads(invoke("claims", "--verdict", "deviates", "--json").stdout)
    assert [row["id"] for row in rows] == ["fabric-fair"]


def test_an_internal_failure_is_no_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> None:
        raise AttributeError("boom")

    monkeypatch.setattr("lab.scenarios.list_scenarios", broken)
    result = invoke("list")
    assert result.exit_code == 1
    assert "boom" in result.stderr
    assert "LAB_DEBUG" in result.stderr


def test_json_of_a_real_process_is_pure() -> None:
    done = subprocess.run([LAB, "list", "--json"], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)
    assert done.stderr == ""


def test_doctor_json_parses() -> None:
    result = invoke("doctor", "--json")
    assert result.exit_code in {0, 1}
    assert all({"name", "ok", "remedy"} <= set(check) for check in json.loads(result.stdout))
