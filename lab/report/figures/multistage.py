"""Congestion in several stages: table 4.1 beside what was measured (thesis 4.6.4)."""

from __future__ import annotations

import re
from dataclasses import dataclass

import pandas as pd

from lab.report.figures.base import Figure, flow_control_name, flow_control_order, panels, trace
from lab.report.palette import BLUE, INK, SERIES, VERMILION

COLUMNS = ("node 18, set I", "node 18, set II", "node 18", "node 10")


@dataclass(frozen=True)
class Row:
    """A row of table 4.1: test, send rate in per cent if it names one, and its four figures."""

    test: int
    percent: int | None
    values: tuple[float, float, float, float]


TABLE_4_1 = (
    Row(1, None, (115, 9, 115, 0)),
    Row(2, None, (115, 0, 115, 114)),
    Row(3, 5, (52, 31, 84, 0)),
    Row(3, 20, (49, 42, 91, 0)),
    Row(3, 100, (61, 53, 114, 0)),
    Row(4, 5, (61, 53, 114, 30)),
    Row(4, 20, (62, 54, 116, 64)),
    Row(4, 100, (60, 54, 114, 114)),
)
"""As printed (MByte/s): 9 for an idle set and `test 5` for test 4 at 100 % are slips."""


def printed_row(step_name: str) -> Row | None:
    """The row of table 4.1 that a step is named after, such as `test 3 20 %`."""
    numbers = [int(found) for found in re.findall(r"\d+", step_name)]
    if not numbers:
        return None
    percent = numbers[1] if len(numbers) > 1 else None
    found = [row for row in TABLE_4_1 if (row.test, row.percent) == (numbers[0], percent)]
    return found[0] if found else None


def measured_rows(streams: pd.DataFrame, vcs: pd.DataFrame, switch: str) -> pd.DataFrame:
    """What arrived at the two nodes in each step.

    Args:
        streams: columns flow_control, step, name, stream, mbyte_per_s.
        vcs: the run's table ``vcs``; tells destinations, and who crosses the switch.
        switch: streams to node 18 that cross it are set II, the others set I.

    Returns:
        Columns flow_control, step, name and `COLUMNS`.
    """
    ends = vcs.drop_duplicates("stream").set_index("stream")["dst"].astype(str)
    crossing = set(vcs.loc[vcs["node"] == switch, "stream"].astype(str))
    rows = []
    for (mode, step, name), own in streams.groupby(["flow_control", "step", "name"], sort=False):
        to = own["stream"].map(ends)
        through = own["stream"].astype(str).isin(crossing)
        first = float(own.loc[(to == "n18") & ~through, "mbyte_per_s"].sum())
        second = float(own.loc[(to == "n18") & through, "mbyte_per_s"].sum())
        other = float(own.loc[to == "n10", "mbyte_per_s"].sum())
        rows.append((mode, step, name, first, second, first + second, other))
    return pd.DataFrame(rows, columns=["flow_control", "step", "name", *COLUMNS])


def multistage_figure(rows: pd.DataFrame) -> Figure:
    """Bars for each step and node: on, off, and what table 4.1 prints as hollow diamonds.

    Args:
        rows: what `measured_rows` returns.
    """
    shown = [*COLUMNS[:2], COLUMNS[2], COLUMNS[3]]
    figure = panels(2, 2, 720, horizontal_spacing=0.08, vertical_spacing=0.2, subplot_titles=shown)
    for index, column in enumerate(shown):
        row, col = index // 2 + 1, index % 2 + 1
        for mode in flow_control_order(list(rows["flow_control"])):
            own = rows[rows["flow_control"] == mode].sort_values("step")
            figure.add_trace(
                trace(
                    "Bar",
                    x=list(own["name"]),
                    y=own[column].to_numpy(),
                    name=flow_control_name(mode),
                    legendgroup=mode,
                    showlegend=index == 0,
                    marker={
                        "color": {"quench": BLUE, "link": VERMILION}.get(mode, SERIES[2]),
                        "pattern": {"shape": "" if mode == "quench" else "/"},
                    },
                    hovertemplate="%{x}: %{y:.1f} MByte/s<extra></extra>",
                ),
                row=row,
                col=col,
            )
        names = list(dict.fromkeys(rows.sort_values("step")["name"].astype(str)))
        printed = [(name, printed_row(name)) for name in names]
        figure.add_trace(
            trace(
                "Scatter",
                x=[name for name, found in printed if found],
                y=[found.values[index] for _, found in printed if found],
                mode="markers",
                name="thesis, table 4.1 (flow control on)",
                legendgroup="thesis",
                showlegend=index == 0,
                marker={
                    "symbol": "diamond-open",
                    "size": 11,
                    "color": INK,
                    "line": {"width": 2, "color": INK},
                },
                hovertemplate="table 4.1, %{x}: %{y:g} MByte/s<extra></extra>",
            ),
            row=row,
            col=col,
        )
    figure.update_layout(barmode="group")
    figure.update_xaxes(type="category", tickangle=-30)
    figure.update_yaxes(range=[0, 130])
    figure.update_yaxes(title_text="MByte/s", col=1)
    return figure
