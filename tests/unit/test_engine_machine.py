"""What the machine spends and drops: readings of /proc, OVS and cgroups."""

import json
import os
import time
from pathlib import Path

from lab.engine.counters import (
    difference,
    parse_coverage,
    parse_cpu_stat,
    parse_datapath,
    parse_net_dev,
)
from lab.engine.machine import MachineSampler, machine_cpu_s, process_cpu_s

DPCTL = """netdev@ovs-netdev:
  lookups: hit:5 missed:2 lost:1
  flows: 3
  port 0: ovs-netdev (tap)
    RX packets:9 errors:9 dropped:9 overruns:9 frame:9
  port 1: lab-s27-p8
    RX packets:10 errors:0 dropped:1 overruns:0 frame:0
    TX packets:4 errors:0 dropped:0 aborted:0 carrier:0
    collisions:0
    RX bytes:100  TX bytes:?
  port 2: lab-s27-p4
    RX packets:1 errors:0 dropped:2 overruns:? frame:0
  port 3: other-s27-p4
    RX packets:100 errors:0 dropped:2 overruns:0 frame:0
"""


def test_datapath_counters_add_up_per_switch() -> None:
    reading = parse_datapath(DPCTL)
    assert reading["ovs datapath", "lookups_lost"] == 1
    assert reading["ovs s27", "rx_packets"] == 11
    assert reading["ovs s27", "rx_dropped"] == 3
    assert reading["ovs s27", "tx_packets"] == 4
    assert {where for where, _ in reading} == {"ovs datapath", "ovs s27"}


def test_coverage_keeps_drop_counters() -> None:
    text = (
        "Event coverage, avg rate over last: 5 seconds, last minute, last hour,  hash=1:\n"
        "datapath_drop_upcall_error  0.0/sec     0.000/sec        0.0000/sec   total: 7\n"
        "netdev_received             0.0/sec     0.000/sec        0.0000/sec   total: 9\n"
    )
    assert parse_coverage(text) == {("ovs datapath", "datapath_drop_upcall_error"): 7}


def test_interface_drops_leave_the_loopback_out() -> None:
    lines = ["lo: 1 1 0 9 0 0 0 0 1 1 0 9 0 0 0 0", "s1-p1: 1 1 0 2 0 0 0 0 1 1 0 3 0 0 0 0"]
    reading = parse_net_dev(lines)
    assert set(reading.values()) == {2.0, 3.0}


def test_throttling_of_both_cgroup_versions() -> None:
    v1 = parse_cpu_stat("n1", "nr_periods 4\nnr_throttled 2\nthrottled_time 500000000\n")
    v2 = parse_cpu_stat("n1", "usage_usec 1\nnr_throttled 2\nthrottled_usec 500000\n")
    assert v1 == v2 == {("n1", "nr_throttled"): 2.0, ("n1", "throttled_s"): 0.5}


def test_difference_counts_from_nothing_when_new() -> None:
    rows = difference({("a", "x"): 3.0}, {("a", "x"): 5.0, ("b", "y"): 1.0})
    assert rows == [
        {"where": "a", "name": "x", "value": 2.0},
        {"where": "b", "name": "y", "value": 1.0},
    ]


def test_cpu_accounts() -> None:
    assert process_cpu_s(os.getpid()) > 0
    assert process_cpu_s(2**22 + 1) == 0.0
    used_s = machine_cpu_s("cpu  100 30 50 1000 10 0 50 25 0 0\n")
    ticks_per_s = os.sysconf("SC_CLK_TCK")
    ticks = {what: seconds * ticks_per_s for what, seconds in used_s.items()}
    assert {what: round(count) for what, count in ticks.items()} == {
        "machine": 230,
        "low-priority": 30,
        "steal": 25,
    }


def test_sampler_writes_virtual_times(tmp_path: Path) -> None:
    path = tmp_path / "machine.jsonl"
    epoch_ns = time.monotonic_ns()
    sampler = MachineSampler({"me": [os.getpid()]}, path, epoch_ns, dilation=100.0)
    sampler.start()
    time.sleep(0.5)
    sampler.stop()
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    assert {row["what"] for row in rows} == {"me", "machine", "low-priority", "steal"}
    assert all(0 < row["t_s"] < 0.05 and row["cpu"] >= 0 for row in rows)
