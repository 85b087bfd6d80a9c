"""The certificate: every bound is provoked, and missing instruments fail their check."""

from collections.abc import Callable
from dataclasses import replace

import pandas as pd
import pytest
from synthetic_run import Synthetic, short_scenario, synthetic

from lab.analysis.certificate import Certificate
from lab.analysis.fidelity import CHECKS, certify, checks_of
from lab.fabric.buckets import LATENESS_BUCKETS
from lab.results.tables import empty_table

Tables = dict[str, pd.DataFrame]
RUN = synthetic(short_scenario(exact_timing="true"))
SIMULATED = RUN.simulated()


def failed(run: Synthetic) -> set[str]:
    return {check.name for check in certify(run.observations()).checks if not check.ok}


def counter(name: str, value: float, where: str | None = None) -> Callable[[], Synthetic]:
    """Set one counter in the first row that has it."""

    def change() -> Synthetic:
        counters = RUN.tables["counters"].copy()
        chosen = counters["name"] == name
        if where is not None:
            chosen &= counters["where"] == where
        counters.loc[counters.index[chosen][0], "value"] = value
        return RUN.changed(counters=counters)

    return change


def machine(what: str, cpu: float) -> Callable[[], Synthetic]:
    def change() -> Synthetic:
        table = RUN.tables["machine"].copy()
        table.loc[table["what"].eq(what) & table["pass"].eq("off"), "cpu"] = cpu
        return RUN.changed(machine=table)

    return change


def endpoint(column: str, value: float, role: str = "send") -> Callable[[], Synthetic]:
    def change() -> Synthetic:
        table = RUN.tables["endpoints"].copy()
        table.loc[table.index[table["role"] == role][0], column] = value
        return RUN.changed(endpoints=table)

    return change


def without(table: str, condition: str) -> Callable[[], Synthetic]:
    def change() -> Synthetic:
        frame = RUN.tables[table]
        return RUN.changed(**{table: frame.drop(frame.query(condition).index)})

    return change


def delayed(what: str) -> Callable[[], Synthetic]:
    def change() -> Synthetic:
        table = RUN.tables["lateness"].copy()
        table.loc[table["what"] == what, "le_15000"] += 5
        table.loc[table["what"] == what, "max_us"] = 40_000
        return RUN.changed(lateness=table)

    return change


def stalled() -> Callable[[], Synthetic]:
    def change() -> Synthetic:
        table = RUN.tables["lateness"].copy()
        table.loc[table.index[5], "max_us"] = 110_000
        return RUN.changed(lateness=table)

    return change


def early_beyond_model() -> Synthetic:
    """Crossings that took longer than the modelled switch takes."""
    table = RUN.tables["lateness"].copy()
    table.loc[table["what"] == "crossing", ["exc_0", "exc_le_1000"]] = [97, 3]
    return RUN.changed(lateness=table)


def slow_sender() -> Synthetic:
    flows = RUN.tables["flows"].copy()
    slow = (flows["stream"] == "cong4") & (flows["role"] == "send")
    flows.loc[slow, ["messages", "bytes"]] //= 2
    return RUN.changed(flows=flows)


def test_a_sound_run_is_certified():
    certificate = certify(RUN.observations())
    assert certificate.valid, certificate.why
    made = {check.name for check in certificate.checks}
    assert made == {check.name for check in CHECKS} - {"model-books", "digest"}
    assert certificate.plain()["valid"] is True


def test_latencies_are_checked_only_where_they_are_judged():
    names = {check.name for check in checks_of(synthetic().observations())}
    assert not names & {"crossings-on-time", "sends-on-time"}


def test_a_sound_simulation_needs_none_of_the_emulations_instruments():
    certificate = certify(SIMULATED.observations())
    assert certificate.valid, certificate.why
    names = {check.name for check in certificate.checks}
    assert {"model-books", "digest", "endpoint-losses", "windows-reported"} <= names
    assert not names & {"linecards-lateness", "machine-idle", "ovs-frames-lost"}


@pytest.mark.parametrize(
    ("check", "simulated"),
    [
        ("digest", replace(SIMULATED, digest=None)),
        ("model-books", counter("rules_broken", 1)().simulated()),
        ("endpoint-losses", endpoint("injected", 10**9)().simulated()),
        ("paced-senders", slow_sender().simulated()),
        ("instrument-losses", counter("series_lost_events", 2)().simulated()),
        ("windows-reported", without("windows", "stream == 'bg4' and step == 3")().simulated()),
        ("model-books", without("counters", "name == 'rules_broken'")().simulated()),
    ],
)
def test_a_simulation_is_checked_too(check: str, simulated: Synthetic):
    assert check in failed(simulated)


@pytest.mark.parametrize(
    ("check", "provoke"),
    [
        ("endpoints-complete", without("endpoints", "stream == 'bg2' and role == 'recv'")),
        ("endpoints-complete", counter("ended_early", 1)),
        ("windows-reported", without("windows", "stream == 'cong3' and step == 1")),
        ("windows-complete", without("lateness", "120000000 < t_ns < 123000000")),
        ("linecards-lateness", delayed("late")),
        ("longest-delay", stalled()),
        ("ovs-frames-lost", counter("frames_out", 1, "s40")),
        ("ovs-port-drops", counter("rx_dropped", 1, "ovs s3")),
        ("socket-drops", counter("rx_drops", 1)),
        ("socket-drops", counter("tx_refused", 1)),
        ("veth-drops", counter("veth_tx_dropped", 1)),
        ("softnet-drops", counter("softnet_dropped", 1)),
        ("linecards-refused", counter("unknown", 1)),
        ("instrument-losses", counter("series_lost_queues", 1)),
        ("switch-delay", delayed("crossing")),
        ("crossings-on-time", early_beyond_model),
        ("sends-on-time", counter("late_sends", 10**6)),
        ("cpu-linecards", machine("linecards", 0.9)),
        ("machine-idle", machine("machine", 2.05)),
        ("machine-steal", machine("steal", 0.2)),
        ("container-throttling", counter("nr_throttled", 1, "n5")),
        ("endpoint-losses", endpoint("injected", 10)),
        ("endpoint-faults", endpoint("corrupted", 1, "recv")),
        ("endpoint-faults", endpoint("drop_no_buffer", 1, "recv")),
        ("greedy-senders", endpoint("blocked_s", 0.0)),
        ("paced-senders", slow_sender),
    ],
)
def test_each_bound_can_be_broken(check: str, provoke: Callable[[], Synthetic]):
    assert check in failed(provoke())


def test_every_check_is_provoked_above():
    marks = [
        mark for mark in test_each_bound_can_be_broken.pytestmark if mark.name == "parametrize"
    ]
    emulation = {check.name for check in CHECKS if "emulation" in check.engines}
    assert {row[0] for row in marks[0].args[1]} == emulation


@pytest.mark.parametrize(
    ("table", "checks"),
    [
        ("lateness", {"windows-complete", "linecards-lateness", "crossings-on-time"}),
        ("machine", {"cpu-linecards", "machine-idle", "machine-steal"}),
        ("endpoints", {"endpoints-complete", "endpoint-losses", "endpoint-faults"}),
        ("counters", {"ovs-frames-lost", "socket-drops", "veth-drops", "container-throttling"}),
        ("steps", {"windows-complete", "windows-reported"}),
        ("windows", {"windows-reported"}),
        ("flows", {"paced-senders"}),
        ("vcs", {"ovs-frames-lost"}),
    ],
)
def test_a_missing_instrument_fails_its_checks(table: str, checks: set[str]):
    assert checks <= failed(RUN.changed(**{table: empty_table(table)}))


def test_an_instrument_missing_in_one_pass_fails_too():
    assert "linecards-lateness" in failed(without("lateness", "`pass` == 'off'")())


def test_what_is_still_queued_is_no_loss():
    counters = RUN.tables["counters"].copy()
    on = counters["pass"].eq("on")
    counters.loc[on & (counters["name"] == "queued_cells"), "value"] = 43
    counters.loc[on & (counters["name"] == "in_flight"), "value"] = 1
    endpoints = RUN.tables["endpoints"].copy()
    first = endpoints.index[endpoints["role"].eq("recv") & endpoints["pass"].eq("on")][0]
    endpoints.loc[first, "messages"] -= 1
    assert "endpoint-losses" not in failed(RUN.changed(counters=counters, endpoints=endpoints))
    assert "endpoint-losses" in failed(RUN.changed(endpoints=endpoints))


def test_a_rare_long_delay_does_not_fail_a_run():
    """The bound is on the 99th percentile, whatever the longest was."""
    table = RUN.tables["lateness"].copy()
    first = table.groupby(["pass", "what"]).head(1).index
    table.loc[first, ["gt_100000", "max_us"]] = [1, 90_000]
    assert failed(RUN.changed(lateness=table)) == set()
    table.loc[first, "max_us"] = 110_000
    assert failed(RUN.changed(lateness=table)) == {"longest-delay"}
    table.loc[:, ["le_30000", "max_us"]] = [5, 90_000]
    assert {"linecards-lateness", "switch-delay"} <= failed(RUN.changed(lateness=table))


def test_an_interval_in_which_nothing_moved_is_no_hole():
    table = RUN.tables["lateness"].copy()
    quiet = table["t_ns"] > table["t_ns"].median()
    table.loc[quiet, ["frames", "mean_us", *LATENESS_BUCKETS]] = 0
    assert "windows-complete" not in failed(RUN.changed(lateness=table))
    assert "windows-complete" in failed(RUN.changed(lateness=table[~quiet]))


def test_an_empty_certificate_is_not_valid():
    assert not Certificate(()).valid


def test_what_was_lost_on_purpose_is_no_fault():
    endpoints = RUN.tables["endpoints"].copy()
    first = endpoints.index[endpoints["role"].eq("recv") & endpoints["pass"].eq("on")][0]
    endpoints.loc[first, "messages"] -= 2
    endpoints.loc[first, "missing"] = 2
    lossy = RUN.changed(endpoints=endpoints)
    assert {"endpoint-losses", "endpoint-faults"} <= failed(lossy)
    counters = RUN.tables["counters"]
    lost = counters[counters["name"].eq("overflow")].assign(name="cells_lost_on_purpose", value=2)
    planned = lossy.changed(counters=pd.concat([counters, lost], ignore_index=True))
    assert failed(planned) == set()


def test_more_received_than_sent_is_a_fault():
    endpoints = RUN.tables["endpoints"].copy()
    endpoints.loc[endpoints.index[endpoints["role"] == "recv"][0], "messages"] += 1
    assert "endpoint-losses" in failed(RUN.changed(endpoints=endpoints))
