"""Play, pause and a slider for a figure with frames."""

from __future__ import annotations

from collections.abc import Sequence

from lab.report.figures.base import Figure
from lab.report.palette import INK, LINK, MUTED, NODE
from lab.report.waiting import Slice


def player(figure: Figure, slices: Sequence[Slice], first: int) -> None:
    """Put the controls above a figure whose frames are named by the numbers of the slices.

    Args:
        figure: with its frames.
        slices: what each frame shows.
        first: the frame that the figure shows at first.
    """
    now = {"mode": "immediate", "transition": {"duration": 0}}
    play = {"frame": {"duration": 350, "redraw": True}, "fromcurrent": True, **now}
    jump = {"frame": {"duration": 0, "redraw": True}, **now}
    figure.update_layout(
        margin={"t": 166, "b": 76, "l": 90},
        legend={"font": {"size": 12}},
        bargap=0.25,
        updatemenus=[
            {
                "type": "buttons",
                "direction": "left",
                "x": 0,
                "xanchor": "left",
                "y": 1,
                "yanchor": "bottom",
                "pad": {"b": 86, "r": 8},
                "font": {"color": INK},
                "bgcolor": NODE,
                "bordercolor": MUTED,
                "buttons": [
                    {"label": "Play", "method": "animate", "args": [None, play]},
                    {"label": "Pause", "method": "animate", "args": [[None], jump]},
                ],
            }
        ],
        sliders=[
            {
                "active": first,
                "x": 0.14,
                "len": 0.86,
                "y": 1,
                "yanchor": "bottom",
                "pad": {"b": 46},
                "currentvalue": {"prefix": "step ", "xanchor": "left"},
                "font": {"color": INK, "size": 11},
                "bordercolor": MUTED,
                "bgcolor": LINK,
                "tickcolor": MUTED,
                "steps": [
                    {
                        "label": f"{one.label}, {(one.start_ns + one.end_ns) / 2e9:.3g} s",
                        "method": "animate",
                        "args": [[str(index)], jump],
                    }
                    for index, one in enumerate(slices)
                ],
            }
        ],
    )
