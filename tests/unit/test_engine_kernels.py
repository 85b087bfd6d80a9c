"""Kernel processes of hosts with emulated endpoints, with the real program."""

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from engine_fakes import lab_state, short_run

from lab.emulation import labels
from lab.emulation.state import LabState
from lab.engine import kernels
from lab.engine.endpoints import Endpoint, EndpointSet
from lab.engine.kernels import KernelSet, emulated_at
from lab.engine.run import Run
from lab.errors import LabError
from lab.scenarios import EndpointPlan, endpoint_plans, vc_requests

STREAMS = (
    "[{name: bg2, group: background, from: n7, to: n25},"
    " {name: emu2, group: congestion, from: n7, to: n13, emulated: true},"
    " {name: emu3, group: congestion, from: n7, to: n14, emulated: true}]"
)


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setattr(labels, "RUN_ROOT", tmp_path / "labs")
    return short_run(tmp_path / "run", streams=STREAMS)


@pytest.fixture
def state(run: Run) -> LabState:
    state = lab_state(run, 1)
    for host in state.hosts:
        labels.host_dir(state.lab_id, host).mkdir(parents=True)
    return state


def plans_of(run: Run) -> tuple[EndpointPlan, ...]:
    channels = {request.name: n for n, request in enumerate(vc_requests(run.scenario), start=1)}
    return endpoint_plans(run.scenario, run.scenario.passes[0], channels)


def started(monkeypatch: pytest.MonkeyPatch, *, works: bool = True) -> list[list[str]]:
    """Have programs started on this machine instead; notes their command lines."""
    lines: list[list[str]] = []

    def popen(
        state: LabState, host: str, argv: list[str], *, stdout: Any, stderr: Any
    ) -> "subprocess.Popen[bytes]":
        lines.append(argv)
        socket_path = labels.host_dir(state.lab_id, host) / "unet.sock"
        environment = {**os.environ, "LAB_UNET_SOCKET": str(socket_path), "LAB_HOST": host}
        argv = argv if works else [*argv, "nonsense"]
        return subprocess.Popen(argv, stdout=stdout, stderr=stderr, env=environment)

    monkeypatch.setattr(kernels, "popen_in_host", popen)
    return lines


def test_emulated_streams_end_at_the_kernels_endpoint(run: Run) -> None:
    ends = {
        request.name: (request.a_endpoint, request.b_endpoint)
        for request in vc_requests(run.scenario)
    }
    assert ends == {
        "bg2": ("bg2.a", "bg2.b"),
        "emu2": ("kernel", "kernel"),
        "emu3": ("kernel", "kernel"),
    }
    assert emulated_at(plans_of(run)) == {
        "n13": ["emu2.b:2"],
        "n14": ["emu3.b:3"],
        "n7": ["emu2.a:2", "emu3.a:3"],
    }


def test_every_host_that_needs_one_has_a_kernel(
    run: Run, state: LabState, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = started(monkeypatch)
    stale = labels.host_dir(state.lab_id, "n13") / "kernel.sock"
    stale.touch()
    with KernelSet(state, "on", run.raw) as found:
        found.start(plans_of(run))
        assert [kernel.host for kernel in found.kernels] == ["n13", "n14", "n7"]
        assert lines[2][-2:] == ["emu2.a:2", "emu3.a:3"]
        assert all(kernel.listens() and not kernel.ended() for kernel in found.kernels)
        assert all(pid > 0 for pid in found.pids)
    for kernel in found.kernels:
        assert kernel.handle is not None
        assert kernel.handle.wait(60) != 0


def test_a_kernel_that_does_not_serve_is_named(
    run: Run, state: LabState, monkeypatch: pytest.MonkeyPatch
) -> None:
    started(monkeypatch, works=False)
    with (
        KernelSet(state, "on", run.raw) as found,
        pytest.raises(LabError, match="kernel of emulated endpoints on n13") as caught,
    ):
        found.start(plans_of(run))
    assert "NAME:CHANNEL" in caught.value.message


def test_no_kernel_without_emulated_streams(run: Run, state: LabState) -> None:
    with KernelSet(state, "on", run.raw) as found:
        found.start([plan for plan in plans_of(run) if plan.stream == "bg2"])
        assert found.kernels == []


def test_the_adapter_knows_emulated_endpoints_by_their_kernel(run: Run, state: LabState) -> None:
    made = EndpointSet(state, "on", run.raw)
    made.endpoints = [Endpoint(plan, Path(), Path()) for plan in plans_of(run)]
    attached = [("n25", "bg2.b"), ("n7", "bg2.a"), ("n7", "kernel"), ("n13", "kernel")]
    assert [endpoint.plan.endpoint for endpoint in made.missing(attached)] == ["emu3.b"]
