"""Shells as processes: a puppet core puts out what a test asks for, over real sockets and files."""

from __future__ import annotations

import signal
import socket
import tempfile
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import msgspec
import psutil
import pytest

from lab.shell.client import set_faults
from lab.shell.faults import NodeFaults
from lab.shell.plan import EXIT_FAILED, EXIT_HALTED, EXIT_STOPPED, epoch_in, write_plan
from lab.shell.replay import replay
from lab.stacks.core import (
    DiskCall,
    Effect,
    Emit,
    Multicast,
    Post,
    Send,
    StreamClose,
    StreamOpen,
    StreamSend,
)
from lab.stacks.events import SHELL

from shell_nodes import FIRST_PORT, PREFIX, Nodes, eventually  # isort: skip
from shell_puppet import STACK  # isort: skip


@pytest.fixture(scope="module")
def nodes() -> Iterator[Nodes]:
    """Three nodes that no test ends."""
    with tempfile.TemporaryDirectory(prefix="sh") as directory:
        started = Nodes(Path(directory))
        for node in (1, 2, 3):
            started.start(node)
        for node in (1, 2, 3):
            eventually(lambda node=node: started.events(node, "started"))  # type: ignore[misc]
        yield started
        started.close()


@pytest.fixture
def lone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nodes]:
    """Two nodes, not started, with journals, that a test may end."""
    with tempfile.TemporaryDirectory(prefix="sh") as directory:
        made = Nodes(Path(directory), first_port=FIRST_PORT + 2, nodes=2, journal=True)
        yield made
        made.close()


def test_datagram_arrives_under_the_same_name_at_both_ends(nodes: Nodes) -> None:
    nodes.put_out(1, Send(2, 1, "low", b"to two", "greeting"))
    got = nodes.got(2, "Received", source=1)
    sent = eventually(lambda: [e for e in nodes.events(1, "send") if e.cause == got["message"]])[0]
    received = next(e for e in nodes.events(2, "receive") if e.cause == got["message"])
    same = {"network": 1, "channel": "low", "label": "greeting", "bytes": 6}
    assert sent.fields == {"peer": 2, **same}
    assert received.fields == {"peer": 1, **same}
    assert 0 <= sent.t_s < received.t_s


def test_multicast_reaches_all_others(nodes: Nodes) -> None:
    nodes.put_out(3, Multicast(0, "high", b"to all", "call"))
    for node in (1, 2):
        assert nodes.got(node, "Received", source=3)["network"] == 0
    assert not [e for e in nodes.events(3, "receive") if e.fields["label"] == "call"]
    assert eventually(lambda: nodes.events(3, "send"))[0].fields["peer"] == 0


def test_forged_and_broken_datagrams_are_refused(nodes: Nodes) -> None:
    known = len(nodes.events(1, "receive"))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
        stranger.bind((f"{PREFIX}.1.9", 0))
        to = (nodes.plan.address(1, 0), nodes.plan.ports(["low", "high"])["low"])
        stranger.sendto(b"x", to)
        stranger.sendto(b"lb\0\0\2" + bytes(11) + b"\1data", to)  # from node 2's name, not address
    nodes.put_out(2, Send(1, 0, "low", b"after them", "true"))
    nodes.got(1, "Received", data="YWZ0ZXIgdGhlbQ==")
    assert len(nodes.events(1, "receive")) == known + 1


def test_posts_and_timers_reach_their_level(nodes: Nodes) -> None:
    nodes.put_out(1, Post("kernel", b"up"))
    assert nodes.got(1, "Posted")["level"] == "kernel"
    asked_s = nodes.ask(1, "wake", level="service", after_s=0.05)
    due = nodes.got(1, "TimerDue", level="service")
    assert due["now_s"] >= asked_s + 0.05


def test_streams_carry_bytes_both_ways_and_end(nodes: Nodes) -> None:
    nodes.put_out(1, StreamOpen(5, 3, 1, "high"), StreamSend(5, b"early"))
    assert nodes.got(1, "StreamOpened", stream=5)["peer"] == 3
    inward = nodes.got(3, "StreamOpened", peer=1)
    assert inward["stream"] < 0
    assert inward["inward"]
    assert nodes.got(3, "StreamData")["data"] == "ZWFybHk="
    nodes.put_out(3, StreamSend(inward["stream"], b"back"), StreamClose(inward["stream"]))
    assert nodes.got(1, "StreamData", stream=5)["data"] == "YmFjaw=="
    nodes.got(1, "StreamClosed", stream=5)
    nodes.put_out(1, StreamOpen(6, 99, 1, "high"))
    nodes.got(1, "StreamClosed", stream=6)


def test_disk_keeps_data(nodes: Nodes) -> None:
    nodes.put_out(2, DiskCall(1, "own", "write", "a/b", b"data"), DiskCall(2, "own", "read", "a/b"))
    assert nodes.got(2, "DiskDone", token=2) | {"now_s": 0} == {
        "type": "DiskDone", "token": 2, "ok": True, "data": "ZGF0YQ==", "now_s": 0,
    }  # fmt: skip
    nodes.put_out(2, DiskCall(3, "own", "read", "missing"))
    assert not nodes.got(2, "DiskDone", token=3)["ok"]


def test_slow_disk_is_slow_for_as_long_as_it_is_told(nodes: Nodes) -> None:
    set_faults(nodes.directory(2), NodeFaults(disk_delay_s=0.3))
    asked_s = nodes.ask(2, "now")
    nodes.put_out(2, DiskCall(4, "own", "list"))
    assert nodes.got(2, "DiskDone", token=4)["now_s"] >= asked_s + 0.3
    set_faults(nodes.directory(2), NodeFaults())


def test_quorum_volume_has_one_holder(nodes: Nodes) -> None:
    nodes.put_out(1, DiskCall(10, "quorum", "reserve"))
    assert nodes.got(1, "DiskDone", token=10)["ok"]
    nodes.put_out(2, DiskCall(11, "quorum", "reserve"))
    assert not nodes.got(2, "DiskDone", token=11)["ok"]
    set_faults(nodes.directory(1), NodeFaults(quorum_cut=True))
    nodes.put_out(1, DiskCall(12, "quorum", "renew"))
    assert not nodes.got(1, "DiskDone", token=12)["ok"]
    set_faults(nodes.directory(1), NodeFaults())


def test_address_moves_with_what_is_sent_to_it(nodes: Nodes) -> None:
    for token, holder, other in ((20, 1, 2), (21, 2, 1)):
        nodes.put_out(holder, Effect(token, "address-up", {"name": "cluster"}))
        assert nodes.got(holder, "EffectDone", token=token)["ok"]
        nodes.put_out(other, Effect(30 + token, "address-up", {"name": "cluster"}))
        assert not nodes.got(other, "EffectDone", token=30 + token)["ok"]
        nodes.put_out(3, Send("cluster", 0, "high", b"%d" % holder, "who"))
        nodes.put_out(3, StreamOpen(token, "cluster", 0, "low"))
        assert nodes.got(3, "StreamOpened", stream=token)["peer"] == holder
        assert nodes.got(holder, "Received", source=3, channel="high")
        nodes.put_out(holder, Effect(40 + token, "address-down", {"name": "cluster"}))
        assert nodes.got(holder, "EffectDone", token=40 + token)["ok"]


def test_program_serves_until_it_is_stopped(nodes: Nodes) -> None:
    options = {"address": f"{PREFIX}.1.201", "port": FIRST_PORT + 4}
    start = {"name": "web", "program": "http", "options": options}
    nodes.put_out(3, Effect(60, "program-start", start))

    page_url = f"http://{PREFIX}.1.201:{FIRST_PORT + 4}/"

    def served() -> bytes | None:
        try:
            with urllib.request.urlopen(page_url, timeout=5) as page:
                body: bytes = page.read()
                return body
        except OSError:
            return None

    assert b'"node": 3' in eventually(served)
    nodes.put_out(1, Effect(61, "program-start", start))
    assert "in use" in nodes.got(1, "EffectDone", token=61)["detail"]
    nodes.put_out(3, Effect(62, "program-stop", {"name": "web"}))
    assert nodes.got(3, "EffectDone", token=62)["ok"]
    assert served() is None
    assert not [e for e in nodes.events(3, "got", "EffectDone") if e.fields["token"] == 60]


def test_core_is_told_of_a_program_that_ends_by_itself(nodes: Nodes) -> None:
    options = {"address": f"{PREFIX}.1.202", "port": FIRST_PORT + 4}
    start = {"name": "shop", "program": "http", "options": options}
    nodes.put_out(2, Effect(70, "program-start", start))
    shell = psutil.Process(nodes.running[2].pid)
    program = eventually(shell.children)[0]
    program.kill()
    done = nodes.got(2, "EffectDone", token=70)
    assert not done["ok"]
    assert done["detail"].startswith("shop")


def test_effects_that_make_no_sense_are_refused(nodes: Nodes) -> None:
    for token, name, arguments in (
        (80, "fly", {}),
        (81, "address-up", {"name": "10.9.9.9"}),
        (82, "program-start", {"name": "x", "program": "rm"}),
    ):
        nodes.put_out(1, Effect(token, name, arguments))
        assert not nodes.got(1, "EffectDone", token=token)["ok"]


def test_what_is_no_question_is_answered_so(nodes: Nodes) -> None:
    with socket.socket(socket.AF_UNIX) as asking:
        asking.settimeout(60)
        asking.connect(str(nodes.directory(1) / "node.sock"))
        asking.sendall(b'{"id": 1, "control": "explode"}\n')
        assert b"this is no question" in asking.recv(4096)


def test_clock_step_moves_the_cores_clock_and_not_the_logs(nodes: Nodes) -> None:
    set_faults(nodes.directory(3), NodeFaults(clock_ahead_s=1000.0))
    stepped_s = nodes.ask(3, "now")
    assert stepped_s > 1000.0 > nodes.events(3)[-1].t_s
    set_faults(nodes.directory(3), NodeFaults())
    assert nodes.ask(3, "now") < stepped_s


def test_what_comes_before_the_start_is_taken_after_it(lone: Nodes) -> None:
    plan = msgspec.structs.replace(lone.plan, epoch_ns=epoch_in(1.0))
    write_plan(lone.root / "plan.json", plan)
    for node in (1, 2):
        lone.start(node)
        with lone.client(node):
            pass  # it listens
    lone.put_out(1, Send(2, 0, "low", b"first", "early"))
    lone.got(2, "Received", source=1)
    for node in (1, 2):
        # A shell answers before it writes its log.
        eventually(lambda node=node: lone.events(node, "got"))  # type: ignore[misc]
        first, second = lone.events(node)[:2]
        assert (first.kind, second.kind) == ("started", "got")
        assert first.t_s >= 0.0


def test_life_after_life(lone: Nodes) -> None:
    """Stopped, killed, halted, failed: each life has its number, and what it wrote stays."""
    lone.start(1)
    lone.put_out(1, DiskCall(1, "own", "write", "kept", b"1"))
    lone.got(1, "DiskDone", token=1)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
        stranger.sendto(b"x", (lone.plan.address(1, 0), lone.plan.first_port))
    lone.put_out(1)
    assert lone.end(1) == EXIT_STOPPED
    assert lone.events(1)[-1].fields["refused"] == 1
    assert lone.events(1)[-1].kind == SHELL
    assert lone.events(1)[-1].phase == "end"

    lone.start(1)
    start = lone.got(1, "Start", incarnation=2)
    assert start["disk"] == {"kept": "MQ=="}
    lone.put_out(1, Send(2, 0, "low", b"nobody", "void"))
    assert eventually(lambda: lone.events(1, "send"))[-1].cause == "1.2.1"
    lone.end(1, signal.SIGKILL)

    lone.start(1)
    lone.got(1, "Start", incarnation=3)
    with lone.client(1) as client, pytest.raises(Exception, match="ended before it answered"):
        client.request("put out", {"what": [{"type": "Halt", "reason": "enough"},
                                            {"type": "Emit", "kind": "never"}]})  # fmt: skip
    assert lone.running.pop(1).wait(60) == EXIT_HALTED
    assert lone.events(1, "halted")[-1].cause == "enough"
    assert not lone.events(1, "never")

    lone.start(1)
    lone.got(1, "Start", incarnation=4)
    with lone.client(1) as client, pytest.raises(Exception, match="ended before it answered"):
        client.request("raise")
    assert lone.running.pop(1).wait(60) == EXIT_FAILED
    assert "as asked for" in lone.events(1, "halted", "failed")[-1].cause


def test_journals_of_all_lives_replay(lone: Nodes) -> None:
    for life, number in ((1, signal.SIGTERM), (2, signal.SIGKILL)):
        lone.start(1)
        lone.got(1, "Start", incarnation=life)
        lone.put_out(1, Emit("mark"), DiskCall(life, "own", "list"))
        lone.got(1, "DiskDone", token=life)
        lone.end(1, number)
        outcome = replay(lone.directory(1) / f"1.{life}.journal", STACK)
        assert outcome.difference is None
        assert outcome.inputs == 3
        assert outcome.whole == (number == signal.SIGTERM)
