"""Datagrams as arrows between nodes, as many as a reader can take in. Pure."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from lab.analysis.stacks.observations import StackObservations
from lab.report.stacks.moments import Window

MOST_ARROWS = 1500


@dataclass(frozen=True)
class Arrows:
    """What is drawn: columns source, target, sent_s, received_s, label, group, lost.

    ``left_out`` says how many of which kind there was no room for.
    """

    rows: pd.DataFrame
    left_out: dict[str, int]


def group_of(label: str) -> str:
    """The kind of a datagram: the first word of its label."""
    return label.partition(" ")[0]


def arrows(run: StackObservations, seen: Window, most: int = MOST_ARROWS) -> Arrows:
    """The datagrams sent within a window; those that never arrived are ``lost``.

    Where there are too many, the most frequent kinds are left out first; of a kind that alone is
    too much, the later part.
    """
    both = run.messages(seen.case, direction=None)
    sent = both[
        (both["direction"] == "send") & (both["t_s"] >= seen.start_s) & (both["t_s"] < seen.end_s)
    ]
    received = both.loc[both["direction"] == "receive", ["message", "node", "t_s"]]
    joined = sent.merge(
        received.rename(columns={"node": "target", "t_s": "received_s"}), on="message", how="left"
    )
    joined["lost"] = joined["received_s"].isna()
    joined["target"] = joined["target"].fillna(joined["peer"]).astype("int64")
    joined["label"] = joined["label"].astype("str")
    joined["group"] = joined["label"].map(group_of)
    # A multicast that nobody received has no target at all.
    found = joined[joined["target"] > 0].rename(columns={"node": "source", "t_s": "sent_s"})
    return _fitted(found.sort_values("sent_s", kind="stable"), most)


def _fitted(found: pd.DataFrame, most: int) -> Arrows:
    left_out: dict[str, int] = {}
    counts = found["group"].value_counts()
    while len(found) > most and len(counts) > 1:
        group = str(counts.index[0])
        left_out[group] = int(counts.iloc[0])
        found, counts = found[found["group"] != group], counts.iloc[1:]
    if len(found) > most:
        group = str(counts.index[0])
        left_out[group] = len(found) - most
        found = found.iloc[:most]
    columns = ["source", "target", "sent_s", "received_s", "label", "group", "lost"]
    return Arrows(found[columns].reset_index(drop=True), left_out)
