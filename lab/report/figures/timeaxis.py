"""The steps of a run drawn on the time axes of a figure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from lab.report.axis import StepAxis
from lab.report.figures.base import Figure
from lab.report.palette import MUTED

_LABELS = 9
_NAMES = 5


def mark_steps(figure: Figure, axis: StepAxis, columns: Sequence[pd.DataFrame], rows: int) -> None:
    """Draw where each step begins in every panel, with what it is about above the top row.

    Args:
        figure: made of `rows` rows of panels, a column for each pass.
        axis: what varies from step to step.
        columns: the steps of each column's pass.
        rows: rows of panels.
    """
    shapes: list[dict[str, Any]] = []
    labels: list[dict[str, Any]] = []
    for col, steps in enumerate(columns):
        ordered = steps.sort_values("t_start_ns")
        begins = [value / 1e9 for value in ordered["t_start_ns"].astype(float)]
        ends = [value / 1e9 for value in ordered["t_end_ns"].astype(float)]
        words = [axis.label(step) for step in ordered.to_dict("records")]
        for row in range(rows):
            suffix = _axis_suffix(row * len(columns) + col)
            shapes += [_line(begin, suffix) for begin in begins]
        most = _LABELS if axis.kind != "name" else _NAMES
        every = max(1, -(-len(words) // most))
        labels += [
            _label((begin + end) / 2, word, _axis_suffix(col))
            for begin, end, word in list(zip(begins, ends, words, strict=True))[::every]
        ]
    figure.update_layout(
        shapes=[*figure.layout.shapes, *shapes],
        annotations=[*figure.layout.annotations, *labels],
    )


def _axis_suffix(index: int) -> str:
    """Plotly numbers the axes of panels row by row and leaves the first without a number."""
    return "" if index == 0 else str(index + 1)


def _line(at_s: float, suffix: str) -> dict[str, Any]:
    return {
        "type": "line",
        "xref": f"x{suffix}",
        "yref": f"y{suffix} domain",
        "x0": at_s,
        "x1": at_s,
        "y0": 0,
        "y1": 1,
        "line": {"color": MUTED, "width": 0.7, "dash": "dot"},
        "opacity": 0.6,
    }


def _label(at_s: float, word: str, suffix: str) -> dict[str, Any]:
    return {
        "xref": f"x{suffix}",
        "yref": f"y{suffix} domain",
        "x": at_s,
        "y": 1.0,
        "yanchor": "bottom",
        "text": word,
        "showarrow": False,
        "font": {"size": 10.5, "color": MUTED},
    }
