"""Shells as processes on loopback addresses, for tests; a test session has its own of these."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from lab.shell.client import NodeClient, NotRunningError
from lab.shell.log import log_path
from lab.shell.plan import ShellPlan, epoch_in, write_plan
from lab.stacks.core import Output
from lab.stacks.events import Event, read_events

PUPPET = Path(__file__).with_name("shell_puppet.py")
PATIENCE_S = 60.0
PREFIX = f"127.{1 + os.getpid() % 250}"
"""Networks are ``PREFIX.1`` and ``PREFIX.2``."""
FIRST_PORT = 10_000 + os.getpid() % 2_000 * 10
T = TypeVar("T")


def eventually(look: Callable[[], T | None]) -> T:
    """Return the first true thing that a look finds; however slow the machine is."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        found = look()
        if found:
            return found
        time.sleep(0.01)
    raise AssertionError("it did not happen")


class Nodes:
    """The nodes of one plan, below one directory, whose path must be short."""

    def __init__(self, root: Path, *, first_port: int = FIRST_PORT, **more: Any) -> None:
        self.root = root
        networks = (f"{PREFIX}.1", f"{PREFIX}.2")
        self.plan = ShellPlan(
            "puppet", more.pop("nodes", 3), epoch_in(0), networks=networks, first_port=first_port,
            addresses={"cluster": 250}, **more,
        )  # fmt: skip
        write_plan(root / "plan.json", self.plan)
        (root / "quorum").mkdir()
        self.running: dict[int, subprocess.Popen[str]] = {}

    def directory(self, node: int) -> Path:
        return self.root / str(node)

    def start(self, node: int) -> None:
        self.directory(node).mkdir(exist_ok=True)
        argv = [sys.executable, str(PUPPET), str(self.root / "plan.json"), "--node", str(node)]
        argv += ["--directory", str(self.directory(node)), "--quorum", str(self.root / "quorum")]
        self.running[node] = subprocess.Popen(argv, stderr=subprocess.PIPE, text=True)

    def client(self, node: int) -> NodeClient:
        def look() -> NodeClient | None:
            assert self.running[node].poll() is None, self.running[node].communicate()
            try:
                return NodeClient(self.directory(node) / "node.sock")
            except NotRunningError:
                return None

        return eventually(look)

    def ask(self, node: int, name: str, **arguments: Any) -> Any:
        with self.client(node) as client:
            answer = client.request(name, arguments)
        assert answer.ok, answer.value
        return answer.value

    def put_out(self, node: int, *outputs: Output) -> None:
        self.ask(node, "put out", what=msgspec.to_builtins(outputs))

    def events(self, node: int, kind: str = "", phase: str = "") -> list[Event]:
        path = log_path(self.directory(node), node)
        events = read_events(path) if path.exists() else []
        return [e for e in events if kind in ("", e.kind) and phase in ("", e.phase)]

    def got(self, node: int, what: str, **fields: Any) -> dict[str, Any]:
        """Wait until a node's core got something, and return its newest such input."""

        def look() -> dict[str, Any] | None:
            seen = [e.fields for e in self.events(node, "got", what)]
            like = [f for f in seen if all(f.get(key) == value for key, value in fields.items())]
            return like[-1] if like else None

        return eventually(look)

    def end(self, node: int, number: int = signal.SIGTERM) -> int:
        process = self.running.pop(node)
        process.send_signal(number)
        process.communicate(timeout=PATIENCE_S)
        return process.returncode

    def close(self) -> None:
        for node in list(self.running):
            self.end(node, signal.SIGKILL)
