"""What the cases of a run show over the number of nodes, whichever stack it is."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from lab.analysis.stacks.counting import sent_by_label
from lab.analysis.stacks.observations import StackObservations
from lab.report.figures.base import Figure, plain_figure, trace
from lab.report.palette import SERIES
from lab.report.stacks.arrows import group_of
from lab.scenarios.stack_model import PLAIN

MOST_KINDS, MOST_SETTINGS = 3, 4
_DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot")
_SYMBOLS = ("circle", "square", "diamond", "cross", "x", "triangle-up")


def setting(row: pd.Series) -> str:
    """What sets a case apart beside its nodes, in words."""
    words = [
        row["sweep"],
        row["load"] if row["load"] != "idle" else "",
        f"network {row['network_load']}" if row["network_load"] != "idle" else "",
        row["medium"] if row["medium"] != "switch" else "",
        row["variant"] if row["variant"] != PLAIN else "",
        row["parameters"].strip("{}").replace('"', "") if row["parameters"] != "{}" else "",
    ]
    return ", ".join(word for word in words if word) or "idle"


def message_rates(run: StackObservations) -> pd.DataFrame:
    """Datagrams sent a second: columns nodes, setting, kind, per_s, one row a case and kind."""
    counts = sent_by_label(run)
    counts["kind"] = counts["label"].map(group_of)
    sums = counts.groupby(["case", "kind"])["messages"].sum().reset_index()
    cases = run.cases.assign(setting=run.cases.apply(setting, axis=1))
    joined = sums.join(cases[["nodes", "setting", "ended_s"]], on="case")
    return joined.assign(per_s=joined["messages"] / joined["ended_s"])


def message_figure(rates: pd.DataFrame) -> Figure:
    """Messages a second over the nodes, a line for each kind and setting, on two log axes."""
    figure = plain_figure(430)
    kinds = list(rates.groupby("kind")["messages"].sum().sort_values(ascending=False).index)
    settings = shown_settings(rates)
    for colour, kind in zip(SERIES, kinds[:MOST_KINDS], strict=False):
        for name, dash, symbol, own in _each(rates[rates["kind"] == kind], settings):
            means = own.groupby("nodes")["per_s"].mean()
            figure.add_trace(
                trace(
                    "Scatter",
                    x=list(means.index),
                    y=means.to_numpy(),
                    mode="lines+markers",
                    name=f"{kind}, {name}",
                    line={"color": colour, "dash": dash, "width": 1.8},
                    marker={"symbol": symbol, "size": 8},
                    hovertemplate=f"{kind}, {name}, %{{x}} nodes: %{{y:,.1f}} messages/s"
                    "<extra></extra>",
                )
            )
    places = sorted(set(rates["nodes"]))
    figure.update_xaxes(type="log", title_text="nodes", tickvals=places, ticktext=places)
    figure.update_yaxes(type="log", title_text="messages sent per s", dtick=1)
    return figure


def shown_settings(rates: pd.DataFrame) -> list[str]:
    """The settings with the most sizes, as many as can be told apart."""
    sizes = rates.groupby("setting", sort=False)["nodes"].nunique()
    return [str(name) for name in sizes.sort_values(ascending=False, kind="stable").index][
        :MOST_SETTINGS
    ]


def _each(rates: pd.DataFrame, settings: list[str]) -> Iterator[tuple[str, str, str, pd.DataFrame]]:
    for index, name in enumerate(settings):
        own = rates[rates["setting"] == name]
        if len(own):
            yield name, _DASHES[index % len(_DASHES)], _SYMBOLS[index % len(_SYMBOLS)], own
