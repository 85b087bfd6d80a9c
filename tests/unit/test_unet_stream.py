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
from lab.unet.windows import Windows, bucket_low, bucket_of

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
        while due := pacer.due(now_ns):
            assert due > 0
            pacer.took(due)
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
    assert (pacer.step_end_ns, pacer.step.greedy) == (20, True)
    pacer.took(64)
    assert (pacer.due(25), pacer.next_ns()) == (0, 30)
    assert pacer.due(1000) == 0


def test_wrong_schedules_are_refused():
    with pytest.raises(ValueError, match="order"):
        Pacer([Step(10, 1.0), Step(0, 1.0)], 20)
    with pytest.raises(ValueError, match="rate"):
        Step(0, -1.0)


@given(length=st.integers(12, 600), seq=st.integers(0, 2**32 - 1), data=st.data())
def test_any_changed_byte_is_noticed(length: int, seq: int, data: st.DataObject):
    payload = Payload("bg2", [4, length])
    memory = bytearray(length + 8)
    payload.fill(memory, 8, length, seq)
    assert payload.check(memory, 8, length) == seq
    assert payload.check(memory, 8, length - 1) == CORRUPTED
    assert Payload("bg3", [length]).check(memory, 8, length) == CORRUPTED
    memory[8 + data.draw(st.integers(0, length - 1))] ^= data.draw(st.integers(1, 255))
    assert payload.check(memory, 8, length) == CORRUPTED


@given(length=st.integers(1, 11), seq=st.integers(0, 2**31), ahead=st.integers(-100, 100))
def test_short_messages_say_which_they_are_as_far_as_they_can(length: int, seq: int, ahead: int):
    payload = Payload("bg2", [length])
    memory = bytearray(length)
    payload.fill(memory, 0, length, seq)
    assert payload.check(memory, 0, length, seq) == seq
    assert payload.check(memory, 0, length, max(0, seq + ahead)) == seq
    memory[0] ^= 1
    assert payload.check(memory, 0, length, seq) != seq


@given(st.integers(0, 1 << 50))
def test_latency_buckets_hold_what_they_say(value: int):
    index = bucket_of(value)
    assert bucket_low(index) <= value < bucket_low(index + 1)
    assert bucket_low(index + 1) - bucket_low(index) <= max(1, value / 8)


def test_windows_count_what_falls_into_them():
    windows = Windows([(3, 100, 200), (4, 300, 400)])
    windows.add_many([50, 110, 130, 190], [1, 2, 3, 4], [9, 10, 20, 30])
    windows.add_many([195, 199], [5, 5], [5, 40])
    windows.add_many([200, 300, 399, 400], [1, 1, 1, 1], [7, 7, 8, 7])
    first, second = windows.rows()
    assert (first["step"], first["messages"], first["bytes"]) == (3, 5, 19)
    assert [first[f"latency_{what}_ns"] for what in ("sum", "min", "max")] == [105, 5, 40]
    assert [first["gaps"], first["gap_sum_ns"]] == [4, 89]
    assert [first["gap_min_ns"], first["gap_max_ns"]] == [4, 60]
    assert first["gap_square_sum_us2"] == pytest.approx((20**2 + 60**2 + 5**2 + 4**2) / 1e6)
    assert sum(first["buckets"].values()) == 5
    assert (second["step"], second["messages"], second["gaps"]) == (4, 2, 1)


@given(st.lists(st.tuples(st.integers(0, 500), st.integers(0, 99)), max_size=40), st.data())
def test_windows_do_not_depend_on_batches(messages: list[tuple[int, int]], data: st.DataObject):
    messages.sort()
    whole, cut = (Windows([(0, 50, 200), (1, 200, 260)]) for _ in range(2))
    at = data.draw(st.integers(0, len(messages)))
    for windows, batches in ((whole, [messages]), (cut, [messages[:at], messages[at:]])):
        for batch in filter(None, batches):
            windows.add_many([t for t, _ in batch], [1] * len(batch), [v for _, v in batch])
    assert whole.rows() == cut.rows()


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
    for times_ns in ([250, 0, 299], [99], [100]):
        bins.add_many(times_ns, [10] * len(times_ns), times_ns)
    assert bins.rows() == [[0, 2, 20, 99], [100, 1, 10, 100], [200, 2, 20, 549]]
    assert (bins.messages, bins.bytes) == (5, 50)


def change(
    t_start_s: float, rate: float, message_bytes: int = 2048, messages_per_s: float = 0.0
) -> dict[str, Any]:
    return {
        "t_start_s": t_start_s,
        "rate": rate,
        "message_bytes": message_bytes,
        "messages_per_s": messages_per_s or rate * 54840.0,
    }


def plan_of(role: str, /, **changes: object) -> dict[str, Any]:
    return {
        "pass": "on",
        "stream": "bg2",
        "group": "background",
        "role": role,
        "channel": 1,
        "changes": [change(0.0, 1.0)],
        "windows": [{"step": 0, "t_start_s": 0.002, "t_end_s": 0.006}],
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
        ({"reception": "telepathy"}, "reception"),
        ({"changes": [change(0.0, 1.0, 0)]}, "message_bytes"),
        ({"bin_s": 0}, "bin_s"),
        ({"end_s": "soon"}, "wrong value"),
        ({"changes": []}, "changes"),
        ({"changes": [change(1.0, 1.0), change(0.0, 1.0)]}, "order"),
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
        _, errors = self.process.communicate(timeout=120)
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


@pytest.mark.parametrize(
    ("message_bytes", "reception"),
    [
        (65536, "block"),
        (2048, "block"),
        (2048, "poll"),
        (2048, "upcall"),
        (40, "block"),
        (1, "poll"),
    ],
)
def test_a_greedy_stream_counts_exactly(
    ni: FakeNi, tmp_path: Path, message_bytes: int, reception: str
):
    changes = [change(0.0, 1.0, message_bytes)]
    began_s = time.monotonic()
    sent, received = run_pair(ni, tmp_path, changes=changes, reception=reception)
    took_s = time.monotonic() - began_s
    assert sent["ended"] == received["ended"] == "complete"
    # How much that is depends on the machine; more than the queue holds, so the sender waited.
    assert sent["messages"] > 64
    assert sent["messages"] == sent["injected"] + sent["in_send_queue"]
    assert sent["injected"] == received["messages"] + ni.undelivered > 0
    assert sent["rejected"] == received["drop_no_buffer"] == 0
    assert 0 < sent["blocked_s"] < took_s / 100.0
    assert sent["bytes"] == sent["messages"] * message_bytes
    assert received["bytes"] == received["messages"] * message_bytes
    for key in ("duplicates", "out_of_order", "corrupted", "missing"):
        assert received[key] == 0
    for result, counted in ((sent, "injected"), (received, "messages")):
        assert sum(row[1] for row in result["bins"]) == result[counted]
        assert sum(row[2] for row in result["bins"]) == result[counted] * message_bytes
        starts = [row[0] for row in result["bins"]]
        assert starts == sorted(starts)
        assert all(start % 1_000_000 == 0 for start in starts)
    assert sum(row[3] for row in received["bins"]) > 0
    (window,) = received["windows"]
    inside = [row for row in received["bins"] if 2_000_000 <= row[0] < 6_000_000]
    assert window["messages"] == sum(row[1] for row in inside)
    assert window["latency_sum_ns"] == sum(row[3] for row in inside)
    assert sum(window["buckets"].values()) == window["messages"]
    assert (sent["host"], sent["pass"], sent["stream"]) == ("n1", "on", "bg2")
    assert not list(tmp_path.glob(".*"))


def test_a_paced_stream_keeps_to_its_steps(ni: FakeNi, tmp_path: Path):
    # No more in all than the queue holds: however late the sender is, nothing keeps it back.
    changes = [
        change(0.0, 0.5, 2048, 7500.0),
        change(0.004, 0),
        change(0.007, 0.9, 100, 10000.0),
    ]
    sent, received = run_pair(ni, tmp_path, changes=changes, end_s=0.01)
    assert sent["messages"] == pytest.approx(30 + 30, abs=1)
    assert sent["bytes"] == pytest.approx(30 * 2048 + 30 * 100, abs=2048)
    assert sent["injected"] == received["messages"] + ni.undelivered
    assert sent["blocked_s"] == 0


@pytest.mark.parametrize(
    ("message_bytes", "reception"),
    [(1, "poll"), (40, "block"), (100, "upcall"), (20000, "poll")],
)
def test_ping_and_pong_reckon_in_virtual_time(
    ni: FakeNi, tmp_path: Path, message_bytes: int, reception: str
):
    costs = {"host_send_ns": 100_000, "host_receive_ns": 50_000, "signal_ns": 25_000}
    ends = {
        "changes": [change(0.0, 0.0, message_bytes), change(0.002, 1.0, message_bytes)],
        "windows": [{"step": 0, "t_start_s": 0.0, "t_end_s": 1.0}],
        "end_s": 0.012,
        "reception": reception,
        "adapter": costs,
    }
    pong = Program(ni, tmp_path, "bg2.b", plan_of("pong", **ends))
    ping = Program(ni, tmp_path, "bg2.a", plan_of("ping", **ends))
    ni.wait_attached(2)
    ni.begin_pass(time.monotonic_ns() + 50_000_000)
    there, back = ping.result(), pong.result()
    trips = there["messages"]
    assert trips == there["injected"] == back["messages"] == back["injected"] > 1
    assert (there["unanswered"], there["corrupted"], back["corrupted"]) == (0, 0, 0)
    round_trip_ns = sum(row[3] for row in there["bins"]) / trips
    least_ns = 2 * (150_000 + (25_000 if reception != "poll" else 0))
    # Each end's costs count once; the adapter's thread, in real time, adds its own delay.
    fastest = min(bucket_low(int(i)) for w in there["windows"] for i in w["buckets"])
    assert 0.9 * least_ns <= fastest < 2 * least_ns
    assert round_trip_ns >= least_ns
    assert all(row[0] >= 2_000_000 for row in there["bins"])


def test_a_ping_gives_up_on_an_echo(tmp_path: Path):
    """The first message is lost on the way, so its echo never comes."""
    ends = {"end_s": 0.12, "changes": [change(0.0, 1.0, 100)]}
    with FakeNi(tmp_path / "unet.sock", {1: ("bg2.a", "bg2.b")}, dilation=10.0) as ni:
        _lose_the_first(ni, tmp_path, ends)


def _lose_the_first(ni: FakeNi, tmp_path: Path, ends: dict[str, Any]) -> None:
    pong = Program(ni, tmp_path, "bg2.b", plan_of("pong", **ends))
    ping = Program(ni, tmp_path, "bg2.a", plan_of("ping", **ends))
    ni.wait_attached(2)
    lost: list[bytes] = []
    ni.lose = lambda data: not lost and not lost.append(data)
    ni.begin_pass(time.monotonic_ns() + 50_000_000)
    there, back = ping.result(), pong.result()
    assert (there["unanswered"], back["missing"]) == (1, 1)
    assert there["injected"] == there["messages"] + 1 == back["messages"] + 1 > 1


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
    assert received["messages"] == sent["injected"] - ni.undelivered > 50
    assert (received["corrupted"], received["missing"]) == (2, 2)
    assert (received["duplicates"], received["out_of_order"]) == (0, 0)


def test_sigterm_writes_what_there_is(ni: FakeNi, tmp_path: Path):
    receiver = Program(ni, tmp_path, "bg2.b", plan_of("receive", end_s=1.0))
    sender = Program(ni, tmp_path, "bg2.a", plan_of("send", end_s=1.0))
    ni.wait_attached(2)
    ni.begin_pass()
    deadline = time.monotonic() + 60
    while ni.served["bg2.b"].recv.head() < 100:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    sender.process.send_signal(signal.SIGTERM)
    sent = sender.result()
    receiver.process.send_signal(signal.SIGTERM)
    received = receiver.result()
    assert sent["ended"] == received["ended"] == "stopped"
    assert sent["injected"] == received["messages"] >= 100
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
