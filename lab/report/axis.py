"""What varies from step to step, as the axis of a figure: rate, size, number of streams, names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from lab.report.figures.base import Figure

_SIZE_TICKS = (1, 4, 16, 64, 256, 1024, 4096, 16384, 65536)
_SHORT_NAME = 14


@dataclass(frozen=True)
class StepAxis:
    """The axis along which a timeline's steps lie.

    ``kind`` is rate (per cent of the full send rate), size (bytes, logarithmic), count (streams
    at work) or name (steps that follow no rule).
    """

    kind: str
    title: str
    names: tuple[str, ...] = ()

    def positions(self, steps: pd.DataFrame) -> list[float]:
        """Where rows with the columns ``step`` and ``value`` lie on the axis."""
        if self.kind == "name":
            return [float(step) for step in steps["step"]]
        factor = 100.0 if self.kind == "rate" else 1.0
        return [factor * float(value) for value in steps["value"]]

    def label(self, step: Mapping[Any, Any]) -> str:
        """A step in a few letters, for a place where little room is."""
        value = float(step["value"])
        if self.kind == "rate":
            return f"{100 * value:g}%"
        if self.kind == "size":
            return size(value)
        if self.kind == "count":
            return f"{value:g}"
        name = str(step["name"])
        return name if len(name) <= _SHORT_NAME else name[: _SHORT_NAME - 1] + "…"

    def dress(self, figure: Figure, **where: object) -> None:
        """Put title, scale and ticks on the x axes of a figure."""
        if self.kind == "size":
            figure.update_xaxes(type="log", dtick=None, **size_ticks(), **where)
        elif self.kind == "rate":
            figure.update_xaxes(range=[-3, 103], tick0=0, dtick=10, **where)
        elif self.kind == "count":
            figure.update_xaxes(tick0=0, dtick=1, **where)
        else:
            figure.update_xaxes(
                tickvals=list(range(len(self.names))),
                ticktext=list(self.names),
                range=[-0.4, len(self.names) - 0.6],
                **where,
            )
        figure.update_xaxes(title_text=self.title, **where)


def step_axis(steps: pd.DataFrame, sweep: Mapping[str, Any] | None) -> StepAxis:
    """The axis of a run.

    Args:
        steps: the run's table ``steps``.
        sweep: ``timeline.sweep`` of the scenario; None or empty when its steps are written out.
    """
    group = str((sweep or {}).get("group") or "swept")
    if sweep and sweep.get("message_bytes"):
        return StepAxis("size", "message size in bytes")
    if sweep and sweep.get("adding"):
        return StepAxis("count", f"{group} streams at work")
    if sweep and sweep.get("send_rates"):
        return StepAxis("rate", f"send rate of the {group} streams (% of maximum)")
    names = steps.drop_duplicates("step").sort_values("step")["name"].astype(str)
    return StepAxis("name", "step", tuple(names))


def size(n_bytes: float) -> str:
    """A number of bytes in a few letters: 16, 2K, 64K."""
    if n_bytes >= 1024 and n_bytes % 1024 == 0:
        return f"{n_bytes / 1024:g}K"
    return f"{n_bytes:g}"


def size_ticks(sizes: Sequence[int] = _SIZE_TICKS) -> dict[str, list[Any]]:
    """Ticks of a logarithmic axis of message sizes."""
    return {"tickvals": list(sizes), "ticktext": [size(n) for n in sizes]}
