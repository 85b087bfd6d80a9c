"""Progress on stderr: plain lines where there is no terminal, one bar where there is."""

import os
import pty
import subprocess
import sys

import pytest

from lab.cli.progress import show_progress
from lab.engine.progress import Event

EVENTS = [Event("up", f"part {number}", number / 10, 65 - number) for number in range(5)]


def test_plain_lines_are_few(capsys: pytest.CaptureFixture[str]) -> None:
    with show_progress() as on_event:
        for event in (*EVENTS, Event("down", "removing", 0.9, 5)):
            on_event(event)
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.splitlines() == [
        "  0%  up: part 0 (1:05 left)",
        " 90%  down: removing (0:05 left)",
    ]


def test_a_terminal_gets_a_bar_with_phase_and_time_left() -> None:
    code = (
        "from lab.cli.progress import show_progress\n"
        "from lab.engine.progress import Event\n"
        "with show_progress() as on_event:\n"
        "    on_event(Event('drive on', 'step 3/9', 0.5, 42))\n"
    )
    leader, follower = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "100"}
    process = subprocess.Popen([sys.executable, "-c", code], stderr=follower, env=environment)
    os.close(follower)
    shown = b""
    try:
        while chunk := os.read(leader, 4096):
            shown += chunk
    except OSError:  # the other end is closed
        pass
    process.wait()
    os.close(leader)
    for part in (b"drive on", b"50 %", b"0:42 left", b"step 3/9"):
        assert part in shown
