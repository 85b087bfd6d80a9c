"""What a run says on the terminal when it is over.

Renderables for rich; they fit 100 columns and lose nothing but colour when written to a file.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from lab.claims.judge import NOT_CERTIFIED
from lab.paths import shown
from lab.report.verdict import Banner, banner, broken_bound, failed_checks, number

_STYLES = {
    "reproduced": "green",
    "deviates": "bold red",
    "unknown": "yellow",
    "input": "dim",
    "reported": "dim",
}
_WIDTH = 100
_LEVELS = {"good": "bold green", "mixed": "bold yellow", "bad": "bold red"}


def summary_console() -> Console:
    """Where the summaries go: as wide as the terminal, or as they need when there is none."""
    return Console() if sys.stdout.isatty() else Console(width=_WIDTH)


def render_scorecard(scorecard: Sequence[Mapping[str, Any]]) -> RenderableType:
    """The scorecard as a compact table: what deviates or is unknown says why below its row."""
    if not scorecard:
        return Text("No claim was judged.", style="yellow")
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1), header_style="bold")
    table.add_column("verdict", no_wrap=True)
    table.add_column("claim", overflow="fold", ratio=1)
    table.add_column("expected", justify="right", max_width=16, overflow="fold")
    table.add_column("measured", justify="right", max_width=14, overflow="fold")
    table.add_column("unit", no_wrap=True, max_width=10)
    table.add_column("tol.", justify="right", no_wrap=True)
    both = any(len(row.get("engines") or ()) > 1 for row in scorecard)
    if both:
        table.add_column("simulation", max_width=14, overflow="fold")
    for row in scorecard:
        verdict = str(row.get("verdict", "?"))
        claim = Text(str(row.get("claim", "?")))
        why = str(row.get("why") or "")
        # what is wrong with the whole run is said once, below the table
        if verdict in ("deviates", "unknown") and not why.startswith(NOT_CERTIFIED):
            claim.append(f"\n{why}", style="dim")
        tolerance = row.get("tolerance")
        table.add_row(
            Text(verdict, style=_STYLES.get(verdict, "")),
            claim,
            number(row.get("expected")),
            number(row.get("measured")),
            str(row.get("unit") or ""),
            f"{100 * tolerance:g} %" if isinstance(tolerance, (int, float)) else "",
            *([_simulated(row)] if both else []),
        )
    return table


def _simulated(row: Mapping[str, Any]) -> Text:
    """What the simulation says of a claim whose row speaks of the emulation."""
    found = (row.get("engines") or {}).get("simulation")
    if found is None or found.get("run") == row.get("run"):
        return Text("")
    verdict = str(found.get("verdict", "?"))
    return Text(f"{verdict}\n{number(found.get('measured'))}", style=_STYLES.get(verdict, ""))


def render_fidelity(fidelity: Mapping[str, Any]) -> RenderableType:
    """The certificate in a line; each broken bound in a line of its own."""
    checks = fidelity.get("checks", [])
    if not fidelity:
        return Text("Fidelity: no certificate", style="bold red")
    if fidelity.get("valid", False):
        return Text(f"Fidelity: valid, {len(checks)} of {len(checks)} bounds kept", style="green")
    broken = failed_checks(fidelity)
    text = Text(
        f"Fidelity: not valid, {len(broken)} of {len(checks)} bounds broken", style="bold red"
    )
    for check in broken:
        text.append(f"\n  {broken_bound(check)}", style="not bold red")
        if check.get("why"):
            text.append(f"\n    {check['why']}", style="not bold dim")
    return text


def render_claims_summary(
    manifest: Mapping[str, Any],
    fidelity: Mapping[str, Any],
    scorecard: Sequence[Mapping[str, Any]],
    report: Path | None = None,
) -> RenderableType:
    """The verdict on the run in a sentence, and where its report is."""
    verdict: Banner = banner(manifest, fidelity, scorecard)
    lines: list[RenderableType] = [Text(verdict.headline, style=_LEVELS[verdict.level])]
    if verdict.detail:
        lines.append(Text(verdict.detail, style="dim"))
    if report is not None:
        lines.append(Text.assemble("Report: ", (shown(report), "bold")))
    return Group(*lines)
