"""A run that ends early leaves nothing and says why."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from lab.emulation.cleanup import DownReport, Left
from lab.engine import prepare, supervise
from lab.engine.playbook import Interrupted, interrupts_raise, interrupts_wait
from lab.engine.processes import end_processes, processes_of
from lab.engine.run import Run
from lab.engine.supervise import Request, run_scenario
from lab.errors import LabError
from lab.results.manifest import read_manifest

NAME = "switch-port-contention"


@pytest.fixture
def downs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """No real lab: notes which runs were taken down."""
    taken: list[Path] = []

    def down(run: Run) -> DownReport:
        taken.append(run.dir)
        return DownReport(left=[Left("bridge lab-s1", "restart it")])

    def make_run(name: str, overrides: dict[str, str], resolved: tuple[object, str]) -> Run:
        return prepare.make_run(name, overrides, resolved, results=tmp_path)  # type: ignore[arg-type]

    monkeypatch.setattr(supervise, "down", down)
    monkeypatch.setattr(supervise, "make_run", make_run)
    monkeypatch.setattr(supervise, "clear_the_way", lambda: False)
    return taken


def playing(monkeypatch: pytest.MonkeyPatch, play: Callable[[Run], None]) -> list[str]:
    said: list[str] = []
    monkeypatch.setattr(supervise, "play", lambda run, _on_event: play(run))
    return said


def test_a_failed_phase_takes_the_lab_down(
    downs: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def play(_run: Run) -> None:
        raise LabError("the line cards died", remedy="again")

    said = playing(monkeypatch, play)
    with pytest.raises(LabError, match="the line cards died"):
        run_scenario(Request(NAME), lambda _: None, said.append)
    (run_dir,) = downs
    ending = read_manifest(run_dir).exit
    assert ending is not None
    assert (ending.ok, ending.message) == (False, "the line cards died")
    assert any("bridge lab-s1" in line for line in said)


def test_an_interrupt_takes_the_lab_down(
    downs: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def play(_run: Run) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(5)

    said = playing(monkeypatch, play)
    outcome = run_scenario(Request(NAME), lambda _: None, said.append)
    assert outcome.interrupted_by == signal.SIGINT
    assert not outcome.valid
    assert downs == [outcome.run_dir]
    assert "interrupted" in said[0]


def test_a_valid_certificate_is_a_valid_run(
    downs: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    for valid in ("true", "false"):
        playing(
            monkeypatch,
            lambda run, word=valid: (run.dir / "fidelity.json").write_text(f'{{"valid": {word}}}'),
        )
        outcome = run_scenario(Request(NAME), lambda _: None, print)
        assert outcome.valid is (valid == "true")
    assert downs == []


def test_a_second_interrupt_does_not_stop_the_removal() -> None:
    said: list[str] = []
    with interrupts_wait(said.append):
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGTERM)
    assert len(said) == 2
    with pytest.raises(Interrupted), interrupts_raise():
        os.kill(os.getpid(), signal.SIGTERM)


def test_processes_of_a_run_are_found_wherever_they_are() -> None:
    name = f"test-run-{os.getpid()}"
    code = "import signal, time; signal.signal(2, signal.SIG_IGN); print(); time.sleep(60)"

    def start(**environment: str) -> "subprocess.Popen[bytes]":
        env = {**os.environ, "LAB_RUN": name, **environment}
        process = subprocess.Popen(
            [sys.executable, "-u", "-c", code],
            env=env,
            start_new_session=True,
            stdout=subprocess.PIPE,
        )
        assert process.stdout is not None
        process.stdout.readline()
        return process

    stubborn, member, other = start(), start(LAB_ID="lab-000000"), start(LAB_RUN="another")
    try:
        assert processes_of(name) == [stubborn.pid]
        reaper = threading.Thread(target=stubborn.wait)
        reaper.start()
        end_processes(name, grace_s=0.3)
        reaper.join(60)
        assert stubborn.returncode == -signal.SIGKILL
        assert member.poll() is None
        assert other.poll() is None
    finally:
        for process in (stubborn, member, other):
            process.kill()
            process.wait()
