"""Run directories, tables, collection of raw files, scorecards."""

import json
import shutil
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from synthetic_run import Synthetic, analysed_run, short_scenario, synthetic, write_run

from lab.claims import load_registry
from lab.errors import LabError
from lab.fabric.buckets import EXCESS_BUCKETS, LATENESS_BUCKETS
from lab.results.collect import bucket_low_ns, collect, write_vcs
from lab.results.files import replacing, write_text
from lab.results.manifest import Exit, finish_manifest, note_digest, read_manifest
from lab.results.runs import create_run, find_run, list_runs, newest_run, point_latest
from lab.results.scorecard import count, read_scorecard, update_scorecard
from lab.results.tables import (
    SCHEMAS,
    empty_table,
    read_table,
    read_tables,
    write_table,
)
from lab.scenarios.plan import vc_requests
from lab.signalling import open_vcs
from lab.topology import load_topology

NOON = datetime(2026, 3, 1, 12, 0, 0)


@pytest.fixture(scope="module")
def run() -> Synthetic:
    return synthetic()


# -- files and directories ---------------------------------------------------------------


def test_a_crash_while_writing_leaves_the_old_file(tmp_path: Path):
    path = tmp_path / "x.json"
    write_text(path, "old")

    def crash() -> None:
        with replacing(path) as temporary:
            temporary.write_text("ne")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        crash()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_run_has_its_own_directory_and_a_manifest(tmp_path: Path):
    scenario = short_scenario(seed="5")
    first = create_run(scenario, root=tmp_path, now=NOON, overrides={"seed": "5"})
    second = create_run(scenario, root=tmp_path, now=NOON)
    assert first.name == "20260301-120000-seed5"
    assert second.name == "20260301-120000-seed5-2"
    assert first.path == (tmp_path / scenario.name / first.name).resolve()
    assert first.raw.is_dir()
    manifest = read_manifest(first.path)
    assert (manifest.seed, manifest.dilation, manifest.engine) == (5, 100, "emulation")
    assert manifest.overrides == {"seed": "5"}
    assert manifest.resolved_scenario() == scenario
    assert {"lab", "python", "kernel"} <= set(manifest.versions)
    assert int(manifest.host["cores"]) >= 1
    assert manifest.exit is None
    assert manifest.end is None


def test_the_end_of_a_run_is_noted(tmp_path: Path):
    made = create_run(short_scenario(), root=tmp_path)
    made.finish(ok=False, message="dockerd died")
    manifest = read_manifest(made.path)
    assert manifest.exit == Exit(ok=False, message="dockerd died")
    assert manifest.end is not None


def test_a_broken_manifest_is_an_error_for_the_user(tmp_path: Path):
    (tmp_path / "manifest.json").write_text("{")
    with pytest.raises(LabError, match="cannot be read"):
        read_manifest(tmp_path)
    (tmp_path / "manifest.json").write_text("{}")
    with pytest.raises(LabError, match="is not a manifest"):
        read_manifest(tmp_path)


def test_runs_are_found_by_directory_name_and_scenario(tmp_path: Path):
    scenario = short_scenario()
    first = create_run(scenario, root=tmp_path, now=NOON)
    second = create_run(scenario, root=tmp_path, now=NOON)
    with pytest.raises(LabError, match="there is no run"):
        find_run(scenario.name, root=tmp_path)
    point_latest(first.path)
    point_latest(second.path)
    assert (tmp_path / scenario.name / "latest").readlink() == Path(second.name)
    assert find_run(scenario.name, root=tmp_path) == second.path
    assert find_run(f"{scenario.name}/{first.name}", root=tmp_path) == first.path
    assert find_run(str(first.path), root=tmp_path) == first.path
    assert list_runs(root=tmp_path) == [first.path, second.path]


# -- tables ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", list(SCHEMAS))
def test_tables_come_back_as_they_were_written(tmp_path: Path, run: Synthetic, name: str):
    write_table(tmp_path, name, run.tables[name])
    pd.testing.assert_frame_equal(read_table(tmp_path, name), run.tables[name])
    write_table(tmp_path, name, empty_table(name))
    assert list(read_table(tmp_path, name).columns) == list(SCHEMAS[name])


def test_a_table_must_fit_its_schema(tmp_path: Path, run: Synthetic):
    steps = run.tables["steps"]
    with pytest.raises(LabError, match="lacks the columns send_rate"):
        write_table(tmp_path, "steps", steps.drop(columns="send_rate"))
    with pytest.raises(LabError, match="column step is no int64"):
        write_table(tmp_path, "steps", steps.assign(step="first"))
    with pytest.raises(LabError, match="not whole"):
        write_table(tmp_path, "steps", steps.assign(step=0.5))
    with pytest.raises(LabError, match="cannot be read"):
        read_table(tmp_path, "steps")


# -- collection --------------------------------------------------------------------------


def _endpoint_out(stream: str, group: str, role: str) -> dict[str, object]:
    zero = dict.fromkeys(
        ("in_send_queue", "duplicates", "out_of_order", "corrupted", "missing", "drop_no_buffer"), 0
    )
    return {
        "stream": stream, "group": group, "role": role, "pass": "on", "host": "", "pid": 7,
        "messages": 2, "bytes": 4096, "injected": 2 if role == "send" else 0, "blocked_s": 0.5,
        "rejected": 0, "drop_recv_full": 0, "cpu_s": 0.1, "ended": "complete",
        "bins": [[0, 1, 2048, 100], [1_000_000, 1, 2048, 120]], **zero,
        "windows": [_window(0, 2, {"52": 1, "53": 1}), _window(1, 0, {})],
    }  # fmt: skip


def _window(step: int, messages: int, buckets: dict[str, int]) -> dict[str, object]:
    """An endpoint's counts of one step; an empty one has no extremes."""
    latency_ns = 800 if messages else None
    return {
        "step": step, "messages": messages, "bytes": 2048 * messages, "latency_sum_ns": 1700,
        "latency_min_ns": latency_ns, "latency_max_ns": latency_ns, "gaps": max(messages - 1, 0),
        "gap_sum_ns": 900, "gap_square_sum_us2": 0.81, "gap_min_ns": latency_ns,
        "gap_max_ns": latency_ns, "buckets": buckets,
    }  # fmt: skip


def _write_raw(raw: Path) -> None:
    """What endpoints, line cards and the engine leave of a pass, in their own formats."""
    scenario = short_scenario()
    topology = load_topology(scenario.topology)
    write_vcs(raw, open_vcs(topology, vc_requests(scenario), 1))
    for end, role in (("a", "send"), ("b", "receive")):
        text = json.dumps(_endpoint_out("bg2", "background", role))
        (raw / f"on-bg2.{end}.out.json").write_text(text)
    queues = [("t_ns", "i8"), ("port", "i4"), ("vc", "i4"), ("cells", "i4"), ("frames", "i4")]
    np.save(raw / "on-queues.npy", np.array([(500, 1, 0, 40, 1), (500, 1, 3, 40, 1)], queues))
    events = [("t_ns", "i8"), ("port", "i4"), ("vc", "i4"), ("kind", "i4"), ("hop", "i4")]
    np.save(raw / "on-events.npy", np.array([(600, 1, 3, 0, 4), (700, 0, 0, 2, 0)], events))
    links = [("t_ns", "i8"), ("busy_ns", "i8"), ("wait_ns", "i8"), ("port", "i4"),
             ("frames", "i4"), ("cells", "i4"), ("control", "i4")]  # fmt: skip
    np.save(raw / "on-links.npy", np.array([(500, 424, 0, 0, 1, 1, 1)], links))
    ports = [{"index": 0, "node": "n7", "port": 0}, {"index": 1, "node": "s40", "port": 1}]
    counters = [{"where": "linecards", "name": "overflow", "value": 0}]
    (raw / "on-counters.json").write_text(json.dumps({"ports": ports, "counters": counters}))
    (raw / "on-stats.json").write_text(
        json.dumps({"in_flight": 0, "overflow": 0, "attached": [["n7", "bg2.a"]]})
    )
    (raw / "on-os-counters.json").write_text(
        json.dumps([{"where": "kernel", "name": "softnet_dropped", "value": 0}])
    )
    (raw / "on-machine.jsonl").write_text('{"t_s": 0.1, "what": "machine", "cpu": 1.5}\n')


def test_raw_files_become_tables(tmp_path: Path):
    (tmp_path / "raw").mkdir()
    _write_raw(tmp_path / "raw")
    rows = collect(tmp_path, short_scenario())
    tables = read_tables(tmp_path)
    assert {name: len(table) for name, table in tables.items()} == rows
    assert rows["flows"] == 4
    assert rows["steps"] == 20
    assert rows["vcs"] == 14 * 7
    assert rows["lateness"] == 0
    sender = tables["endpoints"].query("role == 'send'").iloc[0]
    assert (sender["host"], sender["host_kind"]) == ("n7", "container")
    assert (sender["pass"], sender["flow_control"]) == ("on", "quench")
    assert tables["queues"][["node", "port", "vc", "cells"]].to_numpy().tolist() == [
        ["s40", 1, 0, 40],
        ["s40", 1, 3, 40],
    ]
    assert tables["quenches"][["node", "port", "kind"]].to_numpy().tolist() == [
        ["s40", 1, "quench"],
        ["n7", 0, "stop"],
    ]
    assert tables["links"].loc[0, "control_cells"] == 1
    counters = tables["counters"]
    assert len(counters[counters["name"] == "overflow"]) == 1
    assert {"in_flight", "softnet_dropped", "ended_early"} <= set(counters["name"])


def test_latencies_come_in_buckets_that_meet(tmp_path: Path):
    (tmp_path / "raw").mkdir()
    _write_raw(tmp_path / "raw")
    collect(tmp_path, short_scenario())
    tables = read_tables(tmp_path)
    windows = tables["windows"].query("role == 'recv'")
    assert windows["messages"].tolist() == [2, 0]
    assert windows["latency_max_ns"].tolist() == [800, 0]
    latency = tables["latency"].query("role == 'recv'")
    assert latency[["low_ns", "high_ns", "messages"]].to_numpy().tolist() == [
        [384, 416, 1],
        [416, 448, 1],
    ]


@given(st.integers(0, 2**50))
def test_every_latency_has_its_bucket(value: int):
    exponent = value.bit_length() - 1
    index = value if value < 8 else (exponent - 2) * 8 + ((value >> (exponent - 3)) & 7)
    assert bucket_low_ns(index) <= value < bucket_low_ns(index + 1)


def test_delays_beyond_the_model_are_told_of_crossings(tmp_path: Path):
    (tmp_path / "raw").mkdir()
    counts = [(name, "i4") for name in LATENESS_BUCKETS]
    kinds = [(f"{kind}_{name}", dtype) for kind in ("late", "cross") for name, dtype in counts]
    means = [(f"{kind}_{n}_us", "f4") for kind in ("late", "cross") for n in ("mean", "max")]
    excess = [(name, "i4") for name in EXCESS_BUCKETS]
    more = [("exc_max_ns", "i8"), ("exc_mean_ns", "f4")]
    dtype = np.dtype(
        [("t_ns", "i8"), ("handed", "i4"), ("crossed", "i4"), *kinds, *means, *excess, *more]
    )
    rows = np.zeros(2, dtype)
    rows["t_ns"] = 100, 200  # nothing moved in the second interval
    rows["handed"][0] = rows["crossed"][0] = 5
    rows["exc_0"][0], rows["exc_le_1000"][0], rows["exc_max_ns"][0] = 4, 1, 700
    np.save(tmp_path / "raw" / "on-lateness.npy", rows)
    collect(tmp_path, short_scenario())
    lateness = read_tables(tmp_path)["lateness"].set_index(["what", "t_ns"])
    crossing = lateness.loc[("crossing", 100)]
    assert crossing[["exc_0", "exc_le_1000", "exc_max_ns"]].tolist() == [4, 1, 700]
    assert lateness.loc["late", list(EXCESS_BUCKETS)].to_numpy().sum() == 0
    assert lateness.loc[("late", 200), "frames"] == 0


def test_a_pass_has_only_the_streams_of_its_groups(tmp_path: Path):
    (tmp_path / "raw").mkdir()
    _write_raw(tmp_path / "raw")
    passes = "[{name: on, flow_control: quench, groups: [congestion]}]"
    rows = collect(tmp_path, short_scenario(passes=passes))
    assert rows["endpoints"] == 0


def test_a_simulation_notes_its_digest(tmp_path: Path):
    made = create_run(short_scenario(), root=tmp_path, engine="simulation")
    assert read_manifest(made.path).digest is None
    note_digest(made.path, "00ff")
    made.finish(ok=True)
    assert read_manifest(made.path).digest == "00ff"


def test_a_run_that_left_nothing_still_collects(tmp_path: Path):
    (tmp_path / "raw").mkdir()
    rows = collect(tmp_path, short_scenario())
    assert {name for name, number in rows.items() if number} == {"steps"}


def test_a_broken_raw_file_is_named(tmp_path: Path):
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw" / "on-bg2.a.out.json").write_text("{")
    with pytest.raises(LabError, match=r"on-bg2\.a\.out\.json cannot be read"):
        collect(tmp_path, short_scenario())


def test_an_endpoints_result_must_be_whole(tmp_path: Path):
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw" / "on-bg2.a.out.json").write_text('{"stream": "bg2"}')
    with pytest.raises(LabError, match="is no endpoint's result: it lacks group, role"):
        collect(tmp_path, short_scenario())


# -- scorecards --------------------------------------------------------------------------


def test_the_scorecard_has_every_claim_with_its_newest_verdict(tmp_path: Path, run: Synthetic):
    analysed_run(tmp_path, run)
    rows = {row["claim"]: row for row in update_scorecard(root=tmp_path)}
    assert len(rows) == len(load_registry())
    assert rows["fabric-quench"]["verdict"] == "reproduced"
    assert rows["fabric-topology"]["verdict"] == "input"
    assert rows["isis-connect"]["verdict"] == "not tested"
    broken = run.changed(lateness=empty_table("lateness"))
    newer, _, _ = analysed_run(tmp_path, broken)
    _make_younger(newer.path)
    rows = {row["claim"]: row for row in update_scorecard(root=tmp_path)}
    assert rows["fabric-quench"]["verdict"] == "unknown"
    assert rows["fabric-quench"]["run"] == f"{run.scenario.name}/{newer.name}"
    saved = json.loads((tmp_path / "scorecard.json").read_text())
    assert saved["summary"] == count(saved["claims"])
    assert saved["summary"]["isis"] == {"not tested": 78}
    page = (tmp_path / "scorecard.md").read_text()
    assert "| fabric-quench |  | unknown" in page
    assert "| Isis | 0 | 0 | 0 | 0 | 0 | 78 |" in page


def test_both_engines_and_all_scenarios_count(tmp_path: Path, run: Synthetic):
    _judged(tmp_path, "emulation", "one", "reproduced", 1.0)
    _judged(tmp_path, "simulation", "one", "deviates", 2.0)
    row = _row_of(tmp_path, "fabric-fair")
    assert (row["verdict"], row["measured"]) == ("reproduced", 1.0)
    assert row["engines"]["simulation"]["verdict"] == "deviates"
    # Another scenario that tests the same claim can only make it worse ...
    _judged(tmp_path, "emulation", "two", "deviates", 3.0)
    row = _row_of(tmp_path, "fabric-fair")
    assert (row["verdict"], row["measured"], row["scenario"]) == ("deviates", 3.0, "two")
    told = [(one["scenario"], one["verdict"]) for one in row["engines"]["emulation"]["scenarios"]]
    assert told == [("one", "reproduced"), ("two", "deviates")]
    # ... until a newer run of that scenario does better.
    _judged(tmp_path, "emulation", "two", "reproduced", 4.0)
    assert _row_of(tmp_path, "fabric-fair")["verdict"] == "reproduced"
    page = (tmp_path / "scorecard.md").read_text()
    assert "| claim | published | emulation | simulation | why | run |" in page
    assert "| reproduced: 1 | deviates: 2 |" in page


def test_published_verdicts_stay_until_there_is_a_run_here(tmp_path: Path):
    _judged(tmp_path, "emulation", "front-to-back", "reproduced", 1.0)
    _judged(tmp_path, "emulation", "slow-host", "deviates", 2.0)
    before = _row_of(tmp_path, "fabric-fair")
    written = (tmp_path / "scorecard.json").read_bytes()
    for name in ("front-to-back", "slow-host"):
        shutil.rmtree(tmp_path / name)
    assert _row_of(tmp_path, "fabric-fair") == before
    assert (tmp_path / "scorecard.json").read_bytes() == written, "git diff shows what moved"
    _judged(tmp_path, "emulation", "slow-host", "reproduced", 3.0)
    row = _row_of(tmp_path, "fabric-fair")
    assert row["verdict"] == "reproduced"
    assert [one["measured"] for one in row["engines"]["emulation"]["scenarios"]] == [1.0, 3.0]
    _judged(tmp_path, "emulation", "front-to-back", "deviates", 4.0)
    assert _row_of(tmp_path, "fabric-fair")["measured"] == 4.0


def test_the_simulation_speaks_where_the_emulation_does_not_know(tmp_path: Path):
    _judged(tmp_path, "simulation", "one", "reproduced", 2.0, why="as simulated")
    row = _row_of(tmp_path, "fabric-fair")
    assert (row["verdict"], row["measured"]) == ("reproduced", 2.0)
    assert set(row["engines"]) == {"simulation"}
    _judged(tmp_path, "emulation", "one", "unknown", 3.0, why="late")
    row = _row_of(tmp_path, "fabric-fair")
    assert (row["verdict"], row["measured"]) == ("reproduced", 2.0)
    assert row["engines"]["emulation"]["verdict"] == "unknown"
    assert row["why"] == "as simulated Emulated: late"
    _judged(tmp_path, "emulation", "one", "deviates", 4.0)
    assert _row_of(tmp_path, "fabric-fair")["verdict"] == "deviates"


def test_published_verdicts_of_a_scenario_that_is_gone_are_dropped(tmp_path: Path):
    _judged(tmp_path, "emulation", "a-former-name", "reproduced", 1.0)
    assert _row_of(tmp_path, "fabric-fair")["verdict"] == "reproduced"
    shutil.rmtree(tmp_path / "a-former-name")
    assert _row_of(tmp_path, "fabric-fair")["verdict"] == "not tested"


def _row_of(root: Path, claim: str) -> dict[str, Any]:
    return next(row for row in update_scorecard(root=root) if row["claim"] == claim)


def _judged(
    root: Path, engine: str, name: str, verdict: str, measured: float, *, why: str = ""
) -> None:
    """A run of a scenario of that name with one row in its scorecard."""
    made = create_run(short_scenario(), root=root / "made", engine=engine)
    claim = next(c for c in load_registry() if c.id == "fabric-fair")
    row = {
        "claim": claim.id, "source": claim.source, "kind": claim.kind, "role": claim.role,
        "expected": claim.value, "measured": measured, "unit": claim.unit, "baseline": None,
        "tolerance": claim.tolerance, "verdict": verdict, "why": why,
    }  # fmt: skip
    (made.path / "scorecard.json").write_text(json.dumps([row]))
    (root / name).mkdir(exist_ok=True)
    made.path.rename(root / name / f"{len(list(root.rglob('manifest.json')))}-{made.name}")


def _make_younger(run_dir: Path) -> None:
    path = run_dir / "manifest.json"
    plain = json.loads(path.read_text())
    plain["start"] = "2999-01-01T00:00:00+00:00"
    path.write_text(json.dumps(plain))


def test_a_run_without_a_scorecard_does_not_count(tmp_path: Path, run: Synthetic):
    made = write_run(tmp_path, run)
    with pytest.raises(LabError):
        read_scorecard(made.path)
    assert {row["verdict"] for row in update_scorecard(root=tmp_path)} == {"not tested"}


def test_the_newest_run_may_be_asked_for_by_its_seed(tmp_path: Path):
    runs = [create_run(short_scenario(seed=seed), root=tmp_path).path for seed in ("1", "2")]
    name = runs[0].parent.name
    assert newest_run(name, "emulation", root=tmp_path) is None
    for number, path in enumerate(runs):
        finish_manifest(path, ok=True)
        plain = json.loads((path / "manifest.json").read_text())
        plain["start"] = f"2999-01-0{number + 1}T00:00:00+00:00"
        (path / "manifest.json").write_text(json.dumps(plain))
    assert newest_run(name, "emulation", root=tmp_path) == runs[1]
    assert newest_run(name, "emulation", root=tmp_path, seed=1) == runs[0]
    assert newest_run(name, "emulation", root=tmp_path, seed=3) is None
    assert newest_run(name, "simulation", root=tmp_path, seed=1) is None
