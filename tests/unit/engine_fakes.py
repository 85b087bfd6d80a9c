"""Stand-ins for the tests of the engine: line cards that answer, processes that can die."""

import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lab.emulation.state import HostState, LabState
from lab.engine.run import Run
from lab.scenarios import load_scenario, vc_requests
from lab.signalling import open_vcs
from lab.topology import load_topology

SHORT = {
    "timeline.sweep.send_rates": "[0, 1.0]",
    "timeline.settle_s": "0.01",
    "timeline.measure_s": "0.01",
    "timeline.drain_s": "0.01",
    "timeline.sample_s": "0.0005",
    "dilation": "10",
}


class FakeLineCards:
    """A control server that notes every request and answers by a table."""

    def __init__(self, path: Path, answers: dict[str, Callable[[], dict[str, Any]]]) -> None:
        self.requests: list[dict[str, Any]] = []
        self.answers = answers
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.bind(str(path))
        self._socket.listen(4)
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            threading.Thread(target=self._talk, args=(connection,), daemon=True).start()

    def _talk(self, connection: socket.socket) -> None:
        with connection, connection.makefile("rwb") as lines:
            for line in lines:
                request = json.loads(line)
                self.requests.append(request)
                answer = self.answers.get(request["op"], dict)()
                lines.write(json.dumps({"ok": True, **answer}).encode() + b"\n")
                lines.flush()

    def operations(self) -> list[str]:
        """The operations that were asked for, in order."""
        return [str(request["op"]) for request in self.requests]

    def close(self) -> None:
        """Stop to listen."""
        self._socket.close()


def sleeper(seconds: float = 60) -> subprocess.Popen[bytes]:
    """A process that does nothing for a while."""
    return subprocess.Popen([sys.executable, "-c", f"import time; time.sleep({seconds})"])


def short_run(run_dir: Path, **overrides: str) -> Run:
    """A run of the shipped scenario that takes half a real second per pass."""
    (run_dir / "raw").mkdir(parents=True, exist_ok=True)
    return Run(run_dir, load_scenario("switch-port-contention", {**SHORT, **overrides}))


def lab_state(run: Run, linecards_pid: int) -> LabState:
    """The record of a lab in which every host is this very process."""
    scenario = run.scenario
    inode = Path("/proc/self/ns/net").stat().st_ino
    hosts = {
        name: HostState(name, "mininet", os.getpid(), inode, None, 0)
        for name in scenario.used_hosts()
    }
    return LabState(
        lab_id="lab-0f0f0f",
        topology=scenario.topology,
        dilation=scenario.dilation,
        seed=scenario.seed,
        created_at=0.0,
        owner="run",
        run_dir=str(run.dir),
        ready=True,
        linecards_pid=linecards_pid,
        hosts=hosts,
        vcs=list(open_vcs(load_topology(scenario.topology), vc_requests(scenario), scenario.seed)),
    )
