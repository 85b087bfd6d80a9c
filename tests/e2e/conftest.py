"""What the end-to-end tests share: a clean machine, and bystanders on it."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from running_lab import Running, lab, run_words

from lab.emulation.net import inventory


@pytest.fixture
def clean_machine() -> Iterator[None]:
    """Nothing of a lab before and, whatever the test did, nothing after it."""
    if inventory().things:
        pytest.fail("a lab stands on this machine; run `lab down` before the tests")
    yield
    lab("down")
    assert inventory().things == []


@pytest.fixture
def start_run(clean_machine: None) -> Iterator[Callable[..., Running]]:
    """Start a `lab run`; it is killed at the end when it still runs."""
    started: list[Running] = []

    def start(**overrides: str) -> Running:
        started.append(Running(run_words(**overrides)))
        return started[-1]

    yield start
    for running in started:
        if running.process.poll() is None:
            os.kill(running.process.pid, signal.SIGKILL)
            running.process.wait()


@pytest.fixture
def bystanders() -> Iterator[Callable[[], dict[str, bool]]]:
    """A bridge, a veth, a namespace and a process of somebody else; tells which still live."""
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    commands = (
        "ovs-vsctl --may-exist add-br bystander0 -- set bridge bystander0 datapath_type=netdev",
        "ip link add bystander1 type veth peer name bystander2",
        "ip netns add bystander",
    )
    for command in commands:
        subprocess.run(command.split(), check=True)

    def alive() -> dict[str, bool]:
        exists: dict[str, Any] = {
            "bridge": subprocess.run(["ovs-vsctl", "br-exists", "bystander0"], check=False),
            "veth": subprocess.run(
                ["ip", "link", "show", "bystander1"], capture_output=True, check=False
            ),
        }
        return {
            **{name: done.returncode == 0 for name, done in exists.items()},
            "namespace": Path("/run/netns/bystander").exists(),
            "process": process.poll() is None,
        }

    yield alive
    process.kill()
    process.wait()
    for command in (
        "ovs-vsctl --if-exists del-br bystander0",
        "ip link del bystander1",
        "ip netns del bystander",
    ):
        subprocess.run(command.split(), check=False)
