"""Throughput at the sinks, how evenly it is shared, and how evenly it flows. Pure.

As in thesis 4.6.1, only what arrives at a sink counts, and only inside a step's measured part;
the text asks for the throughput of each stream and of the whole, for the variation of the times
between arrivals, and (4.4) for fairness among streams that compete. Rates are in MByte/s of
payload (1e6 bytes) of virtual time.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pandas as pd

MBYTE = 1e6
_STEP_COLUMNS = ("pass", "flow_control", "step", "name", "value", "send_rate", "message_bytes")


def step_throughput(
    flows: pd.DataFrame,
    steps: pd.DataFrame,
    streams: pd.DataFrame,
    bin_ns: int,
    role: str = "recv",
) -> pd.DataFrame:
    """Throughput of every stream in every step.

    Args:
        flows: table ``flows``.
        steps: table ``steps``.
        streams: columns ``stream`` and ``group``, and ``pass`` where not every stream takes part
            in every pass; a stream without arrivals has rate 0.
        bin_ns: width of the bins of ``flows``.
        role: ``recv`` for what arrived, ``send`` for what was accepted from the sender.

    Returns:
        Columns pass, flow_control, step, name, value, send_rate, message_bytes, stream, group,
        messages, mbyte_per_s (those of the first seven that ``steps`` has).
    """
    timeline = steps[[c for c in _STEP_COLUMNS if c in steps.columns]].assign(
        window_s=(steps["t_end_ns"] - steps["t_settled_ns"]) / 1e9
    )
    keys = ["pass"] if "pass" in streams.columns else []
    planned = (
        timeline.merge(streams, on="pass") if keys else timeline.merge(streams, how="cross")
    )  # every step of a pass with every stream of that pass
    sums = _sums_in_windows(flows[flows["role"] == role], steps, bin_ns)
    found = planned.merge(sums, on=["pass", "step", "stream"], how="left")
    found["messages"] = found["messages"].fillna(0).astype("int64")
    found["mbyte_per_s"] = found["bytes"].fillna(0) / MBYTE / found["window_s"]
    order = [c for c in _STEP_COLUMNS if c in found.columns]
    return found[[*order, "stream", "group", "messages", "mbyte_per_s"]]


def _sums_in_windows(flows: pd.DataFrame, steps: pd.DataFrame, bin_ns: int) -> pd.DataFrame:
    """Messages and bytes of the bins that lie wholly inside a step's measured part."""
    parts = []
    for name, own in steps.groupby("pass", sort=False):
        timeline = own.sort_values("t_settled_ns")
        rows = flows[flows["pass"] == name]
        times = rows["t_ns"].to_numpy()
        index = np.searchsorted(timeline["t_settled_ns"].to_numpy(), times, side="right") - 1
        ends = timeline["t_end_ns"].to_numpy()
        inside = (index >= 0) & (times + bin_ns <= ends[np.maximum(index, 0)])
        numbers = timeline["step"].to_numpy()[index[inside]]
        chosen = rows[inside].assign(step=numbers)
        parts.append(chosen.groupby(["pass", "step", "stream"])[["messages", "bytes"]].sum())
    if not parts:
        return flows.head(0).assign(step=0)[["pass", "step", "stream", "messages", "bytes"]]
    return pd.concat(parts).reset_index()


def ports_at(vcs: pd.DataFrame, switch: str) -> pd.DataFrame:
    """Columns stream, group, in_port, out_port of the streams that cross a switch."""
    crossing = vcs[vcs["node"] == switch]
    return crossing[["stream", "group", "in_port", "out_port"]].reset_index(drop=True)


def port_throughput(throughput: pd.DataFrame, vcs: pd.DataFrame, switch: str) -> pd.DataFrame:
    """Throughput out of each port of a switch in every step, from what the sinks received.

    Returns:
        Columns pass, flow_control, step, name, value, send_rate, message_bytes, port, mbyte_per_s
        (those of the first seven that ``throughput`` has).
    """
    joined = throughput.merge(ports_at(vcs, switch)[["stream", "out_port"]], on="stream")
    joined = joined.rename(columns={"out_port": "port"})
    keys = [*(c for c in _STEP_COLUMNS if c in throughput.columns), "port"]
    return joined.groupby(keys, dropna=False)["mbyte_per_s"].sum().reset_index()


def jain(values: Iterable[float]) -> float:
    """Jain's fairness index: 1 for equal shares, 1/n when one has all; nan for nothing."""
    numbers = np.asarray(list(values), dtype=np.float64)
    squares = float((numbers**2).sum())
    if numbers.size == 0 or squares == 0:
        return float("nan")
    return float(numbers.sum()) ** 2 / (numbers.size * squares)


def spread(values: Iterable[float]) -> float:
    """Largest over smallest; infinite when the smallest is 0, nan for nothing."""
    numbers = np.asarray(list(values), dtype=np.float64)
    if numbers.size == 0 or numbers.max() == 0:
        return float("nan")
    return float("inf") if numbers.min() == 0 else float(numbers.max() / numbers.min())


def fairness(throughput: pd.DataFrame) -> pd.DataFrame:
    """How evenly each group's streams fare in each step.

    Returns:
        Columns pass, step, name, value, group, streams, mbyte_per_s (their mean), jain, spread.
    """
    keys = ["pass", "step", "name", "value", "group"]
    grouped = throughput.groupby(keys, sort=False)["mbyte_per_s"]
    table = grouped.agg(["size", "mean", jain, spread]).reset_index()
    return table.rename(columns={"size": "streams", "mean": "mbyte_per_s"})


def arrival_variation(windows: pd.DataFrame) -> pd.DataFrame:
    """How unevenly messages arrive: standard deviation over mean of the gaps between them.

    0 is a perfectly even flow, 1 that of a Poisson process. Windows with less than two gaps, or
    whose messages all came at once, are left out.

    Args:
        windows: table ``windows``.

    Returns:
        Columns pass, step, stream, group, gaps, gap_mean_us, variation.
    """
    rows = windows[
        (windows["role"] == "recv") & (windows["gaps"] >= 2) & (windows["gap_sum_ns"] > 0)
    ]
    mean_us = rows["gap_sum_ns"] / rows["gaps"] / 1e3
    variance = rows["gap_square_sum_us2"] / rows["gaps"] - mean_us**2
    return rows[["pass", "step", "stream", "group", "gaps"]].assign(
        gap_mean_us=mean_us, variation=np.sqrt(np.maximum(variance, 0.0)) / mean_us
    )


def rate_series(
    flows: pd.DataFrame, stream: str, start_ns: int, end_ns: int, window_ns: int
) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """MByte/s that a stream's sink received in each whole window between two times.

    ``flows`` must hold one pass only.
    """
    windows = (end_ns - start_ns) // window_ns
    own = flows[(flows["stream"] == stream) & (flows["role"] == "recv")]
    index = (own["t_ns"].to_numpy() - start_ns) // window_ns
    inside = (index >= 0) & (index < windows)
    summed = np.bincount(
        index[inside], weights=own["bytes"].to_numpy()[inside], minlength=int(windows)
    )
    return np.asarray(summed / MBYTE / (window_ns / 1e9), dtype=np.float64)
