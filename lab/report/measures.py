"""The quantities that the figures show, from the tables of a run that may be incomplete."""

from __future__ import annotations

import numpy as np
import pandas as pd

from lab.analysis.throughput import step_throughput


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
    """What the sinks got in each step that was measured, as `step_throughput` returns it."""
    received = flows[flows["role"] == "recv"]
    times = np.unique(received["t_ns"].to_numpy(dtype=np.int64))
    bin_ns = int(np.diff(times).min()) if times.size > 1 else 1
    streams = vcs[["stream", "group"]].drop_duplicates("stream")
    return step_throughput(flows, measured_steps(received, steps), streams, bin_ns)


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
