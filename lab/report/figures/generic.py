"""Figures that any run can have: throughput, latency, memory and flow control, pass by pass.

Solid lines are flow control on, dashed lines off. Passes that differ in more than their flow
control get a panel each; a run with a single step has its passes on the axis instead.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import pandas as pd

from lab.report.axis import StepAxis
from lab.report.figures.base import (
    Figure,
    flow_control_name,
    panels,
    pass_label,
    plain_figure,
    trace,
)
from lab.report.figures.curves import DASH, SYMBOL, Curve, along, draw, mode_name
from lab.report.info import PassSet
from lab.report.palette import AMBER, BLUE, MUTED, PINK, SERIES, VERMILION, group_colours

PERCENTILES = {0.5: "median", 0.99: "99 %", 0.999: "99.9 %"}
_PERCENTILE_COLOURS = {0.5: BLUE, 0.99: AMBER, 0.999: VERMILION}
MOST_PANELS = 8
MOST_SWITCHES = 24
_PATTERNS = ("", "/", "x", ".", "\\", "+")


def group_figure(
    groups: pd.DataFrame, axis: StepAxis, sets: Sequence[PassSet], value: str, title: str
) -> Figure:
    """A quantity of each group over the steps.

    Args:
        groups: what `by_group` returns.
        axis: what varies from step to step.
        sets: the run's passes.
        value: column ``mean`` (drawn with a band from min to max) or ``total``.
        title: of the y axis.
    """
    colours = group_colours(sorted(set(groups["group"].astype(str))))

    def curves(own: pd.DataFrame, mode: str) -> list[Curve]:
        found = []
        for group, rows in own.groupby("group", sort=True):
            ordered = along(rows, axis.positions(rows))
            several = value == "mean" and int(ordered["streams"].max()) > 1
            found.append(
                Curve(
                    mode_name(str(group), mode),
                    ordered["x"],
                    ordered[value],
                    colours[str(group)],
                    "MByte/s",
                    DASH.get(mode, "dot"),
                    SYMBOL.get(mode, "square"),
                    ordered["min"] if several else None,
                    ordered["max"] if several else None,
                    list(ordered["name"]),
                )
            )
        return found

    if single_step(groups):
        return _bars_over_passes(
            groups, sets, colours, columns=("group", value), words=(title, "MByte/s")
        )
    figure = _over_steps(groups, axis, sets, curves)
    figure.update_yaxes(rangemode="tozero")
    figure.update_yaxes(title_text=title, col=1)
    return figure


def latency_figure(
    table: pd.DataFrame, steps: pd.DataFrame, axis: StepAxis, sets: Sequence[PassSet]
) -> Figure:
    """Median, 99 % and 99.9 % latency of each group, in us on a logarithmic axis.

    Args:
        table: what `percentiles` returns for `PERCENTILES`.
        steps: the run's table ``steps``.
        axis: what varies from step to step.
        sets: the run's passes.
    """
    named = table.merge(steps[["pass", "step", "name", "value"]], on=["pass", "step"])
    groups = sorted(set(named["group"].astype(str)))
    if single_step(named):
        long = named.melt(
            id_vars=["pass", "group"],
            value_vars=list(PERCENTILES),
            var_name="part",
            value_name="us",
        )
        words = long["part"].map(PERCENTILES).astype(str)
        prefix = long["group"].astype(str) + " " if len(groups) > 1 else ""
        long = long.assign(what=prefix + words)
        order = list(dict.fromkeys(long["what"]))
        colours = {what: SERIES[index % len(SERIES)] for index, what in enumerate(order)}
        figure = _bars_over_passes(
            long, sets, colours, columns=("what", "us"), words=("latency in us", "us")
        )
        figure.update_yaxes(type="log")
        return figure
    facets = [
        PassSet(" · ".join(part for part in (chosen.title, group) if part), chosen.passes)
        for group in groups
        for chosen in sets
    ]

    def curves(own: pd.DataFrame, mode: str) -> list[Curve]:
        ordered = along(own, axis.positions(own))
        return [
            Curve(
                mode_name(words, mode),
                ordered["x"],
                ordered[part],
                _PERCENTILE_COLOURS[part],
                "us",
                DASH.get(mode, "dot"),
                SYMBOL.get(mode, "square"),
                names=list(ordered["name"]),
                width=1.9,
            )
            for part, words in PERCENTILES.items()
        ]

    frames = [named[named["group"] == group] for group in groups for _ in sets]
    figure = _over_steps(named, axis, facets, curves, frames)
    figure.update_yaxes(type="log", dtick=1)
    figure.update_yaxes(title_text="latency in us", col=1)
    return figure


def control_rate_figure(
    rates: pd.DataFrame, axis: StepAxis, sets: Sequence[PassSet], kinds: Sequence[str]
) -> Figure:
    """Quenches and stops per virtual second over the steps.

    Args:
        rates: what `control_rates` returns.
        axis: what varies from step to step.
        sets: the run's passes.
        kinds: which of quench and stop to draw.
    """
    colours = {"quench": PINK, "stop": MUTED}
    if single_step(rates):
        long = rates.melt(
            id_vars=["pass"], value_vars=list(kinds), var_name="what", value_name="per_s"
        )
        return _bars_over_passes(
            long, sets, colours, columns=("what", "per_s"), words=("events per virtual s", "per s")
        )

    def curves(own: pd.DataFrame, mode: str) -> list[Curve]:
        ordered = along(own, axis.positions(own))
        wanted = {"quench": "quench", "link": "stop"}.get(mode)
        return [
            Curve(
                mode_name({"quench": "quenches", "stop": "stops"}[kind], mode),
                ordered["x"],
                ordered[kind],
                colours[kind],
                "per virtual s",
                DASH.get(mode, "dot"),
                SYMBOL.get(mode, "square"),
                names=list(ordered["name"]),
            )
            for kind in kinds
            # a kind that the mode does not have is drawn only where it happened all the same
            if kind == wanted or bool((ordered[kind] > 0).any())
        ]

    figure = _over_steps(rates, axis, sets, curves)
    figure.update_yaxes(rangemode="tozero")
    figure.update_yaxes(title_text="events per virtual s", col=1)
    return figure


def memory_figure(peaks: pd.DataFrame, sets: Sequence[PassSet], buffer_cells: float) -> Figure:
    """The most cells that each switch had in its memory, the fullest switches first.

    Args:
        peaks: columns pass, switch, cells.
        sets: the run's passes.
        buffer_cells: size of a switch's memory; 0 when it is not known or varies.
    """
    most = peaks.groupby("switch")["cells"].max().sort_values(ascending=False)
    switches = list(most.index[:MOST_SWITCHES])
    figure = plain_figure(360)
    order = [(name, mode) for chosen in sets for name, mode in chosen.passes]
    for index, (name, mode) in enumerate(order):
        own = peaks[peaks["pass"] == name].set_index("switch")["cells"].reindex(switches)
        figure.add_trace(
            trace(
                "Bar",
                x=switches,
                y=own.to_numpy(dtype=float),
                name=pass_label(name, mode, order),
                marker={
                    "color": SERIES[index % len(SERIES)],
                    "pattern": {"shape": _PATTERNS[index % len(_PATTERNS)]},
                },
                hovertemplate="%{x}: at most %{y:,.0f} cells<extra></extra>",
            )
        )
    if buffer_cells:
        figure.add_hline(
            y=buffer_cells,
            line={"color": VERMILION, "width": 1.5, "dash": "dot"},
            annotation={
                "text": f"memory of a switch: {buffer_cells:,.0f} cells",
                "font": {"size": 12, "color": MUTED},
                "xanchor": "right",
                "x": 1,
            },
        )
    figure.update_layout(barmode="group", margin={"t": 40})
    figure.update_yaxes(title_text="most cells in memory", rangemode="tozero")
    figure.update_xaxes(type="category", tickangle=0)
    return figure


def single_step(table: pd.DataFrame) -> bool:
    """Whether there is nothing to be drawn over steps."""
    return bool(table["step"].nunique() <= 1)


def _over_steps(
    table: pd.DataFrame,
    axis: StepAxis,
    sets: Sequence[PassSet],
    curves: Callable[[pd.DataFrame, str], list[Curve]],
    frames: Sequence[pd.DataFrame] | None = None,
) -> Figure:
    """A panel for each set of passes, with the curves of its passes."""
    shown = list(zip(sets, frames or [table] * len(sets), strict=True))[:MOST_PANELS]
    cols = min(len(shown), 2) or 1
    rows = -(-len(shown) // cols) or 1
    figure = panels(
        rows,
        cols,
        130 + 300 * rows,
        shared_yaxes=True,
        horizontal_spacing=0.05,
        vertical_spacing=min(0.25, 0.5 / rows),
        subplot_titles=[chosen.title for chosen, _ in shown],
    )
    seen: set[str] = set()
    for index, (chosen, own) in enumerate(shown):
        row, col = index // cols + 1, index % cols + 1
        for name, mode in chosen.passes:
            for curve in curves(own[own["pass"] == name], mode):
                draw(figure, curve, row=row, col=col, legend=curve.name not in seen)
                seen.add(curve.name)
    axis.dress(figure)
    return figure


def _bars_over_passes(
    table: pd.DataFrame,
    sets: Sequence[PassSet],
    colours: Mapping[str, str],
    *,
    columns: tuple[str, str],
    words: tuple[str, str],
) -> Figure:
    """Bars for each set of passes, as there is but one step; those without quench are hatched."""
    (by, value), (title, unit) = columns, words
    figure = plain_figure(400)
    apart = bool((table.groupby("pass")[by].nunique() > 1).any())
    bars: dict[tuple[str, str], tuple[list[str], list[float]]] = {}
    for chosen in sets:
        for name, mode in chosen.passes:
            own = table[table["pass"] == name]
            for what, number in zip(own[by].astype(str), own[value].astype(float), strict=True):
                x, y = bars.setdefault((what if apart else "", mode), ([], []))
                x.append(chosen.title or name)
                y.append(number)
    for (what, mode), (x, y) in bars.items():
        label = mode_name(what, mode) if what else flow_control_name(mode)
        plain = {"quench": BLUE, "link": VERMILION}.get(mode, MUTED)
        figure.add_trace(
            trace(
                "Bar",
                x=x,
                y=y,
                name=label,
                marker={
                    "color": colours.get(what, plain),
                    "pattern": {"shape": "" if mode == "quench" else "/"},
                },
                hovertemplate=f"{label}, %{{x}}: %{{y:,.4g}} {unit}<extra></extra>",
            )
        )
    order = [chosen.title or name for chosen in sets for name, _ in chosen.passes]
    figure.update_layout(barmode="group", margin={"t": 32}, showlegend=True)
    figure.update_xaxes(type="category", categoryarray=list(dict.fromkeys(order)))
    figure.update_yaxes(title_text=title)
    return figure
