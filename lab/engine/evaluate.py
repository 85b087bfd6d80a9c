"""The last phases: tables out of the raw observations, then certificate, scorecard, report."""

from lab.engine.run import AnyRun, StackRun
from lab.paths import RESULTS
from lab.results import collect as tables
from lab.results.cases import collect_cases
from lab.results.manifest import finish_manifest
from lab.results.scorecard import update_scorecard


def collect(run: AnyRun) -> dict[str, int]:
    """Write the tables of a run; returns the rows of each."""
    reporter = run.reporter()
    reporter.report("collect", "writing tables", 0.0)
    rows = (
        collect_cases(run.dir, run.raw, run.cases)
        if isinstance(run, StackRun)
        else tables.collect(run.dir, run.scenario)
    )
    reporter.report("collect", f"{sum(rows.values())} rows in {len(rows)} tables", 1.0)
    return rows


def analyse(run: AnyRun) -> bool:
    """Judge a collected run and write its report; returns whether its certificate is valid."""
    from lab import analysis
    from lab.report.page import write_report

    reporter = run.reporter()
    reporter.report("analyse", "judging", 0.0)
    # The report tells how the run ended, so that is noted first.
    finish_manifest(run.dir, ok=True)
    certificate, _ = analysis.analyse(run.dir)
    if run.dir.parent.parent == RESULTS:
        update_scorecard()
    reporter.report("analyse", "writing the report", 0.4)
    write_report(run.dir)
    reporter.report("analyse", "done", 1.0)
    return certificate.valid
