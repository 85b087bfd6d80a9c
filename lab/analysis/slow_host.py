"""What slow-host says about the claims of thesis 4.6.2 and 4.7: a slow adapter behind the fabric.

Streams of single-cell messages are added one by one, all for one host; a step's value is how many
are at work. Large background streams share input ports of the switch under test with them.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import cast

import pandas as pd

from lab.analysis.general import EQUAL
from lab.analysis.measuring import Measures
from lab.analysis.observations import LINK, QUENCH, MissingDataError, Observations
from lab.analysis.spreading import spread_of
from lab.analysis.throughput import spread
from lab.claims.judge import Measurement

MEASURES = Measures()
FAMILY = "slow-host"


def members(run: Observations) -> list[str]:
    """The congestion streams in the order in which they are added."""
    return [str(s) for s in run.streams.loc[run.streams["group"] == run.swept, "stream"]]


def at_work(run: Observations, count: int) -> list[str]:
    """The congestion streams at work in the step with so many."""
    return members(run)[:count]


def sharing(run: Observations, count: int) -> set[str]:
    """Background streams that share an input port with a congestion stream at work."""
    ports = run.ports.set_index("stream")["in_port"]
    missing = [s for s in (*at_work(run, count), *background(run)) if s not in ports.index]
    if missing:
        raise MissingDataError(f"stream {missing[0]} does not cross {run.switch}")
    taken = set(ports[at_work(run, count)])
    return {stream for stream in background(run) if ports[stream] in taken}


def background(run: Observations) -> list[str]:
    """The background streams."""
    return [str(s) for s in run.streams.loc[run.streams["group"] == run.steady, "stream"]]


def rates(run: Observations, flow_control: str) -> pd.DataFrame:
    """MByte/s with a row for each number of congestion streams and a column for each stream."""
    rows = run.cells(flow_control, None)
    return rows.pivot_table(index="value", columns="stream", values="mbyte_per_s")


def row(
    run: Observations, flow_control: str, count: int, streams: Iterable[str]
) -> pd.Series[float]:
    """MByte/s of some streams in the step with so many congestion streams."""
    return cast("pd.Series[float]", rates(run, flow_control).loc[count, list(streams)])


def counts(run: Observations, flow_control: str, at_least: int) -> list[int]:
    """The numbers of congestion streams that were measured, from some on."""
    found = [int(value) for value in rates(run, flow_control).index if value >= at_least]
    if not found:
        raise MissingDataError(f"no step has {at_least} congestion streams or more")
    return found


def congestion_rates(run: Observations, flow_control: str, count: int) -> pd.Series[float]:
    """Messages/s of each congestion stream at work in the step with so many."""
    streams = at_work(run, count)
    sizes = pd.Series({s: run.scenario.stream(s).message_bytes for s in streams}).fillna(
        run.scenario.workload.message_bytes
    )
    return row(run, flow_control, count, streams) * 1e6 / sizes


@MEASURES.of("fabric-slowhost-setup", FAMILY)
def setup(run: Observations) -> Measurement:
    """Streams of both groups, and where they enter the switch under test."""
    if run.ports.empty:
        raise MissingDataError(f"no route crosses {run.switch}")
    swept = run.ports[run.ports["group"] == run.swept]
    steady = run.ports[run.ports["group"] == run.steady]
    return Measurement(
        "fabric-slowhost-setup",
        detail=f"{len(swept)} congestion streams enter {run.switch} by "
        f"{swept['in_port'].nunique()} ports for port {run.hot_port}, {len(steady)} background "
        f"streams share {len(set(swept['in_port']) & set(steady['in_port']))} of them.",
    )


@MEASURES.of("fabric-slowhost-shared", FAMILY)
def shared(run: Observations) -> Measurement:
    """The background stream on the input port of the one congestion stream."""
    streams = sharing(run, 1)
    if not streams:
        raise MissingDataError("the first congestion stream shares its port with none")
    rate, full = float(row(run, QUENCH, 1, streams).mean()), run.stream_maximum()
    cells = run.scenario.fabric.host_messages_per_s * run.scenario.fabric.service_time_ns(4) / 1e9
    return Measurement(
        "fabric-slowhost-shared",
        value=rate,
        baseline=full,
        detail=f"{rate:.1f} of {full:.1f} MByte/s; the congestion stream's cells take {cells:.1%} "
        "of the link.",
    )


@MEASURES.of("fabric-slowhost-others", FAMILY)
def others(run: Observations) -> Measurement:
    """The background stream that is worst off among those on other ports."""
    streams = [s for s in background(run) if s not in sharing(run, 1)]
    own = row(run, QUENCH, 1, streams)
    full = run.stream_maximum()
    return Measurement(
        "fabric-slowhost-others",
        value=float(own.min()),
        baseline=full,
        detail=f"{own.min():.1f} to {own.max():.1f} of {full:.1f} MByte/s.",
    )


@MEASURES.of("fabric-slowhost-share", FAMILY)
def share(run: Observations) -> Measurement:
    """Every congestion stream against an equal share of the adapter's rate, for each number."""
    host = run.scenario.fabric.host_messages_per_s
    off = {}
    for count in counts(run, QUENCH, 1):
        own = congestion_rates(run, QUENCH, count) * count / host
        off[count] = float((own - 1).abs().max())
    worst = max(off, key=lambda count: off[count])
    three = 3 if 3 in off else worst
    mean = float(congestion_rates(run, QUENCH, three).mean())
    return Measurement(
        "fabric-slowhost-share",
        holds=off[worst] <= EQUAL,
        detail=f"{three} streams have {mean:,.0f} messages/s each; the stream farthest from an "
        f"equal share is off by {off[worst]:.1%}, with {worst} streams.",
    )


@MEASURES.of("fabric-slowhost-floor", FAMILY)
def floor(run: Observations) -> Measurement:
    """The sharing background stream that is worst off with more than one congestion stream."""
    full, least = run.stream_maximum(), {}
    for count in counts(run, QUENCH, 2):
        least[count] = float(row(run, QUENCH, count, sharing(run, count)).min())
    worst = min(least, key=lambda count: least[count])
    told = ", ".join(f"{count}: {rate:.1f}" for count, rate in least.items())
    return Measurement(
        "fabric-slowhost-floor",
        value=least[worst],
        baseline=full,
        detail=f"Least by number of congestion streams: {told} of {full:.1f} MByte/s.",
    )


@MEASURES.of("fabric-slowhost-no-preference", FAMILY)
def no_preference(run: Observations) -> Measurement:
    """The stream that shares no port with the background, against the mean of the others."""
    ports = run.ports.set_index("stream")["in_port"]
    taken = {ports[s] for s in background(run) if s in ports.index}
    lone = [s for s in members(run) if s in ports.index and ports[s] not in taken]
    if len(lone) != 1:
        raise MissingDataError(f"{len(lone)} congestion streams have a port to themselves, not one")
    ratios = {}
    for count in counts(run, QUENCH, 2):
        own = congestion_rates(run, QUENCH, count)
        if lone[0] in own.index and own.drop(lone[0]).mean():
            ratios[count] = float(own[lone[0]] / own.drop(lone[0]).mean())
    if not ratios:
        raise MissingDataError(f"{lone[0]} was never at work beside others")
    farthest = max(ratios, key=lambda count: abs(ratios[count] - 1))
    return Measurement(
        "fabric-slowhost-no-preference",
        value=ratios[farthest],
        baseline=1.0,
        detail=f"{lone[0]} beside {farthest - 1} others.",
    )


@MEASURES.of("fabric-fair", FAMILY)
def fair(run: Observations) -> Measurement:
    """Congestion streams, largest against smallest, for each number of them."""
    ratios = {n: spread(congestion_rates(run, QUENCH, n)) for n in counts(run, QUENCH, 2)}
    worst = max(ratios, key=lambda count: ratios[count])
    return Measurement(
        "fabric-fair",
        holds=ratios[worst] <= 1 + EQUAL,
        detail=f"Largest / smallest congestion stream {ratios[worst]:.3f} at worst, with {worst} "
        "streams.",
    )


@MEASURES.of("fabric-off-fair", FAMILY)
def off_fair(run: Observations) -> Measurement:
    """Without quench, all congestion streams at work: largest over smallest of each kind."""
    count = counts(run, LINK, 2)[-1]
    congestion = congestion_rates(run, LINK, count)
    shared_ = row(run, LINK, count, sharing(run, count))
    ratios = {run.swept: spread(congestion), run.steady: spread(shared_)}
    worst = max(ratios, key=lambda group: ratios[group])
    return Measurement(
        "fabric-off-fair",
        value=ratios[worst],
        baseline=1.0,
        detail=f"Worst in group {worst}, with {count} congestion streams.",
    )


@MEASURES.of("fabric-off-spread", FAMILY)
def off_spread(run: Observations) -> Measurement:
    """Used bandwidth with all congestion streams at work; the hot-spot is at the host's switch."""
    count = counts(run, LINK, 2)[-1]
    on, off = (float(row(run, mode, count, run.streams["stream"]).sum()) for mode in (QUENCH, LINK))
    slow = {run.scenario.stream(s).to for s in members(run)}
    hot = set(run.links.loc[run.links["next"].isin(list(slow)), "node"])
    if not hot:
        raise MissingDataError("the table of routes is missing")
    return spread_of(run, run.pairs()[0], (on, off), hot, f"with {count} congestion streams")
