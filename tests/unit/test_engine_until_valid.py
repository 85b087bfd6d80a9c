"""Repeating an invalid emulation, slower each time."""

import json
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from lab.emulation import cpu_load
from lab.engine.progress import Event
from lab.engine.supervise import Request, RunOutcome
from lab.engine.until_valid import FACTORS, run_until_valid
from lab.errors import LabError
from lab.results.runs import create_run
from lab.scenarios import load_scenario

NAME = "switch-port-contention"


class Machine:
    """Runs requests at once; an emulation is valid from a dilation on."""

    def __init__(self, root: Path, valid_from: float, engine: str = "emulation") -> None:
        self.root = root
        self.valid_from = valid_from
        self.engine = engine
        self.requests: list[Request] = []
        self.interrupted_by = 0

    def __call__(
        self, request: Request, _on_event: Callable[[Event], None], _say: Callable[[str], None]
    ) -> RunOutcome:
        self.requests.append(request)
        options = {} if request.dilation is None else {"dilation": repr(request.dilation)}
        scenario = load_scenario(NAME, options)
        run = create_run(scenario, engine=self.engine, root=self.root)
        valid = scenario.dilation >= self.valid_from
        checks = [{"name": "switch-delay", "ok": valid}, {"name": "socket-drops", "ok": True}]
        fidelity = {"valid": valid, "checks": checks}
        (run.path / "fidelity.json").write_text(json.dumps(fidelity), encoding="utf-8")
        return RunOutcome(run.path, valid, self.interrupted_by)

    def dilations(self) -> list[float | None]:
        """The dilations asked for."""
        return [request.dilation for request in self.requests]


def test_a_valid_run_is_not_repeated(tmp_path: Path) -> None:
    machine = Machine(tmp_path, 100)
    outcome = run_until_valid(Request(NAME, seed=3), lambda _: None, print, machine)
    assert outcome.valid
    assert machine.dilations() == [None]


def test_an_invalid_run_is_repeated_slower_until_it_is_valid(tmp_path: Path) -> None:
    machine = Machine(tmp_path, 250)
    said: list[str] = []
    outcome = run_until_valid(Request(NAME, seed=3), lambda _: None, said.append, machine)
    assert outcome.valid
    assert machine.dilations() == [None, 150, 300]
    assert {request.seed for request in machine.requests} == {3}
    assert "invalid at dilation 100 (switch-delay); again at 150" in said[0]
    assert len(list((tmp_path / NAME).iterdir())) == 3


def test_it_ends_where_nodes_could_not_be_loaded_any_more(tmp_path: Path) -> None:
    machine = Machine(tmp_path, 1e9)

    def run(
        request: Request, on_event: Callable[[Event], None], say: Callable[[str], None]
    ) -> RunOutcome:
        cpu_load.check("heavy", request.dilation or 1.0)
        return machine(request, on_event, say)

    said: list[str] = []
    outcome = run_until_valid(Request(NAME), lambda _: None, said.append, run)
    assert not outcome.valid
    assert machine.dilations() == [None]
    assert "cannot be slower: at dilation 150 nodes cannot be under heavy load" in said[-1]


def test_it_ends_after_three_repetitions(tmp_path: Path) -> None:
    machine = Machine(tmp_path, 1e9)
    outcome = run_until_valid(Request(NAME, dilation=10.0), lambda _: None, print, machine)
    assert not outcome.valid
    assert machine.dilations() == [10, 15, 30, 60]
    assert len(machine.dilations()) == 1 + len(FACTORS)


def test_a_simulation_is_not_repeated(tmp_path: Path) -> None:
    machine = Machine(tmp_path, 1e9, engine="simulation")
    assert not run_until_valid(Request(NAME), lambda _: None, print, machine).valid
    assert len(machine.requests) == 1


def test_an_interrupt_ends_it(tmp_path: Path) -> None:
    machine = Machine(tmp_path, 1e9)
    machine.interrupted_by = signal.SIGINT
    outcome = run_until_valid(Request(NAME), lambda _: None, print, machine)
    assert outcome.interrupted_by == signal.SIGINT
    assert len(machine.requests) == 1


def test_a_run_that_breaks_off_is_an_error() -> None:
    def broken(*_: object) -> RunOutcome:
        raise LabError("the line cards died")

    with pytest.raises(LabError, match="died"):
        run_until_valid(Request(NAME), lambda _: None, print, broken)
