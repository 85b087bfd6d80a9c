"""Processors are kept awake where the machine can do so, and nothing fails where it cannot."""

from __future__ import annotations

from pathlib import Path

import pytest

from lab.emulation import awake as module
from lab.emulation.awake import awake


def test_no_latency_is_asked_for_while_it_lasts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "latency"
    file.touch()
    monkeypatch.setattr(module, "_LATENCY_FILE", file)
    with awake():
        assert file.read_bytes() == bytes(4)


def test_a_machine_without_it_does_without(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_LATENCY_FILE", tmp_path / "missing")
    with awake():
        pass
