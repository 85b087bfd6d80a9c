"""The whole experiment in its short form, as a user types it."""

import json

import pandas as pd
import pytest
from running_lab import NAME, lab, newest_run, run_words

from lab.emulation.net import inventory

pytestmark = [pytest.mark.emulation, pytest.mark.timeout(280)]

TABLES = (
    *("flows", "endpoints", "steps", "vcs", "queues"),
    *("quenches", "links", "lateness", "machine", "counters"),
)


def test_short_form_from_command_to_report(clean_machine: None) -> None:
    # twice as slow as by default: what is asserted must hold on a busy machine too
    short = {"dilation": "200", "timeline__drain_s": "0.01"}
    done = lab(*run_words(**short), "--seed", "2", "--json")
    assert done.returncode in {0, 3}, done.stderr
    printed = json.loads(done.stdout)
    assert inventory().things == []

    run_dir = newest_run()
    assert printed["run_dir"] == str(run_dir)
    manifest = json.loads((run_dir / "manifest.json").read_text())
    assert manifest["seed"] == 2
    assert manifest["exit"]["ok"] is True

    fidelity = json.loads((run_dir / "fidelity.json").read_text())
    assert fidelity["checks"]
    assert fidelity["valid"] is (done.returncode == 0)
    claims = {row["claim"] for row in json.loads((run_dir / "scorecard.json").read_text())}
    assert claims == set(manifest["parameters"]["claims"])
    assert "plotly" in (run_dir / "report.html").read_text().lower()
    assert (run_dir.parent / "latest").resolve() == run_dir

    tables = {name: pd.read_parquet(run_dir / f"{name}.parquet") for name in TABLES}
    assert [name for name, table in tables.items() if table.empty] == []
    check_nothing_lost(tables["endpoints"], tables["counters"])
    assert set(tables["machine"]["what"]) == {
        "ovs-vswitchd", "linecards", "endpoints", "machine", "low-priority", "steal",
    }  # fmt: skip
    kinds = tables["endpoints"].groupby("host_kind")["stream"].count()
    assert kinds["container"] > 0
    assert kinds["mininet"] > 0

    events = [json.loads(line) for line in (run_dir / "progress.jsonl").read_text().splitlines()]
    assert [e["fraction"] for e in events] == sorted(e["fraction"] for e in events)
    assert events[-1]["fraction"] == 1.0
    check_reading_commands(str(run_dir))


def check_nothing_lost(endpoints: pd.DataFrame, counters: pd.DataFrame) -> None:
    """What endpoints sent was received, or is under way at the end, in both passes."""
    assert len(endpoints.groupby(["pass", "stream"])) == 28
    totals = endpoints.pivot_table(
        index="pass", columns="role", values=["injected", "messages"], aggfunc="sum"
    )
    under_way = counters[counters["name"] == "in_flight"].set_index("pass")["value"]
    missing = totals["injected"]["send"] - totals["messages"]["recv"]
    assert missing.to_dict() == under_way.to_dict()
    for counter in ("missing", "duplicates", "out_of_order", "corrupted", "drop_no_buffer"):
        assert endpoints[counter].sum() == 0, counter


def check_reading_commands(run_dir: str) -> None:
    """The commands that read a run agree with its files."""
    rows = json.loads(lab("scorecard", NAME, "--json").stdout)
    assert len(rows) > 20
    assert lab("report", run_dir).stdout.strip().endswith("report.html")
    tested = json.loads(lab("claims", "--system", "fabric", "--json").stdout)
    assert any(row["verdict"] != "not tested" for row in tested)
    assert "fabric-" in lab("scorecard", "all").stdout
