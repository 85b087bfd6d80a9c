"""The fat tree for real: it comes up whole and fast, forwards by label, and goes."""

import contextlib
import os
import socket
import struct
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import labnet
import pytest

from lab.emulation import net, ovs
from lab.emulation.labels import card_interface, host_dir, switch_interface
from lab.emulation.netlink import inside
from lab.emulation.state import LabState, load_state
from lab.emulation.veth import MTU_BYTES, NETNS_PATH
from lab.errors import LabError
from lab.signalling import Hop, VcRequest
from lab.topology import load_topology

pytestmark = pytest.mark.emulation

TREE = load_topology("fat_tree")
BOXED = ("n1", "n33")
BROKEN_OFF_S = 5.0


@pytest.fixture(scope="module")
def lab() -> Iterator[LabState]:
    assert not net.inventory().things, "a lab stands on this machine; run `lab down` first"
    state = labnet.build(TREE, BOXED)
    yield state
    assert net.down().left == []


@pytest.fixture
def state(lab: LabState) -> Iterator[LabState]:
    """The lab without circuits."""
    yield lab
    net.close_vcs(lab, [vc.id for vc in load_state().vcs])


def test_everything_stands_and_bears_the_label(lab: LabState):
    found = net.inventory()
    assert found.lab_ids == {lab.lab_id}
    assert found.counts() == {
        "bridge": 40,
        "veth": 320,
        "namespace": 1,
        "container": 2,
        "process": len(found.processes),
        "directory": 1,
    }
    assert load_state() == lab
    assert {host.kind for host in lab.hosts.values()} == {"mininet", "container"}
    assert len({host.netns_inode for host in lab.hosts.values()}) == 64


def test_ports_have_their_numbers_and_veths_their_settings(lab: LabState):
    shown = labnet.run("ovs-ofctl", "show", "lab-s40")
    for port in range(1, 9):
        assert f" {port}({switch_interface('s40', port)})" in shown
    end = switch_interface("s40", 8)
    assert Path(f"/sys/class/net/{end}/mtu").read_text().strip() == str(MTU_BYTES)
    assert Path(f"/sys/class/net/{end}/operstate").read_text().strip() == "up"
    assert Path(f"/proc/sys/net/ipv6/conf/{end}/disable_ipv6").read_text().strip() == "1"
    assert "tx-checksumming: off" in labnet.run("ethtool", "-k", end)
    with inside(NETNS_PATH):
        other = Path("/proc/thread-self/net/if_inet6").read_text()
        assert "s40-p8" in labnet.run("ip", "-o", "link")
    assert other == ""


def test_a_second_lab_is_refused(lab: LabState):
    with pytest.raises(LabError, match=f"a lab stands on this machine already: {lab.lab_id}"):
        labnet.build(TREE)
    assert load_state() == lab


def test_circuits_are_installed_listed_traced_and_removed(state: LabState):
    ends = [(f"n{i}", f"n{65 - i}") for i in range(1, 33)]
    opened = net.open_vcs(state, [VcRequest(f"v{a}", "g", a, b) for a, b in ends])
    assert load_state().vcs == list(opened)
    assert all(listed.whole for listed in net.list_vcs(state))
    hops = net.trace(state, opened[0].id)
    assert [hop.installed for hop in hops] == 2 * [None, True, True, True, True, True, None]

    switch = opened[0].switches[2]
    labnet.run("ovs-ofctl", "del-flows", f"lab-{switch}", f"cookie={opened[0].id:#x}/-1")
    (broken,) = [hop for hop in net.trace(state, opened[0].id)[:7] if hop.problem]
    assert broken.hop.node == switch
    assert "no entry" in broken.problem
    assert not net.list_vcs(state)[0].whole

    net.close_vcs(state, [vc.id for vc in opened[:16]])
    assert [vc.id for vc in load_state().vcs] == [vc.id for vc in opened[16:]]
    assert net.stray_flows(state) == {}
    (again,) = net.open_vcs(state, [VcRequest("again", "g", "n1", "n64")])
    assert again.id == opened[-1].id + 1
    labnet.run("ovs-ofctl", "add-flow", "lab-s1", "cookie=0x999,priority=1,in_port=1,mpls,"
               "mpls_label=77,mpls_tc=0,actions=output:2")  # fmt: skip
    assert [flow.vc_id for flow in net.stray_flows(state)["s1"]] == [0x999]
    labnet.run("ovs-ofctl", "del-flows", "lab-s1", "cookie=0x999/-1")


def test_what_cannot_be_opened_leaves_nothing(state: LabState, monkeypatch: pytest.MonkeyPatch):
    with pytest.raises(LabError, match="n99 is not a host of this lab"):
        net.open_vcs(state, [VcRequest("bad", "g", "n1", "n99")])

    def refuse(lines: object) -> None:
        real(lines)  # type: ignore[arg-type]
        monkeypatch.setattr(ovs, "change_flows", real)
        raise LabError("a switch is gone")

    real = ovs.change_flows
    monkeypatch.setattr(ovs, "change_flows", refuse)
    with pytest.raises(LabError, match="a switch is gone"):
        net.open_vcs(state, [VcRequest("half", "g", "n1", "n40")])
    assert load_state().vcs == []
    assert net.stray_flows(state) == {}


def soon(condition: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + BROKEN_OFF_S
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


ETHERNET = bytes.fromhex("020000000002 020000000001 8847")


def frame(label: int, traffic_class: int, ttl: int, payload: bytes) -> bytes:
    return ETHERNET + struct.pack("!I", label << 12 | traffic_class << 9 | 1 << 8 | ttl) + payload


class CardEnd:
    """A line card that only hands on: one veth end, seen as a packet socket."""

    def __init__(self, node: str, port: int) -> None:
        with inside(NETNS_PATH):
            self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0003))
            self._socket.bind((card_interface(node, port), 0))
        self._socket.settimeout(BROKEN_OFF_S)

    def send(self, data: bytes) -> None:
        self._socket.send(data)

    def receive(self) -> bytes:
        while True:
            data, address = self._socket.recvfrom(10000)
            if address[2] != socket.PACKET_OUTGOING:
                return data

    def close(self) -> None:
        self._socket.close()


def relay(hops: tuple[Hop, ...], traffic_class: int, ttl: int, payload: bytes) -> bytes:
    """Carry a frame over the links of a circuit, looking at it on each; return the last."""
    data = frame(hops[0].out_label, traffic_class, ttl, payload)
    for hop in hops[1:-1]:
        entry, leave = CardEnd(hop.node, hop.in_port), CardEnd(hop.node, hop.out_port)
        with contextlib.closing(entry), contextlib.closing(leave):
            entry.send(data)
            data = leave.receive()
        assert data == frame(hop.out_label, traffic_class, ttl, payload), hop
    return data


def test_frames_are_forwarded_and_their_labels_swapped(state: LabState):
    # Others on parts of the way shift the labels, so that every hop has to swap.
    others = [("n2", "s1 s17"), ("n5", "s2 s17 s33"), ("n6", "s2 s17 s33"), ("n9", "s3 s18 s33")]
    requests = [
        VcRequest(f"o{i}{host}", "g", host, f"n{36 + i}", via=tuple(via.split()))
        for i, (host, via) in enumerate(others * 2)
    ]
    path = ("s1", "s17", "s33", "s25", "s9")
    requests.append(VcRequest("watched", "g", "n1", "n36", via=path))
    vc = net.open_vcs(state, requests)[-1]
    assert len({hop.out_label for hop in vc.forward[:-1]}) > 2

    # Quench cells right after data and data right after them: classes must not mix.
    for traffic_class, size in ((0, 2048), (7, 44), (0, 9000), (7, 44)):
        payload = os.urandom(size)
        for chain in (vc.forward, vc.reverse):
            arrived = relay(chain, traffic_class, 64, payload)
            assert arrived == frame(chain[-1].in_label, traffic_class, 64, payload)
    # The switches gather their counters about once in half a second.
    counts = [(2, 2)] * 10
    assert soon(
        lambda: (
            [(h.packets, h.quench_cells) for h in net.trace(state, vc.id) if h.installed] == counts
        )
    )


def test_a_frame_without_a_circuit_goes_nowhere(state: LabState):
    (vc,) = net.open_vcs(state, [VcRequest("one", "g", "n5", "n6")])
    entry, leave = CardEnd("s2", 1), CardEnd("s2", 2)
    with contextlib.closing(entry), contextlib.closing(leave):
        entry.send(frame(vc.forward[0].out_label + 1, 0, 64, b"x" * 100))
        entry.send(frame(vc.forward[0].out_label, 0, 64, b"y" * 100))
        assert leave.receive()[18:] == b"y" * 100


@pytest.mark.parametrize("host", ["n1", "n2"])
def test_programs_on_hosts(lab: LabState, host: str, tmp_path: Path):
    words = "test -w . && echo $LAB_HOST $LAB_ID; pwd; sleep 0.5; exit 3"
    with (tmp_path / "out").open("wb") as out:
        process = net.popen_in_host(lab, host, ["sh", "-c", words], stdout=out)
    assert process.poll() is None
    netns = Path(f"/proc/{process.pid}/ns/net")
    assert soon(lambda: netns.stat().st_ino == lab.hosts[host].netns_inode)
    assert process.wait(10) == 3
    assert process.poll() == 3
    own = str(host_dir(lab.lab_id, host))
    assert (tmp_path / "out").read_text().split() == [host, lab.lab_id, own]

    sleeper = net.popen_in_host(lab, host, ["sleep", "100"])
    sleeper.kill()
    assert sleeper.wait(10) not in {0, None}
    assert net.exec_in_host(lab, host, ["sh", "-c", "exit 7"]) == 7


def test_containers_are_bare_of_rights(lab: LabState, tmp_path: Path):
    checks = "id -u; touch /x; ls /sys/class/net; grep CapEff /proc/self/status; ls /opt/lab/unet"
    with (tmp_path / "out").open("wb") as out:
        net.popen_in_host(lab, "n33", ["sh", "-c", checks], stdout=out).wait(10)
    words = (tmp_path / "out").read_text().split()
    assert words[:4] == ["1000", "lo", "CapEff:", "0000000000000000"]
    assert "stream.py" in words


def test_unknown_and_dead_hosts_are_named(lab: LabState):
    with pytest.raises(LabError, match="n65 is not a host"):
        net.popen_in_host(lab, "n65", ["true"])


def test_the_switches_come_before_other_sessions(lab: LabState):
    group = Path(f"/proc/{ovs.switch_daemon_pid()}/autogroup")
    if not group.exists():
        pytest.skip("this kernel does not group processes by session")
    assert group.read_text().split()[-1] == "-20"


def test_the_tree_comes_and_goes_quickly_and_leaves_nothing():
    """Runs last: the module's lab is taken down and another one is measured."""
    net.down()
    before = labnet.traces()
    started = time.monotonic()
    labnet.build(TREE)
    up_s = time.monotonic() - started
    report = net.down()
    assert up_s < 10
    assert report.duration_s < 5
    assert report.left == []
    assert report.removed["bridge"] == 40
    assert labnet.traces() == before
    assert before["files"] == []


def test_mn_builds_it():
    """Mininet's own command, with a part of its own tests: it reads ports and names."""
    code = (
        "import sys; sys.path.insert(0, 'topologies'); import fat_tree;"
        "from mininet.net import Mininet; from mininet.node import OVSBridge;"
        "net = Mininet(topo=fat_tree.topos['fat_tree'](), build=False, switch=OVSBridge);"
        "print(len(net.topo.switches()), net.topo.port('s40', 's32'))"
    )
    out = subprocess.run(
        ["/usr/bin/python3", "-c", code],
        cwd=labnet.ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert out.stdout.split() == ["40", "(8,", "8)"]
