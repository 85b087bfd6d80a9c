"""Counters of the machine around a pass: what OVS, the kernel and Docker dropped or delayed.

Every row is ``{"where", "name", "value"}``; a pass keeps the difference of two readings.
The fidelity certificate judges them: a frame lost here was lost by the testbed and not by
the modelled network.
"""

import subprocess
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from lab.emulation.cgroups import group_of_process
from lab.emulation.labels import CARDS_NETNS

Reading = dict[tuple[str, str], float]

DATAPATH = "netdev@ovs-netdev"
_DIRECTIONS = ("RX", "TX")
_PORT_COUNTERS = ("packets", "errors", "dropped", "overruns")


def read_counters(container_pids: Mapping[str, int]) -> Reading:
    """Read all counters now; ``container_pids`` maps a host's name to its first process."""
    reading: Reading = {}
    reading.update(_ovs_datapath())
    reading.update(_softnet(Path("/proc/net/softnet_stat").read_text()))
    reading.update(_cards_interfaces())
    for host, pid in container_pids.items():
        reading.update(_throttling(host, pid))
    return reading


def difference(before: Reading, after: Reading) -> list[dict[str, object]]:
    """Rows of what was added between two readings."""
    return [
        {"where": where, "name": name, "value": value - before.get((where, name), 0.0)}
        for (where, name), value in sorted(after.items())
    ]


def _command(*argv: str) -> str:
    """Output of a read-only command; "" when it cannot answer (the watch names the culprit)."""
    try:
        done = subprocess.run(argv, capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout if done.returncode == 0 else ""


def _ovs_datapath() -> Reading:
    # Straight from the datapath: the copy in OVS's database is up to five seconds old.
    reading = parse_datapath(_command("ovs-appctl", "dpctl/show", "-s", DATAPATH))
    return reading | parse_coverage(_command("ovs-appctl", "coverage/show"))


def parse_datapath(text: str) -> Reading:
    """Lookups, and the counters of the lab's ports added up per switch (lab-sN-pM)."""
    reading: Reading = {}
    switch = ""
    for line in text.splitlines():
        words = line.split()
        if not words:
            continue
        if words[0] == "lookups:":
            for name, value in _pairs(words[1:]):
                reading["ovs datapath", f"lookups_{name}"] = value
        elif words[0] == "port":
            parts = words[2].split("-")
            switch = parts[1] if parts[0] == "lab" and len(parts) == 3 else ""
        elif switch and words[0] in _DIRECTIONS:
            for name, value in _pairs(words[1:]):
                if name in _PORT_COUNTERS:
                    where = (f"ovs {switch}", f"{words[0].lower()}_{name}")
                    reading[where] = reading.get(where, 0.0) + value
    return reading


def _pairs(words: Sequence[str]) -> Iterator[tuple[str, float]]:
    """``name:123`` words; those without a number are left out."""
    for word in words:
        name, _, value = word.partition(":")
        if value.isdigit():
            yield name, float(value)


def parse_coverage(text: str) -> Reading:
    """Totals of OVS's drop counters from ``ovs-appctl coverage/show``."""
    reading: Reading = {}
    for line in text.splitlines():
        fields = line.split()
        if len(fields) >= 2 and "drop" in fields[0] and fields[-2] == "total:":
            reading["ovs datapath", fields[0]] = float(fields[-1])
    return reading


def _softnet(text: str) -> Reading:
    rows = [line.split() for line in text.splitlines()]
    return {
        ("kernel", "softnet_dropped"): float(sum(int(row[1], 16) for row in rows)),
        ("kernel", "softnet_squeezed"): float(sum(int(row[2], 16) for row in rows)),
    }


def _cards_interfaces() -> Reading:
    text = _command("nsenter", f"--net=/run/netns/{CARDS_NETNS}", "cat", "/proc/self/net/dev")
    return parse_net_dev(text.splitlines()[2:])


def parse_net_dev(lines: Iterable[str]) -> Reading:
    """Add the drop columns of /proc/net/dev up over all interfaces but the loopback."""
    received = sent = 0
    for line in lines:
        name, _, rest = line.partition(":")
        fields = rest.split()
        if name.strip() != "lo" and len(fields) >= 12:
            received += int(fields[3])
            sent += int(fields[11])
    return {
        ("line cards", "veth_rx_dropped"): float(received),
        ("line cards", "veth_tx_dropped"): float(sent),
    }


def _throttling(host: str, pid: int) -> Reading:
    """CPU throttling of a container, from cgroup v1 or v2, whichever is mounted."""
    try:
        return parse_cpu_stat(host, (group_of_process(pid, "cpu") / "cpu.stat").read_text())
    except OSError:
        return {}


def parse_cpu_stat(host: str, text: str) -> Reading:
    """Throttled periods and seconds; v1 counts nanoseconds, v2 microseconds."""
    values = {
        name: int(value) for name, value in (line.split() for line in text.splitlines() if line)
    }
    throttled_s = values.get("throttled_time", 0) / 1e9 + values.get("throttled_usec", 0) / 1e6
    return {
        (host, "nr_throttled"): float(values.get("nr_throttled", 0)),
        (host, "throttled_s"): throttled_s,
    }
