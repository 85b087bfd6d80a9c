"""The page is whole, honest about what is missing, and needs nothing but itself."""

import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import pytest
import report_run
from chromium import Chromium

from lab.errors import LabError
from lab.report import write_report
from lab.results.tables import empty_table, write_table

MAX_PAGE_BYTES = 8_000_000


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory):
    run = report_run.write_run(tmp_path_factory.mktemp("run"))
    path = write_report(run.path)
    assert path == run.path / "report.html"
    return path


def without_library(text: str) -> str:
    """The page without Plotly's script."""
    return max(re.split(r"<script>/\*\*\s*\* plotly\.js", text), key=lambda part: "<body>" in part)


class Unfolded(HTMLParser):
    """Counts the figures that are not folded away; a folded one is drawn when it is opened."""

    def __init__(self) -> None:
        super().__init__()
        self.depth = self.plots = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.depth += tag == "details"
        self.plots += not self.depth and ("class", "plot") in attrs

    def handle_endtag(self, tag: str) -> None:
        self.depth -= tag == "details"


def text_of(path: Path) -> str:
    return without_library(path.read_text(encoding="utf-8"))


def test_page_tells_the_verdicts(page: Path):
    text = text_of(page)
    assert "Valid run: 1 of 2 claims reproduced, 1 deviates." in text
    assert "Switch port contention, flow control on and off" in text
    assert "thesis 4.6.3 and 4.7" in text
    for verdict in ("reproduced", "deviates", "input", "reported"):
        assert f'class="verdict {verdict}"' in text
    assert "Measured 1.0 &lt;of&gt; the baseline" in text
    assert "background stream throttles back to 98 MByte/s" in text


def test_page_holds_every_figure_as_valid_json(page: Path):
    found = re.findall(r'<script type="application/json">(.*?)</script>', text_of(page), re.S)
    assert len(found) == text_of(page).count('class="plot"')
    for figure in found:
        assert json.loads(figure)["data"]
    assert sum("frames" in json.loads(figure) for figure in found) == 1


def test_page_is_self_contained_and_small(page: Path):
    text = text_of(page)
    assert page.stat().st_size < MAX_PAGE_BYTES
    assert not re.findall(r"""\b(?:src|href)=(?!["']?#)""", text)
    assert "@import" not in text
    assert "url(" not in text
    assert "default-src 'none'" in text
    assert "http://" not in text
    assert "https://" not in text


def test_size_stays_bounded_when_the_run_is_sampled_finely(tmp_path: Path):
    path = write_report(report_run.write_run(tmp_path, sample_s=0.0001).path)
    assert path.stat().st_size < MAX_PAGE_BYTES


def test_a_run_with_broken_bounds_is_not_trustworthy(tmp_path: Path):
    text = text_of(write_report(report_run.write_run(tmp_path, valid=False).path))
    assert (
        "Run not trustworthy: because line-card lateness p99.9 is 7,300 (bound &lt;= 5000 us)"
        in text
    )
    assert "claims reproduced" not in text


def test_an_aborted_run_says_so_and_why(tmp_path: Path):
    run = report_run.write_run(tmp_path)
    run.finish(ok=False, message="ovs-vswitchd died <here>")
    text = text_of(write_report(run.path))
    assert "Partial run, not trustworthy: it ended early (ovs-vswitchd died &lt;here&gt;)." in text


@pytest.mark.parametrize(
    "name",
    [
        *("flows", "endpoints", "steps", "vcs", "queues"),
        *("quenches", "links", "lateness", "machine", "counters"),
    ],
)
def test_any_table_may_be_missing(tmp_path: Path, page: Path, name: str):
    run_dir = shutil.copytree(page.parent, tmp_path / "run")
    (run_dir / f"{name}.parquet").unlink()
    text = text_of(write_report(run_dir))
    assert f"<li>table {name} is missing</li>" in text


@pytest.mark.parametrize(("fate", "told"), [("empty", "has no rows"), ("broken", "cannot be read")])
def test_tables_may_be_empty_or_broken(tmp_path: Path, page: Path, fate: str, told: str):
    run_dir = shutil.copytree(page.parent, tmp_path / "run")
    tables = sorted(run_dir.glob("*.parquet"))
    for path in tables:
        if fate == "empty":
            write_table(run_dir, path.stem, empty_table(path.stem))
        else:
            path.write_bytes(b"PAR1 cut short")
    text = text_of(write_report(run_dir))
    assert "This run is incomplete" in text
    may_be_empty = {"queues", "quenches", "latency"} if fate == "empty" else set()
    assert text.count(told) == len({path.stem for path in tables} - may_be_empty)


def test_only_a_manifest_is_enough_for_a_page(tmp_path: Path):
    run = report_run.write_run(tmp_path)
    for path in run.path.iterdir():
        if path.is_file() and path.name != "manifest.json":
            path.unlink()
    text = text_of(write_report(run.path))
    assert "Run not trustworthy: it has no fidelity certificate." in text
    assert "fidelity.json is missing" in text
    assert "no claim was judged" in text


def test_nothing_of_a_run(tmp_path: Path):
    with pytest.raises(LabError, match="nothing to report"):
        write_report(tmp_path)
    with pytest.raises(LabError, match="no run at"):
        write_report(tmp_path / "absent")


@pytest.mark.slow
@pytest.mark.browser
def test_a_browser_draws_every_figure(page: Path):
    shown = Unfolded()
    shown.feed(text_of(page))
    assert shown.plots >= 8
    drawn = "document.querySelectorAll('.plot.js-plotly-plot').length"
    with Chromium() as browser:
        browser.open(page.as_uri())
        browser.wait_for(f"{drawn} >= {shown.plots}")
        assert browser.value(drawn) == shown.plots
        assert browser.complaints == []
