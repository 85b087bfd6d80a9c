"""Clean-up removes a lab from any state, and never anything else."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import labnet
import pytest

from lab.emulation import cpu_load, docker_hosts, net, node_programs
from lab.emulation.labels import ENV_LAB_ID, RUN_ROOT, group_of, new_lab_id
from lab.emulation.state import CURRENT, STATE_FILE, LabState, load_state, machine_lock
from lab.errors import LabError

pytestmark = pytest.mark.emulation

STEPS = (
    "building._make_dir",
    "building.save_state",
    "veth._netns_marker",
    "veth.create_netns",
    "netlink.checksum_offload_off",
    "veth.create_pairs",
    "ovs._vsctl",
    "ovs._check_ports",
    "veth.label_taps",
    "mininet_hosts._read_pids",
    "docker_hosts._start_one",
    "building._build",
    "cards.start_linecards",
    "cards.configure",
)
LAN_STEPS = ("ethernet._make_interfaces", "ethernet.connect", "ethernet.start_medium")


@pytest.fixture(scope="module", autouse=True)
def free_machine() -> None:
    assert not net.inventory().things, "a lab stands on this machine; run `lab down` first"


@pytest.fixture
def before() -> Iterator[dict[str, object]]:
    """What was there before the test; whatever the test does, it is there afterwards."""
    seen = labnet.traces()
    yield seen
    net.down()
    assert labnet.traces() == seen


@pytest.mark.parametrize(
    "words", [*((step,) for step in STEPS), *((step, "lan") for step in LAN_STEPS)], ids=" ".join
)
def test_a_build_killed_at_any_step_is_removed(words: tuple[str, ...], before: dict[str, object]):
    script = Path(__file__).with_name("broken_build.py")
    done = subprocess.run([sys.executable, str(script), *words], check=False, timeout=60)
    assert done.returncode == -signal.SIGKILL
    report = net.down()
    assert report.left == []
    assert labnet.traces() == before


@pytest.mark.parametrize("after_s", [0.5, 0.7, 0.9, 1.2])
def test_a_build_killed_at_any_time_is_removed(after_s: float, before: dict[str, object]):
    """The whole tree, killed by the clock; the command line ends in the same way."""
    code = "import labnet; from lab.topology import load_topology as t; labnet.build(t('fat_tree'))"
    process = subprocess.Popen([sys.executable, "-c", code], cwd=Path(__file__).parent)
    time.sleep(after_s)
    process.kill()
    process.wait()
    assert net.down().left == []
    assert labnet.traces() == before


def test_a_failed_build_removes_what_it_made(
    before: dict[str, object], monkeypatch: pytest.MonkeyPatch
):
    def refuse(_lab_id: str, _host: str, _box: net.Box) -> None:
        raise LabError("no container today")

    monkeypatch.setattr(docker_hosts, "_start_one", refuse)
    with pytest.raises(LabError, match="no container today"):
        labnet.build(labnet.small_tree(), ("n1",))
    assert labnet.traces() == before


@pytest.mark.parametrize("damage", ["missing", "half", "no directory"])
def test_the_record_is_not_needed(damage: str, before: dict[str, object]):
    state = labnet.build(labnet.small_tree(), ("n2",))
    record = CURRENT / STATE_FILE
    if damage == "missing":
        record.unlink()
    elif damage == "half":
        record.write_bytes(record.read_bytes()[:100])
        with pytest.raises(LabError, match=r"damaged.*lab down"):
            load_state()
    else:
        labnet.run("rm", "-r", str(state.directory))
        with pytest.raises(LabError, match="no lab is standing"):
            load_state()
    with pytest.raises(LabError, match="a lab stands on this machine already"):
        labnet.build(labnet.small_tree())
    assert net.down().left == []
    assert labnet.traces() == before


def test_down_twice_and_by_id(before: dict[str, object]):
    state = labnet.build(labnet.small_tree())
    assert not net.down("lab-000000").removed_anything
    assert load_state() == state
    assert net.down(state.lab_id).removed_anything
    assert not net.down().removed_anything
    assert labnet.traces() == before


def test_killed_hosts_and_running_programs(before: dict[str, object]):
    state = labnet.build(labnet.small_tree(), ("n2",), line_cards=True)
    stopped = net.popen_in_host(state, "n1", ["sleep", "1000"])
    os.kill(stopped.pid, signal.SIGSTOP)
    net.popen_in_host(state, "n2", ["sleep", "1000"])
    os.kill(state.hosts["n3"].pid, signal.SIGKILL)
    labnet.run("docker", "pause", "lab-n2")
    os.kill(state.linecards_pid, signal.SIGKILL)
    time.sleep(0.1)
    with pytest.raises(LabError, match="host n3 is dead"):
        net.popen_in_host(state, "n3", ["true"])
    assert net.down().left == []
    assert stopped.wait(5) is not None
    assert labnet.traces() == before


def test_an_ethernet_lab_in_any_state_is_removed(before: dict[str, object]):
    """Its medium killed, a node's programs stopped, its processor loaded, its pipe gone."""
    state = labnet.build_lan("cluster_lan", 2)
    host = state.hosts["n1"]
    node_programs.start(state.lab_id, host, ["sleep", "1000"])
    cpu_load.apply(state.lab_id, [host], "moderate", nodes=2, dilation=1.0)
    while not node_programs.signal_programs(host, signal.SIGSTOP):
        time.sleep(0.01)
    os.kill(state.medium_pid, signal.SIGKILL)
    os.kill(state.hosts["n2"].pid, signal.SIGKILL)
    assert net.down().left == []
    assert labnet.traces() == before


def test_dead_line_cards_are_an_error_with_the_log(
    before: dict[str, object], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(LabError, match="line-card process died at its start"):
        labnet.build(labnet.small_tree(), line_cards=True)
    assert labnet.traces() == before


def test_one_command_at_a_time(before: dict[str, object]):
    code = (
        "import sys, time; from lab.emulation.state import machine_lock\n"
        "with machine_lock('testing'): print('held', flush=True); time.sleep(60)"
    )
    holder = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    assert holder.stdout is not None
    assert holder.stdout.readline() == b"held\n"
    with (
        pytest.raises(LabError, match=rf"another command .*{holder.pid}: testing"),
        machine_lock("x"),
    ):
        pass
    with pytest.raises(LabError, match="another command"):
        net.down()
    holder.kill()
    holder.wait()
    with machine_lock("building after the other died"):
        pass
    assert not RUN_ROOT.exists()


@contextlib.contextmanager
def killed(pid_file: Path, restart: Path) -> Iterator[None]:
    """Kill a daemon, and start it again afterwards as set-up does."""
    pid = pid_file.read_text().strip()
    line = [pid, *labnet.children_of(pid)]
    os.kill(int(pid), signal.SIGKILL)
    try:
        # Its children die with it. While any of them is still listed, a restart takes it for
        # alive: dockerd waits for the containerd that it had.
        deadline = time.monotonic() + 10
        while any(Path("/proc", each).exists() for each in line) and time.monotonic() < deadline:
            time.sleep(0.01)
        yield
    finally:
        # No pipes: a daemon might hold their other ends for ever.
        subprocess.run(["sh", str(restart)], stdout=subprocess.DEVNULL, check=True, timeout=60)


def test_a_dead_switch_daemon_keeps_nothing(before: dict[str, object]):
    labnet.build(labnet.small_tree())
    with killed(Path("/run/openvswitch/ovs-vswitchd.pid"), labnet.START_OVS):
        started = time.monotonic()
        assert net.down().left == []
        assert time.monotonic() - started < 5
        with pytest.raises(LabError, match="ovs-vswitchd is not running"):
            labnet.build(labnet.small_tree())
    assert labnet.traces() == before


def test_a_dead_database_is_named_with_the_remedy(before: dict[str, object]):
    labnet.build(labnet.small_tree())
    with killed(Path("/run/openvswitch/ovsdb-server.pid"), labnet.START_OVS):
        report = net.down()
        assert {left.what for left in report.left} >= {"bridge lab-s1", "bridge lab-s3"}
        assert all("make setup" in left.remedy for left in report.left if "bridge" in left.what)
        assert report.removed["veth"] == 7
        with pytest.raises(LabError, match="a lab stands on this machine already"):
            labnet.build(labnet.small_tree())
    assert net.down().removed == {"bridge": 3}
    assert labnet.traces() == before


def test_a_dead_docker_is_named_with_the_remedy(before: dict[str, object]):
    state = labnet.build(labnet.small_tree(), ("n1",))
    box = state.hosts["n1"].pid
    with killed(Path("/run/docker.pid"), labnet.START_DOCKER):
        report = net.down()
        assert "container lab-n1" in {left.what for left in report.left}
        assert all("Docker" in left.remedy for left in report.left if left.remedy)
        assert not Path(f"/proc/{box}").exists()
        assert report.removed["bridge"] == 3
    assert net.down().left == []
    assert labnet.traces() == before


@pytest.fixture
def bystanders() -> Iterator[None]:
    """Other people's things, some with names and labels that look like ours."""
    things = (
        ("ovs-vsctl add-br s1 -- set Bridge s1 datapath_type=netdev external_ids:lab=chemistry",
         "ovs-vsctl del-br s1"),
        ("ip netns add bystander", "ip netns del bystander"),
        ("ip link add lab-desk type veth peer name by1", "ip link del lab-desk"),
        ("ip link set lab-desk alias lab:desk", "true"),
        ("docker run -d --name bystander --label lab=chemistry --network none lab-base:latest",
         "docker rm -f bystander"),
    )  # fmt: skip
    with contextlib.ExitStack() as cleanup:
        for make, unmake in things:
            labnet.run(*make.split())
            cleanup.callback(labnet.run, *unmake.split())
        yield


@pytest.fixture
def bystander_processes() -> Iterator[list["subprocess.Popen[bytes]"]]:
    labels = ("chemistry", "", "lab-12345", "lab-1234567")
    started = [
        subprocess.Popen(["sleep", "500"], env={**os.environ, ENV_LAB_ID: label})
        for label in labels
    ]
    yield started
    for process in started:
        process.kill()
        process.wait()


def test_others_survive(
    bystanders: None,
    bystander_processes: list["subprocess.Popen[bytes]"],
    before: dict[str, object],
):
    state = labnet.build(labnet.small_tree(), ("n1",), line_cards=True)
    # One more veth in our group makes removal by group impossible; ours must go all the same.
    labnet.run("ip", "link", "set", "by1", "group", str(group_of(state.lab_id)))
    report = net.down()
    assert report.left == []
    assert labnet.run("ovs-vsctl", "list-br").split() == ["s1"]
    links = labnet.run("ip", "-o", "link")
    assert "lab-desk" in links
    assert "bystander" in labnet.run("ip", "netns").split()
    running = labnet.run("docker", "inspect", "-f", "{{.State.Running}}", "bystander")
    assert running.strip() == "true"
    assert all(process.poll() is None for process in bystander_processes)


@pytest.mark.parametrize("thing", ["bridge", "namespace", "interface", "container"])
def test_taken_names_are_refused_and_spared(thing: str, before: dict[str, object]):
    make, unmake, name = {
        "bridge": (
            "ovs-vsctl add-br lab-s1 -- set Bridge lab-s1 datapath_type=netdev",
            "ovs-vsctl del-br lab-s1",
            "lab-s1",
        ),
        "namespace": ("ip netns add lab-cards", "ip netns del lab-cards", "lab-cards"),
        "interface": (
            "ip link add lab-s1-p1 type veth peer name by2",
            "ip link del lab-s1-p1",
            "lab-s1-p1",
        ),
        "container": (
            "docker run -d --name lab-n1 --network none lab-base:latest",
            "docker rm -f lab-n1",
            "lab-n1",
        ),
    }[thing]
    labnet.run(*make.split())
    try:
        with pytest.raises(LabError, match=f"taken by something that is not a lab's: {name}"):
            labnet.build(labnet.small_tree(), ("n1",))
        assert not net.down().removed_anything
    finally:
        labnet.run(*unmake.split())


def test_a_caller_inside_the_lab_survives(before: dict[str, object]):
    """``lab down`` typed into a shell of a host: the shell and its ancestors are spared."""
    lab_id = new_lab_id()
    code = "from lab.emulation import net; print(net.down().left)"
    done = subprocess.run(
        ["sh", "-c", f"sleep 400 & {sys.executable} -c '{code}'; echo alive"],
        env={**os.environ, ENV_LAB_ID: lab_id},
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    assert done.stdout.split("\n")[:2] == ["[]", "alive"]
    assert net.inventory().processes == []


def test_state_of(before: dict[str, object]):
    state: LabState = labnet.build(labnet.small_tree())
    assert state.ready
    assert state.owner == "hand"
    with pytest.raises(LabError, match=r"n9 is not a host of this lab .its hosts: n1, n2, n3"):
        state.host("n9")
    with pytest.raises(LabError, match="no circuit 5"):
        state.vc(5)
