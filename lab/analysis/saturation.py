"""What the switch-port-contention run says about the claims of thesis 4.3-4.7 on throughput.

Everything is computed from the run's tables: throughput at the sinks inside the measured part
of each step. "The plateau" are the steps with a send rate of 20 % or more.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from lab.analysis.general import EQUAL, FULL
from lab.analysis.measuring import Measures
from lab.analysis.observations import LINK, QUENCH, MissingDataError, Observations
from lab.analysis.throughput import spread
from lab.claims.judge import Measurement

MEASURES = Measures()
PLATEAU = 0.20


def plateau(run: Observations, flow_control: str, group: str | None) -> pd.DataFrame:
    """Throughput rows of the plateau."""
    return run.cells(flow_control, group, at_least=PLATEAU)


def plateau_mean(run: Observations, flow_control: str, group: str) -> float:
    """Mean throughput of one stream of a group on the plateau, MByte/s."""
    return float(plateau(run, flow_control, group)["mbyte_per_s"].mean())


def step_totals(cells: pd.DataFrame) -> pd.Series:
    """Sum over the streams, per step."""
    return cells.groupby("step")["mbyte_per_s"].sum()


def hot_port_total(run: Observations, flow_control: str) -> float:
    """Mean throughput of the contended port on the plateau, MByte/s."""
    hot = run.ports.loc[run.ports["out_port"] == run.hot_port, "stream"]
    cells = plateau(run, flow_control, None)
    cells = cells[cells["stream"].isin(hot)]
    if cells.empty:
        raise MissingDataError(f"no route leaves {run.switch} by port {run.hot_port}")
    return float(step_totals(cells).mean())


def stream_means(cells: pd.DataFrame) -> pd.Series:
    """Mean over the steps, per stream."""
    return cells.groupby("stream")["mbyte_per_s"].mean()


# -- inputs, and what they lead to -------------------------------------------------------


@MEASURES.of("fabric-port-contention-setup")
def setup(run: Observations) -> Measurement:
    """Streams of both groups through the switch under test."""
    if run.ports.empty:
        raise MissingDataError(f"no route crosses {run.switch}")
    swept = run.ports[run.ports["group"] == run.swept]
    steady = run.ports[run.ports["group"] == run.steady]
    return Measurement(
        "fabric-port-contention-setup",
        detail=f"{len(swept)} congestion streams enter {run.switch} by "
        f"{swept['in_port'].nunique()} ports for port {run.hot_port}, {len(steady)} background "
        f"streams by {steady['in_port'].nunique()} ports for {steady['out_port'].nunique()}.",
    )


# -- without congestion ------------------------------------------------------------------


@MEASURES.of("fabric-max-throughput")
def max_throughput(run: Observations) -> Measurement:
    """The best stream with its links to itself, against the raw link."""
    cells = run.cells(QUENCH, run.steady, at_most=0.0)
    raw = run.scenario.fabric.link_bytes_per_s / 1e6
    best = float(cells["mbyte_per_s"].max())
    return Measurement(
        "fabric-max-throughput",
        value=best,
        baseline=raw,
        detail=f"Best undisturbed stream {best:.1f} MByte/s of {raw:g}.",
    )


@MEASURES.of("fabric-nonblocking")
def nonblocking(run: Observations) -> Measurement:
    """Streams over disjoint port pairs of one switch, all at the full rate of a link."""
    pairs = run.ports[run.ports["group"] == run.steady]
    if pairs.empty or pairs["in_port"].duplicated().any() or pairs["out_port"].duplicated().any():
        raise MissingDataError(f"the background's port pairs at {run.switch} are not disjoint")
    alone = run.cells(QUENCH, run.steady, at_most=0.0)["mbyte_per_s"]
    part = float(alone.min()) / run.full_mbyte_per_s
    return Measurement(
        "fabric-nonblocking",
        holds=part >= FULL,
        detail=f"{len(pairs)} disjoint port pairs at once, the slowest at {part:.1%} of a link.",
    )


# -- quench on ---------------------------------------------------------------------------


@MEASURES.of("fabric-port-contention-stream")
def contention_stream(run: Observations) -> Measurement:
    """One congestion stream on the plateau."""
    mean, full = plateau_mean(run, QUENCH, run.swept), run.stream_maximum()
    return Measurement(
        "fabric-port-contention-stream",
        value=mean,
        baseline=full,
        detail=f"{mean:.1f} MByte/s of {full:.1f}.",
    )


@MEASURES.of("fabric-port-contention-port1")
def contention_port(run: Observations) -> Measurement:
    """The contended port on the plateau."""
    total, full = hot_port_total(run, QUENCH), run.stream_maximum()
    return Measurement(
        "fabric-port-contention-port1",
        value=total,
        baseline=full,
        detail=f"{total:.1f} MByte/s of {full:.1f}.",
    )


@MEASURES.of("fabric-port-contention-background")
def contention_background(run: Observations) -> Measurement:
    """One background stream on the plateau."""
    mean, full = plateau_mean(run, QUENCH, run.steady), run.stream_maximum()
    return Measurement(
        "fabric-port-contention-background",
        value=mean,
        baseline=full,
        detail=f"{mean:.1f} MByte/s of {full:.1f}.",
    )


@MEASURES.of("fabric-port-contention-plateau")
def contention_plateau(run: Observations) -> Measurement:
    """Largest departure of a step from the plateau's mean, over ports and totals."""
    departures = {}
    for what, group in (("congestion", run.swept), ("background", run.steady), ("total", None)):
        totals = step_totals(plateau(run, QUENCH, group))
        if len(totals) < 2:
            raise MissingDataError("the sweep has less than two send rates of 20 % or more")
        departures[what] = float((totals / totals.mean() - 1).abs().max())
    worst = max(departures, key=lambda what: departures[what])
    return Measurement(
        "fabric-port-contention-plateau",
        deviation=departures[worst],
        detail=f"Largest step away from the mean: {worst}.",
    )


@MEASURES.of("fabric-port-contention-total")
def contention_total(run: Observations) -> Measurement:
    """The switch's total in the step that is farthest from the total before congestion."""
    totals = step_totals(run.cells(QUENCH, None))
    rates = run.cells(QUENCH, None).groupby("step")["send_rate"].first()
    before = float(totals[rates == 0].mean()) if (rates == 0).any() else float("nan")
    loaded = totals[rates > 0]
    if np.isnan(before) or loaded.empty:
        raise MissingDataError("the sweep lacks a step without or a step with congestion")
    farthest = float(loaded.iloc[int((loaded - before).abs().to_numpy().argmax())])
    return Measurement(
        "fabric-port-contention-total",
        value=farthest,
        baseline=before,
        detail=f"{before:.0f} MByte/s before congestion, {loaded.min():.0f} to {loaded.max():.0f} "
        "with it; the step farthest away is judged.",
    )


@MEASURES.of("fabric-port-contention-balance")
def contention_balance(run: Observations) -> Measurement:
    """The share of the contended port that is farthest from an equal one."""
    swept = stream_means(plateau(run, QUENCH, run.swept))
    steady = stream_means(plateau(run, QUENCH, run.steady))
    if swept.sum() == 0:
        raise MissingDataError("the congestion streams received nothing")
    shares = swept / swept.sum()
    farthest = float(shares.iloc[int((shares - 1 / len(shares)).abs().to_numpy().argmax())])
    uneven = spread(steady) - 1
    return Measurement(
        "fabric-port-contention-balance",
        value=farthest,
        baseline=1.0,
        holds=uneven <= EQUAL,
        detail=f"Shares {shares.min():.4f} to {shares.max():.4f}; background streams within "
        f"{uneven:.1%} of each other.",
    )


@MEASURES.of("fabric-fair")
def fair(run: Observations) -> Measurement:
    """Streams that compete for the contended port, largest against smallest."""
    cells = plateau(run, QUENCH, run.swept)
    ratio = spread(stream_means(cells))
    worst = max(spread(step["mbyte_per_s"]) for _, step in cells.groupby("step"))
    return Measurement(
        "fabric-fair",
        holds=ratio <= 1 + EQUAL,
        detail=f"Largest / smallest congestion stream {ratio:.3f} ({worst:.3f} in a single step).",
    )


# -- link-level control only -------------------------------------------------------------


@MEASURES.of("fabric-off-fair")
def off_fair(run: Observations) -> Measurement:
    """Largest over smallest stream of a group, in the worse group."""
    ratios = {g: spread(stream_means(plateau(run, LINK, g))) for g in (run.swept, run.steady)}
    worst = max(ratios, key=lambda group: ratios[group])
    return Measurement(
        "fabric-off-fair", value=ratios[worst], baseline=1.0, detail=f"Worst in group {worst}."
    )


@MEASURES.of("fabric-off-port1")
def off_port(run: Observations) -> Measurement:
    """The contended port on the plateau, link-level control only."""
    total, full = hot_port_total(run, LINK), run.stream_maximum()
    return Measurement(
        "fabric-off-port1",
        value=total,
        baseline=full,
        detail=f"{total:.1f} MByte/s of {full:.1f}: an overloaded port that is never idle carries "
        "as much as an undisturbed stream.",
    )


@MEASURES.of("fabric-off-port-equal")
def off_port_equal(run: Observations) -> Measurement:
    """Background over congestion stream on the same input."""
    steady, swept = plateau_mean(run, LINK, run.steady), plateau_mean(run, LINK, run.swept)
    if swept == 0:
        raise MissingDataError("the congestion streams received nothing")
    return Measurement(
        "fabric-off-port-equal",
        value=steady / swept,
        baseline=swept,
        detail=f"{steady:.1f} and {swept:.1f} MByte/s.",
    )


@MEASURES.of("fabric-off-port-15pct")
def off_port_part(run: Observations) -> Measurement:
    """What is left of a background stream's throughput without quench."""
    off, on = plateau_mean(run, LINK, run.steady), plateau_mean(run, QUENCH, run.steady)
    if on == 0:
        raise MissingDataError("the background streams received nothing")
    return Measurement(
        "fabric-off-port-15pct",
        value=off / on,
        baseline=on,
        detail=f"{off:.1f} of {on:.1f} MByte/s; the text's own figures give 105 / 7 / 98 = 15.3 %.",
    )


@MEASURES.of("fabric-off-port-onset")
def off_port_onset(run: Observations) -> Measurement:
    """Send rate at which the curve of ports 2-8 has lost half of what it loses.

    Below the onset a background stream has what the congestion stream on its input leaves;
    on the plateau it has collapsed. Between two steps the loss is interpolated.
    """
    cells = run.cells(LINK, run.steady)
    curve = cells.groupby("send_rate")["mbyte_per_s"].mean().sort_index()
    full = run.stream_maximum()
    collapsed = plateau_mean(run, LINK, run.steady)
    rates = curve.index.to_numpy(dtype=np.float64)
    left = full * (1 - rates)
    lost = (left - curve.to_numpy(dtype=np.float64)) / np.maximum(left - collapsed, 1e-9)
    if collapsed > 0.5 * full:
        return Measurement(
            "fabric-off-port-onset",
            value=1.0,
            detail=f"The background keeps {collapsed / full:.0%} at the highest rates: no onset.",
        )
    after = int(np.argmax(lost >= 0.5))
    if after == 0:
        raise MissingDataError("the sweep has no step below the onset")
    span = lost[after] - lost[after - 1]
    onset = rates[after - 1] + (rates[after] - rates[after - 1]) * (0.5 - lost[after - 1]) / span
    return Measurement(
        "fabric-off-port-onset",
        value=float(onset),
        detail=f"Half of the loss lies between the steps {rates[after - 1]:.0%} and "
        f"{rates[after]:.0%}.",
    )
