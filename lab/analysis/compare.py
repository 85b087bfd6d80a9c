"""How far two runs agree, figure by figure, measured by their own spread. Pure.

A figure is a mean over the measured part of a step: throughput of a group of streams and of all
streams, latency, and what each claim of the scenario measures. Its spread is found inside the
run: the measured part is cut into parts, and the standard error of the mean over them is what the
figure would vary by if the same network were watched for another such while. Two values agree
when they lie no further apart than three standard errors of their difference, and for a
throughput one message of each stream, which a window may see or miss at its edge.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lab.analysis.measuring import Measures
from lab.analysis.observations import Observations
from lab.scenarios.model import Pass
from lab.scenarios.plan import Step, steps

Kind = Literal["throughput", "latency", "rate", "claim"]

ALL = "all streams"
SIGNIFICANT = 3.0
"""Standard errors; a difference beyond has a chance of about 1 % between equal runs."""
PARTS = 10
CLAIM_PARTS = 5
_RECEIVED = ("recv", "pong")
_TIMED = ("recv", "ping")


@dataclass(frozen=True)
class Figure:
    """One number of a run.

    ``error`` is its standard error, None where the run cannot tell; ``grain`` the least
    difference that the way of measuring can show.
    """

    name: str
    kind: Kind
    unit: str
    value: float
    error: float | None = None
    grain: float = 0.0


@dataclass(frozen=True)
class Difference:
    """One figure in two runs.

    ``spread`` is how far apart the two may lie by chance; ``inside`` whether they do not lie
    further apart, None where that is unknown. ``relative`` is b / a - 1.
    """

    figure: str
    kind: Kind
    unit: str
    a: float
    b: float
    relative: float | None
    spread: float | None
    inside: bool | None


def figures(observations: Observations, measures: Measures | None = None) -> dict[str, Figure]:
    """All figures of a run by name, in the order of its passes and steps.

    Args:
        observations: the run.
        measures: also what these measure of the scenario's claims.
    """
    scenario = observations.scenario
    found: list[Figure] = []
    for passing in scenario.passes:
        flows = observations.tables["flows"]
        of_pass = flows[flows["pass"] == passing.name]
        if of_pass.empty:
            continue
        for step in steps(scenario):
            found += _of_step(observations, passing, step, of_pass)
    if measures is not None:
        found += _of_claims(observations, measures)
    return {figure.name: figure for figure in found}


def _of_step(
    observations: Observations, passing: Pass, step: Step, flows: pd.DataFrame
) -> Iterable[Figure]:
    streams = observations.scenario.streams_of(passing)
    inside = flows[(flows["t_ns"] >= step.t_settled_ns) & (flows["t_ns"] < step.t_end_ns)]
    groups = list(dict.fromkeys(stream.group for stream in streams))
    for group in (*groups, ALL):
        rows = inside if group == ALL else inside[inside["group"] == group]
        if group == ALL and len(groups) == 1:
            continue
        members = [s for s in streams if group in (ALL, s.group)]
        sizes = [stream.message_bytes or step.message_bytes for stream in members]
        where = f"{passing.name}, {step.name}, {group}"
        yield _throughput(where, rows, step, observations.bin_ns, sum(sizes))
        yield from _latency(where, rows, step, observations.bin_ns)


def _throughput(where: str, rows: pd.DataFrame, step: Step, bin_ns: int, edge_bytes: int) -> Figure:
    received = rows[rows["role"].isin(_RECEIVED)]
    counts = _per_bin(received, "bytes", step, bin_ns)
    rates = counts / bin_ns * 1e3  # bytes/ns * 1e3 = MByte/s
    window_ns = step.t_end_ns - step.t_settled_ns
    value, error = mean_with_error(rates, np.ones_like(rates))
    grain = edge_bytes / window_ns * 1e3
    return Figure(f"{where}: throughput", "throughput", "MByte/s", value, error, grain)


def _latency(where: str, rows: pd.DataFrame, step: Step, bin_ns: int) -> Iterable[Figure]:
    timed = rows[rows["role"].isin(_TIMED)]
    messages = _per_bin(timed, "messages", step, bin_ns)
    if not messages.sum():
        return
    sums = _per_bin(timed, "latency_sum_ns", step, bin_ns)
    value, error = mean_with_error(sums / 1e3, messages)
    yield Figure(f"{where}: latency", "latency", "us", value, error)


def _per_bin(rows: pd.DataFrame, column: str, step: Step, bin_ns: int) -> NDArray[np.float64]:
    """Sum of a column in every bin of the measured part of a step, zeros included."""
    bins = round((step.t_end_ns - step.t_settled_ns) / bin_ns)
    index = (rows["t_ns"].to_numpy() - step.t_settled_ns) // bin_ns
    counts = np.zeros(bins)
    np.add.at(counts, index.astype(np.int64), rows[column].to_numpy(dtype=np.float64))
    return counts


def mean_with_error(
    sums: NDArray[np.float64], weights: NDArray[np.float64]
) -> tuple[float, float | None]:
    """sum(sums) / sum(weights), and its standard error over consecutive parts.

    Neighbouring bins depend on each other; parts of several bins each hardly do.
    """
    value = float(sums.sum() / weights.sum())
    parts = min(PARTS, len(sums))
    if parts < 2:
        return value, None
    each_sum = np.array([part.sum() for part in np.array_split(sums, parts)])
    each_weight = np.array([part.sum() for part in np.array_split(weights, parts)])
    # The error of a ratio of two means, from what each part departs from the common ratio.
    rest = each_sum - value * each_weight
    variance = float((rest**2).sum()) / (parts * (parts - 1))
    return value, math.sqrt(variance) / float(each_weight.mean())


def _of_claims(observations: Observations, measures: Measures) -> Iterable[Figure]:
    parts = [_only_part(observations, number) for number in range(CLAIM_PARTS)]
    for claim in observations.scenario.claims:
        whole = _measured(observations, measures, claim)
        if whole is None:
            continue
        values = [_measured_in_part(part, measures, claim) for part in parts]
        error = _error_of([value for value in values if value is not None])
        yield Figure(f"claim {claim}", "claim", "", whole, error)


def _only_part(observations: Observations, number: int) -> Observations:
    """The same run with only one of :data:`CLAIM_PARTS` parts of each step as measured."""
    table = observations.tables["steps"].copy()
    start, end = table["t_settled_ns"], table["t_end_ns"]
    bins = (end - start) // observations.bin_ns
    first, last = (bins * (number + more) // CLAIM_PARTS for more in (0, 1))
    table["t_settled_ns"] = start + first * observations.bin_ns
    table["t_end_ns"] = start + last * observations.bin_ns
    return replace(observations, tables={**observations.tables, "steps": table})


def _measured(observations: Observations, measures: Measures, claim: str) -> float | None:
    """The number that a run has for a claim; None when it has none."""
    measurement = measures.measure(claim, observations)
    for number in (measurement.value, measurement.deviation):
        if number is not None and not measurement.missing and math.isfinite(number):
            return float(number)
    return None


def _measured_in_part(part: Observations, measures: Measures, claim: str) -> float | None:
    """The same of a part, which may be too short for what the whole can tell."""
    try:
        return _measured(part, measures, claim)
    except (ArithmeticError, LookupError, ValueError):
        return None


def _error_of(values: Sequence[float]) -> float | None:
    """Standard error of the mean of values; None when they cannot tell."""
    if len(values) < CLAIM_PARTS or len(set(values)) == 1:
        return None  # what does not depend on the window says nothing of its spread
    return float(np.std(values, ddof=1)) / math.sqrt(len(values))


def compare(
    a: Mapping[str, Figure], b: Mapping[str, Figure], *, within: float = 0.0
) -> tuple[Difference, ...]:
    """The figures that both runs have, in the order of the first.

    Args:
        a: figures of one run.
        b: figures of the other.
        within: a relative difference up to this counts as inside whatever the spread.
    """
    return tuple(_difference(a[name], b[name], within) for name in a if name in b)


def _difference(a: Figure, b: Figure, within: float) -> Difference:
    gap = abs(b.value - a.value)
    relative = b.value / a.value - 1 if a.value else None
    spread = None
    if a.error is not None and b.error is not None:
        spread = SIGNIFICANT * math.hypot(a.error, b.error) + max(a.grain, b.grain)
    rounding = 1e-9 * max(abs(a.value), abs(b.value))
    inside = None if spread is None else gap <= spread + rounding
    if gap <= within * abs(a.value) + rounding:
        inside = True
    return Difference(a.name, a.kind, a.unit, a.value, b.value, relative, spread, inside)


@dataclass(frozen=True)
class TieEffect:
    """One figure over several orders of simultaneous events; ``range`` is (max - min) / mean."""

    figure: str
    kind: Kind
    unit: str
    least: float
    mean: float
    most: float
    range: float | None
    error: float | None


def tie_effects(each: Sequence[Mapping[str, Figure]]) -> tuple[TieEffect, ...]:
    """How much each figure depends on the order of simultaneous events; most dependent first.

    Args:
        each: the figures of runs that differ in nothing else.
    """
    effects = []
    for name, first in each[0].items() if each else ():
        values = [one[name].value for one in each if name in one]
        mean = sum(values) / len(values)
        span = max(values) - min(values)
        effects.append(
            TieEffect(
                name,
                first.kind,
                first.unit,
                min(values),
                mean,
                max(values),
                span / abs(mean) if mean else None,
                first.error,
            )
        )
    return tuple(sorted(effects, key=lambda e: -(e.range or 0.0)))
