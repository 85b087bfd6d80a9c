"""Flow control at work: Quench and Unquench per VCI, stops and gos per link, over time."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from lab.report.axis import StepAxis
from lab.report.envelope import COLUMNS, TimeGrid, counts
from lab.report.figures.base import Figure, flow_control_name, panels, trace
from lab.report.figures.timeaxis import mark_steps
from lab.report.palette import GREEN, HEAT, PINK
from lab.report.told import told

ROWS = 20
_KINDS = (("quench", "unquench"), ("stop", "go"))
_STARTING = {"quench", "stop"}


def control_figure(
    quenches: pd.DataFrame,
    vcs: pd.DataFrame,
    steps: pd.DataFrame,
    passes: Sequence[tuple[str, str]],
    *,
    axis: StepAxis,
    columns: int = COLUMNS // 2,
) -> Figure:
    """Rate of flow control events over virtual time, and whom they hit.

    Args:
        quenches: the run's table `quenches` (quench, unquench, stop, go).
        vcs: the run's table `vcs`, for the streams' names.
        steps: the run's table `steps`.
        passes: (pass, flow_control), one column of panels each.
        axis: what varies from step to step, for the words that mark the steps.
        columns: slices of time that are drawn.
    """
    names = dict(zip(vcs["vc"].astype(int), vcs["stream"].astype(str), strict=True))
    events = {name: quenches[quenches["pass"] == name] for name, _ in passes}
    whom = {name: told(mine, names) for name, mine in events.items()}
    most = {name: _most_told(targets) for name, targets in whom.items()}
    tall = 60 + 17 * max([len(rows) for rows in most.values()] + [1])
    figure = panels(
        2,
        max(len(passes), 1),
        250 + tall + 200,
        row_heights=[250, tall],
        shared_xaxes="columns",
        horizontal_spacing=0.13,
        vertical_spacing=0.1,
        subplot_titles=[f"<b>{flow_control_name(mode)}</b><br> " for _, mode in passes],
    )
    for col, (name, _) in enumerate(passes, start=1):
        mine_steps = steps[steps["pass"] == name]
        mine = events[name]
        bounds = pd.concat([mine["t_ns"], mine_steps["t_end_ns"]])
        grid = _even_grid(bounds, columns)
        _rates(figure, mine, grid, col)
        _strips(figure, mine, whom[name], most[name], grid, col=col)
    mark_steps(figure, axis, [steps[steps["pass"] == name] for name, _ in passes], rows=2)
    _dress(figure)
    return figure


def control_totals(quenches: pd.DataFrame, vcs: pd.DataFrame) -> pd.DataFrame:
    """Events by pass, target (stream, or port of a link) and kind, one row a target.

    Returns:
        Columns pass, target, and one for each kind seen; most events first.
    """
    names = dict(zip(vcs["vc"].astype(int), vcs["stream"].astype(str), strict=True))
    if quenches.empty:
        return pd.DataFrame(columns=["pass", "target"])
    keys = ["pass", "node", "port", "vc", "kind"]
    table = quenches.groupby(keys, observed=True).size().reset_index(name="events")
    table["target"] = told(table, names)
    grouped = table.groupby(["pass", "target", "kind"], observed=True)["events"].sum()
    wide = grouped.unstack(fill_value=0)
    wide.columns = wide.columns.astype(str)
    wide["total"] = wide.sum(axis=1)
    ordered = wide.sort_values("total", ascending=False).drop(columns="total").reset_index()
    as_run = {name: index for index, name in enumerate(quenches["pass"].unique())}
    by_pass = ordered["pass"].astype(str).map(as_run).sort_values(kind="stable").index
    return ordered.loc[by_pass].reset_index(drop=True)


def _most_told(targets: pd.Series) -> list[str]:
    """Those that most events are about."""
    most = targets.value_counts().head(ROWS)
    return sorted((str(name) for name in most.index), reverse=True)


def _even_grid(bounds: pd.Series, columns: int) -> TimeGrid:
    """Slices over the whole span however few events there are."""
    end_ns = 0 if bounds.empty else int(bounds.max())
    return TimeGrid.over(0, end_ns, columns)


def _rates(figure: Figure, quenches: pd.DataFrame, grid: TimeGrid, col: int) -> None:
    seen = set(quenches["kind"].unique())
    for start, end in _KINDS:
        for kind in (start, end):
            if kind not in seen:
                continue
            rate = counts(quenches.loc[quenches["kind"] == kind, "t_ns"], grid) / grid.width_s
            figure.add_trace(
                trace(
                    "Scatter",
                    x=grid.centres_s().astype(np.float32),
                    y=rate.astype(np.float32),
                    name=kind,
                    mode="lines",
                    line={
                        "color": PINK if kind in _STARTING else GREEN,
                        "width": 1.6,
                        "shape": "hvh",
                        "dash": "solid" if kind in _STARTING else "dot",
                    },
                    hovertemplate=f"{kind}: %{{y:,.0f}}/s at %{{x:.4f}} s<extra></extra>",
                ),
                row=1,
                col=col,
            )
    if quenches.empty:
        figure.add_trace(trace("Scatter", x=[], y=[], showlegend=False), row=1, col=col)


def _strips(
    figure: Figure,
    quenches: pd.DataFrame,
    targets: pd.Series,
    rows: list[str],
    grid: TimeGrid,
    *,
    col: int,
) -> None:
    starting = quenches["kind"].isin(_STARTING)
    times, targets = quenches.loc[starting, "t_ns"], targets[starting]
    per_s = [counts(times[targets == row], grid) / grid.width_s for row in rows]
    rate = np.array(per_s) if per_s else np.zeros((0, grid.columns))
    figure.add_trace(
        trace(
            "Heatmap",
            x=grid.centres_s().astype(np.float32),
            y=rows,
            z=rate.astype(np.float32),
            coloraxis="coloraxis",
            hovertemplate="%{y} at %{x:.4f} s: %{z:,.0f}/s<extra></extra>",
        ),
        row=2,
        col=col,
    )


def _dress(figure: Figure) -> None:
    figure.update_layout(
        coloraxis={
            "colorscale": [list(stop) for stop in HEAT],
            "cmin": 0,
            "colorbar": {
                "title": {"text": "quenches or stops per s", "side": "right"},
                "thickness": 14,
                "len": 0.55,
                "y": 0,
                "yanchor": "bottom",
                "outlinewidth": 0,
            },
        },
        legend={"y": 1.0, "yanchor": "top"},
        margin={"t": 96, "b": 56},
    )
    figure.update_yaxes(title_text="events per virtual s", rangemode="tozero", row=1, col=1)
    figure.update_yaxes(rangemode="tozero", row=1)
    figure.update_yaxes(showgrid=False, tickfont={"size": 11}, dtick=1, row=2)
    figure.update_yaxes(title_text="told to pause", row=2, col=1)
    figure.update_xaxes(showgrid=False, row=2)
    figure.update_xaxes(title_text="virtual time in s", row=2)
