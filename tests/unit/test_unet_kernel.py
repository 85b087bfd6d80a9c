"""Kernel-emulated endpoints: the same interface, over one real endpoint."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
from unet_fake_ni import FakeNi

import lab.unet
from lab.unet import ChannelRefused, Endpoint, Refused

UNET = Path(lab.unet.__file__).parent
CHANNELS = {1: ("kernel", "x"), 2: ("kernel", "y")}


class Host:
    """A host with a real adapter and a kernel process beside it."""

    def __init__(self, directory: Path) -> None:
        self.ni = FakeNi(directory / "unet.sock", CHANNELS)
        self.kernel_socket = str(directory / "kernel.sock")

    def __enter__(self) -> Host:
        self.ni.__enter__()
        self.process = subprocess.Popen(
            [sys.executable, "-S", "-E", str(UNET / "kernel.py"), "a:1", "b:2"],
            env={"LAB_UNET_SOCKET": self.ni.path, "LAB_HOST": "n1"},
        )
        deadline = time.monotonic() + 10
        while not Path(self.kernel_socket).exists():
            assert time.monotonic() < deadline
            time.sleep(0.01)
        time.sleep(0.05)
        return self

    def attach(self, name: str) -> Endpoint:
        return Endpoint.attach(name, self.kernel_socket)

    def real(self, name: str) -> Endpoint:
        return Endpoint.attach(name, self.ni.path)

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()
        self.ni.__exit__()


@pytest.fixture
def host(tmp_path: Path):
    with Host(tmp_path) as host:
        yield host


def test_emulated_endpoints_share_one_real_endpoint(host: Host):
    with host.attach("a") as a, host.attach("b") as b:
        host.ni.wait_attached(1)
        assert set(host.ni.served) == {"kernel"}
        with host.real("x") as x, host.real("y") as y:
            for length in (0, 4, 40, 41, 5000, 30000):
                data = bytes(i * 5 & 0xFF for i in range(length))
                for near, far, channel in ((a, x, 1), (b, y, 2)):
                    near.send_wait(channel, data, 30)
                    with far.receive(30) as message:
                        assert message.data == data
                    far.send_wait(channel, data, 30)
                    with near.receive(30) as message:
                        assert (message.data, message.channel) == (data, channel)
            assert a.counters()["ni_sent_msgs"] == 6
    assert host.process.wait(30) == 0


def test_a_process_cannot_use_the_channel_of_another(host: Host):
    with host.attach("a") as a, host.attach("b") as b, host.real("y") as y:
        with pytest.raises(Refused, match="in use"):
            host.attach("a")
        with pytest.raises(Refused, match="no endpoint"):
            host.attach("kernel")
        a.send(2, b"as if from b")
        b.send(2, b"from b")
        assert y.receive(30).data == b"from b"
        assert y.pending() == 0
        deadline = time.monotonic() + 30
        while not a.rejected and time.monotonic() < deadline:
            a.reclaim()
        with pytest.raises(ChannelRefused):
            a.send(1, b"x")


def test_a_full_queue_pushes_back_through_the_kernel(host: Host):
    host.ni.held.update({1, 2})
    with host.attach("a") as a, host.attach("b"), host.real("x") as x:
        host.ni.wait_attached(2)
        sent = 0
        until = time.monotonic() + 30.0
        while sent < a.send_slots and time.monotonic() < until:
            sent += a.try_send(1, bytes(100))
        time.sleep(0.2)
        assert not a.try_send(1, bytes(100))
        assert sent == a.in_send_queue() == a.send_slots
        host.ni.held.clear()
        for _ in range(sent):
            with x.receive(30) as message:
                assert len(message) == 100
        assert a.wait_for_room(0, 30)


def test_stream_programs_run_on_them(host: Host, tmp_path: Path):
    def start(role: str, endpoint: str, channel: int, *, emulated: bool) -> subprocess.Popen[bytes]:
        plan = {
            "pass": "p",
            "stream": "s",
            "group": "g",
            "role": role,
            "channel": channel,
            "changes": [{"t_start_s": 0.0, "rate": 1.0, "message_bytes": 100}],
            "windows": [],
            "end_s": 0.3,
            "drain_s": 0.5,
            "bin_s": 0.1,
            "poll_ms": 5,
            "emulated": emulated,
            "adapter": {"host_send_ns": 2_000_000, "kernel_ns": 5_000_000},
        }
        path = tmp_path / f"{endpoint}.plan"
        path.write_text(json.dumps(plan))
        return subprocess.Popen(
            [
                *(sys.executable, "-S", "-E", str(UNET / "stream.py"), role),
                *("--endpoint", endpoint, "--plan", str(path)),
                *("--out", str(tmp_path / f"{endpoint}.out")),
            ],
            env={"LAB_UNET_SOCKET": host.ni.path},
        )

    programs = [
        start("ping", "a", 1, emulated=True),
        start("pong", "x", 1, emulated=False),
        start("send", "b", 2, emulated=True),
        start("receive", "y", 2, emulated=False),
    ]
    host.ni.wait_attached(3)
    host.ni.begin_pass(time.monotonic_ns() + 100_000_000)
    assert [program.wait(120) for program in programs] == [0] * 4
    outs = {name: json.loads((tmp_path / f"{name}.out").read_text()) for name in "abxy"}
    # On a busy machine an echo may come too late, when it is not waited for any more.
    answered = outs["a"]["messages"] + outs["a"]["unanswered"]
    assert answered == outs["a"]["injected"] == outs["x"]["messages"] > 1
    assert outs["b"]["injected"] == outs["y"]["messages"] > 1
    # the kernel's cost at the pinging end alone, its own at both
    least_ns = 2 * 2_000_000 + 2 * 5_000_000
    assert sum(row[3] for row in outs["a"]["bins"]) / outs["a"]["messages"] >= least_ns
    assert host.process.wait(30) == 0
