"""What fabric-baseline says about the claims of thesis 4.5: latency, bandwidth, message rate.

Three streams, over one, three and five switches, send slowly (steps called ``latency ...``), then
as fast as they can (``bandwidth ...``), each step with messages of another size. Both passes carry
the same; those with quench are judged.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from lab.analysis.measuring import Measures
from lab.analysis.observations import QUENCH, MissingDataError, Observations
from lab.claims.judge import Measurement

MEASURES = Measures()
FAMILY = "fabric-baseline"
LATENCY, BANDWIDTH = "latency", "bandwidth"
# Sizes of figure 4.2.
HOP_SIZES = (16, 1024)


def windows(run: Observations, kind: str) -> pd.DataFrame:
    """The receivers' windows of one kind of step, with what the measures ask of each.

    Throughput comes from the mean gap between deliveries: a window holds few large messages, and
    one more or less at its edges would tell.

    Returns:
        Columns stream, message_bytes, switches, messages, latency_us, mbyte_per_s.

    Raises:
        MissingDataError: there is none, or a stream received nothing in one.
    """
    name = run.pass_named(QUENCH)
    steps = run.rows("steps", name)[["step", "name", "message_bytes"]]
    chosen = steps[steps["name"].str.startswith(kind)]
    found = run.rows("windows", name)
    found = found[found["role"] == "recv"].merge(chosen, on="step")
    if found.empty or chosen.empty:
        raise MissingDataError(f"no receiver told of a step called {kind!r}")
    if (found["messages"] == 0).any():
        silent = found[found["messages"] == 0].iloc[0]
        raise MissingDataError(f"{silent['stream']} received nothing in step {silent['name']!r}")
    mixed = found[found["bytes"] != found["messages"] * found["message_bytes"]]
    if not mixed.empty:
        raise MissingDataError(f"step {mixed['name'].iloc[0]!r} has messages of the step before")
    gap_s = found["gap_sum_ns"] / found["gaps"].where(found["gaps"] > 0) / 1e9
    return found.assign(
        switches=found["stream"].map(run.switches_passed),
        latency_us=found["latency_sum_ns"] / found["messages"] / 1e3,
        mbyte_per_s=found["message_bytes"] / gap_s / 1e6,
    )[["stream", "message_bytes", "switches", "messages", "latency_us", "mbyte_per_s"]]


def bandwidths(run: Observations) -> pd.DataFrame:
    """The windows of greedy streams; ``MissingDataError`` where one has a single message."""
    found = windows(run, BANDWIDTH)
    if found["mbyte_per_s"].isna().any():
        raise MissingDataError("a window has too few messages to tell their rate")
    return found


@MEASURES.of("fabric-base-latency", FAMILY)
def base_latency(run: Observations) -> Measurement:
    """The least mean latency of any size over any number of switches."""
    found = windows(run, LATENCY)
    least = found.iloc[int(found["latency_us"].to_numpy().argmin())]
    return Measurement(
        "fabric-base-latency",
        value=float(least["latency_us"]),
        detail=f"{least['message_bytes']} bytes over {least['switches']} switches, from adapter to "
        "adapter; the thesis's figure includes what its hosts and adapters took.",
    )


@MEASURES.of("fabric-hop-latency", FAMILY)
def hop_latency(run: Observations) -> Measurement:
    """Slope of the latency over the number of switches; of both sizes the one farther from 1 us."""
    found = windows(run, LATENCY)
    slopes, bends = {}, {}
    for size in HOP_SIZES:
        own = found[found["message_bytes"] == size]
        if own["switches"].nunique() < 3:
            raise MissingDataError(f"{size} bytes were not sent over three numbers of switches")
        x = own["switches"].to_numpy(dtype=np.float64)
        y = own["latency_us"].to_numpy(dtype=np.float64)
        slope, start = np.polyfit(x, y, 1)
        slopes[size] = float(slope)
        bends[size] = float(np.abs(start + slope * x - y).max())
    farthest = max(slopes, key=lambda size: abs(slopes[size] - 1))
    told = ", ".join(f"{slopes[size]:.3f} us with {size} bytes" for size in HOP_SIZES)
    # A constant step for each hop: no number of switches off the line by a tenth of a step.
    straight = all(bends[size] <= 0.1 * abs(slopes[size]) for size in HOP_SIZES)
    return Measurement(
        "fabric-hop-latency",
        value=slopes[farthest],
        holds=straight,
        detail=f"Each switch adds {told}; off the straight line by {max(bends.values()):.3f} us.",
    )


@MEASURES.of("fabric-max-throughput", FAMILY)
def max_throughput(run: Observations) -> Measurement:
    """The best rate of any stream with any message size, against the raw link."""
    found = bandwidths(run)
    best = found.iloc[int(found["mbyte_per_s"].to_numpy().argmax())]
    raw = run.scenario.fabric.link_bytes_per_s / 1e6
    return Measurement(
        "fabric-max-throughput",
        value=float(best["mbyte_per_s"]),
        baseline=raw,
        detail=f"{best['mbyte_per_s']:.1f} MByte/s of {raw:g}, with {best['message_bytes']} bytes.",
    )


@MEASURES.of("fabric-throughput-hops", FAMILY)
def throughput_hops(run: Observations) -> Measurement:
    """Largest departure of a stream from the mean of its size, over all sizes."""
    found = bandwidths(run)
    if found["switches"].nunique() < 2:
        raise MissingDataError("all streams cross the same number of switches")
    means = found.groupby("message_bytes")["mbyte_per_s"].transform("mean")
    off = np.abs((found["mbyte_per_s"] / means - 1).to_numpy(dtype=np.float64))
    worst = found.iloc[int(off.argmax())]
    return Measurement(
        "fabric-throughput-hops",
        deviation=float(off.max()),
        detail=f"Farthest: {worst['switches']} switches, {worst['message_bytes']} bytes, "
        f"{worst['mbyte_per_s']:.2f} MByte/s.",
    )


@MEASURES.of("fabric-rate-vs-size", FAMILY)
def rate_vs_size(run: Observations) -> Measurement:
    """Largest departure from min(message rate x size, the link's maximum), over all sizes."""
    found = bandwidths(run)
    most = float(found["mbyte_per_s"].max())
    sizes = found["message_bytes"].to_numpy(dtype=np.float64)
    wanted = np.minimum(run.scenario.fabric.host_messages_per_s * sizes / 1e6, most)
    off = np.abs(found["mbyte_per_s"].to_numpy(dtype=np.float64) / wanted - 1)
    worst = int(off.argmax())
    row = found.iloc[worst]
    rate = float((found["mbyte_per_s"] * 1e6 / found["message_bytes"]).max())
    return Measurement(
        "fabric-rate-vs-size",
        deviation=float(off.max()),
        detail=f"Farthest: {row['message_bytes']} bytes, {row['mbyte_per_s']:.2f} MByte/s against "
        f"{wanted[worst]:.2f}. Highest message rate {rate:,.0f}/s.",
    )
