"""The report's figures show the numbers of the tables they are given."""

import numpy as np
import pandas as pd
import pytest
import report_run
import synthetic_run

from lab.claims.registry import find_claim
from lab.report.axis import StepAxis
from lab.report.envelope import Sampling, counts, envelope
from lab.report.figures.base import Figure, Trace
from lab.report.figures.control import control_figure, control_totals
from lab.report.figures.instruments import cpu_figure, delay_figure
from lab.report.figures.queues import queue_figure
from lab.report.figures.throughput import (
    PUBLISHED,
    PUBLISHED_STREAM,
    Published,
    load_figure,
    port_figure,
)
from lab.report.figures.wiring import wiring_figure
from lab.report.measures import input_load, stream_throughput
from lab.report.palette import LIGHT_TO_DARK
from lab.topology import load_topology

SCENARIO = synthetic_run.short_scenario()
ON, OFF = "on", "off"
PASSES = [(ON, "quench"), (OFF, "link")]
AXIS = StepAxis("rate", "send rate")
Tables = dict[str, pd.DataFrame]


@pytest.fixture(scope="module")
def tables() -> Tables:
    return report_run.tables()


def ports(**background: float) -> pd.DataFrame:
    rows = [
        (mode, rate, port, 105.0 if port == 1 else value + port / 100)
        for mode, value in background.items()
        for rate in (0.2, 1.0)
        for port in range(1, 9)
    ]
    return pd.DataFrame(rows, columns=["flow_control", "send_rate", "port", "mbyte_per_s"])


def named(figure: Figure, name: str) -> Trace:
    (found,) = [trace for trace in figure.data if trace.name == name]
    return found


def test_port_figure_has_mean_band_and_dash_for_each_mode():
    figure = port_figure(ports(quench=98.0, link=15.0), claims=set())
    on, off = named(figure, "ports 2-8, on (mean)"), named(figure, "ports 2-8, off (mean)")
    assert on.line.dash == "solid"
    assert off.line.dash == "dash"
    assert list(on.x) == pytest.approx([20, 100])
    assert list(on.y) == pytest.approx([98.05, 98.05])
    assert list(off.y) == pytest.approx([15.05, 15.05])
    assert np.asarray(on.customdata)[0] == pytest.approx([98.02, 98.08])
    assert list(named(figure, "port 1, on").y) == pytest.approx([105, 105])


def test_published_values_are_drawn_only_for_the_claims_tested():
    table = ports(quench=98.0)
    assert not [t for t in port_figure(table, set()).data if "thesis" in (t.name or "")]
    figure = port_figure(table, {"fabric-port-contention-port1", "fabric-off-port-onset"})
    marker = named(figure, "thesis: port 1 on, 91 to 105")
    assert marker.y[0] == 98
    assert marker.error_y.value == 7
    assert figure.layout.shapes[0].x0 == pytest.approx(15)


@pytest.mark.parametrize("published", [*PUBLISHED, PUBLISHED_STREAM], ids=lambda p: p.claim)
def test_published_values_agree_with_the_registry(published: Published):
    value = find_claim(published.claim).value
    low, high = value if isinstance(value, list) else (value, value)
    if published.claim == "fabric-off-port-15pct":
        low = high = low * find_claim("fabric-port-contention-background").value
    assert (published.low, published.high) == pytest.approx((low, high))


def test_throughput_of_the_tables(tables: Tables):
    streams = stream_throughput(tables["flows"], tables["steps"], tables["vcs"])
    full = synthetic_run.Fluid(SCENARIO, SCENARIO.passes[0]).full
    at_full_rate = streams[streams["send_rate"] == 1.0].set_index(["pass", "stream"])
    assert at_full_rate.loc[(ON, "cong2"), "mbyte_per_s"] == pytest.approx(full / 7, rel=0.01)
    assert at_full_rate.loc[(ON, "bg2"), "mbyte_per_s"] == pytest.approx(full * 6 / 7, rel=0.01)
    assert at_full_rate.loc[(OFF, "bg2"), "mbyte_per_s"] < 0.2 * full


def test_a_step_that_was_never_made_is_not_drawn_as_silence(tables: Tables):
    flows, steps = tables["flows"], tables["steps"]
    third_ns = steps["t_start_ns"].drop_duplicates().iloc[2]
    cut = flows[(flows["pass"] == ON) & (flows["t_ns"] < third_ns)]
    streams = stream_throughput(cut, steps, tables["vcs"])
    assert set(streams["flow_control"]) == {"quench"}
    assert sorted(set(streams["send_rate"])) == sorted(set(steps["send_rate"]))[:2]


def test_load_of_the_input_links(tables: Tables):
    load = input_load(tables["links"], tables["steps"], tables["vcs"], "s40")
    assert load["link"].nunique() == 7
    on = load[load["flow_control"] == "quench"]
    assert on["busy"].to_numpy() == pytest.approx(1.0, abs=0.02)
    figure = load_figure(load)
    assert named(figure, "input links, off (mean)").y[-1] == pytest.approx(100 * 2.02 / 7, rel=0.03)


def test_envelope_keeps_spikes_and_knows_empty_moments():
    t = pd.Series([0, 10, 20, 30, 70, 90])
    cells = pd.Series([5, 5, 99, 5, 7, 7])
    sampling = Sampling.of(t, end_ns=99, columns=5)
    assert sampling.interval_ns == 10
    assert sampling.count == 10
    drawn = envelope(t, cells, sampling)
    assert drawn.high.tolist() == [5, 99, 0, 7, 7]
    assert drawn.low.tolist() == [5, 5, 0, 0, 0]
    assert drawn.mean.tolist() == [5, 52, 0, 3.5, 3.5]


def test_envelope_of_nothing():
    none = pd.Series([], dtype="int64")
    drawn = envelope(none, none, Sampling.of(none, end_ns=100))
    assert drawn.high.tolist() == [0]
    assert counts(none, Sampling.of(none).grid).tolist() == [0]


def test_queue_figure_shows_streams_and_the_fullest_ports(tables: Tables):
    queues = tables["queues"]
    figure = queue_figure(
        queues, tables["vcs"], tables["steps"], PASSES, axis=AXIS, node="s40", contended_port=1
    )
    strips = [trace for trace in figure.data if trace.type == "heatmap"]
    assert len(strips) == 4
    assert set(strips[0].y) == set(tables["vcs"]["stream"])
    assert strips[1].y[-1] == "s40 port 1"
    totals = queues[(queues["pass"] == OFF) & (queues["vc"] == 0)]
    assert np.max(strips[3].customdata) == totals["cells"].max()
    assert {trace.name for trace in figure.data if trace.showlegend} == {
        "s40 port 1",
        "s40, deepest of its other ports",
    }


def test_control_figure_counts_events(tables: Tables):
    quenches = tables["quenches"]
    figure = control_figure(quenches, tables["vcs"], tables["steps"], PASSES, axis=AXIS)
    rate = named(figure, "quench")
    width_s = float(rate.x[1] - rate.x[0])
    assert np.sum(rate.y) * width_s == pytest.approx((quenches["kind"] == "quench").sum(), rel=0.01)
    strips = [trace for trace in figure.data if trace.type == "heatmap"]
    assert set(strips[0].y) == set(tables["vcs"]["stream"])
    assert all(" port " in where for where in strips[1].y)


def test_control_totals(tables: Tables):
    quenches = tables["quenches"]
    totals = control_totals(quenches, tables["vcs"])
    assert list(totals["pass"].unique()) == [ON, OFF]
    vcs = tables["vcs"]
    cong2 = vcs.loc[vcs["stream"] == "cong2", "vc"].iloc[0]
    expected = ((quenches["vc"] == cong2) & (quenches["kind"] == "quench")).sum()
    assert totals.set_index(["pass", "target"]).loc[(ON, "cong2"), "quench"] == expected
    assert control_totals(quenches.iloc[:0], vcs).empty


def test_wiring_draws_every_link_and_the_paths(tables: Tables):
    topology = load_topology("fat_tree")
    figure = wiring_figure(topology, tables["vcs"], "s40")
    assert len(named(figure, "links").x) == 3 * len(topology.links)
    paths = [trace for trace in figure.data if trace.legendgroup in ("background", "congestion")]
    assert len(paths) == 14
    assert sum(bool(path.showlegend) for path in paths) == 2
    hop = paths[0].text[1]
    assert "VCI 16" in hop
    assert "n7 to n25" in hop
    assert named(figure, "contended switch s40").customdata == ("s40",)


def test_instruments(tables: Tables):
    late = delay_figure(tables["lateness"], "late", PASSES)
    assert late.data[0].y[0] == pytest.approx(60)
    cpu = cpu_figure(tables["machine"], PASSES)
    assert len(cpu.data) == 12
    assert len([trace for trace in cpu.data if trace.showlegend]) == 6


def test_every_colour_has_a_dark_twin_of_its_own():
    assert len(set(LIGHT_TO_DARK.values())) == len(LIGHT_TO_DARK)
    assert not set(LIGHT_TO_DARK) & set(LIGHT_TO_DARK.values())
