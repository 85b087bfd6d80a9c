"""Cases in containers, as far as they need none: faults that stand, logs that grow, loads."""

import socket
from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest

from lab.emulation import cgroups, cpu_load, net, node_programs
from lab.emulation.cpu_load import LEVELS, LoadTooSlowError, quota_s
from lab.emulation.state import HostState, LabState
from lab.engine.cluster.by_hand import make_fault
from lab.engine.cluster.driver import Listening, Tail
from lab.engine.cluster.faults import standing_after
from lab.engine.cluster.nodes import Nodes, SlowStartError
from lab.engine.cluster.requests import Requests
from lab.engine.hand_faults import HandFault, inject_by_hand
from lab.errors import LabError
from lab.shell.client import Ask
from lab.stacks.events import Event, event_line
from lab.stacks.plan import Fault

ALL = (1, 2, 3, 4)


def after(*faults: Fault) -> list[Fault]:
    standing: list[Fault] = []
    for fault in faults:
        standing = standing_after(standing, fault, fault.nodes or ALL)
    return standing


def test_what_stands_is_what_could_be_healed():
    cut = Fault("cut", (1, 2), (3, 4))
    assert after(Fault("kill", (1,)), Fault("restart", (1,)), Fault("clock-step", value=3)) == []
    assert after(cut, cut) == [cut]
    assert after(Fault("loss", value=0.5)) == [Fault("loss", ALL, value=0.5)]


def test_healing_a_node_takes_it_out_of_every_fault():
    cut, pause = Fault("cut", (1, 2), (3, 4)), Fault("pause", (1,))
    assert after(cut, pause, Fault("heal", (1,))) == [Fault("cut", (2,), (3, 4))]
    assert after(cut, Fault("heal", (3, 4))) == []
    assert after(cut, pause, Fault("heal")) == []


@pytest.mark.parametrize("end", ["resume", "kill", "wipe"])
def test_a_pause_ends_with_the_program_too(end: str):
    pause, slow = Fault("pause", (1, 2)), Fault("slow-disk", (1,), value=0.1)
    assert after(pause, slow, Fault(end, (1,))) == [Fault("pause", (2,)), slow]  # type: ignore[arg-type]


def test_a_load_takes_the_place_of_the_one_before():
    heavy = Fault("cpu-load", ALL, level="heavy")
    assert after(Fault("cpu-load", level="moderate"), heavy) == [heavy]
    assert after(heavy, Fault("cpu-load", level="idle")) == []


class Clock:
    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def line(t_s: float, kind: str) -> bytes:
    return event_line(Event(t_s, 1, kind))


def test_listeners_hear_whole_lines_from_when_they_began(tmp_path: Path):
    log, clock, heard = tmp_path / "1.events.jsonl", Clock(), list[float]()
    listening = Listening([log], clock)
    listening.look()
    log.write_bytes(line(1.0, "view") + line(2.0, "other"))
    clock.now_s = 3.0
    assert not listening.anybody
    listening.listen("view", lambda event: heard.append(event.t_s))
    assert listening.anybody
    listening.look()
    assert heard == []
    half = line(4.0, "view")
    log.write_bytes(log.read_bytes() + half[:10])
    listening.look()
    assert heard == []
    log.write_bytes(log.read_bytes() + half[10:] + line(5.0, "view"))
    listening.look()
    listening.look()
    assert heard == [4.0, 5.0]


def test_a_half_line_that_a_restart_cut_off_is_no_event(tmp_path: Path):
    log = tmp_path / "1.events.jsonl"
    whole = line(1.0, "view")
    log.write_bytes(whole + b'{"t_s":2.0,"no')
    tail = Tail(log)
    assert [event.t_s for event in tail.new_events(["view"])] == [1.0]
    log.write_bytes(whole + line(3.0, "view"))
    assert [event.t_s for event in tail.new_events(["view"])] == [3.0]


def test_requests_are_handed_in_without_waiting(tmp_path: Path):
    path = tmp_path / "node.sock"
    requests = Requests(lambda _node: path)
    assert not requests.ask(1, "status", {})
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        assert requests.ask(1, "status", {"a": 1})
        assert requests.control(1, "faults")
        stream, _ = listener.accept()
        with stream:
            got = [msgspec.json.decode(each, type=Ask) for each in stream.recv(4096).splitlines()]
        assert got == [Ask(2, request="status", arguments={"a": 1}), Ask(3, control="faults")]
        # The program has started anew: its former connection is dead, a new one is made.
        assert requests.ask(1, "status", {})
        stream, _ = listener.accept()
        with stream:
            assert msgspec.json.decode(stream.recv(4096), type=Ask).id == 4
    path.unlink()
    assert not requests.ask(1, "status", {})
    requests.close()


def nodes(count: int) -> Nodes:
    state = LabState("lab-123456", "cluster_lan", 1.0, 1, 0.0, stack="mscs", nodes=count)
    for node in range(1, count + 1):
        name = f"n{node}"
        state.hosts[name] = HostState(name, "container", 0, 0, None, 1000)
    return Nodes(state, count)


@pytest.fixture
def at_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Directories of hosts are here."""
    from lab.emulation import node_programs as programs
    from lab.engine.cluster import nodes as module

    for where in (module, programs):
        monkeypatch.setattr(where, "host_dir", lambda _lab, host: tmp_path / host)
    for node in (1, 2):
        (tmp_path / f"n{node}").mkdir()
    return tmp_path


def test_who_waits_for_nodes_is_told_why_in_vain(at_home: Path):
    (at_home / "n1" / "node.sock").touch()
    pair = nodes(2)
    pair.wait_until_ready([1], until_s=0.0)
    with pytest.raises(SlowStartError, match="programs of 1 nodes did not start in time"):
        pair.wait_until_ready([1, 2], until_s=0.0)
    (at_home / "n2" / node_programs.ENDED).write_text("1\n")
    (at_home / "n2" / node_programs.OUTPUT).write_text("error: no such option\n")
    with pytest.raises(LabError, match=r"node 2 ended as soon as .*\nerror: no such option"):
        pair.wait_until_ready([1, 2], until_s=float("inf"))


def asked(kind: str, of: Sequence[str] = (), peers: Sequence[str] = (), **more: object) -> Fault:
    return make_fault(nodes(4), kind, of, peers, **more)  # type: ignore[arg-type]


def test_faults_by_hand_are_those_of_a_plan():
    assert asked("cut", ["n1"], ["n2", "3"], network=0) == Fault("cut", (1,), (2, 3), network=0)
    assert asked("loss", value=0.25) == Fault("loss", value=0.25)
    assert asked("cpu-load", ["n4"], level="heavy") == Fault("cpu-load", (4,), level="heavy")
    assert asked("heal") == Fault("heal")


@pytest.mark.parametrize(
    ("kind", "given", "message"),
    [
        ("melt", {}, "fault melt: Input should be"),
        ("kill", {"of": ["n5"]}, "there is no node n5 .the nodes are n1 to n4"),
        ("loss", {}, "fault loss needs a value"),
        ("loss", {"value": 1.5}, "a part, from 0 to 1"),
        ("kill", {"value": 1.0}, "fault kill has no value"),
        ("kill", {"of": ["n1"], "peers": ["n2"]}, "fault kill has no peers"),
        ("cpu-load", {"level": "mad"}, "fault cpu-load: Input should be"),
    ],
)
def test_what_is_no_fault_is_told(kind: str, given: dict[str, object], message: str):
    with pytest.raises(LabError, match=message):
        asked(kind, **given)  # type: ignore[arg-type]


def test_an_ethernet_lab_has_no_circuits():
    lan = LabState("lab-123456", "cluster_lan", 1.0, 1, 0.0, medium_pid=7)
    with pytest.raises(LabError, match="cluster_lan forwards by Ethernet's addresses"):
        net.open_vcs(lan, [])


def test_a_fabric_has_fewer_faults():
    tree = LabState("lab-123456", "fat_tree", 100.0, 1, 0.0)
    with pytest.raises(LabError, match="on fat_tree there is no fault loss"):
        inject_by_hand(tree, HandFault("loss", ["n1"]))
    with pytest.raises(LabError, match="a link has two ends"):
        inject_by_hand(tree, HandFault("cut", ["s1"]))


@pytest.mark.parametrize("nodes_loaded", [1, 8, 32])
def test_loads_leave_most_of_the_machine(nodes_loaded: int, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    for level in LEVELS.values():
        period_s, quota = quota_s(level, nodes_loaded, dilation=1.0)
        assert nodes_loaded * quota / period_s <= 0.8 + 1e-9
        assert quota / period_s <= 0.25
    assert LEVELS["moderate"].period_s < LEVELS["heavy"].period_s
    # The kernel takes no period above a second; a shorter one would be a lighter load.
    cpu_load.check("moderate", dilation=2.0)
    cpu_load.check("idle", dilation=100.0)
    with pytest.raises(LoadTooSlowError, match=r"at dilation 2 .* heavy .*a dilation of 1\.08 at"):
        cpu_load.check("heavy", dilation=2.0)


def test_only_containers_have_programs_of_their_own():
    holder = HostState("client", "mininet", 1, 0, None, 0)
    with pytest.raises(LabError, match="client is no container"):
        node_programs.kill(holder)


def test_words_of_a_command_line_are_words():
    host = HostState("n1", "container", 1, 0, None, 1000)
    with pytest.raises(LabError, match="white space"):
        node_programs.start("lab-123456", host, ["sh", "-c", "rm x"])


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("0::/docker/abc\n", "docker/abc"),
        ("7:pids:/docker/abc\n4:cpu,cpuacct:/docker/abc\n0::/x\n", "cpu,cpuacct/docker/abc"),
    ],
)
def test_control_groups_of_both_versions(text: str, found: str, tmp_path: Path):
    (tmp_path / "cpu,cpuacct").mkdir()
    assert cgroups.group_path(text, "cpu", tmp_path) == tmp_path / found
