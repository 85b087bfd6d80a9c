"""Where cells wait, latencies, shares: what the new figures and tables are computed from."""

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
import report_run
import synthetic_run

from lab.analysis.observations import Observations
from lab.analysis.tree import snapshots
from lab.report.evenness import evenness_rows
from lab.report.figures.multistage import TABLE_4_1, measured_rows, printed_row
from lab.report.figures.tree import Column, tree_figure
from lab.report.measures import by_group, percentiles, stream_throughput
from lab.report.told import told
from lab.report.waiting import Slice, pass_state, whole_steps
from lab.topology import load_topology

ON, OFF = "on", "off"
SLICES = (Slice(0, 100, 0, "a"), Slice(100, 200, 1, "b"))


def queues(*rows: tuple[int, str, int, int, int]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["t_ns", "node", "port", "vc", "cells"])


def events(*rows: tuple[int, str, int, int, str]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["t_ns", "node", "port", "vc", "kind"])


def test_depth_is_a_mean_in_which_a_sample_without_a_row_counts_as_empty():
    state = pass_state(
        queues((10, "s1", 2, 0, 30), (20, "s1", 2, 0, 10), (10, "s1", 2, 7, 30)),
        events(),
        SLICES,
        {7: "one"},
        sample_ns=10,
    )
    assert state.depth["s1", 2].tolist() == [4.0, 0.0]
    assert state.by_vc["s1", 2][7].tolist() == [3.0, 0.0]
    assert state.filled(0, 4) == {("s1", 2): 4.0}
    assert state.filled(0, 5) == {}


def test_stopped_share_runs_over_slices_and_to_the_end():
    state = pass_state(
        queues(),
        events((50, "n1", 0, 0, "stop"), (120, "n1", 0, 0, "go"), (180, "n1", 0, 0, "stop")),
        SLICES,
        {},
        sample_ns=10,
    )
    assert state.stopped["n1", 0].tolist() == pytest.approx([0.5, 0.4])
    assert state.standing(0) == {("n1", 0)}
    assert state.told["n1 port 0"].tolist() == pytest.approx([1e7, 1e7])


def test_slices_cover_the_steps_without_gaps():
    steps = report_run.tables()["steps"]
    own = steps[steps["pass"] == ON]
    slices = whole_steps(own, dict.fromkeys(own["step"].astype(int), "x"), 30)
    assert len(slices) == 30
    assert slices[0].start_ns == 0
    assert slices[-1].end_ns == own["t_end_ns"].max()
    assert all(a.end_ns == b.start_ns for a, b in pairwise(slices))


def test_animation_has_a_frame_a_slice_and_names_the_victims():
    run = synthetic_run.synthetic()
    observed = Observations(run.scenario, run.tables)
    steps = run.tables["steps"]
    own = steps[steps["pass"] == OFF]
    slices = whole_steps(own, dict.fromkeys(own["step"].astype(int), "x"), 20)
    passing = next(p for p in run.scenario.passes if p.name == "off")
    names = dict(zip(run.tables["vcs"]["vc"], run.tables["vcs"]["stream"], strict=True))
    sample_ns = round(run.scenario.timeline.sample_s * 1e9)
    state = pass_state(
        observed.rows("queues", "off"), observed.rows("quenches", "off"), slices, names, sample_ns
    )
    moments = snapshots(observed, passing, [one.moment_ns(sample_ns) for one in slices])
    figure = tree_figure(load_topology("fat_tree"), [Column("link", state, moments, names)])
    assert len(figure.frames) == len(slices)
    told = [
        text
        for frame in figure.frames
        for part in frame.data
        for text in (part.text or ())
        if "root s40 port 1" in text or "victims: bg" in text
    ]
    assert any("root s40 port 1" in text for text in told)
    assert any("victims: bg" in text for text in told)


def test_percentiles_lie_inside_their_class():
    latency = pd.DataFrame(
        {
            "pass": "on",
            "flow_control": "quench",
            "step": 0,
            "group": "g",
            "low_ns": [1000, 8000],
            "high_ns": [2000, 9000],
            "messages": [99, 1],
        }
    )
    (row,) = percentiles(latency, (0.5, 0.99, 0.999)).to_dict("records")
    assert row["messages"] == 100
    assert row[0.5] == pytest.approx(1.505, abs=0.001)
    assert row[0.99] == pytest.approx(2.0)
    assert 8.0 < row[0.999] < 9.0


def test_rows_of_table_4_1_are_found_by_the_steps_names():
    assert printed_row("test 3 20 %") == TABLE_4_1[3]
    assert printed_row("test 1") == TABLE_4_1[0]
    assert printed_row("everything") is None


def test_sets_one_and_two_are_told_apart_by_their_way():
    vcs = pd.DataFrame(
        [("i", "n18", "s5"), ("ii", "n18", "s36"), ("x", "n10", "s36")],
        columns=["stream", "dst", "node"],
    )
    streams = pd.DataFrame(
        {
            "flow_control": "quench",
            "step": 0,
            "name": "test 4 100 %",
            "stream": ["i", "ii", "x"],
            "mbyte_per_s": [60.0, 54.0, 114.0],
        }
    )
    (row,) = measured_rows(streams, vcs, "s36").to_numpy().tolist()
    assert row[3:] == [60.0, 54.0, 114.0, 114.0]


def test_fairness_of_the_synthetic_run():
    tables = report_run.tables()
    groups = by_group(stream_throughput(tables["flows"], tables["steps"], tables["vcs"]))
    none = pd.DataFrame(columns=["pass", "step", "stream", "group", "variation"])
    rows = evenness_rows(groups, none, tables["steps"]).set_index(["pass", "group"])
    assert rows.loc[("on", "background"), "jain"] == pytest.approx(1.0, abs=0.001)
    assert np.isnan(rows.loc[("on", "background"), "variation"])


def test_told_names_streams_and_links_once() -> None:
    events = pd.DataFrame(
        {
            "node": ["s1", "s1", "s2", "s1", "s2", "s1", "s1"],
            "port": [1, 1, 3, 2, 3, 2, 1],
            "vc": [7, 9, 0, 7, 0, -1, 8],
            "kind": ["quench", "quench", "stop", "unquench", "go", "quench", "quench"],
        },
        index=[4, 5, 6, 8, 9, 10, 11],
    )
    who = told(events, {7: "hot", -1: "back", 8: "cold"})
    assert list(who) == ["hot", "s1 port 1", "s2 port 3", "hot", "s2 port 3", "back", "cold"]
    assert list(who.index) == list(events.index)
    assert told(events.head(0), {}).empty
