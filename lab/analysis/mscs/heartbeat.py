"""Measurements of thesis 7.6.1 and 7.9.1: heartbeats, misses, suspicions, collisions."""

from __future__ import annotations

import numpy as np
import pandas as pd

from lab.analysis.observations import MissingDataError
from lab.analysis.stacks.observations import StackMeasures, StackObservations
from lab.claims.judge import Measurement

MEASURES = StackMeasures()

LABEL = "heartbeat"
PERIOD_S = 1.2
"""Published time between two heartbeats to a node."""
_PERIODS = 20
"""So many periods are counted, after the start and when loads have begun."""
_START_S = 6.0
_OTHER_STACK = "this needs a {} detector, which is none of MSCS: the stack Galaxy will have it"


def _whole_periods(messages: pd.DataFrame) -> pd.DataFrame:
    """The rows of so many whole periods of each node.

    The interval begins half a period after a node's first heartbeat in it, so that none lies near
    its ends.
    """
    later = messages[messages["t_s"] >= _START_S]
    start_s = later.groupby("node", observed=True)["t_s"].transform("min") + PERIOD_S / 2
    within = (later["t_s"] >= start_s) & (later["t_s"] < start_s + _PERIODS * PERIOD_S)
    return later[within]


@MEASURES.of("mscs-hb-traffic")
def traffic(run: StackObservations) -> Measurement:
    """Heartbeats a second in the cluster against n (n - 1) / 1.2, over all sizes."""
    worst, told = 0.0, ""
    chosen = run.chosen(sweep="size", medium="switch", variant="plain")
    for case, nodes in zip(chosen.index, chosen["nodes"], strict=True):
        sent = _whole_periods(run.messages(str(case), LABEL))
        rate = len(sent) / (_PERIODS * PERIOD_S)
        worst = max(worst, abs(rate / (nodes * (nodes - 1) / PERIOD_S) - 1))
        told = f"{rate:.1f} heartbeats a second among {nodes} nodes"
    return Measurement("mscs-hb-traffic", deviation=worst, detail=f"{told}.")


@MEASURES.of("mscs-hb-multicast")
def multicast(run: StackObservations) -> Measurement:
    """Datagrams that a node sends and receives in a period, over the number of nodes."""
    chosen = run.chosen(sweep="size", medium="switch", variant="multicast")
    sends, receives = [], []
    for case, nodes in zip(chosen.index, chosen["nodes"], strict=True):
        sent = _whole_periods(run.messages(str(case), LABEL))
        sends.append(len(sent) / nodes / _PERIODS)
        received = run.messages(str(case), LABEL, "receive")
        heard = received[received["message"].isin(sent["message"])]
        receives.append(len(heard) / nodes / _PERIODS)
    expected = [float(nodes - 1) for nodes in chosen["nodes"]]
    off = max(abs(got / want - 1) for got, want in zip(receives, expected, strict=True))
    sizes = ", ".join(str(nodes) for nodes in chosen["nodes"])
    return Measurement(
        "mscs-hb-multicast",
        holds=max(abs(sent - 1) for sent in sends) < 0.01 and off < 0.02,
        detail=f"With {sizes} nodes each sends {_list(sends)} and receives {_list(receives)} "
        "datagrams a period.",
    )


def _list(values: list[float]) -> str:
    return ", ".join(f"{value:.4g}" for value in values)


@MEASURES.of("mscs-hb-misses")
def misses(run: StackObservations) -> Measurement:
    """Missed heartbeats by load; and how the intervals between sendings vary.

    Whether loaded networks cost more heartbeats than loaded processors alone is told, not judged:
    the thesis compares both with idle nodes only.
    """
    quiet = _misses_per_thousand(run, "idle", "idle")
    worked = _misses_per_thousand(run, "moderate", "idle")
    both = max(
        _misses_per_thousand(run, load, network)
        for load in ("moderate", "heavy")
        for network in ("moderate", "heavy")
        if _has(run, load, network)
    )
    even, uneven = (_spread_of_intervals_s(run, load) for load in ("idle", "moderate"))
    return Measurement(
        "mscs-hb-misses",
        holds=quiet < 1 and quiet < both and even < uneven,
        detail=f"Missed of a thousand heartbeats: {quiet:.2f} idle, {worked:.2f} with loaded "
        f"processors, up to {both:.2f} with loaded networks too. Sending intervals vary by "
        f"{even * 1e3:.1f} ms idle, {uneven * 1e3:.1f} ms loaded (standard deviation).",
    )


def _has(run: StackObservations, load: str, network_load: str) -> bool:
    cases = run.cases
    found = (cases["load"] == load) & (cases["network_load"] == network_load)
    return bool(found.any())


def _misses_per_thousand(run: StackObservations, load: str, network_load: str) -> float:
    missed, sent = 0, 0
    for case in run.names(sweep="load", load=load, network_load=network_load):
        missed += len(run.events(case, "heartbeat-miss"))
        sent += len(run.messages(case, LABEL))
    if not sent:
        raise MissingDataError("no heartbeat was sent")
    return 1000 * missed / sent


def _spread_of_intervals_s(run: StackObservations, load: str) -> float:
    """Standard deviation of the time between two heartbeats from one node to another."""
    gaps = []
    for case in run.names(sweep="load", load=load, network_load="idle"):
        sent = run.messages(case, LABEL)
        sent = sent[sent["t_s"] >= _START_S]
        gaps.append(sent.groupby(["node", "peer"], observed=True)["t_s"].diff().dropna())
    return float(np.std(pd.concat(gaps)))


@MEASURES.of("mscs-hb-no-false-suspicion")
def no_false_suspicion(run: StackObservations) -> Measurement:
    """Suspicions in all cases; no node fails in any."""
    cases = run.names()
    count = sum(len(run.events(case, "suspicion")) for case in cases)
    return Measurement(
        "mscs-hb-no-false-suspicion",
        value=count,
        detail=f"{count} suspicions in {len(cases)} cases, none of which has a failure.",
    )


@MEASURES.of("mscs-hb-hub")
def hub(run: StackObservations) -> Measurement:
    """Collisions on hubs and on switches, of equal clusters in which the nodes' heartbeats fall
    differently."""
    counts = {}
    for medium in ("hub", "switch"):
        cases = run.names(medium=medium, variant="plain", nodes=run.cases["nodes"].max())
        frames = sum(len(run.messages(case, LABEL)) for case in cases)
        counts[medium] = (sum(_collisions(run, case) for case in cases), frames, len(cases))
    collided, frames, cases_seen = counts["hub"]
    return Measurement(
        "mscs-hb-hub",
        holds=collided > counts["switch"][0],
        detail=f"{collided} collisions for {frames} heartbeats in {cases_seen} cases on hubs, "
        f"{counts['switch'][0]} on switches.",
    )


def _collisions(run: StackObservations, case: str) -> int:
    events = run.of_case("events", case)
    return int((events["kind"] == "collision").sum())


@MEASURES.of("mscs-fd-ring")
def ring(run: StackObservations) -> Measurement:
    """Not of this stack."""
    raise MissingDataError(_OTHER_STACK.format("ring"))


@MEASURES.of("mscs-fd-gossip")
def gossip(run: StackObservations) -> Measurement:
    """Not of this stack."""
    raise MissingDataError(_OTHER_STACK.format("gossip"))
