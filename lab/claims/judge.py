"""From a published claim and a measurement to a verdict. Pure.

The rules, in this order:

1. role ``input``: verdict ``input`` - it was configured, so measuring it back proves nothing.
2. the run's certificate is not valid, or the measurement is missing: ``unknown``; but where every
   instrument vouches for what was seen, and only what the run's own protocol promises was broken, a
   guarantee that does not hold ``deviates``.
3. kind ``era``: ``reported`` - absolute values of the 1990s are shown, not judged.
4. a published number, range or bound is compared with the measured number. The tolerance is
   relative to the value, and absolute where the value is 0. A ``ratio`` compares
   value / published baseline with measured / measured baseline.
5. a formula, shape, order, guarantee or function is judged by what the scenario's measurement
   supplies: a relative deviation (against the tolerance) or a plain yes or no.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Literal

from lab.claims.quantities import leading_quantity, parse_bound
from lab.claims.registry import Claim

Outcome = Literal["reproduced", "deviates", "unknown", "reported", "input"]

# Units in which the registry's value already is the ratio to the baseline.
_RATIO_UNITS = ("fraction", "x")
# Room for rounding in comparisons that have no tolerance.
_EPSILON = 1e-9


NOT_CERTIFIED = "The run has no valid certificate"
"""How the reason of a verdict begins that is unknown only because its run is."""


@dataclass(frozen=True)
class Measurement:
    """What a run has to say about one claim.

    Attributes:
        claim: id of the claim.
        value: measured number in the claim's unit.
        baseline: measured number of what a ratio refers to, in the same unit.
        published_baseline: the baseline's number where the registry names it in words only.
        holds: yes or no, for claims that have no number; beside a number, False says that a
            further condition of the claim fails.
        deviation: relative departure from a formula or shape; judged by the tolerance.
        detail: one sentence about how it was measured and what came out.
        missing: why nothing could be measured; empty when something was.
    """

    claim: str
    value: float | None = None
    baseline: float | None = None
    published_baseline: float | None = None
    holds: bool | None = None
    deviation: float | None = None
    detail: str = ""
    missing: str = ""


@dataclass(frozen=True)
class Verdict:
    """One row of a scorecard; ``expected`` and ``measured`` are numbers, texts or None."""

    claim: str
    source: str
    kind: str
    role: str
    expected: float | list[float] | str | None
    measured: float | str | None
    unit: str | None
    baseline: float | None
    tolerance: float | None
    verdict: Outcome
    why: str

    def plain(self) -> dict[str, object]:
        """The row as plain data."""
        return asdict(self)


@dataclass(frozen=True)
class _Comparison:
    ok: bool
    why: str


def judge(
    claim: Claim,
    measurement: Measurement,
    *,
    certificate_valid: bool,
    certificate_why: str = "",
    observed_well: bool = False,
) -> Verdict:
    """The verdict on one claim.

    Args:
        claim: the registry's row.
        measurement: what was measured.
        certificate_valid: whether the run's own instruments vouch for it.
        certificate_why: which check failed, for the text.
        observed_well: whether nothing but a broken promise of the protocol speaks against the run.
    """
    broken = observed_well and claim.kind == "guarantee" and measurement.holds is False
    outcome, why = _outcome(claim, measurement, certificate_valid or broken, certificate_why)
    return Verdict(
        claim=claim.id,
        source=claim.source,
        kind=claim.kind,
        role=claim.role,
        expected=claim.value,
        measured=_measured(measurement),
        unit=claim.unit,
        baseline=measurement.baseline,
        tolerance=claim.tolerance,
        verdict=outcome,
        why=why,
    )


def _measured(measurement: Measurement) -> float | str | None:
    if measurement.value is not None:
        return measurement.value
    if measurement.deviation is not None:
        return measurement.deviation
    if measurement.holds is not None:
        return "holds" if measurement.holds else "does not hold"
    return None


def _outcome(
    claim: Claim, measurement: Measurement, certificate_valid: bool, certificate_why: str
) -> tuple[Outcome, str]:
    detail = f" {measurement.detail}" if measurement.detail else ""
    outcome: Outcome = "unknown"
    if claim.role == "input":
        outcome, why = "input", "Configured, so never counted as reproduced."
    elif not certificate_valid:
        because = f": {certificate_why}" if certificate_why else ""
        why = f"{NOT_CERTIFIED}{because}."
    elif measurement.missing:
        why = f"Not measured: {measurement.missing}."
    elif not _finite(measurement):
        why = "Not measured: the measurement is no finite number."
    elif claim.kind == "era":
        outcome, why = "reported", "An absolute value of its time: shown, not judged."
    else:
        comparison = _compare(claim, measurement)
        if comparison is None:
            why = "The measurement does not fit the kind of claim."
        else:
            outcome, why = "reproduced" if comparison.ok else "deviates", comparison.why
    return outcome, why + detail


def _finite(measurement: Measurement) -> bool:
    numbers = (measurement.value, measurement.baseline, measurement.deviation)
    return all(number is None or math.isfinite(number) for number in numbers)


def _compare(claim: Claim, measurement: Measurement) -> _Comparison | None:
    numeric = not isinstance(claim.value, str) or parse_bound(claim.value) is not None
    if claim.value is not None and numeric and measurement.value is not None:
        comparison = _compare_numbers(claim, measurement)
        if comparison is not None and measurement.holds is False:
            return _Comparison(ok=False, why=f"{comparison.why} But a further condition fails.")
        return comparison
    if measurement.deviation is not None:
        return _compare_deviation(claim, measurement.deviation)
    # A ratio or an exact number is never judged by a bare yes or no.
    if measurement.holds is not None and not (numeric and claim.kind in ("ratio", "exact")):
        return _Comparison(
            measurement.holds, "It holds." if measurement.holds else "It does not hold."
        )
    return None


def _compare_deviation(claim: Claim, deviation: float) -> _Comparison:
    tolerance = claim.tolerance or 0.0
    ok = abs(deviation) <= tolerance + _EPSILON
    return _Comparison(
        ok, f"Off by {abs(deviation):.1%}, {'within' if ok else 'beyond'} {tolerance:.0%}."
    )


def _compare_numbers(claim: Claim, measurement: Measurement) -> _Comparison | None:
    published, measured = 1.0, measurement.value
    as_ratio = claim.kind == "ratio" and claim.unit not in _RATIO_UNITS
    if measured is not None and as_ratio:
        number = leading_quantity(claim.baseline or "", claim.unit or "")
        stated = number if number is not None else measurement.published_baseline
        if not stated or not measurement.baseline:
            return None
        published, measured = stated, measured / measurement.baseline
    if measured is None:
        return None
    expected = _interval(claim, published)
    tolerance = claim.tolerance or 0.0
    ok = expected.contains(measured, tolerance)
    what = f"Measured {measured:.4g}{' of the baseline' if as_ratio else ''}"
    if expected.contains(measured, 0.0):
        return _Comparison(ok, f"{what}, as published.")
    target = expected.nearest(measured)
    gap, room = f"{measured - target:+.4g}", f"{tolerance:g}"
    if target != 0:
        gap, room = f"{measured / target - 1:+.1%}", f"{tolerance:.0%}"
    side = "within" if ok else "beyond"
    return _Comparison(ok, f"{what} against {target:.4g}: {gap}, {side} the tolerance of {room}.")


@dataclass(frozen=True)
class _Interval:
    """What was published, as an interval; an infinite end is open."""

    low: float
    high: float

    def nearest(self, number: float) -> float:
        return self.low if number < self.low else self.high

    def contains(self, number: float, tolerance: float) -> bool:
        low, high = self.low - _slack(self.low, tolerance), self.high + _slack(self.high, tolerance)
        return low <= number <= high


def _interval(claim: Claim, published_baseline: float) -> _Interval:
    value = claim.value
    if isinstance(value, list):
        low, high = value
    elif isinstance(value, str):
        bound = parse_bound(value)
        low, high = -math.inf, math.inf
        if bound is not None and bound.sign == ">=":
            low = bound.limit
        elif bound is not None:
            high = bound.limit
    else:
        low = high = value if value is not None else math.nan
    return _Interval(low / published_baseline, high / published_baseline)


def _slack(limit: float, tolerance: float) -> float:
    if math.isinf(limit):
        return 0.0
    return (abs(limit) * tolerance if limit else tolerance) + _EPSILON * max(1.0, abs(limit))


def summary(verdicts: Iterable[Verdict]) -> dict[str, dict[str, int]]:
    """Counts of verdicts by system: ``{"fabric": {"reproduced": 12, "deviates": 1}}``."""
    counts: dict[str, dict[str, int]] = {}
    for verdict in verdicts:
        row = counts.setdefault(verdict.claim.split("-", 1)[0], {})
        row[verdict.verdict] = row.get(verdict.verdict, 0) + 1
    return counts
