"""Measurements of thesis 7.7.2 and 7.9.3: what regroup sends, over the size of the cluster."""

from __future__ import annotations

from collections.abc import Sequence

from lab.analysis.mscs.courses import PERIOD_S, fitted, mean_s, state_messages, survivors
from lab.analysis.regression import Fit, linear, proportional
from lab.analysis.stacks.observations import StackMeasures, StackObservations
from lab.claims.judge import Measurement

MEASURES = StackMeasures()

_PERIODS = 6
"""So many periods of phase 1 are counted."""


def _largest(run: StackObservations, sweep: str) -> str:
    found = run.chosen(sweep=sweep, variant="plain")
    return str(found["nodes"].idxmax())


@MEASURES.of("mscs-rg-traffic")
def traffic(run: StackObservations) -> Measurement:
    """State messages a second among n active nodes in phase 1, against n (n - 1) / 0.3."""
    worst, told = 0.0, ""
    for case in run.names(sweep="one", variant="plain"):
        alive = survivors(run, case)
        rate = _rate_among(run, case, alive)
        count = len(alive)
        off = abs(rate / (count * (count - 1) / PERIOD_S) - 1)
        worst, told = max(worst, off), f"{rate:.1f} a second among {count} active nodes"
    return Measurement("mscs-rg-traffic", deviation=worst, detail=f"{told}.")


def _rate_among(run: StackObservations, case: str, alive: set[int]) -> float:
    """State messages a second from and to these nodes, each counted over whole periods.

    The interval begins half a period after a node's first broadcast, so that no broadcast lies near
    its ends.
    """
    sent = state_messages(run, case)
    sent = sent[sent["peer"].isin(alive)]
    count = 0
    for _, mine in sent.groupby("node", observed=True):
        start_s = float(mine["t_s"].min()) + PERIOD_S / 2
        within = (mine["t_s"] >= start_s) & (mine["t_s"] < start_s + _PERIODS * PERIOD_S)
        count += int(within.sum())
    return count / (_PERIODS * PERIOD_S)


@MEASURES.of("mscs-rg-messages-single")
def messages_single(run: StackObservations) -> Measurement:
    """State messages after one failure in the largest cluster, beside rate times time."""
    case = _largest(run, "one")
    sent = len(state_messages(run, case))
    alive = survivors(run, case)
    expected = _rate_among(run, case, alive) * mean_s(run, [case], "activate", "done")
    return Measurement(
        "mscs-rg-messages-single",
        value=sent,
        baseline=expected,
        published_baseline=9300.0,
        detail=f"{len(alive)} survivors sent {sent} messages, to the silent node too.",
    )


@MEASURES.of("mscs-rg-messages-double")
def messages_double(run: StackObservations) -> Measurement:
    """State messages after two failures, beside those after one."""
    two, one = _largest(run, "two"), _largest(run, "one")
    sent, baseline = len(state_messages(run, two)), len(state_messages(run, one))
    return Measurement(
        "mscs-rg-messages-double",
        value=sent,
        baseline=baseline,
        published_baseline=10_000.0,
        detail=f"{sent} after two failures, {baseline} after one, in "
        f"{mean_s(run, [two], 'activate', 'done'):.2f} s.",
    )


@MEASURES.of("mscs-rg-messages-growth")
def messages_growth(run: StackObservations) -> Measurement:
    """Messages among n survivors: as n(n-1) with datagrams, linear with multicast."""
    fits = []
    for variant in ("plain", "multicast"):
        chosen = run.chosen(sweep="one", variant=variant)
        nodes, sent = [], []
        for case in (str(name) for name in chosen.index):
            alive = survivors(run, case)
            rows = state_messages(run, case)
            nodes.append(len(alive))
            sent.append(float(rows["peer"].isin(alive | {0}).sum()))
        fits.append(fitted(_quadratic if variant == "plain" else linear, nodes, sent))
    datagrams, multicast = fits
    return Measurement(
        "mscs-rg-messages-growth",
        deviation=max(datagrams.deviation, multicast.deviation),
        detail=f"Datagrams: {datagrams.text}. Multicast: {multicast.text}.",
    )


def _quadratic(nodes: Sequence[float], values: Sequence[float]) -> Fit:
    return proportional(nodes, values, "n(n-1)")
