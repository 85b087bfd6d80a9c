"""Stream programs: pacing, payload and bins as functions, and the programs end to end."""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from unet_fake_ni import FakeNi

import lab.unet
from lab.unet.bins import Bins
from lab.unet.pacing import GREEDY, Pacer, Step
from lab.unet.payload import CORRUPTED, Payload, SequenceCheck
from lab.unet.plan import Plan, PlanError

UNET = Path(lab.unet.__file__).parent
SECOND = 10**9


@given(
    rates=st.lists(st.sampled_from([0.0, 10.0, 333.0, 1000.0]), min_size=1, max_size=5),
    wakes=st.lists(st.integers(0, 6 * SECOND), max_size=50),
    phase=st.floats(0, 0.99),
)
def test_a_paced_sender_sends_its_rate_however_seldom_it_looks(
    rates: list[float], wakes: list[int], phase: float
):
    steps = [Step(i * SECOND, rate) for i, rate in enumerate(rates)]
    end_ns = len(rates) * SECOND
    pacer = Pacer(steps, end_ns, phase)
    sent = 0
    for now_ns in sorted([*wakes, end_ns]):
        due = pacer.due(now_ns)
        assert due >= 0
        pacer.took(due)
        assert pacer.due(now_ns) == 0
        sent += due
    assert sent == pytest.approx(sum(rates), abs=len(rates))


def test_paced_messages_fall_due_at_even_intervals():
    pacer = Pacer([Step(0, 100.0)], SECOND, phase=0.5)
    due_at = []
    for now_ns in range(0, SECOND, 100_000):
        if pacer.due(now_ns):
            due_at.append(now_ns)
            pacer.took(1)
            assert now_ns < pacer.next_ns() <= SECOND
    assert due_at == list(range(5_000_000, SECOND, 10_000_000))


def test_a_blocked_sender_does_not_catch_up():
    pacer = Pacer([Step(0, 100.0)], 2 * SECOND)
    assert pacer.due(SECOND // 2) == 51
    pacer.took(8)
    pacer.restart(SECOND)
    assert pacer.due(SECOND) == 1
    pacer.took(1)
    assert pacer.next_ns() == SECOND + SECOND // 100
    assert pacer.due(2 * SECOND) == 99


def test_greedy_and_silent_steps():
    pacer = Pacer([Step(0, 0.0), Step(10, math.inf), Step(20, 0.0)], 30)
    assert (pacer.due(-5), pacer.next_ns()) == (0, 0)
    assert (pacer.due(5), pacer.next_ns()) == (0, 10)
    assert pacer.due(10) == GREEDY
    assert (pacer.step_end_ns, pacer.greedy) == (20, True)
    pacer.took(64)
    assert (pacer.due(25), pacer.next_ns()) == (0, 30)
    assert pacer.due(1000) == 0


def test_wrong_schedules_are_refused():
    with pytest.raises(ValueError, match="order"):
        Pacer([Step(10, 1.0), Step(0, 1.0)], 20)
    with pytest.raises(ValueError, match="rate"):
        Step(0, -1.0)


@given(length=st.integers(12, 300), seq=st.integers(0, 2**32 - 1), data=st.data())
def test_any_changed_byte_is_noticed(length: int, seq: int, data: st.DataObject):
    payload = Payload("bg2", length)
    memory = bytearray(length + 8)
    payload.fill(memory, 8, seq)
    assert payload.check(memory, 8, length) == seq
    assert payload.check(memory, 8, length - 1) == CORRUPTED
    assert Payload("bg3", length).check(memory, 8, length) == CORRUPTED
    memory[8 + data.draw(st.integers(0, length - 1))] ^= data.draw(st.integers(1, 255))
    assert payload.check(memory, 8, length) == CORRUPTED


@given(st.lists(st.integers(0, 30), max_size=60))
def test_every_arrival_is_judged_once(numbers: list[int]):
    check = SequenceCheck()
    for seq in numbers:
        check.arrived(seq)
    seen: set[int] = set()
    duplicates = out_of_order = 0
    for seq in numbers:
        duplicates += seq in seen
        out_of_order += seq not in seen and seq < max(seen, default=-1)
        seen.add(seq)
    assert (check.duplicates, check.out_of_order) == (duplicates, out_of_order)
    assert check.missing == max(seen, default=-1) + 1 - len(seen)


def test_bins_sum_up():
    bins = Bins(100)
    for time_ns in (250, 0, 299, 99, 100):
        bins.add(time_ns, 10, time_ns)
    assert bins.rows() == [[0, 2, 20, 99], [100, 1, 10, 100], [200, 2, 20, 549]]
    assert (bins.messages, bins.bytes) == (5, 50)


def plan_of(role: str, /, **changes: object) -> dict[str, Any]:
    return {
        "pass": "on",
        "stream": "bg2",
        "group": "background",
        "role": role,
        "channel": 1,
        "message_bytes": 2048,
        "steps": [{"t_start_s": 0.0, "rate": 1.0, "messages_per_s": None}],
        "full_messages_per_s": 54840.0,
        "end_s": 0.006,
        "drain_s": 0.003,
        "bin_s": 0.001,
        "poll_ms": 20,
        **changes,
    }


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"role": "both"}, "role"),
        ({"message_bytes": 8}, "message_bytes"),
        ({"bin_s": 0}, "bin_s"),
        ({"end_s": "soon"}, "wrong value"),
        ({"steps": []}, "steps"),
        ({"steps": [{"t_start_s": 1, "rate": 1}, {"t_start_s": 0, "rate": 1}]}, "order"),
    ],
)
def test_wrong_plans_are_refused(changes: dict[str, object], message: str):
    with pytest.raises(PlanError, match=message):
        Plan(plan_of("send", **changes))


def test_a_plan_that_lacks_something_says_what():
    raw = plan_of("receive")
    del raw["drain_s"]
    with pytest.raises(PlanError, match="drain_s"):
        Plan(raw)


class Program:
    """A stream program under way."""

    def __init__(self, ni: FakeNi, directory: Path, endpoint: str, plan: dict[str, Any]) -> None:
        role = str(plan["role"])
        plan_path = directory / f"{endpoint}-plan.json"
        self.out = directory / f"{endpoint}-out.json"
        plan_path.write_text(json.dumps(plan))
        options = ["--endpoint", endpoint, "--plan", str(plan_path), "--out", str(self.out)]
        self.process = subprocess.Popen(
            [sys.executable, "-S", "-E", str(UNET / "stream.py"), role, *options],
            env={"LAB_UNET_SOCKET": ni.path, "LAB_HOST": "n1"},
            stderr=subprocess.PIPE,
            text=True,
        )

    def result(self, status: int = 0) -> dict[str, Any]:
        _, errors = self.process.communicate(timeout=20)
        assert self.process.returncode == status, errors
        self.errors = errors
        return json.loads(self.out.read_text())


def run_pair(
    ni: FakeNi, directory: Path, **changes: object
) -> tuple[dict[str, Any], dict[str, Any]]:
    receiver = Program(ni, directory, "bg2.b", plan_of("receive", **changes))
    sender = Program(ni, directory, "bg2.a", plan_of("send", **changes))
    ni.wait_attached(2)
    ni.begin_pass(time.monotonic_ns() + 50_000_000)
    return sender.result(), receiver.result()


@pytest.fixture
def ni(tmp_path: Path):
    with FakeNi(
        tmp_path / "unet.sock", {1: ("bg2.a", "bg2.b")}, dilation=100.0, messages_per_s=1000
    ) as fake:
        yield fake


@pytest.mark.parametrize("message_bytes", [2048, 40])
def test_a_greedy_stream_counts_exactly(ni: FakeNi, tmp_path: Path, message_bytes: int):
    sent, received = run_pair(ni, tmp_path, message_bytes=message_bytes)
    assert sent["ended"] == received["ended"] == "complete"
    assert sent["messages"] == sent["injected"] == received["messages"] > 400
    assert sent["in_send_queue"] == sent["rejected"] == received["drop_no_buffer"] == 0
    assert sent["blocked_s"] == pytest.approx(0.006, rel=0.3)
    assert received["bytes"] == sent["bytes"] == sent["messages"] * message_bytes
    for key in ("duplicates", "out_of_order", "corrupted", "missing"):
        assert received[key] == 0
    for result in (sent, received):
        assert sum(row[1] for row in result["bins"]) == result["messages"]
        assert sum(row[2] for row in result["bins"]) == result["bytes"]
        starts = [row[0] for row in result["bins"]]
        assert starts == sorted(starts)
        assert all(start % 1_000_000 == 0 for start in starts)
    assert sum(row[3] for row in received["bins"]) > 0
    assert (sent["host"], sent["pass"], sent["stream"]) == ("n1", "on", "bg2")
    assert not list(tmp_path.glob(".*"))


def test_a_paced_stream_keeps_to_its_steps(ni: FakeNi, tmp_path: Path):
    steps = [
        {"t_start_s": 0.0, "rate": 0.5},
        {"t_start_s": 0.004, "rate": 0},
        {"t_start_s": 0.007, "rate": 0.9, "messages_per_s": 20000.0},
    ]
    sent, received = run_pair(ni, tmp_path, steps=steps, end_s=0.01)
    assert sent["messages"] == received["messages"] == pytest.approx(110 + 60, abs=3)
    assert sent["blocked_s"] == 0
    per_bin = {row[0] // 1_000_000: row[1] for row in received["bins"]}
    assert sum(n for t, n in per_bin.items() if 5 <= t < 7) == 0
    assert sum(n for t, n in per_bin.items() if t < 5) == pytest.approx(110, abs=2)


def test_what_stays_in_the_queue_is_counted_as_such(ni: FakeNi, tmp_path: Path):
    ni.held.add(1)
    sent, received = run_pair(ni, tmp_path)
    assert (sent["messages"], sent["injected"], sent["in_send_queue"]) == (64, 0, 64)
    assert received["messages"] == 0


def test_corruption_and_loss_are_noticed(ni: FakeNi, tmp_path: Path):
    count = 0

    def spoil(data: bytes) -> bytes:
        nonlocal count
        count += 1
        return data[:1000] + b"#" + data[1001:] if count in {5, 50} else data

    ni.corrupt = spoil
    sent, received = run_pair(ni, tmp_path)
    assert received["messages"] == sent["messages"]
    assert (received["corrupted"], received["missing"]) == (2, 2)
    assert (received["duplicates"], received["out_of_order"]) == (0, 0)


def test_sigterm_writes_what_there_is(ni: FakeNi, tmp_path: Path):
    receiver = Program(ni, tmp_path, "bg2.b", plan_of("receive", end_s=1.0))
    sender = Program(ni, tmp_path, "bg2.a", plan_of("send", end_s=1.0))
    ni.wait_attached(2)
    ni.begin_pass()
    time.sleep(0.3)
    sender.process.send_signal(signal.SIGTERM)
    sent = sender.result()
    time.sleep(0.05)
    receiver.process.send_signal(signal.SIGTERM)
    received = receiver.result()
    assert sent["ended"] == received["ended"] == "stopped"
    assert sent["injected"] == received["messages"] > 100
    assert sent["messages"] == sent["injected"] + sent["in_send_queue"]


def test_a_channel_of_others_ends_the_sender(ni: FakeNi, tmp_path: Path):
    sender = Program(ni, tmp_path, "bg2.a", plan_of("send", channel=7))
    ni.wait_attached(1)
    ni.begin_pass()
    result = sender.result(status=1)
    assert result["injected"] == 0
    assert result["rejected"] > 0
    assert result["rejected"] + result["in_send_queue"] == result["messages"]
    assert "channel" in sender.errors


def test_the_death_of_the_adapter_ends_the_program(ni: FakeNi, tmp_path: Path):
    receiver = Program(ni, tmp_path, "bg2.b", plan_of("receive", end_s=100.0))
    ni.wait_attached(1)
    ni.__exit__()
    assert "gone away" in receiver.result(status=1)["ended"]


def test_the_epoch_is_awaited(ni: FakeNi, tmp_path: Path):
    receiver = Program(ni, tmp_path, "bg2.b", plan_of("receive"))
    ni.wait_attached(1)
    time.sleep(0.1)
    assert receiver.process.poll() is None
    ni.begin_pass()
    assert receiver.result()["ended"] == "complete"


def test_errors_without_an_endpoint_are_one_line(tmp_path: Path):
    command = [sys.executable, str(UNET / "stream.py"), "send", "--endpoint", "x"]
    environment = {**os.environ, "LAB_UNET_SOCKET": "/nowhere.sock"}
    for plan in (plan_of("send"), plan_of("receive"), {}):
        path = tmp_path / "plan.json"
        path.write_text(json.dumps(plan))
        done = subprocess.run(
            [*command, "--plan", str(path), "--out", str(tmp_path / "out.json")],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 1
        assert done.stderr.startswith("stream.py: x: ")
        assert done.stderr.count("\n") == 1


def test_ping_counts_answers(ni: FakeNi):
    command = [sys.executable, str(UNET / "ping.py"), "--channel", "1", "--endpoint"]
    environment = {**os.environ, "LAB_UNET_SOCKET": ni.path}
    server = subprocess.Popen(
        [*command, "bg2.b", "--serve"], env=environment, stdout=subprocess.PIPE, text=True
    )
    try:
        assert server.stdout is not None
        assert "echoing" in server.stdout.readline()
        done = subprocess.run(
            [*command, "bg2.a", "--count", "3", "--bytes", "100"],
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        )
        assert "3 of 3 answered" in done.stdout
    finally:
        server.send_signal(signal.SIGINT)
        server.communicate(timeout=5)
    assert server.returncode == 0
