"""Throughput at the sinks, and how evenly it is shared. Pure.

As in thesis 4.6.1, only what arrives at a sink counts, and only inside a step's measured part.
Rates are in MByte/s of payload (1e6 bytes) of virtual time.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, cast

import numpy as np
import pandas as pd

MBYTE = 1e6


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
        streams: columns ``stream`` and ``group``; a stream without arrivals has rate 0.
        bin_ns: width of the bins of ``flows``.
        role: ``recv`` for what arrived, ``send`` for what was accepted from the sender.

    Returns:
        Columns pass, flow_control, step, send_rate, stream, group, messages, mbyte_per_s.
    """
    rows = []
    for step in cast(list[dict[str, Any]], steps.to_dict("records")):
        start_ns, end_ns = int(step["t_settled_ns"]), int(step["t_end_ns"])
        window = flows[
            (flows["pass"] == step["pass"])
            & (flows["role"] == role)
            & (flows["t_ns"] >= start_ns)
            & (flows["t_ns"] + bin_ns <= end_ns)
        ]
        sums = window.groupby("stream")[["messages", "bytes"]].sum()
        sums = sums.reindex(streams["stream"], fill_value=0)
        rows.append(
            pd.DataFrame(
                {
                    **{key: step[key] for key in ("pass", "flow_control", "step", "send_rate")},
                    "stream": streams["stream"].to_numpy(),
                    "group": streams["group"].to_numpy(),
                    "messages": sums["messages"].to_numpy(),
                    "mbyte_per_s": sums["bytes"].to_numpy() / MBYTE / ((end_ns - start_ns) / 1e9),
                }
            )
        )
    columns = ["pass", "flow_control", "step", "send_rate", "stream", "group", "messages"]
    if not rows:
        return pd.DataFrame(columns=[*columns, "mbyte_per_s"])
    return pd.concat(rows, ignore_index=True)


def ports_at(vcs: pd.DataFrame, switch: str) -> pd.DataFrame:
    """Columns stream, group, in_port, out_port of the streams that cross a switch."""
    crossing = vcs[vcs["node"] == switch]
    return crossing[["stream", "group", "in_port", "out_port"]].reset_index(drop=True)


def port_throughput(throughput: pd.DataFrame, vcs: pd.DataFrame, switch: str) -> pd.DataFrame:
    """Throughput out of each port of a switch in every step, from what the sinks received.

    Returns:
        Columns pass, flow_control, step, send_rate, port, mbyte_per_s.
    """
    joined = throughput.merge(ports_at(vcs, switch)[["stream", "out_port"]], on="stream")
    joined = joined.rename(columns={"out_port": "port"})
    keys = ["pass", "flow_control", "step", "send_rate", "port"]
    return joined.groupby(keys)["mbyte_per_s"].sum().reset_index()


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
