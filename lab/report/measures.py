"""Throughput per step, by stream and by output port of the contended switch."""

from __future__ import annotations

import pandas as pd


def stream_throughput(flows: pd.DataFrame, steps: pd.DataFrame) -> pd.DataFrame:
    """What the receivers got in the measured part of each step.

    Returns:
        Columns flow_control, send_rate, stream, group, mbyte_per_s (1e6 bytes, virtual s).
    """
    received = flows[flows["role"] == "recv"]
    rows: list[pd.DataFrame] = []
    for step in steps.to_dict("records"):
        begin, end = int(step["t_settled_ns"]), int(step["t_end_ns"])
        inside = received[
            (received["pass"] == step["pass"])
            & (received["t_ns"] >= begin)
            & (received["t_ns"] < end)
        ]
        got = inside.groupby(["stream", "group"], as_index=False)["bytes"].sum()
        got["mbyte_per_s"] = got["bytes"] / 1e6 / max((end - begin) / 1e9, 1e-12)
        got["flow_control"], got["send_rate"] = step["flow_control"], float(step["send_rate"])
        rows.append(got)
    columns = ["flow_control", "send_rate", "stream", "group", "mbyte_per_s"]
    return pd.concat(rows)[columns] if rows else pd.DataFrame(columns=columns)


def port_throughput(streams: pd.DataFrame, vcs: pd.DataFrame, node: str) -> pd.DataFrame:
    """Sum of the streams that leave `node` by each port.

    Returns:
        Columns flow_control, send_rate, port, mbyte_per_s.
    """
    here = vcs.loc[vcs["node"] == node, ["stream", "out_port"]].rename(columns={"out_port": "port"})
    joined = streams.merge(here, on="stream")
    keys = ["flow_control", "send_rate", "port"]
    return joined.groupby(keys)["mbyte_per_s"].sum().reset_index()
