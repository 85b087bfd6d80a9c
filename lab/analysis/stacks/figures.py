"""The figures of a run of a stack, by which it is compared with another: per case the messages of
each label and the time to answer each request, and what each claim measures. Pure.

The spread of a rate is found inside the case: it is cut into parts, and the standard error of the
mean over them is what the rate would vary by if the case went on.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from lab.analysis.compare import PARTS, Figure, mean_with_error
from lab.analysis.stacks.observations import StackMeasures, StackObservations


def stack_figures(
    run: StackObservations, measures: StackMeasures | None = None
) -> dict[str, Figure]:
    """All figures of a run by name, in the order of its cases.

    Args:
        run: the run.
        measures: also what these measure of the scenario's claims.
    """
    found: list[Figure] = []
    for case in run.planned:
        if not math.isnan(run.ended_s(case)):
            found += _rates(run, case, run.ended_s(case))
            found += _answers(run, case)
    if measures is not None:
        found += _claims(run, measures)
    return {figure.name: figure for figure in found}


def _rates(run: StackObservations, case: str, ended_s: float) -> Iterator[Figure]:
    sent = run.messages(case)
    for label, rows in sent.groupby("label", observed=True):
        counts, _ = np.histogram(rows["t_s"], bins=PARTS, range=(0.0, ended_s))
        rates = counts * (PARTS / ended_s)
        value, error = mean_with_error(rates, np.ones_like(rates))
        yield Figure(f"{case}: {label} sent", "rate", "messages/s", value, error, PARTS / ended_s)


def _answers(run: StackObservations, case: str) -> Iterator[Figure]:
    answered = run.requests(case).dropna(subset=["took_s"])
    for name, rows in answered.groupby("name", observed=True):
        took_ms = rows["took_s"].to_numpy(dtype=np.float64) * 1e3
        error = None
        if len(took_ms) > 1:
            error = float(took_ms.std(ddof=1)) / math.sqrt(len(took_ms))
        yield Figure(f"{case}: {name} answered", "latency", "ms", float(took_ms.mean()), error)


def _claims(run: StackObservations, measures: StackMeasures) -> Iterator[Figure]:
    for claim in run.scenario.claims:
        measurement = measures.measure(claim, run)
        for number in (measurement.value, measurement.deviation):
            if number is not None and not measurement.missing and math.isfinite(number):
                yield Figure(f"claim {claim}", "claim", "", float(number))
                break
