"""A process that dies is noticed at once and named, with the end of its log."""

import time
from pathlib import Path

import pytest
from engine_fakes import sleeper

from lab.engine.watch import Watch, Watched, log_tail
from lab.errors import LabError


def test_nothing_happens_while_all_live() -> None:
    process = sleeper()
    try:
        with Watch() as watch:
            watch.add(Watched("the sleeper", process.pid))
            started_s = time.monotonic()
            watch.wait(0.05)
            assert time.monotonic() - started_s >= 0.045
    finally:
        process.kill()
        process.wait()


def test_a_death_is_named_with_its_log(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("".join(f"line {number}\n" for number in range(100)))
    process = sleeper()
    with Watch() as watch:
        watch.add(Watched("the sleeper", process.pid, log, remedy="wake it"))
        process.kill()
        started_s = time.monotonic()
        with pytest.raises(LabError) as caught:
            watch.wait(60)
        assert time.monotonic() - started_s < 50
    process.wait()
    assert f"the sleeper (process {process.pid}) died" in caught.value.message
    assert "line 99" in caught.value.message
    assert "line 80" not in caught.value.message
    assert caught.value.remedy == "wake it"


def test_an_expected_end_is_no_death() -> None:
    process = sleeper(0)
    with Watch() as watch:
        watch.add(Watched("the sleeper", process.pid, may_end=lambda: True))
        watch.wait(60)
        watch.wait(0)
    process.wait()


def test_a_process_that_is_gone_already_is_dead() -> None:
    process = sleeper(0)
    process.wait()
    with Watch() as watch, pytest.raises(LabError, match="the sleeper"):
        watch.add(Watched("the sleeper", process.pid))


def test_no_log_no_tail(tmp_path: Path) -> None:
    assert log_tail(None) == ""
    assert log_tail(tmp_path / "missing") == ""
    (tmp_path / "empty").write_text("\n\n")
    assert log_tail(tmp_path / "empty") == ""


def test_of_several_deaths_the_fundamental_one_is_told() -> None:
    below, above = sleeper(), sleeper()
    with Watch() as watch:
        watch.add(Watched("what it stands on", below.pid))
        watch.add(Watched("what stands on it", above.pid))
        above.kill()
        above.wait()
        below.kill()
        with pytest.raises(LabError, match="what it stands on"):
            watch.wait(60)
    below.wait()
