"""Queues of the fabric over time, which the thesis could not measure.

Three views, one column for each pass: the contended switch's output ports, the same switch by
VCI, and the fullest ports of the whole fabric, where tree saturation would show.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from lab.report.axis import StepAxis
from lab.report.envelope import COLUMNS, Envelope, Sampling, TimeGrid, envelope
from lab.report.figures.base import (
    Figure,
    Trace,
    flow_control_name,
    panels,
    see_through,
    trace,
)
from lab.report.figures.timeaxis import mark_steps
from lab.report.palette import BLUE, HEAT, VERMILION

FULLEST_PORTS = 20
MOST_STREAMS = 32
_ALL_VCS = 0
_TICKS = (0, 1, 10, 100, 1000, 10000, 100000)


def queue_figure(
    queues: pd.DataFrame,
    vcs: pd.DataFrame,
    steps: pd.DataFrame,
    passes: Sequence[tuple[str, str]],
    *,
    axis: StepAxis,
    node: str,
    contended_port: int = 1,
    columns: int = COLUMNS,
) -> Figure:
    """Queue depth in cells over virtual time.

    Args:
        queues: the run's table `queues` (vc 0 is a port's total).
        vcs: the run's table `vcs`.
        steps: the run's table `steps`.
        passes: (pass, flow_control), one column of panels each.
        axis: what varies from step to step, for the words that mark the steps.
        node: the contended switch.
        contended_port: its output port that everybody wants.
        columns: slices of time that are drawn.
    """
    queues = queues[queues["pass"].isin([name for name, _ in passes])]
    streams = _fullest_streams(queues, stream_names(vcs, node), node)
    fullest = _fullest_ports(queues)
    heights = [250, 60 + 17 * max(len(streams), 1), 60 + 17 * max(len(fullest), 1)]
    figure = panels(
        3,
        max(len(passes), 1),
        sum(heights) + 210,
        row_heights=heights,
        shared_xaxes="columns",
        horizontal_spacing=0.03,
        vertical_spacing=0.07,
        subplot_titles=[f"<b>{flow_control_name(mode)}</b><br> " for _, mode in passes],
    )
    for col, (name, _) in enumerate(passes, start=1):
        mine = queues[queues["pass"] == name]
        mine_steps = steps[steps["pass"] == name]
        end_ns = 0 if mine_steps.empty else int(mine_steps["t_end_ns"].max())
        sampling = Sampling.of(mine["t_ns"], end_ns, columns)
        for port_rows in _port_traces(mine, node, contended_port, sampling, legend=col == 1):
            figure.add_trace(port_rows, row=1, col=col)
        here = mine[(mine["node"] == node) & (mine["vc"] != _ALL_VCS)]
        by_vci = [(name, here[here["vc"] == vc]) for vc, name in streams.items()]
        figure.add_trace(_heat(by_vci, sampling), row=2, col=col)
        totals = mine[mine["vc"] == _ALL_VCS]
        by_port = [
            (f"{where} port {port}", totals[(totals["node"] == where) & (totals["port"] == port)])
            for where, port in fullest
        ]
        figure.add_trace(_heat(by_port, sampling), row=3, col=col)
    mark_steps(figure, axis, [steps[steps["pass"] == name] for name, _ in passes], rows=3)
    _dress(figure, node, len(passes))
    return figure


def stream_names(vcs: pd.DataFrame, node: str) -> dict[int, str]:
    """Streams that cross `node`: VC id to name, ordered by group and name."""
    crossing = vcs[vcs["node"] == node].drop_duplicates("vc").sort_values(["group", "stream"])
    return {
        int(vc): str(stream) for vc, stream in zip(crossing["vc"], crossing["stream"], strict=True)
    }


def _fullest_streams(queues: pd.DataFrame, streams: dict[int, str], node: str) -> dict[int, str]:
    """The streams whose queue at `node` is deepest at any time, in the order given."""
    if len(streams) <= MOST_STREAMS:
        return streams
    here = queues[(queues["node"] == node) & queues["vc"].isin(list(streams))]
    deepest = set(here.groupby("vc")["cells"].max().nlargest(MOST_STREAMS).index)
    return {vc: name for vc, name in streams.items() if vc in deepest}


def _fullest_ports(queues: pd.DataFrame) -> list[tuple[str, int]]:
    """The ports with the deepest queue of any pass, deepest last (it is drawn on top)."""
    totals = queues[(queues["vc"] == _ALL_VCS) & (queues["cells"] > 0)]
    peak = totals.groupby(["node", "port"])["cells"].max().nlargest(FULLEST_PORTS)
    return [(str(where), int(port)) for where, port in reversed(peak.index.to_list())]


def _port_traces(
    queues: pd.DataFrame, node: str, contended_port: int, sampling: Sampling, *, legend: bool
) -> list[Trace]:
    totals = queues[(queues["node"] == node) & (queues["vc"] == _ALL_VCS)]
    contended = totals[totals["port"] == contended_port]
    others = totals[totals["port"] != contended_port]
    deepest = others.groupby("t_ns", as_index=False)["cells"].max()
    drawn = (
        (f"{node} port {contended_port}", contended, VERMILION),
        (f"{node}, deepest of its other ports", deepest, BLUE),
    )
    traces: list[Trace] = []
    for name, rows, colour in drawn:
        shape = envelope(rows["t_ns"], rows["cells"], sampling)
        traces += _enveloped(sampling.grid, shape, name, colour, legend=legend)
    return traces


def _enveloped(
    grid: TimeGrid, shape: Envelope, name: str, colour: str, *, legend: bool
) -> list[Trace]:
    """Mean as a line, the space between smallest and largest filled."""
    x = grid.centres_s().astype(np.float32)
    edge = {
        "x": x,
        "mode": "lines",
        "line": {"width": 0},
        "hoverinfo": "skip",
        "showlegend": False,
        "legendgroup": name,
    }
    return [
        trace("Scatter", y=shape.low.astype(np.float32), **edge),
        trace(
            "Scatter",
            y=shape.high.astype(np.float32),
            fill="tonexty",
            fillcolor=see_through(colour, 0.25),
            **edge,
        ),
        trace(
            "Scatter",
            x=x,
            y=shape.mean.astype(np.float32),
            customdata=np.stack([shape.low, shape.high], axis=1).astype(np.float32),
            name=name,
            legendgroup=name,
            showlegend=legend,
            mode="lines",
            line={"color": colour, "width": 1.6},
            hovertemplate=f"{name} at %{{x:.4f}} s<br>mean %{{y:.0f}}, "
            "from %{customdata[0]:.0f} to %{customdata[1]:.0f} cells<extra></extra>",
        ),
    ]


def _heat(strips: Sequence[tuple[str, pd.DataFrame]], sampling: Sampling) -> Trace:
    """A strip for each label: the deepest queue of each pixel column, logarithmic colour."""
    grid = sampling.grid
    depth = [envelope(rows["t_ns"], rows["cells"], sampling).high for _, rows in strips]
    cells = np.array(depth) if depth else np.zeros((0, grid.columns))
    return trace(
        "Heatmap",
        x=grid.centres_s().astype(np.float32),
        y=[label for label, _ in strips],
        z=np.log10(1.0 + cells).astype(np.float32),
        customdata=cells.astype(np.float32),
        coloraxis="coloraxis",
        hovertemplate="%{y} at %{x:.4f} s: up to %{customdata:.0f} cells<extra></extra>",
    )


def _dress(figure: Figure, node: str, cols: int) -> None:
    figure.update_layout(
        coloraxis={
            "colorscale": [list(stop) for stop in HEAT],
            "cmin": 0,
            "colorbar": {
                "title": {"text": "deepest queue (cells)", "side": "right"},
                "tickvals": [float(np.log10(1 + tick)) for tick in _TICKS],
                "ticktext": [f"{tick:,}" for tick in _TICKS],
                "thickness": 14,
                "len": 0.66,
                "y": 0,
                "yanchor": "bottom",
                "outlinewidth": 0,
            },
        },
        legend={"y": 1.0, "yanchor": "top"},
        margin={"t": 96, "b": 56},
    )
    figure.update_yaxes(title_text=f"cells queued in {node}", rangemode="tozero", row=1, col=1)
    figure.update_yaxes(title_text=f"VCI in {node}", row=2, col=1)
    figure.update_yaxes(title_text="fullest ports of the fabric", row=3, col=1)
    for row in (2, 3):
        figure.update_yaxes(showgrid=False, tickfont={"size": 11}, dtick=1, row=row)
        figure.update_xaxes(showgrid=False, row=row)
        for col in range(2, cols + 1):
            figure.update_yaxes(showticklabels=False, row=row, col=col)
    figure.update_xaxes(title_text="virtual time in s", row=3)
    for col in range(2, cols + 1):
        figure.update_yaxes(matches="y", row=1, col=col)
