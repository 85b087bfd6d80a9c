"""The section on fairness: equal shares among streams, even gaps between messages."""

from __future__ import annotations

import pandas as pd

from lab.analysis.throughput import arrival_variation
from lab.report import html, info, tables
from lab.report.blocks import lacking
from lab.report.measures import active, by_group, stream_throughput
from lab.report.rundata import RunData


def evenness(run: RunData) -> str:
    """Jain's index and the variation of inter-arrival times, by pass and group."""
    flows, steps, vcs = run.table("flows"), run.table("steps"), run.table("vcs")
    streams = stream_throughput(flows, steps, vcs)
    if streams.empty:
        return lacking("fairness", "flows, steps and vcs")
    groups = by_group(active(streams, info.rates(run)))
    rows = evenness_rows(groups, arrival_variation(run.table("windows")), steps)
    return html.paragraph(
        "Fairness is Jain's index of the throughputs of a group's streams in a step: 1 when all "
        "get the same, 1/n when one of n has everything; the mean over the steps is given, and "
        "the least fair step. The variation is the standard deviation of the times between a "
        "stream's arrivals over their mean: 0 is a perfectly even flow, 1 that of random "
        "(Poisson) arrivals; the median over streams and steps is given, and the most uneven "
        "stream."
    ) + tables.evenness_table(rows)


def evenness_rows(
    groups: pd.DataFrame, variation: pd.DataFrame, steps: pd.DataFrame
) -> pd.DataFrame:
    """One row for each pass and group.

    Args:
        groups: what `by_group` returns.
        variation: what `arrival_variation` returns.
        steps: the run's table ``steps``, for the names of steps.

    Returns:
        Columns pass, group, streams, jain (mean), least_jain, least_at (a step), variation
        (median), most_variation, most_at (stream and step). What is not known is nan or empty.
    """
    named = variation.merge(steps[["pass", "step", "name"]], on=["pass", "step"])
    rows = []
    for (name, group), own in groups.groupby(["pass", "group"], sort=False):
        several = own[(own["streams"] > 1) & own["jain"].notna()]
        least = several.sort_values("jain", kind="stable").head(1)
        gaps = named[(named["pass"] == name) & (named["group"] == group)]
        most = gaps.sort_values("variation", kind="stable").tail(1)
        where = zip(most["stream"].astype(str), most["name"].astype(str), strict=True)
        rows.append(
            {
                "pass": name,
                "group": group,
                "streams": int(own["streams"].max()),
                "jain": several["jain"].mean(),
                "least_jain": least["jain"].max(),
                "least_at": "".join(least["name"].astype(str)),
                "variation": gaps["variation"].median(),
                "most_variation": most["variation"].max(),
                "most_at": "".join(f"{stream}, {step}" for stream, step in where),
            }
        )
    return pd.DataFrame(rows)
