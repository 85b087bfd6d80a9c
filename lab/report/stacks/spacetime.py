"""The space-time diagram: a line for each node, an arrow for each datagram between them."""

from __future__ import annotations

import json
import math

import pandas as pd

from lab.analysis.stacks.lives import Span, phases, running, views
from lab.analysis.stacks.observations import StackObservations
from lab.report.figures.base import Figure, plain_figure, see_through, trace
from lab.report.palette import AMBER, BLUE, GREEN, INK, MUTED, PINK, SKY, VERMILION
from lab.report.stacks.arrows import Arrows, group_of
from lab.report.stacks.moments import Window, told_events
from lab.stacks.events import FAULT, HALTED, STARTED
from lab.stacks.words import listed

_ARROW_COLOURS = (BLUE, GREEN, AMBER, PINK, SKY)
"""Vermilion is for what goes wrong."""
_PHASE_COLOURS = (SKY, AMBER, PINK, GREEN, BLUE)
_ROW_PX = 54
_BAND_PX = 13
_VIEW_MARK = ("diamond", INK, "installs a view")
_MARKS = {
    STARTED: ("circle-open", GREEN, "starts"),
    HALTED: ("x", VERMILION, "halts"),
}


def space_time_figure(run: StackObservations, seen: Window, drawn: Arrows) -> Figure:
    """Draw a window of a case.

    Args:
        run: the run.
        seen: which case, from when to when.
        drawn: the datagrams.
    """
    nodes = run.planned[seen.case].nodes
    figure = plain_figure(150 + _ROW_PX * nodes)
    lived = _within(running(run, seen.case), seen)
    _lines(figure, [(s.start_s, s.end_s, s.node) for s in lived], "node runs", MUTED, 1.4)
    _bands(figure, _within(phases(run, seen.case), seen))
    _draw_arrows(figure, drawn.rows, _kinds(run, seen.case))
    _mark_events(figure, run, seen)
    _mark_faults(figure, run, seen)
    figure.update_xaxes(
        title_text="virtual time in s", range=[seen.start_s, seen.end_s], showgrid=False
    )
    figure.update_yaxes(
        tickvals=list(range(1, nodes + 1)),
        ticktext=[f"node {node}" for node in range(1, nodes + 1)],
        range=[nodes + 0.6, 0.4],
        showgrid=False,
    )
    figure.update_layout(margin={"t": 64}, hovermode="closest")
    return figure


def _within(spans: list[Span], seen: Window) -> list[Span]:
    """The spans that touch a window, cut to it."""
    return [
        Span(s.node, max(s.start_s, seen.start_s), min(s.end_s, seen.end_s), s.what, s.told)
        for s in spans
        if s.end_s >= seen.start_s and s.start_s <= seen.end_s
    ]


def _lines(
    figure: Figure, pieces: list[tuple[float, float, int]], name: str, colour: str, width: float
) -> None:
    x = [at for start, end, _ in pieces for at in (start, end, math.nan)]
    y = [at for _, _, node in pieces for at in (node, node, math.nan)]
    figure.add_trace(
        trace(
            "Scatter",
            x=x,
            y=y,
            mode="lines",
            name=name,
            line={"color": colour, "width": width},
            hoverinfo="skip",
            connectgaps=False,
        )
    )


def _bands(figure: Figure, spans: list[Span]) -> None:
    """Phases as bands behind the nodes' lines, a colour each."""
    names = list(dict.fromkeys(span.what for span in sorted(spans, key=lambda s: s.start_s)))
    for index, name in enumerate(names):
        colour = _PHASE_COLOURS[index % len(_PHASE_COLOURS)]
        own = [(s.start_s, s.end_s, s.node) for s in spans if s.what == name]
        _lines(figure, own, name, see_through(colour, 0.38), _BAND_PX)


def _kinds(run: StackObservations, case: str) -> list[str]:
    """The kinds of datagrams of a whole case, so that a colour means the same in each window."""
    labels = run.messages(case)["label"].value_counts()
    return list(dict.fromkeys(group_of(str(label)) for label, n in labels.items() if n))


def _draw_arrows(figure: Figure, rows: pd.DataFrame, kinds: list[str]) -> None:
    for index, group in enumerate(kinds):
        own = rows[(rows["group"] == group) & ~rows["lost"]]
        if own.empty:
            continue
        colour = _ARROW_COLOURS[index % len(_ARROW_COLOURS)]
        dash = ("solid", "dot", "dash")[index // len(_ARROW_COLOURS) % 3]
        figure.add_trace(
            trace(
                "Scatter",
                x=[x for pair in zip(own["sent_s"], own["received_s"], strict=True)
                   for x in (*pair, None)],
                y=[y for pair in zip(own["source"], own["target"], strict=True)
                   for y in (*pair, None)],
                mode="lines+markers",
                name=str(group),
                line={"color": colour, "width": 1, "dash": dash},
                marker={
                    "symbol": "arrow",
                    "angleref": "previous",
                    "size": [0, 7, 0] * len(own),
                    "color": colour,
                    "opacity": 1,
                    "line": {"width": 0},
                },
                text=[text for label in own["label"] for text in ("", str(label), "")],
                hovertemplate="%{text}<br>arrives at %{x:.4f} s at node %{y}<extra></extra>",
            )
        )  # fmt: skip
    lost = rows[rows["lost"]]
    if len(lost):
        _draw_lost(figure, lost)


def _draw_lost(figure: Figure, lost: pd.DataFrame) -> None:
    """Datagrams that never arrived: a stub towards their target, and a cross."""
    stubs = lost["source"] + 0.3 * (lost["target"] > lost["source"]).map({True: 1, False: -1})
    figure.add_trace(
        trace(
            "Scatter",
            x=[x for at in lost["sent_s"] for x in (at, at, None)],
            y=[y for pair in zip(lost["source"], stubs, strict=True) for y in (*pair, None)],
            mode="lines+markers",
            name="never arrived",
            line={"color": VERMILION, "width": 1},
            marker={"symbol": "x-thin-open", "size": [0, 6, 0] * len(lost), "color": VERMILION},
            text=[
                text
                for label, to in zip(lost["label"], lost["target"], strict=True)
                for text in ("", f"{label} to node {to}", "")
            ],
            hovertemplate="%{text}<br>sent at %{x:.4f} s<extra></extra>",
        )
    )


def _mark_events(figure: Figure, run: StackObservations, seen: Window) -> None:
    events = run.of_case("events", seen.case)
    inside = events[(events["t_s"] >= seen.start_s) & (events["t_s"] <= seen.end_s)]
    for kind, style in _MARKS.items():
        own = inside[inside["kind"] == kind]
        _marks(figure, style, list(zip(own["t_s"], own["node"], own["cause"], strict=True)))
    changes = [s for s in views(run, seen.case) if seen.start_s <= s.start_s <= seen.end_s]
    _marks(figure, _VIEW_MARK, [(s.start_s, s.node, s.told) for s in changes])


def _marks(
    figure: Figure, style: tuple[str, str, str], marks: list[tuple[float, int, str]]
) -> None:
    if not marks:
        return
    symbol, colour, name = style
    figure.add_trace(
        trace(
            "Scatter",
            x=[t_s for t_s, _, _ in marks],
            y=[node for _, node, _ in marks],
            mode="markers",
            name=name,
            marker={"symbol": symbol, "size": 11, "color": colour, "line": {"width": 2}},
            text=[told for _, _, told in marks],
            hovertemplate=f"node %{{y}} {name} at %{{x:.4f}} s<br>%{{text}}<extra></extra>",
        )
    )


def _mark_faults(figure: Figure, run: StackObservations, seen: Window) -> None:
    """A dashed line and a word where something was done to nodes."""
    events = told_events(run, seen.case)
    faults = events[
        (events["kind"] == FAULT) & (events["t_s"] >= seen.start_s) & (events["t_s"] <= seen.end_s)
    ]
    last_s = -math.inf
    for t_s, phase, fields in zip(faults["t_s"], faults["phase"], faults["fields"], strict=True):
        apart = t_s - last_s > 0.12 * (seen.end_s - seen.start_s)
        words = f"{phase} {_of_nodes(json.loads(fields))}" if apart else ""
        last_s = t_s if apart else last_s
        figure.add_vline(
            x=t_s,
            line={"color": VERMILION, "width": 1.4, "dash": "dash"},
            annotation={
                "text": words, "font": {"size": 12, "color": VERMILION}, "yanchor": "bottom",
                "y": 1, "xanchor": "left",
            },
        )  # fmt: skip


def _of_nodes(fields: dict[str, list[int]]) -> str:
    """Whom a fault concerns, as ``1-3`` or ``1 | 2-4``."""
    nodes, peers = listed(fields.get("nodes") or []), listed(fields.get("peers") or [])
    return f"{nodes or 'all'} | {peers}" if peers else nodes or "all"
