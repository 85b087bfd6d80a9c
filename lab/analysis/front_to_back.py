"""What front-to-back says about the claims of thesis 4.6.1 and 4.7: four random layouts.

Each layout has a pass with quench and one without; each step has messages of another size. What
the thesis says of flow control switched off, it says of the first layout.
"""

from __future__ import annotations

import math
from typing import cast

import pandas as pd

from lab.analysis.general import FULL
from lab.analysis.loads import Port, loads
from lab.analysis.measuring import Measures
from lab.analysis.observations import LINK, QUENCH, MissingDataError, Observations
from lab.analysis.throughput import jain, spread
from lab.claims.judge import Measurement
from lab.scenarios.model import Pass

MEASURES = Measures()
FAMILY = "front-to-back"
# A loss that one sees in a figure.
NOTICEABLE = 0.05
# A stream that has less than this of the maximum is slowed, not just measured a little off.
SLOWED = 0.90
AT_2K = 2048


def first_pair(run: Observations) -> tuple[Pass, Pass]:
    """The passes of the first layout, with quench and without."""
    return run.pairs()[0]


def alone(run: Observations, passing: Pass) -> tuple[str, ...]:
    """Streams of a pass that share no link with another."""
    links = run.links_in(passing)
    users = links.groupby(["node", "port"])["stream"].transform("nunique")
    shares = links[users > 1]["stream"].unique()
    return tuple(s for s in dict.fromkeys(links["stream"]) if s not in set(shares))


def by_stream(run: Observations, passing: Pass, size: float) -> pd.Series[float]:
    """Throughput of each stream with messages of a size, MByte/s."""
    rows = run.measured(passing.name)
    chosen = rows[rows["message_bytes"] == size]
    if chosen.empty:
        raise MissingDataError(f"no step of pass {passing.name} has messages of {size:g} bytes")
    return chosen.set_index("stream")["mbyte_per_s"]


def sizes(run: Observations, passing: Pass) -> list[int]:
    """The message sizes of a pass, smallest first."""
    return sorted({int(size) for size in run.measured(passing.name)["message_bytes"]})


def stream_maximum(run: Observations, size: float) -> float:
    """The most that any stream of the run reached with that size, MByte/s."""
    passes = [p for p in run.scenario.passes if not run.rows("flows", p.name).empty]
    most = max((float(by_stream(run, p, size).max()) for p in passes), default=0.0)
    if not most:
        raise MissingDataError("no stream received anything")
    return most


@MEASURES.of("fabric-ftb-setup", FAMILY)
def setup(run: Observations) -> Measurement:
    """Streams of a layout, and the switches that each crosses."""
    links = run.links_in(first_pair(run)[0])
    switches = {run.switches_passed[stream] for stream in links["stream"].unique()}
    return Measurement(
        "fabric-ftb-setup",
        value=float(links["stream"].nunique()),
        detail=f"In each of {len(run.scenario.layouts)} layouts; every stream crosses "
        f"{' or '.join(str(n) for n in sorted(switches))} switches.",
    )


@MEASURES.of("fabric-ftb-spread", FAMILY)
def ftb_spread(run: Observations) -> Measurement:
    """In every layout some streams are slowed, and all that share no link keep the maximum."""
    told, slowed_everywhere, least_alone = [], True, float("inf")
    for passing in run.passes(QUENCH):
        size = sizes(run, passing)[-1]
        rates = by_stream(run, passing, size)
        most = stream_maximum(run, size)
        slowed = int((rates < SLOWED * most).sum())
        slowed_everywhere &= slowed > 0
        unshared = rates[list(alone(run, passing))]
        least_alone = min(least_alone, float(unshared.min()) / most if len(unshared) else 1.0)
        told.append(
            f"{passing.name}: {slowed} of {len(rates)} slowed, slowest {rates.min():.0f} of "
            f"{most:.0f} MByte/s, {len(unshared)} share no link, fairness {jain(rates):.2f}"
        )
    if least_alone == float("inf"):
        raise MissingDataError("no pass has quench on")
    return Measurement(
        "fabric-ftb-spread",
        holds=slowed_everywhere and least_alone >= FULL,
        detail=f"{'; '.join(told)}. Streams that share no link have {least_alone:.1%} of the "
        "maximum or more.",
    )


@MEASURES.of("fabric-off-isolated", FAMILY)
def off_isolated(run: Observations) -> Measurement:
    """The streams of the first layout that share no link, without quench; the slowest of them."""
    _, off = first_pair(run)
    isolated = alone(run, off)
    if not isolated:
        raise MissingDataError("no stream of the first layout is without a shared link")
    size = sizes(run, off)[-1]
    rates = by_stream(run, off, size)[list(isolated)]
    most = stream_maximum(run, size)
    return Measurement(
        "fabric-off-isolated",
        value=float(rates.min()),
        baseline=most,
        detail=f"{rates.idxmin()} has {rates.min():.1f} of {most:.1f} MByte/s with {size} bytes.",
    )


def reductions(run: Observations, size: int) -> pd.Series[float]:
    """Part that each stream of the first layout that shares a link loses without quench."""
    on, off = first_pair(run)
    with_, without = by_stream(run, on, size), by_stream(run, off, size)
    shares = [stream for stream in with_.index if stream not in alone(run, on)]
    if not (with_[shares] > 0).all():
        raise MissingDataError("a stream received nothing with quench on")
    return 1 - without[shares] / with_[shares]


@MEASURES.of("fabric-off-ftb-2k", FAMILY)
def off_ftb_2k(run: Observations) -> Measurement:
    """What the streams that share a link lose on average, with messages of 2 KByte."""
    lost = reductions(run, AT_2K)
    return Measurement(
        "fabric-off-ftb-2k",
        value=float(lost.mean()),
        baseline=1.0,
        detail=f"Mean of {len(lost)} streams, which lose {lost.min():z.0%} to {lost.max():z.0%}.",
    )


def totals(run: Observations) -> pd.DataFrame:
    """Throughput of the whole fabric over message size in the first layout: columns on, off."""
    on, off = first_pair(run)
    sums = [
        run.measured(passing.name).groupby("message_bytes")["mbyte_per_s"].sum()
        for passing in (on, off)
    ]
    found = pd.concat(sums, axis=1, keys=["on", "off"]).dropna().sort_index()
    found = found[found["on"] > 0]
    if found.empty:
        raise MissingDataError("the two passes of the first layout have no size in common")
    return found


@MEASURES.of("fabric-off-ftb-onset", FAMILY)
def off_ftb_onset(run: Observations) -> Measurement:
    """The smallest message size at which the fabric delivers noticeably less without quench."""
    curve = totals(run)
    left = curve["off"] / curve["on"]
    lossy = left[left < 1 - NOTICEABLE]
    told = ", ".join(f"{size}: {part:.0%}" for size, part in left.items())
    if lossy.empty:
        return Measurement(
            "fabric-off-ftb-onset",
            value=float(left.index[-1]),
            holds=False,
            detail=f"No size has a loss of {NOTICEABLE:.0%}; left of the total by size: {told}.",
        )
    return Measurement(
        "fabric-off-ftb-onset",
        value=float(lossy.index[0]),
        detail=f"First loss of more than {NOTICEABLE:.0%}; left of the total by size: {told}.",
    )


@MEASURES.of("fabric-off-ftb-total", FAMILY)
def off_ftb_total(run: Observations) -> Measurement:
    """The whole fabric with the largest messages, without quench over with it."""
    curve = totals(run)
    last = curve.iloc[-1]
    return Measurement(
        "fabric-off-ftb-total",
        value=float(last["off"] / last["on"]),
        baseline=float(last["on"]),
        detail=f"{last['off']:.0f} of {last['on']:.0f} MByte/s with {curve.index[-1]} bytes.",
    )


@MEASURES.of("fabric-off-fair", FAMILY)
def off_fair(run: Observations) -> Measurement:
    """Largest over smallest stream among those that the same port holds back, at worst.

    Equivalent streams are those that an ideal fabric would hold back at the same port, in the
    steps with messages of 2 KByte and more, without quench.
    """
    worst, about = 0.0, ""
    for passing in run.passes(LINK):
        asked = loads(run, passing)
        rows = run.measured(passing.name)
        rows = rows[rows["message_bytes"] >= AT_2K]
        for step, own in rows.groupby("step"):
            held = asked[cast(int, step)].bottleneck
            ports = own["stream"].map(held)
            for port, rates in own.groupby(ports)["mbyte_per_s"]:
                ratio = spread(rates)
                if len(rates) > 1 and not ratio <= worst:
                    node, number = cast(Port, port)
                    name = own["name"].iloc[0]
                    worst = ratio
                    about = f"port {number} of {node} in pass {passing.name}, {name}"
    if not about:
        raise MissingDataError("no port holds back more than one stream")
    return Measurement(
        "fabric-off-fair",
        value=worst if math.isfinite(worst) else None,
        baseline=1.0,
        missing="" if math.isfinite(worst) else "a stream received nothing",
        detail=f"Worst at {about}.",
    )
