"""The certificate: every bound is provoked, and missing instruments fail their check."""

from collections.abc import Callable

import pandas as pd
import pytest
from synthetic_run import Synthetic, synthetic

from lab.analysis.fidelity import CHECKS, Certificate, certify
from lab.results.tables import empty_table

Tables = dict[str, pd.DataFrame]
RUN = synthetic()


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
        table.loc[table["what"] == what, "gt_10000"] += 5
        table.loc[table["what"] == what, "max_us"] = 15_000
        return RUN.changed(lateness=table)

    return change


def slow_sender() -> Synthetic:
    flows = RUN.tables["flows"].copy()
    slow = (flows["stream"] == "cong4") & (flows["role"] == "send")
    flows.loc[slow, ["messages", "bytes"]] //= 2
    return RUN.changed(flows=flows)


def test_a_sound_run_is_certified():
    certificate = certify(RUN.observations())
    assert certificate.valid, certificate.why
    assert [check.name for check in certificate.checks] == [check.name for check in CHECKS]
    assert certificate.plain()["valid"] is True


@pytest.mark.parametrize(
    ("check", "provoke"),
    [
        ("endpoints-complete", without("endpoints", "stream == 'bg2' and role == 'recv'")),
        ("endpoints-complete", counter("ended_early", 1)),
        ("windows-complete", without("lateness", "120000000 < t_ns < 123000000")),
        ("linecards-lateness", delayed("late")),
        ("ovs-frames-lost", counter("frames_out", 1, "s40")),
        ("ovs-port-drops", counter("rx_dropped", 1, "ovs s3")),
        ("socket-drops", counter("rx_drops", 1)),
        ("socket-drops", counter("tx_refused", 1)),
        ("veth-drops", counter("veth_tx_dropped", 1)),
        ("softnet-drops", counter("softnet_dropped", 1)),
        ("linecards-refused", counter("unknown", 1)),
        ("instrument-losses", counter("series_lost_queues", 1)),
        ("switch-delay", delayed("crossing")),
        ("cpu-linecards", machine("linecards", 0.9)),
        ("machine-idle", machine("machine", 1.95)),
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
    assert {row[0] for row in marks[0].args[1]} == {check.name for check in CHECKS}


@pytest.mark.parametrize(
    ("table", "checks"),
    [
        ("lateness", {"windows-complete", "linecards-lateness", "switch-delay"}),
        ("machine", {"cpu-linecards", "machine-idle", "machine-steal"}),
        ("endpoints", {"endpoints-complete", "endpoint-losses", "endpoint-faults"}),
        ("counters", {"ovs-frames-lost", "socket-drops", "veth-drops", "container-throttling"}),
        ("steps", {"windows-complete", "greedy-senders"}),
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


def test_an_empty_certificate_is_not_valid():
    assert not Certificate(()).valid
