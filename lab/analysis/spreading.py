"""Whether congestion spreads without quench (thesis 4.7): what is left, and who stopped links."""

from __future__ import annotations

from collections.abc import Collection

from lab.analysis.observations import MissingDataError, Observations
from lab.analysis.tree import stopping_switches
from lab.claims.judge import Measurement
from lab.scenarios.model import Pass

CLAIM = "fabric-off-spread"


def spread_of(
    run: Observations,
    passes: tuple[Pass, Pass],
    totals: tuple[float, float],
    hot: Collection[str],
    told: str,
) -> Measurement:
    """The used bandwidth without quench over that with it.

    Args:
        run: the run.
        passes: with quench, and without.
        totals: what all streams together received in each, MByte/s.
        hot: the switches with which the congestion begins; others must have stopped links too.
        told: in which steps, for the text.
    """
    on, off = totals
    if not on:
        raise MissingDataError("nothing was received with quench on")
    by = stopping_switches(run, passes[1])
    others = [switch for switch in by if switch not in hot]
    return Measurement(
        CLAIM,
        value=off / on,
        baseline=on,
        holds=bool(others),
        detail=f"{off:.0f} of {on:.0f} MByte/s {told}; links were stopped by {len(by)} switches, "
        f"{len(others)} of them other than {' and '.join(sorted(hot))}.",
    )
