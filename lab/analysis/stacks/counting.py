"""Counts of messages and times between events: what most measures are made from. Pure."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from lab.analysis.observations import MissingDataError
from lab.analysis.stacks.observations import StackObservations


def sent_by_label(run: StackObservations, cases: Sequence[str] | None = None) -> pd.DataFrame:
    """Datagrams sent in each case by label: columns case, label, messages, bytes.

    A multicast is one datagram here, and several where it is received.
    """
    messages = run.tables["messages"]
    sent = messages[messages["direction"] == "send"]
    if cases is not None:
        sent = sent[sent["case"].isin(cases)]
    groups = sent.groupby(["case", "label"], observed=True)["bytes"]
    return (
        groups.agg(messages="size", bytes="sum")
        .reset_index()
        .astype({"case": "str", "label": "str"})
    )


def rate_per_s(times_s: pd.Series[float], start_s: float, end_s: float) -> float:
    """How many of these times lie in an interval, per second of it.

    Raises:
        MissingDataError: the interval is empty.
    """
    if end_s <= start_s:
        raise MissingDataError(f"from {start_s:g} to {end_s:g} s there is nothing to count")
    return float(((times_s >= start_s) & (times_s < end_s)).sum()) / (end_s - start_s)


def durations(
    begins: pd.DataFrame, ends: pd.DataFrame, by: Sequence[str] = ("node",)
) -> pd.DataFrame:
    """For each begin the first end after it with the same ``by``: the columns of the begins, end_s
    and took_s. A begin that has no end before the next begin of its kind is left out.

    Args:
        begins: events in the order of time.
        ends: events in the order of time.
        by: columns that both have and that must be equal.
    """
    keys = list(by)
    starts = begins.sort_values("t_s", kind="stable")
    following = starts.groupby(keys, observed=True)["t_s"].shift(-1)
    stops = ends[[*keys, "t_s"]].rename(columns={"t_s": "end_s"}).sort_values("end_s")
    paired = pd.merge_asof(
        starts.assign(next_s=following.fillna(np.inf)),
        stops,
        left_on="t_s",
        right_on="end_s",
        by=keys,
        direction="forward",
    )
    whole = paired[paired["end_s"].notna() & (paired["end_s"] <= paired["next_s"])]
    return whole.assign(took_s=whole["end_s"] - whole["t_s"]).drop(columns="next_s")


def span_s(events: pd.DataFrame) -> float:
    """From the first of some events to the last; ``MissingDataError`` when there is none."""
    if events.empty:
        raise MissingDataError("there is no such event")
    return float(events["t_s"].max() - events["t_s"].min())
