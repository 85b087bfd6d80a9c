"""Measures of raw U-Net, on runs made up from the calculation of docs/u-net.md."""

from __future__ import annotations

from collections.abc import Callable

import pandas as pd
import pytest

from lab.analysis.observations import Observations
from lab.analysis.unet import MEASURES
from lab.claims.judge import judge
from lab.claims.registry import find_claim
from lab.results.tables import SCHEMAS, empty_table
from lab.scenarios import Pass, Scenario, Step, load_scenario
from lab.scenarios.plan import steps
from lab.topology import load_topology

GapNs = Callable[[Scenario, Pass, int], int]
CELL_US = 53 / 17.5


def one_way_us(scenario: Scenario, passing: Pass, size: int) -> float:
    costs, fabric = scenario.adapter_of(passing), scenario.fabric
    cells = fabric.message_cells(size)
    wire = CELL_US + 2 * fabric.propagation_ns / 1e3 + fabric.switch_latency_ns / 1e3
    own = costs.host_send_ns + costs.host_receive_ns
    if passing.reception == "upcall":
        own += costs.signal_ns
    if size <= costs.single_cell_bytes:
        own += costs.ni_send_single_ns + costs.ni_receive_single_ns
        return own / 1e3 + CELL_US + wire
    own += costs.ni_send_ns + costs.ni_receive_ns + costs.ni_receive_cell_ns
    slowest = max(CELL_US, costs.ni_send_cell_ns / 1e3)
    last = min(CELL_US, costs.ni_send_cell_ns / 1e3)
    return own / 1e3 + cells * slowest + last + wire


def row(passing: Pass, step: Step, role: str, **values: float) -> dict[str, object]:
    blank = {
        name: 0 if dtype == "int64" else 0.0 if dtype == "float64" else ""
        for name, dtype in SCHEMAS["windows"].items()
    }
    return blank | {"pass": passing.name, "role": role, "step": step.index} | values


def made_up(name: str, gap_ns: GapNs | None = None) -> Observations:
    """A run as calculated: one window for each role, pass and step."""
    scenario = load_scenario(name)
    windows = []
    for passing in scenario.passes:
        for step in steps(scenario):
            size = step.message_bytes
            counted = {"messages": 10, "bytes": 10 * size}
            trip_ns = one_way_us(scenario, passing, size) * 2e3
            costs = scenario.adapter_of(passing)
            there_ns = trip_ns / 2 - costs.host_send_ns - costs.host_receive_ns
            windows += [
                row(passing, step, "ping", **counted, latency_sum_ns=round(10 * trip_ns)),
                row(passing, step, "pong", **counted, latency_sum_ns=round(10 * there_ns)),
            ]
            if gap_ns is not None:
                gap = gap_ns(scenario, passing, size)
                windows.append(row(passing, step, "recv", **counted, gaps=9, gap_sum_ns=9 * gap))
    tables = {table: empty_table(table) for table in SCHEMAS}
    tables["windows"] = pd.DataFrame(windows)
    tables["steps"] = pd.DataFrame(
        [
            {"pass": p.name, "step": s.index, "message_bytes": s.message_bytes}
            for p in scenario.passes
            for s in steps(scenario)
        ]
    )
    return Observations(scenario, tables)


def sender_ns(scenario: Scenario, passing: Pass, size: int) -> int:
    costs, cells = scenario.adapter_of(passing), scenario.fabric.message_cells(size)
    own = costs.ni_send_ns + cells * costs.ni_send_cell_ns
    if size <= costs.single_cell_bytes:
        own = costs.ni_send_single_ns
    return round(max(own, cells * CELL_US * 1e3))


@pytest.mark.parametrize(
    ("claim", "value"),
    [
        ("unet-rtt-single-cell", 65.0),
        ("unet-rtt-single-cell-step", 120.0),
        ("unet-rtt-per-cell", 6.057),
        ("unet-signal-vs-polling", 60.0),
        ("unet-sba100-oneway", 33.0),
        ("unet-sba100-rtt", 66.0),
        ("unet-fore-firmware-rtt", 160.0),
    ],
)
def test_the_inputs_give_the_published_latencies(claim: str, value: float):
    measurement = MEASURES.measure(claim, made_up("unet-raw-latency"))
    assert measurement.value == pytest.approx(value, abs=0.1), measurement
    verdict = judge(find_claim(claim), measurement, certificate_valid=True)
    assert verdict.verdict in {"reproduced", "reported"}, verdict


@pytest.mark.parametrize(
    ("claim", "value"),
    [
        ("unet-peak-fiber-bandwidth", 15.09),
        ("unet-bandwidth-4k", 119.97),
        ("unet-saturation-size", 808),
        ("unet-sba100-bandwidth", 6.785),
        ("unet-fore-firmware-bandwidth", 13.0),
    ],
)
def test_the_inputs_give_the_published_bandwidths(claim: str, value: float):
    measurement = MEASURES.measure(claim, made_up("unet-raw-bandwidth", sender_ns))
    assert measurement.value == pytest.approx(value, rel=2e-3), measurement
    verdict = judge(find_claim(claim), measurement, certificate_valid=True)
    assert verdict.verdict == "reproduced", verdict


def test_a_slope_that_is_off_deviates():
    run = made_up("unet-raw-latency")
    windows = run.tables["windows"]
    windows["latency_sum_ns"] += windows["step"] * 200_000
    measurement = MEASURES.measure("unet-rtt-per-cell", run)
    verdict = judge(find_claim("unet-rtt-per-cell"), measurement, certificate_valid=True)
    assert verdict.verdict == "deviates"


def test_a_step_with_messages_of_the_step_before_is_not_measured():
    run = made_up("unet-raw-bandwidth", sender_ns)
    run.tables["windows"]["bytes"] += 1
    assert MEASURES.measure("unet-sba100-bandwidth", run).missing


def test_what_was_not_observed_is_missing():
    run = made_up("unet-base-level")
    for claim in run.scenario.claims:
        assert MEASURES.measure(claim, run).missing


def test_the_lan_is_eight_workstations_on_one_switch():
    lan = load_topology("atm_lan")
    assert lan.switches == ("s1",)
    assert lan.hosts == tuple(f"n{n}" for n in range(1, 9))
    assert [lan.peer(port).node for port in lan.ports("s1")] == list(lan.hosts)
