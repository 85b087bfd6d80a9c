"""An experiment on a protocol stack in containers, as a user types it."""

import json
from pathlib import Path

import pytest
from running_lab import lab

from lab.analysis.run import observe_stack
from lab.emulation.net import inventory

pytestmark = [pytest.mark.emulation, pytest.mark.timeout(200)]

ONE_FAILURE = {
    "sweeps": "[{nodes: [3], timeline: [{at_s: 2, fault: kill, nodes: -1}]}]",
    "over_s": "15",
}


def test_a_failure_from_command_to_report(clean_machine: None) -> None:
    pairs = [word for pair in ONE_FAILURE.items() for word in ("--set", "=".join(pair))]
    done = lab("run", "mscs-regroup", "--engine", "emulation", *pairs, "--json")
    assert done.returncode in {0, 3}, done.stderr
    assert inventory().things == []

    run_dir = Path(json.loads(done.stdout)["run_dir"])
    run = observe_stack(run_dir)
    views = run.events("n3", "view")
    seen = {(int(n), tuple(m)) for n, m in zip(views["node"], views["members"], strict=True)}
    assert seen >= {(1, (1, 2)), (2, (1, 2))}
    assert run.instrument("n3", "invariants", "all") == 0
    assert run.ended_s("n3") == pytest.approx(15, abs=0.5)
    received = run.messages("n3", direction="receive")["message"]
    assert set(received) <= set(run.messages("n3")["message"])
    fidelity = json.loads((run_dir / "fidelity.json").read_text())
    unrecorded = [check["name"] for check in fidelity["checks"] if check["value"] is None]
    assert unrecorded == []
    assert "Who sent what to whom" in (run_dir / "report.html").read_text(encoding="utf-8")

    told = lab("events", str(run_dir), "--kind", "fault", "--json").stdout.splitlines()
    assert [json.loads(line)["phase"] for line in told] == ["kill"]
