"""An experiment on a protocol stack in containers, as a user types it."""

import json
from pathlib import Path

import pytest
from running_lab import lab

from lab.analysis.run import observe_stack
from lab.emulation.net import inventory

pytestmark = [pytest.mark.emulation, pytest.mark.timeout(200)]

ONE_FAILURE = {
    "sweeps": "[{name: killed, nodes: [4], timeline: [{at_s: 2, fault: kill, nodes: 4}]}]",
    "cases": "[]",
    "over_s": "17",
}


def test_a_failure_from_command_to_report(clean_machine: None) -> None:
    pairs = [word for pair in ONE_FAILURE.items() for word in ("--set", "=".join(pair))]
    done = lab("run", "mscs-failover", "--engine", "emulation", *pairs, "--json")
    assert done.returncode in {0, 3}, done.stderr
    assert inventory().things == []

    run_dir = Path(json.loads(done.stdout)["run_dir"])
    run, case = observe_stack(run_dir), "killed-n4"
    views = run.events(case, "view")
    seen = {(int(n), tuple(m)) for n, m in zip(views["node"], views["members"], strict=True)}
    assert seen >= {(node, (1, 2, 3)) for node in (1, 2, 3)}
    assert run.instrument(case, "invariants", "all") == 0
    assert run.ended_s(case) == pytest.approx(17, abs=0.5)
    received = run.messages(case, direction="receive")["message"]
    assert set(received) <= set(run.messages(case)["message"])
    fidelity = json.loads((run_dir / "fidelity.json").read_text())
    unrecorded = [check["name"] for check in fidelity["checks"] if check["value"] is None]
    assert unrecorded == []
    assert "Who sent what to whom" in (run_dir / "report.html").read_text(encoding="utf-8")

    told = lab("events", str(run_dir), "--kind", "fault", "--json").stdout.splitlines()
    assert [json.loads(line)["phase"] for line in told] == ["kill"]

    # The client's machine is the one after the nodes; its service has moved.
    answered = run.events(case, "poll", "answered")
    assert set(answered["node"]) == {5}
    assert set(answered.loc[answered["asked_s"] < 2, "server"]) == {4}
    assert set(answered.loc[answered["asked_s"] > 2, "server"]) <= {1, 2, 3}
    assert (answered["asked_s"] > 2).any()
