"""One run in one sentence: may it be trusted, and what came out.

Pure. The page's banner and the last lines on the terminal say the same thing because both
ask here.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

REPRODUCED, DEVIATES, UNKNOWN = "reproduced", "deviates", "unknown"
JUDGED = (REPRODUCED, DEVIATES, UNKNOWN)
"""Every other verdict (configured inputs, figures of their era) is told but not counted."""


@dataclass(frozen=True)
class Banner:
    """The verdict on a run: `level` is good, mixed or bad."""

    level: str
    headline: str
    detail: str


def judged(scorecard: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The rows that count as tested."""
    return [row for row in scorecard if row.get("verdict") in JUDGED]


def failed_checks(fidelity: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The fidelity checks that broke their bound."""
    return [check for check in fidelity.get("checks", []) if not check.get("ok", False)]


def banner(
    manifest: Mapping[str, Any],
    fidelity: Mapping[str, Any],
    scorecard: Sequence[Mapping[str, Any]],
) -> Banner:
    """Say plainly whether the run is valid and how its claims fared."""
    reason = _exit_reason(manifest.get("exit"))
    if reason:
        return Banner(
            "bad",
            f"Partial run, not trustworthy: it ended early ({reason}).",
            "What follows is what had been recorded by then. It supports no verdict.",
        )
    if not fidelity:
        return Banner(
            "bad",
            "Run not trustworthy: it has no fidelity certificate.",
            "Without one nobody can tell a result from an artefact of the machine.",
        )
    if not fidelity.get("valid", False):
        return Banner(
            "bad",
            f"Run not trustworthy: {_broken(fidelity)}.",
            "The run broke a bound of its certificate, so every verdict is unknown"
            f"{_but(scorecard)}. The figures show what was recorded all the same.",
        )
    return _of_claims(scorecard)


def _but(scorecard: Sequence[Mapping[str, Any]]) -> str:
    """Which guarantees deviate all the same: nothing but the protocol was found wanting."""
    broken = [str(row.get("claim", "?")) for row in scorecard if row.get("verdict") == DEVIATES]
    return f", but guarantees were seen broken: {', '.join(broken)}" if broken else ""


def _of_claims(scorecard: Sequence[Mapping[str, Any]]) -> Banner:
    rows = judged(scorecard)
    by_verdict = {
        verdict: [str(row.get("claim", "?")) for row in rows if row["verdict"] == verdict]
        for verdict in JUDGED
    }
    good, off, open_ = (by_verdict[v] for v in JUDGED)
    if not rows:
        return Banner("mixed", "Valid run, but it judged no claim.", "The scorecard is empty.")
    parts = [f"{len(good)} of {len(rows)} claims reproduced"]
    if off:
        parts.append(f"{len(off)} deviate" + ("s" if len(off) == 1 else ""))
    if open_:
        parts.append(f"{len(open_)} unknown")
    told = []
    if off:
        told.append("Deviating: " + ", ".join(off) + ".")
    if open_:
        told.append("Unknown: " + ", ".join(open_) + ".")
    rest = len(scorecard) - len(rows)
    if rest:
        told.append(f"{rest} more rows are inputs or figures of their era: told, not counted.")
    level = "good" if len(good) == len(rows) else "mixed"
    return Banner(level, "Valid run: " + ", ".join(parts) + ".", " ".join(told))


def _exit_reason(ending: object) -> str:
    """Why a run ended early; empty when it ended well, or has not been told how it ended."""
    if not isinstance(ending, Mapping) or ending.get("ok", False):
        return ""
    return str(ending.get("message") or "no reason was recorded")


def _broken(fidelity: Mapping[str, Any]) -> str:
    broken = failed_checks(fidelity)
    if not broken:
        return "its certificate says so without naming a check"
    told = [broken_bound(check) for check in broken[:3]]
    more = f" and {len(broken) - 3} more" if len(broken) > 3 else ""
    return "because " + ", ".join(told) + more


def broken_bound(check: Mapping[str, Any]) -> str:
    """A check that failed, in words."""
    name, value = check.get("name", "?"), check.get("value")
    if value is None:
        return f"{name} was not recorded (bound {number(check.get('bound'))})"
    return f"{name} is {number(value)} (bound {number(check.get('bound'))})"


def number(value: object) -> str:
    """A figure as a reader wants it: four significant digits, ranges as `a - b`."""
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {number(item)}" for key, item in value.items())
    if isinstance(value, (list, tuple)):
        joint = " - " if len(value) == 2 and not isinstance(value[0], str) else ", "
        return joint.join(number(item) for item in value)
    return _scalar(value)


def _scalar(value: object) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 10000 else f"{value:,.4g}"
    return str(value)
