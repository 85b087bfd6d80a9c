"""Open vSwitch: one bridge a switch, one database transaction for all of them.

The bridges use the user datapath (it needs no kernel module) and fail secure: without a flow
entry nothing is forwarded. Every call is time-boxed, so that a daemon that died or hangs is
an error message and not a wait.
"""

import contextlib
import json
import os
import re
import subprocess
from collections.abc import Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from lab.emulation.labels import ENV_LAB_ID, KEY, bridge_name, is_lab_id, switch_interface
from lab.errors import LabError
from lab.topology import Topology

_RUN = Path("/run/openvswitch")
_DATABASES = (Path("/etc/openvswitch/conf.db"), Path("/var/lib/openvswitch/conf.db"))
_TIMEOUT_S = 20
_QUICK_TIMEOUT_S = 5
_PARALLEL = 4
_OPENFLOW = "OpenFlow14"
REMEDY = "start Open vSwitch: `make setup`, or `/usr/share/openvswitch/scripts/ovs-ctl start`"


class OvsUnreachableError(LabError):
    """The database or the switch daemon does not answer."""


@dataclass(frozen=True)
class InstalledFlow:
    """A label swap as a switch really has it, with the frames that it has matched."""

    vc_id: int
    in_port: int
    in_label: int
    out_port: int
    out_label: int
    traffic_class: int
    packets: int


def switch_daemon_alive() -> bool:
    """Tell whether ovs-vswitchd runs."""
    try:
        return Path(f"/proc/{switch_daemon_pid()}/comm").read_text().strip() == "ovs-vswitchd"
    except OSError:
        return False


def switch_daemon_pid() -> int:
    """Return the process of ovs-vswitchd, 0 when it has left no trace of one."""
    try:
        return int((_RUN / "ovs-vswitchd.pid").read_text())
    except (OSError, ValueError):
        return 0


def give_precedence() -> None:
    """Let the switch daemon run before ordinary programs, as its own priority of -10 is meant to.

    Where the kernel groups processes by session (autogroup), priorities count only among those of
    one session, and the daemon would share the cores evenly with every other session: on two busy
    cores it waited twice as long as it ran, and lost frames.
    """
    with contextlib.suppress(OSError):  # a kernel without such groups
        Path(f"/proc/{switch_daemon_pid()}/autogroup").write_text("-20")


def database_alive() -> bool:
    """Tell whether ovsdb-server answers."""
    try:
        _vsctl(["get-manager"], timeout_s=_QUICK_TIMEOUT_S, wait=False)
    except OvsUnreachableError:
        return False
    return True


def _vsctl(
    arguments: Sequence[str],
    *,
    timeout_s: int = _TIMEOUT_S,
    wait: bool = True,
    lab_id: str | None = None,
) -> str:
    command = ["ovs-vsctl", f"--timeout={timeout_s}", *([] if wait else ["--no-wait"]), *arguments]
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            check=False,
            timeout=timeout_s + 2,
            env={**os.environ, ENV_LAB_ID: lab_id} if lab_id else None,
        )
    except FileNotFoundError:
        raise OvsUnreachableError("Open vSwitch is not installed", remedy="`make setup`") from None
    except subprocess.TimeoutExpired:
        raise OvsUnreachableError("Open vSwitch does not answer", remedy=REMEDY) from None
    if done.returncode == 0:
        return done.stdout
    message = done.stderr.strip().splitlines()[-1:] or [f"status {done.returncode}"]
    # A time-out ends ovs-vsctl by SIGALRM; a missing database has its own message.
    if done.returncode < 0 or "database connection failed" in done.stderr:
        raise OvsUnreachableError(f"Open vSwitch does not answer: {message[0]}", remedy=REMEDY)
    raise LabError(f"Open vSwitch refused: {message[0]}")


def create_bridges(topology: Topology, lab_id: str) -> None:
    """Make all bridges with all their ports, whose veths must exist, in one transaction."""
    if not topology.bridged:
        return
    arguments: list[str] = []
    for switch in topology.bridged:
        bridge = bridge_name(switch)
        arguments += ["--", "add-br", bridge, "--", "set", "Bridge", bridge]
        arguments += ["datapath_type=netdev", "fail_mode=secure", f"external_ids:{KEY}={lab_id}"]
        arguments += ["other_config:disable-in-band=true"]
        for ref in topology.ports(switch):
            port = switch_interface(switch, ref.port)
            arguments += ["--", "add-port", bridge, port]
            arguments += ["--", "set", "Interface", port, f"ofport_request={ref.port}"]
    # Labelled, because it outlives a builder that is killed and would go on building.
    _vsctl(arguments, lab_id=lab_id)
    _check_ports(topology)


def _check_ports(topology: Topology) -> None:
    """Make sure that every port got its number: a wrong one would misroute circuits."""
    rows = json.loads(_vsctl(["--format=json", "--columns=name,ofport", "list", "Interface"]))
    numbers = dict(rows["data"])
    for switch in topology.bridged:
        for ref in topology.ports(switch):
            got = numbers.get(switch_interface(switch, ref.port))
            if got != ref.port:
                raise LabError(f"Open vSwitch did not take port {ref}: it has number {got}")


def labelled_bridges() -> dict[str, str]:
    """Return the bridges of ours and their labs, as the database has them."""
    out = _vsctl(
        ["--format=json", "--columns=name,external_ids", "list", "Bridge"],
        timeout_s=_QUICK_TIMEOUT_S,
        wait=False,
    )
    return _labelled((name, dict(ids[1])) for name, ids in json.loads(out)["data"])


def labelled_bridges_on_disk() -> dict[str, str]:
    """Return the same from the database's file, for when its server is dead."""
    query = [
        "Open_vSwitch",
        {"op": "select", "table": "Bridge", "where": [], "columns": ["name", "external_ids"]},
    ]
    for path in _DATABASES:
        if not path.exists():
            continue
        done = subprocess.run(
            ["ovsdb-tool", "query", str(path), json.dumps(query)],
            capture_output=True,
            text=True,
            check=False,
            timeout=_QUICK_TIMEOUT_S,
        )
        if done.returncode == 0:
            rows = json.loads(done.stdout)[0]["rows"]
            return _labelled((row["name"], dict(row["external_ids"][1])) for row in rows)
    return {}


def _labelled(bridges: Iterable[tuple[str, dict[str, str]]]) -> dict[str, str]:
    return {name: ids[KEY] for name, ids in bridges if is_lab_id(ids.get(KEY, ""))}


def bridge_names() -> set[str]:
    """Return the names of all bridges on the machine, whosever they are."""
    return set(_vsctl(["list-br"], timeout_s=_QUICK_TIMEOUT_S, wait=False).split())


def remove_bridges(bridges: Collection[str]) -> None:
    """Remove bridges in one transaction.

    With the switch daemon dead the database is changed all the same, and the interfaces of
    the bridges stay behind. OvsUnreachableError when the daemon lives and does not follow in time.
    """
    if not bridges:
        return
    arguments: list[str] = []
    for bridge in bridges:
        arguments += ["--", "--if-exists", "del-br", bridge]
    _vsctl(arguments, wait=switch_daemon_alive())


def _ofctl(bridge: str, command: str, *arguments: str, stdin: str = "") -> str:
    line = ["ovs-ofctl", f"--timeout={_TIMEOUT_S}", f"--protocols={_OPENFLOW}", "--no-names"]
    line += [*(["--bundle"] if command == "add-flows" else []), command, bridge, *arguments]
    try:
        done = subprocess.run(
            line,
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
            timeout=_TIMEOUT_S + 2,
        )
    except subprocess.TimeoutExpired:
        raise OvsUnreachableError(f"bridge {bridge} does not answer", remedy=REMEDY) from None
    if done.returncode == 0:
        return done.stdout
    message = done.stderr.strip().splitlines()[-1:] or [f"status {done.returncode}"]
    if done.returncode < 0 or not switch_daemon_alive():
        raise OvsUnreachableError(f"bridge {bridge} does not answer: {message[0]}", remedy=REMEDY)
    raise LabError(f"bridge {bridge}: {message[0]}")


def change_flows(lines_by_switch: Mapping[str, Sequence[str]]) -> None:
    """Apply flow lines (entries to add, or ``delete <match>``), a bundle a switch.

    Within a switch all lines take effect or none do. LabError names the switch that failed.
    """

    def change(switch: str) -> None:
        text = "\n".join(lines_by_switch[switch]) + "\n"
        _ofctl(bridge_name(switch), "add-flows", "-", stdin=text)

    with ThreadPoolExecutor(_PARALLEL) as pool:
        list(pool.map(change, lines_by_switch))


_FLOW = re.compile(
    r"cookie=(?P<cookie>0x[0-9a-f]+).*?n_packets=(?P<packets>\d+).*?in_port=\"?(?P<in_port>\d+)\"?"
    r",mpls_label=(?P<in_label>\d+),mpls_tc=(?P<traffic_class>\d)"
    r".* actions=(?:set_field:(?P<out_label>\d+)->mpls_label,)?"
    r"output:\"?(?P<out_port>\d+)\"?"
)


def parse_flow(line: str) -> InstalledFlow | None:
    """Read one line of ``dump-flows``; None for a line that is no label swap."""
    match = _FLOW.search(line)
    if match is None:
        return None
    return InstalledFlow(
        vc_id=int(match["cookie"], 0),
        in_port=int(match["in_port"]),
        in_label=int(match["in_label"]),
        out_port=int(match["out_port"]),
        out_label=int(match["out_label"] or match["in_label"]),
        traffic_class=int(match["traffic_class"]),
        packets=int(match["packets"]),
    )


def installed_flows(switches: Iterable[str]) -> dict[str, list[InstalledFlow]]:
    """Return the label swaps that switches have now, by switch."""
    names = list(switches)

    def dump(switch: str) -> list[InstalledFlow]:
        lines = _ofctl(bridge_name(switch), "dump-flows").splitlines()
        return [flow for line in lines if (flow := parse_flow(line))]

    with ThreadPoolExecutor(_PARALLEL) as pool:
        return dict(zip(names, pool.map(dump, names), strict=True))
