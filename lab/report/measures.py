"""The quantities that the figures show, from the tables of a run that may be incomplete."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lab.analysis.throughput import jain, step_throughput

Rates = Mapping[tuple[str, int], float]
"""Send rate by stream and step, as the scenario asks for it."""

STEP_COLUMNS = ("name", "value", "message_bytes")
_SINKS = ("recv", "pong")
_TIMERS = ("recv", "ping")


def measured_steps(observed: pd.DataFrame, steps: pd.DataFrame) -> pd.DataFrame:
    """The steps in whose measured part `observed` has rows.

    A run that was cut short planned more steps than it made; a step that was not made must not
    be drawn as one without traffic.
    """
    kept = []
    for name, settled_ns, end_ns in zip(
        steps["pass"], steps["t_settled_ns"], steps["t_end_ns"], strict=True
    ):
        times = observed.loc[observed["pass"] == name, "t_ns"]
        kept.append(bool(((times >= settled_ns) & (times < end_ns)).any()))
    return steps[np.array(kept, dtype=bool)]


def stream_throughput(flows: pd.DataFrame, steps: pd.DataFrame, vcs: pd.DataFrame) -> pd.DataFrame:
    """What the sinks got in each step that was measured, of the streams that took part.

    Returns:
        What `step_throughput` returns, with the steps' name, value and message_bytes.
    """
    received = flows[flows["role"].isin(_SINKS)].assign(role="recv")
    times = np.unique(received["t_ns"].to_numpy(dtype=np.int64))
    bin_ns = int(np.diff(times).min()) if times.size > 1 else 1
    groups = vcs[["stream", "group"]].drop_duplicates("stream")
    part = flows[["pass", "stream"]].drop_duplicates().merge(groups, on="stream")
    return step_throughput(received, measured_steps(received, steps), part, bin_ns)


def active(streams: pd.DataFrame, rates: Rates) -> pd.DataFrame:
    """The rows of streams that the scenario lets send in their step; all that are not known."""
    sends = [
        rates.get((str(stream), int(step)), 1.0) > 0
        for stream, step in zip(streams["stream"], streams["step"], strict=True)
    ]
    return streams[np.array(sends, dtype=bool)]


def by_group(streams: pd.DataFrame) -> pd.DataFrame:
    """Throughput of each group in each step of each pass.

    Returns:
        The keys of a step, group, streams, mean, min, max, total (MByte/s) and jain.
    """
    keys = ["pass", "flow_control", "step", "send_rate", *STEP_COLUMNS, "group"]
    grouped = streams.groupby(keys, sort=False, dropna=False)["mbyte_per_s"]
    table = grouped.agg(["count", "mean", "min", "max", "sum", jain]).reset_index()
    return table.rename(columns={"count": "streams", "sum": "total"})


def latencies(windows: pd.DataFrame) -> pd.DataFrame:
    """The windows that hold latencies: one row a stream and step, of the end that measured them.

    Of an echoing stream that is the sender, which sees the round trip; else it is the sink.
    """
    timed = windows[windows["role"].isin(_TIMERS) & (windows["messages"] > 0)]
    return timed.assign(
        mean_us=timed["latency_sum_ns"] / timed["messages"] / 1e3,
        min_us=timed["latency_min_ns"] / 1e3,
        max_us=timed["latency_max_ns"] / 1e3,
    )


def matching(latency: pd.DataFrame, chosen: pd.DataFrame) -> pd.DataFrame:
    """The rows of the table ``latency`` that belong to those that `latencies` chose."""
    keys = ["pass", "stream", "role", "step"]
    return latency.merge(chosen[keys].drop_duplicates(), on=keys)


def percentiles(latency: pd.DataFrame, wanted: tuple[float, ...]) -> pd.DataFrame:
    """Latency below which a part of the messages lies, per pass, step and group.

    Within a class of the histogram the messages are taken as evenly spread.

    Returns:
        Columns pass, flow_control, step, group, messages, and one for each part (in us).
    """
    rows = []
    for key, own in latency.groupby(["pass", "flow_control", "step", "group"], sort=False):
        summed = own.groupby(["low_ns", "high_ns"])["messages"].sum().reset_index()
        summed = summed[summed["messages"] > 0].sort_values("low_ns")
        upto = np.concatenate([[0.0], np.cumsum(summed["messages"].to_numpy(dtype=float))])
        if not upto[-1]:
            continue
        found = {part: _at(part * upto[-1], upto, summed) / 1e3 for part in wanted}
        rows.append((*key, int(upto[-1]), *found.values()))
    columns = ["pass", "flow_control", "step", "group", "messages", *wanted]
    return pd.DataFrame(rows, columns=columns)


def _at(count: float, upto: NDArray[np.float64], rows: pd.DataFrame) -> float:
    index = min(int(np.searchsorted(upto[1:], count)), len(rows) - 1)
    low, high = float(rows["low_ns"].iloc[index]), float(rows["high_ns"].iloc[index])
    inside = float((count - upto[index]) / (upto[index + 1] - upto[index]))
    return low + (high - low) * inside


def input_load(
    links: pd.DataFrame, steps: pd.DataFrame, vcs: pd.DataFrame, node: str
) -> pd.DataFrame:
    """How busy the links into a switch were while a step was measured.

    Returns:
        Columns flow_control, send_rate, link, busy (share of the time, 0..1).
    """
    hops = vcs.sort_values(["vc", "hop"])
    into = hops[hops.groupby("vc")["node"].shift(-1) == node]
    senders = into[["node", "out_port"]].drop_duplicates().rename(columns={"out_port": "port"})
    used = links.merge(senders, on=["node", "port"])
    rows: list[pd.DataFrame] = []
    for step in measured_steps(used, steps).to_dict("records"):
        begin, end = int(step["t_settled_ns"]), int(step["t_end_ns"])
        inside = used[
            (used["pass"] == step["pass"]) & (used["t_ns"] >= begin) & (used["t_ns"] < end)
        ]
        busy = inside.groupby(["node", "port"])["busy_ns"].sum().reset_index()
        rows.append(
            pd.DataFrame(
                {
                    "flow_control": step["flow_control"],
                    "send_rate": float(step["send_rate"]),
                    "link": busy["node"] + " port " + busy["port"].astype(str),
                    "busy": busy["busy_ns"] / (end - begin),
                }
            )
        )
    columns = ["flow_control", "send_rate", "link", "busy"]
    return pd.concat(rows, ignore_index=True) if rows else pd.DataFrame(columns=columns)


def control_rates(quenches: pd.DataFrame, steps: pd.DataFrame) -> pd.DataFrame:
    """Quenches and stops per virtual second in the measured part of each step.

    Returns:
        Columns pass, flow_control, step, name, value, quench, stop.
    """
    rows = []
    for step in steps.to_dict("records"):
        begin, end = int(step["t_settled_ns"]), int(step["t_end_ns"])
        own = quenches[
            (quenches["pass"] == step["pass"])
            & (quenches["t_ns"] >= begin)
            & (quenches["t_ns"] < end)
        ]
        keys = {key: step[key] for key in ("pass", "flow_control", "step", "name", "value")}
        seconds = (end - begin) / 1e9
        counted = own["kind"].value_counts()
        rows.append(
            {**keys, **{kind: counted.get(kind, 0) / seconds for kind in ("quench", "stop")}}
        )
    columns = ["pass", "flow_control", "step", "name", "value", "quench", "stop"]
    return pd.DataFrame(rows, columns=columns)
