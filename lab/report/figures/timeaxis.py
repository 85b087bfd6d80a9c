"""The steps of the send rate drawn on a time axis."""

from __future__ import annotations

import pandas as pd

from lab.report.figures.base import Figure
from lab.report.palette import MUTED

_LABELS = 9


def mark_steps(figure: Figure, steps: pd.DataFrame, row: int, col: int, *, labels: bool) -> None:
    """Draw where each step begins; with `labels`, write its send rate above the panel."""
    ordered = steps.sort_values("t_start_ns")
    begins = [value / 1e9 for value in ordered["t_start_ns"].astype(float)]
    ends = [value / 1e9 for value in ordered["t_end_ns"].astype(float)]
    rates = [100 * value for value in ordered["send_rate"].astype(float)]
    axis = next(figure.select_xaxes(row=row, col=col))
    suffix = axis.plotly_name.removeprefix("xaxis")
    every = max(1, -(-len(rates) // _LABELS))
    for index, (begin, end, rate) in enumerate(zip(begins, ends, rates, strict=True)):
        figure.add_shape(
            type="line",
            xref=f"x{suffix}",
            yref=f"y{suffix} domain",
            x0=begin,
            x1=begin,
            y0=0,
            y1=1,
            line={"color": MUTED, "width": 0.7, "dash": "dot"},
            opacity=0.6,
        )
        if labels and index % every == 0:
            figure.add_annotation(
                xref=f"x{suffix}",
                yref=f"y{suffix} domain",
                x=(begin + end) / 2,
                y=1.0,
                yanchor="bottom",
                text=f"{rate:g}%",
                showarrow=False,
                font={"size": 10.5, "color": MUTED},
            )
