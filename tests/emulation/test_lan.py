"""An Ethernet lab for real: hosts hear each other, break and heal; nodes outlive their programs."""

import json
import os
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import labnet
import msgspec
import pytest

from lab.emulation import cpu_load, net, node_programs
from lab.emulation.client import MediumClient
from lab.emulation.ethernet import setting_data
from lab.emulation.labels import host_dir
from lab.emulation.medium.keeper import SOCKET
from lab.emulation.medium.process import Setting
from lab.emulation.netlink import inside
from lab.emulation.state import HostState, LabState
from lab.engine.cluster.by_hand import write_inventory
from lab.stacks.plan import Fault, FaultKind, NetworkPlan

pytestmark = pytest.mark.emulation

PORT = 7000
SOON_S = 5.0
NEVER_S = 0.3
CLIENT = 33
FAST = (NetworkPlan(), NetworkPlan())


@pytest.fixture(scope="module")
def lab() -> Iterator[LabState]:
    assert not net.inventory().things, "a lab stands on this machine; run `lab down` first"
    state = labnet.build_lan("cluster_lan", 3)
    yield state
    assert net.down().left == []


@pytest.fixture
def medium(lab: LabState) -> Iterator[MediumClient]:
    """The medium, set back to two Fast Ethernets without faults."""
    with MediumClient(lab.medium_socket) as client:
        begin(client, FAST)
        yield client


def begin(medium: MediumClient, networks: tuple[NetworkPlan, ...]) -> None:
    setting = Setting(networks, 1.0, seed=1, epoch_ns=time.monotonic_ns(), hosts=CLIENT)
    medium.call("begin", setting=setting_data(setting))


def netns(host: HostState) -> Path:
    return Path(f"/proc/{host.pid}/ns/net")


class Station:
    """A UDP socket on a host."""

    def __init__(
        self, lab: LabState, number: int, network: int = 0, *, everywhere: bool = False
    ) -> None:
        name = "client" if number == CLIENT else f"n{number}"
        self.address = (f"10.{network + 1}.0.{number}", PORT)
        with inside(netns(lab.hosts[name])):
            self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self.socket.bind(("", PORT) if everywhere else self.address)

    def __enter__(self) -> "Station":
        return self

    def __exit__(self, *_exc: object) -> None:
        self.socket.close()

    def send(self, data: bytes, to: tuple[str, int]) -> None:
        self.socket.sendto(data, to)

    def hears(self, data: bytes, within_s: float = SOON_S) -> bool:
        """Whether these bytes arrive next, or within a time."""
        self.socket.settimeout(within_s)
        try:
            return self.socket.recvfrom(65536)[0] == data
        except TimeoutError:
            return False


def soon(condition: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + SOON_S
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


@pytest.mark.parametrize("network", [0, 1])
def test_hosts_hear_each_other(lab: LabState, medium: MediumClient, network: int):
    with (
        Station(lab, 1, network) as one,
        Station(lab, 2, network) as two,
        Station(lab, CLIENT, network) as client,
    ):
        for data in (b"short", os.urandom(4000)):
            one.send(data, two.address)
            assert two.hears(data)
            two.send(data, client.address)
            assert client.hears(data)
    counts = medium.call("stats")["networks"][network]["hosts"]
    assert (counts["1"]["sent"], counts["2"]["received"]) == (4, 4)
    assert medium.call("stats")["networks"][1 - network]["hosts"]["1"]["sent"] == 0


def test_a_multicast_reaches_all_others(lab: LabState, medium: MediumClient):
    with (
        Station(lab, 1) as one,
        Station(lab, 2, everywhere=True) as two,
        Station(lab, 3, everywhere=True) as three,
    ):
        group = socket.inet_aton("239.77.1.1")
        for station in (two, three):
            member = struct.pack("4s4s", group, socket.inet_aton(station.address[0]))
            station.socket.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, member)
        own = socket.inet_aton(one.address[0])
        one.socket.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, own)
        one.send(b"all", ("239.77.1.1", PORT))
        assert two.hears(b"all")
        assert three.hears(b"all")


def test_a_link_has_its_rate(lab: LabState, medium: MediumClient):
    begin(medium, (NetworkPlan(rate_bytes_per_s=50_000), NetworkPlan()))
    with Station(lab, 1) as one, Station(lab, 2) as two:
        began_s = time.monotonic()
        for number in range(10):
            one.send(bytes([number]) * 958, two.address)
        assert all(two.hears(bytes([number]) * 958) for number in range(10))
        assert time.monotonic() - began_s >= 11 * 1024 / 50_000


def fault(medium: MediumClient, kind: FaultKind, *of: tuple[int, ...], network: int | None = None):
    medium.call("fault", fault=msgspec.to_builtins(Fault(kind, *of, network=network)))


def test_what_is_cut_one_way_is_cut_one_way_and_heals(lab: LabState, medium: MediumClient):
    with Station(lab, 1) as one, Station(lab, 2) as two, Station(lab, 3) as three:
        fault(medium, "one-way-cut", (1,), (2,), network=0)
        one.send(b"lost", two.address)
        one.send(b"kept", three.address)
        two.send(b"back", one.address)
        assert three.hears(b"kept")
        assert one.hears(b"back")
        fault(medium, "heal")
        one.send(b"again", two.address)
        assert two.hears(b"again")
    assert medium.call("stats")["lost_by_faults"] == 1


def test_what_is_clogged_arrives_when_healed(lab: LabState, medium: MediumClient):
    with Station(lab, 1) as one, Station(lab, 2) as two:
        fault(medium, "clog", (1,), (2,))
        one.send(b"held", two.address)
        assert not two.hears(b"held", NEVER_S)
        fault(medium, "heal", (2,))
        assert two.hears(b"held")


def test_frames_collide_on_a_hub(lab: LabState, medium: MediumClient):
    """A long frame is on the medium; two that wait for its end begin together."""
    begin(medium, (NetworkPlan(kind="hub", rate_bytes_per_s=5000), NetworkPlan()))
    with Station(lab, 1) as one, Station(lab, 2) as two, Station(lab, 3) as three:
        one.send(b"1" * 1000, two.address)
        soon(lambda: medium.call("stats")["networks"][0]["hosts"]["1"]["sent"] == 1)
        two.send(b"2", three.address)
        three.send(b"3", one.address)
        assert two.hears(b"1" * 1000)
        assert three.hears(b"2")
        assert one.hears(b"3")
    seen = medium.call("stats")["networks"][0]
    assert seen["kind"] == "hub"
    assert seen["collisions"] >= 1
    assert seen["hosts"]["2"]["collisions"] >= 1


class Holder:
    """A program on a node that takes over an address."""

    def __init__(self, lab: LabState, name: str) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.connect(str(host_dir(lab.lab_id, name) / SOCKET))

    def up(self, address: str) -> bool:
        self._socket.sendall(json.dumps({"up": address}).encode() + b"\n")
        return bool(json.loads(self._socket.recv(4096))["ok"])

    def die(self) -> None:
        self._socket.close()


def test_an_address_moves_and_goes_with_its_holder(lab: LabState, medium: MediumClient):
    address = ("10.1.0.250", PORT)
    with (
        Station(lab, 1, everywhere=True) as one,
        Station(lab, 2, everywhere=True) as two,
        Station(lab, CLIENT) as client,
    ):
        holders = [Holder(lab, "n1"), Holder(lab, "n2")]
        assert holders[0].up(address[0])
        assert not holders[0].up("10.1.0.3")
        client.send(b"first", address)
        assert one.hears(b"first")
        holders[0].die()
        assert holders[1].up(address[0])
        # The client knew the former holder; the announcement has corrected it.
        client.send(b"second", address)
        assert two.hears(b"second")
        assert soon(lambda: "10.1.0.250" not in addresses(lab, "n1"))
        assert "10.1.0.250" in addresses(lab, "n2")
        holders[1].die()
        assert soon(lambda: "10.1.0.250" not in addresses(lab, "n2"))


def addresses(lab: LabState, name: str) -> str:
    pid = str(lab.hosts[name].pid)
    return labnet.run("nsenter", "-t", pid, "-n", "ip", "-br", "address")


TOY = """
import sys, time
with open(sys.argv[1], "a") as file:
    while True:
        print("x", end="", file=file, flush=True)
        time.sleep(0.005)
"""


def test_a_node_outlives_its_programs(lab: LabState):
    host, own = lab.hosts["n1"], host_dir(lab.lab_id, "n1")
    (own / "toy.py").write_text(TOY)
    beats = own / "beats"

    def start() -> None:
        node_programs.start(lab.lab_id, host, ["python3", str(own / "toy.py"), str(beats)])

    def beaten() -> int:
        return beats.stat().st_size if beats.exists() else 0

    before = addresses(lab, "n1")
    start()
    assert soon(lambda: beaten() > 0)
    node_programs.signal_programs(host, signal.SIGSTOP)
    seen = beaten()
    assert not soon_more(beaten, seen, NEVER_S)
    node_programs.signal_programs(host, signal.SIGCONT)
    assert soon(lambda: beaten() > seen)
    assert node_programs.kill(host) == 1
    assert node_programs.programs(host) == []
    assert soon(lambda: (own / node_programs.ENDED).read_text() == "137\n")
    seen = beaten()
    assert not soon_more(beaten, seen, NEVER_S)
    start()
    assert soon(lambda: beaten() > seen)
    assert addresses(lab, "n1") == before
    node_programs.kill(host)


def soon_more(count: Callable[[], int], than: int, within_s: float) -> bool:
    time.sleep(within_s)
    return count() > than


def test_what_a_program_complains_of_is_kept(lab: LabState):
    host = lab.hosts["n2"]
    node_programs.start(lab.lab_id, host, ["python3", "/nowhere.py"])
    assert soon(lambda: "nowhere.py" in node_programs.output_tail(lab.lab_id, "n2"))


def test_load_is_a_quota_and_work_that_uses_it_up(lab: LabState):
    host = lab.hosts["n2"]
    stat = Path("/proc", str(host.pid), "cgroup")
    assert stat.exists()
    cpu_load.apply(lab.lab_id, [host], "heavy", nodes=3, dilation=1.0)
    work = [p for p in net.inventory().processes if "while :" in p.name]
    assert len(work) == 2
    assert soon(lambda: throttled(host) > 0)
    cpu_load.apply(lab.lab_id, [host], "idle", nodes=3, dilation=1.0)
    assert soon(lambda: not [p for p in net.inventory().processes if "while :" in p.name])


def throttled(host: HostState) -> float:
    from lab.engine.counters import read_counters

    return read_counters({"n2": host.pid}).get(("n2", "nr_throttled"), 0.0)


def test_ansible_reaches_nodes_by_the_inventory(lab: LabState):
    inventory = write_inventory(lab, sys.executable)
    done = subprocess.run(
        [str(Path(sys.executable).with_name("ansible")), "-i", str(inventory), "n1", "-m", "ping"],
        env={
            **os.environ,
            "ANSIBLE_CONFIG": str(labnet.ROOT / "playbooks" / "ansible.cfg"),
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert "pong" in done.stdout, done.stdout + done.stderr
