"""The real line-card process, on two hosts joined by one link."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from twohosts import DILATION, vc

from lab.emulation.client import LineCards
from lab.errors import LabError


@pytest.fixture
def cards(tmp_path: Path) -> Iterator[LineCards]:
    process = subprocess.Popen(
        [sys.executable, "-m", "lab.emulation.linecards", "--dir", str(tmp_path)],
        env={**os.environ, "LAB_ID": "lab-cards-test"},
    )
    path = tmp_path / "linecards.sock"
    deadline = time.monotonic() + 20
    client = None
    while client is None:
        assert process.poll() is None
        assert time.monotonic() < deadline
        try:
            client = LineCards(path)
        except LabError:
            time.sleep(0.02)
    namespace = Path("/proc/self/ns/net").stat().st_ino
    client.call(
        "configure",
        dilation=DILATION,
        quantum_us=2000,
        params={},
        nodes=[{"name": "n1", "kind": "host"}, {"name": "n2", "kind": "host"}],
        links=[{"a": "n1", "a_port": 0, "a_if": None, "b": "n2", "b_port": 0, "b_if": None}],
    )
    for host in ("n1", "n2"):
        (tmp_path / host).mkdir()
        client.call("host", name=host, dir=str(tmp_path / host), netns_inode=namespace)
    client.call("vcs", vcs=[vc(1, "x", 16)])
    yield client
    client.call("stop")
    client.close()
    assert process.wait(10) == 0
