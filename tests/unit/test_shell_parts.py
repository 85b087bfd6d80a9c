"""The parts of a shell that need no process: plan, wire, delays, log, disks, commands."""

from __future__ import annotations

import math
import tempfile
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lab.errors import LabError
from lab.shell import quorum as quorum_module
from lab.shell.clock import Clock
from lab.shell.command import make_parser, render
from lab.shell.disks import OwnVolume, Store
from lab.shell.faults import HEALTHY, NodeFaults, read_faults, write_faults
from lab.shell.log import EventLog, log_path
from lab.shell.plan import ShellPlan, epoch_in, read_plan, shell_plan, write_plan
from lab.shell.quorum import QuorumVolume
from lab.shell.shell import core_seed, next_incarnation
from lab.shell.wire import Origin, pack_datagram, pack_hello, unpack_datagram, unpack_hello
from lab.stacks.commands import Argument, Command
from lab.stacks.core import DiskCall, DiskOperation
from lab.stacks.events import read_events
from lab.stacks.lateness import Histogram, quantile_s
from lab.stacks.plan import CasePlan

PLAN = ShellPlan("toy", 3, 0, networks=("10.1.0", "10.2.0"), addresses={"cluster": 250})


class SetClock(Clock):
    """A clock that shows what a test sets."""

    def __init__(self) -> None:
        super().__init__(0, 1.0)
        self.shows_s = 0.0

    def now_s(self) -> float:
        return self.shows_s


# --- plan -----------------------------------------------------------------------------------


def test_addresses_and_ports() -> None:
    assert PLAN.address(7, 1) == "10.2.0.7"
    assert PLAN.multicast_group(0) == "239.77.1.1"
    assert PLAN.ports(["rpc", "clusnet"]) == {"clusnet": 7000, "rpc": 7001}
    assert PLAN.moving_address("cluster") == {0: "10.1.0.250", 1: "10.2.0.250"}
    assert PLAN.moving_address("10.2.0.201") == {1: "10.2.0.201"}


@pytest.mark.parametrize("name", ["web", "10.1.0.3", "10.3.0.201", "10.1.0.255", "10.1.0.x", ""])
def test_what_cannot_move_is_refused(name: str) -> None:
    with pytest.raises(LabError, match=r"10\.1\.0\.200 to \.254, or a name .* cluster"):
        PLAN.moving_address(name)


def test_plan_of_a_case_names_its_addresses() -> None:
    case = CasePlan("c", "toy", 4, 10.0, addresses=("cluster", "web"), dilation=2.0, seed=7)
    plan = shell_plan(case, epoch_in(1.0), journal=True)
    assert plan.addresses == {"cluster": 250, "web": 249}
    assert plan.networks == ("10.1.0", "10.2.0")
    assert (plan.dilation, plan.seed, plan.journal) == (2.0, 7, True)


def test_plan_survives_its_file(tmp_path: Path) -> None:
    write_plan(tmp_path / "plan.json", PLAN)
    assert read_plan(tmp_path / "plan.json") == PLAN


@pytest.mark.parametrize(
    ("wrong", "complaint"),
    [
        ({"nodes": 0}, "nodes is 0"),
        ({"nodes": 200}, "1 to 199"),
        ({"dilation": 0}, "dilation is 0"),
        ({"stac": "x"}, "stac"),
    ],
)
def test_wrong_plan_is_told(tmp_path: Path, wrong: dict[str, object], complaint: str) -> None:
    path = tmp_path / "plan.json"
    path.write_bytes(msgspec.json.encode({**msgspec.to_builtins(PLAN), **wrong}))
    with pytest.raises(LabError, match=complaint):
        read_plan(path)


def test_each_life_of_each_node_has_a_seed_of_its_own() -> None:
    seeds = {core_seed(s, n, i) for s in (1, 2) for n in (1, 2) for i in (1, 2)}
    assert len(seeds) == 8
    assert core_seed(1, 2, 3) == core_seed(1, 2, 3)


def test_clock_divides_and_steps() -> None:
    clock = Clock(epoch_ns=10**9, dilation=4.0)
    clock.ahead_s = 100.0
    assert clock.monotonic_s(100.0) == 1.0
    assert clock.monotonic_s(101.0) == 5.0
    assert clock.node_s() - clock.now_s() > 99.0


# --- wire -----------------------------------------------------------------------------------


@given(st.integers(0, 65535), st.integers(0, 2**32 - 1), st.integers(0, 2**64 - 1),
       st.text(max_size=80), st.binary(max_size=80))  # fmt: skip
def test_datagram_survives_the_wire(
    node: int, incarnation: int, number: int, label: str, data: bytes
) -> None:
    origin = Origin(node, incarnation, number)
    packed = pack_datagram(origin, label, data)
    got = unpack_datagram(packed)
    assert got is not None
    assert (got.origin, got.data) == (origin, data)
    assert label.startswith(got.label) or len(label.encode()) > 255


@given(st.binary(max_size=60))
def test_garbage_is_none_or_a_datagram(data: bytes) -> None:
    got = unpack_datagram(data)
    assert got is None or data.startswith(b"lb")
    unpack_hello(data)


def test_hello_names_a_life() -> None:
    assert unpack_hello(pack_hello(7, 3)) == Origin(7, 3, 0)
    assert unpack_hello(pack_datagram(Origin(7, 3, 0), "label", b"")) is None


# --- delays ---------------------------------------------------------------------------------


@given(st.lists(st.floats(0, 100), min_size=1), st.floats(0.01, 1.0))
def test_quantile_is_an_upper_bound_within_a_fifth(delays: list[float], quantile: float) -> None:
    halves = [Histogram(), Histogram()]
    for at, delay in enumerate(delays):
        halves[at % 2].add(delay)
    true = sorted(delays)[max(0, math.ceil(quantile * len(delays)) - 1)]
    found = quantile_s([half.take() for half in halves], quantile)
    assert true <= found * (1 + 1e-12)
    assert found <= max(true * 1.19, 1e-6)


def test_histogram_begins_anew_when_taken() -> None:
    histogram = Histogram()
    histogram.add(0.5)
    assert histogram.take()["n"] == 1
    assert histogram.take() == {"n": 0, "max_s": 0.0, "counts": {}}
    assert quantile_s([], 0.99) == 0.0


# --- files ----------------------------------------------------------------------------------


def test_log_of_a_killed_node_goes_on_after_its_last_whole_line(tmp_path: Path) -> None:
    first = EventLog(tmp_path, 1, 1, SetClock())
    first.event("a", fields={"x": 1})
    first.close()
    with log_path(tmp_path, 1).open("ab") as file:
        file.write(b'{"t_s": 1.0, "no')
    second = EventLog(tmp_path, 1, 2, SetClock())
    second.event("b", t_s=3.0)
    second.close()
    events = list(read_events(log_path(tmp_path, 1)))
    assert [(e.kind, e.incarnation, e.t_s) for e in events] == [("a", 1, 0.0), ("b", 2, 3.0)]


def test_incarnations_grow(tmp_path: Path) -> None:
    assert [next_incarnation(tmp_path) for _ in range(3)] == [1, 2, 3]


def test_faults_survive_their_file(tmp_path: Path) -> None:
    assert read_faults(tmp_path) == HEALTHY
    write_faults(tmp_path, NodeFaults(disk_delay_s=0.5))
    assert read_faults(tmp_path) == NodeFaults(disk_delay_s=0.5)
    (tmp_path / "faults.json").write_text("{")
    with pytest.raises(LabError, match="does not say"):
        read_faults(tmp_path)


# --- disks ----------------------------------------------------------------------------------


@settings(max_examples=25, deadline=None)
@given(st.dictionaries(st.text(st.characters(codec="utf-8"), max_size=15), st.binary(max_size=20)))
def test_any_key_is_a_file_of_its_own(contents: dict[str, bytes]) -> None:
    with tempfile.TemporaryDirectory() as directory:
        store = Store(Path(directory))
        for key, data in contents.items():
            store.write(key, data)
        assert store.contents() == contents
        assert Store(Path(directory)).keys() == sorted(contents)
        assert {path.parent for path in Path(directory).rglob("*")} <= {Path(directory)}


def test_disk_calls_do_as_the_contract_says(tmp_path: Path) -> None:
    disk = OwnVolume(tmp_path / "disk")

    def call(operation: DiskOperation, key: str = "", data: bytes = b"") -> tuple[bool, bytes]:
        done = disk.call(DiskCall(1, "own", operation, key, data))
        return done.ok, done.data

    assert call("read", "a") == (False, b"")
    assert call("delete", "a") == (True, b"")
    assert call("write", "a/1", b"one") == (True, b"")
    assert call("write", "a/2", b"two") == (True, b"")
    assert call("write", "b", b"") == (True, b"")
    assert call("list", "a/") == (True, b"a/1\na/2")
    assert call("read", "a/2") == (True, b"two")
    assert call("reserve") == (False, b"")
    with pytest.raises(OSError, match="too long"):
        call("write", "k" * 300, b"")


class Volumes:
    """The quorum volume as several nodes see it, under one clock."""

    def __init__(self, directory: Path) -> None:
        self.clock = SetClock()
        self.of = {n: QuorumVolume(directory, n, self.clock, 10.0) for n in (1, 2, 3)}

    def call(
        self, node: int, operation: DiskOperation, key: str = "", data: bytes = b""
    ) -> tuple[bool, bytes]:
        done = self.of[node].call(DiskCall(1, "quorum", operation, key, data))
        return done.ok, done.data


def test_quorum_volume_serves_its_holder_alone(tmp_path: Path) -> None:
    volumes = Volumes(tmp_path)
    assert volumes.call(1, "write", "x", b"early") == (False, b"")
    assert volumes.call(1, "reserve") == (True, b"")
    assert volumes.call(1, "write", "x", b"first") == (True, b"")
    for operation in ("reserve", "renew", "read", "write", "delete", "list", "release"):
        assert volumes.call(2, operation, "x", b"second") == (False, b"")  # type: ignore[arg-type]
    assert volumes.call(1, "read", "x") == (True, b"first")
    assert volumes.call(1, "release") == (True, b"")
    assert volumes.call(1, "read", "x") == (False, b"")
    assert volumes.call(2, "reserve") == (True, b"")
    assert volumes.call(2, "list") == (True, b"x")


def test_reservation_lapses_when_it_is_not_renewed(tmp_path: Path) -> None:
    volumes = Volumes(tmp_path)
    assert volumes.call(1, "reserve")[0]
    volumes.clock.shows_s = 9.0
    assert volumes.call(1, "renew")[0]
    volumes.clock.shows_s = 19.0
    assert not volumes.call(2, "reserve")[0]
    volumes.clock.shows_s = 19.5
    assert volumes.call(1, "write", "x", b"late, but nobody has taken it")[0]
    assert volumes.call(2, "reserve")[0]
    assert not volumes.call(1, "renew")[0]
    assert not volumes.call(1, "write", "x", b"too late")[0]


def test_restarted_holder_may_take_its_reservation_up_again(tmp_path: Path) -> None:
    assert Volumes(tmp_path).call(1, "reserve")[0]
    again = Volumes(tmp_path)
    assert again.call(1, "reserve")[0]
    assert not again.call(2, "reserve")[0]


def test_node_that_is_cut_off_reaches_nothing(tmp_path: Path) -> None:
    volumes = Volumes(tmp_path)
    volumes.of[1].cut = True
    with pytest.raises(OSError, match="cut off"):
        volumes.call(1, "reserve")
    assert volumes.call(2, "reserve")[0]


def test_call_fails_while_a_paused_node_has_the_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quorum_module, "_LOCK_TIMEOUT_S", 0.01)
    volumes = Volumes(tmp_path)
    assert volumes.call(1, "reserve")[0]
    with volumes.of[1]._locked(), pytest.raises(BlockingIOError):
        volumes.call(2, "reserve")
    assert volumes.call(1, "renew")[0]


OPERATIONS: tuple[DiskOperation, ...] = ("reserve", "renew", "release", "write")


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 3), st.sampled_from(OPERATIONS), st.floats(0, 8))))
def test_never_two_holders(steps: list[tuple[int, DiskOperation, float]]) -> None:
    """Whatever nodes do and when, a node writes only while no other could."""
    with tempfile.TemporaryDirectory() as directory:
        volumes = Volumes(Path(directory))
        holder, renewed_s = 0, 0.0
        for node, operation, later_s in steps:
            volumes.clock.shows_s += later_s
            now_s = volumes.clock.shows_s
            ok, _ = volumes.call(node, operation, "x", b"%d" % node)
            free = holder in (0, node) or now_s - renewed_s > 10.0
            assert ok == (free if operation == "reserve" else holder == node)
            if ok and operation in ("reserve", "renew"):
                holder, renewed_s = node, now_s
            elif ok and operation == "release":
                holder = 0


# --- commands -------------------------------------------------------------------------------

COMMANDS = (
    Command("nodes", "the nodes", columns=("node", "state")),
    Command(
        "move",
        "move a group",
        (
            Argument("group", "which"),
            Argument("to_node", "where to", optional=True),
            Argument("now", "at once", optional=True, choices=("yes", "no")),
        ),
    ),
)


def test_commands_are_parsed_as_declared(capsys: pytest.CaptureFixture[str]) -> None:
    parser = make_parser("cluster", COMMANDS)
    given = vars(parser.parse_args(["move", "web", "--to-node", "3", "--json"]))
    assert given == {"command": "move", "json": True, "group": "web", "to_node": "3", "now": None}
    with pytest.raises(SystemExit):
        parser.parse_args(["move", "web", "--now", "maybe"])
    with pytest.raises(SystemExit):
        parser.parse_args(["--help"])
    assert "move a group" in capsys.readouterr().out


def test_answers_are_printed_for_people() -> None:
    rows = [{"state": "up", "node": 1, "more": 1}, {"node": 12, "state": None}]
    assert render(rows, ("node", "state")) == "NODE  STATE\n1     up\n12    -"
    assert render({"up": True, "groups": ["a", "b"], "t_s": 1.5}) == (
        "up      yes\ngroups  a b\nt_s     1.5"
    )
    assert render([]) == "none"
    assert render("moved") == "moved"
