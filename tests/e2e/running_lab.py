"""The command as a user types it, for the end-to-end tests."""

import json
import subprocess
import sys
import time
from pathlib import Path

from lab.engine.processes import processes_of
from lab.paths import RESULTS

LAB = str(Path(sys.executable).with_name("lab"))
NAME = "switch-port-contention"
SHORT = {
    "timeline.sweep.send_rates": "[0, 0.15, 1.0]",
    "timeline.settle_s": "0.01",
    "timeline.measure_s": "0.02",
}


def lab(*words: str, timeout_s: float = 200) -> "subprocess.CompletedProcess[str]":
    """Run one command of the lab to its end."""
    return subprocess.run(
        [LAB, *words], capture_output=True, text=True, timeout=timeout_s, check=False
    )


def run_words(**overrides: str) -> list[str]:
    """The words of `lab run` for the short form of the scenario."""
    pairs = {**SHORT, **{key.replace("__", "."): value for key, value in overrides.items()}}
    return ["run", NAME, *(word for pair in pairs.items() for word in ("--set", "=".join(pair)))]


def newest_run() -> Path:
    """The run that began last."""
    runs = [path for path in (RESULTS / NAME).iterdir() if not path.is_symlink()]
    return max(runs, key=lambda path: path.stat().st_ctime_ns)


class Running:
    """A `lab run` that is under way, in a process group of its own."""

    def __init__(self, words: list[str]) -> None:
        self._before = set((RESULTS / NAME).glob("*")) if (RESULTS / NAME).is_dir() else set()
        self.process = subprocess.Popen(
            [LAB, *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            process_group=0,
        )

    def run_dir(self) -> Path | None:
        """The run's directory, as soon as it exists."""
        if not (RESULTS / NAME).is_dir():
            return None
        new = set((RESULTS / NAME).glob("2*")) - self._before
        return next(iter(new), None)

    def wait_for(self, phase: str, message: str, timeout_s: float = 60) -> None:
        """Wait until a progress event of that phase and message appears."""
        deadline_s = time.monotonic() + timeout_s
        while time.monotonic() < deadline_s:
            assert self.process.poll() is None, self.process.communicate()
            run_dir = self.run_dir()
            path = run_dir / "progress.jsonl" if run_dir else None
            if path and path.exists():
                for line in path.read_text().splitlines():
                    event = json.loads(line)
                    if event["phase"] == phase and message in event["message"]:
                        return
            time.sleep(0.1)
        raise AssertionError(f"no {message!r} in phase {phase!r} within {timeout_s} s")

    def helpers(self, word: str) -> list[int]:
        """Processes of the run whose command line contains a word."""
        run_dir = self.run_dir()
        assert run_dir is not None
        return [
            pid
            for pid in processes_of(run_dir.name)
            if word in Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")
        ]

    def task_processes(self) -> list[int]:
        """The running Ansible module: its interpreter reads it from a pipe, with no argument."""
        run_dir = self.run_dir()
        assert run_dir is not None
        return [
            pid
            for pid in processes_of(run_dir.name)
            if Path(f"/proc/{pid}/cmdline").read_bytes().rstrip(b"\0").count(b"\0") == 0
        ]

    def end(self, timeout_s: float = 60) -> tuple[int, str, str]:
        """Wait for the end; returns exit code, stdout, stderr."""
        out, err = self.process.communicate(timeout=timeout_s)
        return self.process.returncode, out, err
