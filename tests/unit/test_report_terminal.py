"""The terminal says the same as the page, within 100 columns."""

from pathlib import Path

import pytest
import report_run
from rich.console import Console, RenderableType

from lab.report.terminal import render_claims_summary, render_fidelity, render_scorecard
from lab.report.verdict import banner, number


def printed(renderable: RenderableType) -> str:
    console = Console(width=100, color_system=None)
    with console.capture() as capture:
        console.print(renderable)
    return capture.get()


def test_scorecard_fits_and_explains_what_deviates():
    text = printed(render_scorecard(report_run.scorecard(valid=True)))
    assert max(len(line.rstrip()) for line in text.splitlines()) <= 100
    assert "fabric-port-contention-background" in text
    assert "Measured 1.0 <of> the baseline" in text
    assert "Configured" not in text
    assert "91 - 105" in text


def test_empty_scorecard():
    assert "No claim was judged" in printed(render_scorecard([]))


def test_fidelity():
    assert "valid, 2 of 2 bounds kept" in printed(render_fidelity(report_run.fidelity(valid=True)))
    text = printed(render_fidelity(report_run.fidelity(valid=False)))
    assert "1 of 2 bounds broken" in text
    assert "line-card lateness p99.9 is 7,300 (bound <= 5000 us)" in text
    assert "pass off: late" in text
    never = {"valid": False, "checks": [{"name": "drops", "value": None, "bound": "<= 0"}]}
    assert "drops was not recorded (bound <= 0)" in printed(render_fidelity(never))
    assert "no certificate" in printed(render_fidelity({}))


def test_summary_names_the_report():
    fidelity, scorecard = report_run.fidelity(valid=True), report_run.scorecard(valid=True)
    text = printed(render_claims_summary({}, fidelity, scorecard, Path("results/x/report.html")))
    assert "Valid run: 1 of 2 claims reproduced, 1 deviates." in text
    assert "report.html" in text


def test_banner_levels():
    fidelity = report_run.fidelity(valid=True)
    rows = report_run.scorecard(valid=True)
    assert banner({}, fidelity, rows[:1]).level == "good"
    assert banner({}, fidelity, rows).level == "mixed"
    assert banner({}, fidelity, []).level == "mixed"
    assert banner({}, {}, rows).level == "bad"
    assert banner({"exit": {"ok": False, "message": "x"}}, fidelity, rows).level == "bad"
    assert banner({"exit": None}, fidelity, rows[:1]).level == "good"


def test_a_guarantee_that_was_seen_broken_is_named_though_the_run_is_invalid():
    fidelity = report_run.fidelity(valid=False)
    rows = report_run.scorecard(valid=False)
    told = banner({}, fidelity, rows)
    assert told.level == "bad"
    assert "every verdict is unknown. " in told.detail
    broken = {**rows[0], "claim": "mscs-gup-atomicity", "verdict": "deviates"}
    assert (
        "but guarantees were seen broken: mscs-gup-atomicity."
        in banner({}, fidelity, [broken, *rows]).detail
    )


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "-"),
        (float("nan"), "-"),
        (True, "yes"),
        (266000, "266,000"),
        (95.9123, "95.91"),
        (7300.0, "7,300"),
        (125e6, "125,000,000"),
        ([91, 105], "91 - 105"),
        ("7 and 7", "7 and 7"),
        ({"a": 1}, "a 1"),
    ],
)
def test_number(value: object, text: str):
    assert number(value) == text
