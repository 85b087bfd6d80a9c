"""What a run says about the flow control itself: quench, queues, stops and losses.

Computed from the line cards' events and samples (thesis 4.3, 4.4, 4.7).
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from lab.analysis.measuring import Measures
from lab.analysis.observations import LINK, QUENCH, MissingDataError, Observations
from lab.analysis.saturation import plateau, step_totals
from lab.analysis.spreading import spread_of
from lab.claims.judge import Measurement

MEASURES = Measures()

# A stopped source: less than this part of a link, once the news has had time to arrive.
STOPPED = 0.05
# Five links and switches with a message under way on each take about 0.1 ms; as much again for
# what the host adapter has begun and for lateness.
FEEDBACK_NS = 200_000


def _quenches(run: Observations, flow_control: str, *kinds: str) -> pd.DataFrame:
    events = run.of_pass("quenches", flow_control)
    return events[events["kind"].isin(kinds)]


@MEASURES.of("fabric-vci-queues")
def vci_queues(run: Observations) -> Measurement:
    """Every congestion VC has its own queue at the contended port and is judged by it alone."""
    swept = set(run.vcs_of(run.swept))
    queues = run.of_pass("queues", QUENCH)
    at_port = queues[(queues["node"] == run.switch) & (queues["port"] == run.hot_port)]
    if at_port.empty:
        raise MissingDataError(f"no queue was sampled at port {run.hot_port} of {run.switch}")
    own_queue = swept & set(at_port["vc"])
    events = _quenches(run, QUENCH, "quench")
    judged = set(
        events.loc[(events["node"] == run.switch) & (events["port"] == run.hot_port), "vc"]
    )
    times = events[events["vc"].isin(swept)].groupby("vc")["t_ns"].apply(frozenset)
    apart = times.nunique() == len(times)
    return Measurement(
        "fabric-vci-queues",
        holds=own_queue == swept and judged == swept and bool(apart),
        detail=f"{len(own_queue)} of {len(swept)} congestion VCs had a queue of their own at the "
        f"contended port, {len(judged & swept)} were quenched there, each at times of its own; "
        f"{len(judged - swept)} other VCs were.",
    )


@MEASURES.of("fabric-quench")
def quench(run: Observations) -> Measurement:
    """The contended switch quenches each congestion VC, and its source falls silent."""
    swept = run.vcs_of(run.swept)
    events = _quenches(run, QUENCH, "quench", "unquench")
    here = events[
        (events["node"] == run.switch)
        & (events["port"] == run.hot_port)
        & events["vc"].isin(list(swept))
    ]
    told = set(here.loc[here["kind"] == "quench", "vc"])
    seen, busy_ns, seen_ns = 0, 0.0, 0.0
    for vc in told:
        busy, span, count = _sent_while_stopped(run, int(vc), here[here["vc"] == vc])
        seen, busy_ns, seen_ns = seen + count, busy_ns + busy, seen_ns + span
    if told and not seen:
        raise MissingDataError("no sample of a source lies inside a time in which it was stopped")
    part = busy_ns / seen_ns if seen_ns else 1.0
    return Measurement(
        "fabric-quench",
        holds=told == set(swept) and part < STOPPED,
        detail=f"{run.switch} quenched {len(told)} of {len(swept)} congestion VCs, "
        f"{int((here['kind'] == 'quench').sum())} times in all; stopped sources used {part:.2%} of "
        f"their link in {seen} samples.",
    )


def _sent_while_stopped(
    run: Observations, vc: int, events: pd.DataFrame
) -> tuple[float, float, int]:
    """Busy time, length and number of the source link's samples inside quenched times."""
    path = run.links[run.links["vc"] == vc]
    source = str(path["node"].iloc[0])
    links = run.of_pass("links", QUENCH)
    own = links[links["node"] == source].sort_values("t_ns")
    if own.empty:
        raise MissingDataError(f"what {source} put on its link was not recorded")
    ordered = events.sort_values("t_ns")
    stops = ordered.loc[ordered["kind"] == "quench", "t_ns"].to_numpy()
    starts = ordered.loc[ordered["kind"] == "unquench", "t_ns"].to_numpy()
    sample_ns = round(run.scenario.timeline.sample_s * 1e9)
    # Samples without traffic have no row: count whole sample intervals inside, then what was sent.
    following = np.searchsorted(starts, stops, side="right")
    paired = following < len(starts)
    begin = stops[paired] + FEEDBACK_NS
    end = starts[following[paired]]
    first = -(-begin // sample_ns) + 1
    last = end // sample_ns
    count = np.clip(last - first + 1, 0, None)
    ticks = np.rint(own["t_ns"].to_numpy() / sample_ns).astype(np.int64)
    at = np.searchsorted(first, ticks, side="right") - 1
    inside = (at >= 0) & (ticks <= np.where(at >= 0, last[at] if len(last) else 0, -1))
    busy = float(own["busy_ns"].to_numpy()[inside].sum())
    return busy, float(count.sum() * sample_ns), int(count.sum())


@MEASURES.of("fabric-off-spread")
def off_spread(run: Observations) -> Measurement:
    """What is left of the used bandwidth, and whether other switches stopped links too."""
    on, off = (float(step_totals(plateau(run, mode, None)).mean()) for mode in (QUENCH, LINK))
    return spread_of(run, run.pairs()[0], (on, off), {run.switch}, "on the plateau")
