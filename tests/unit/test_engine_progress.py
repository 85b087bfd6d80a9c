"""Progress events: positions in the whole run, and the file between writer and reader."""

import itertools
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from lab.engine.progress import PROGRESS_FILE, Follower, Reporter, Schedule

PLAN = Schedule({"prepare": 1.0, "up": 9.0, "drive": 80.0, "down": 10.0})


def test_position_counts_what_lies_before() -> None:
    assert PLAN.position("prepare", 0.0) == (0.0, 100.0)
    assert PLAN.position("drive", 0.5) == (0.5, 50.0)
    assert PLAN.position("down", 1.0) == (1.0, 0.0)


def test_a_phase_that_is_not_planned_has_no_position() -> None:
    assert PLAN.position("elsewhere", 0.5) == (0.0, 100.0)
    assert Schedule({}).position("up", 1.0) == (0.0, 0.0)


@given(
    lengths=st.lists(st.floats(0.001, 1e4), min_size=1, max_size=8),
    parts=st.lists(st.floats(-1, 2), min_size=1, max_size=5),
)
def test_progress_never_runs_backwards(lengths: list[float], parts: list[float]) -> None:
    plan = Schedule({str(index): length for index, length in enumerate(lengths)})
    seen = [plan.position(name, part) for name in plan.phases for part in sorted(parts)]
    assert all(0 <= fraction <= 1 + 1e-9 for fraction, _ in seen)
    for (before, left_before), (after, left_after) in itertools.pairwise(seen):
        assert after >= before - 1e-9
        assert left_after <= left_before + 1e-6


def test_the_reader_sees_each_event_once(tmp_path: Path) -> None:
    reporter = Reporter(tmp_path, PLAN, clock=lambda: 12.5)
    follower = Follower(tmp_path)
    assert list(follower.new_events()) == []
    reporter.report("up", "making switches", 0.5)
    first = list(follower.new_events())
    assert [(e.phase, e.message, e.t) for e in first] == [("up", "making switches", 12.5)]
    assert list(follower.new_events()) == []
    reporter.error("drive", "it broke", "mend it")
    (error,) = follower.new_events()
    assert (error.kind, error.message, error.remedy) == ("error", "it broke", "mend it")


def test_half_a_line_waits_for_its_other_half(tmp_path: Path) -> None:
    Reporter(tmp_path, PLAN).report("up", "one", 0.1)
    path = tmp_path / PROGRESS_FILE
    line = path.read_bytes()
    path.write_bytes(line + line[:20])
    follower = Follower(tmp_path)
    assert len(list(follower.new_events())) == 1
    path.write_bytes(line + line)
    assert len(list(follower.new_events())) == 1
