"""Where cells wait, as an animation over the wiring: flow control on beside off.

One column of panels for each pass: the wiring with queues and stopped links, the queues of the
root port by stream, and whom flow control told to pause how often. A frame is a slice of time,
the same in all columns.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lab.analysis.tree import Saturation
from lab.report.figures.base import Figure, Trace, flow_control_name, panels, trace
from lab.report.figures.player import player
from lab.report.figures.wiring import WIDTH, places_of
from lab.report.palette import BLUE, GREEN, INK, LINK, MUTED, NODE, PINK, SKY, VERMILION
from lab.report.waiting import PassState, Port
from lab.topology import Topology

LEVELS = ((250, SKY, 2.5), (800, BLUE, 4.5), (2000, INK, 6.5))
"""From so many cells on a port is drawn in that colour and width."""
BARS = 16
_POINTED = 60
_NAMED = 8
_DECIMALS = 2
Place = tuple[float, float]


@dataclass(frozen=True)
class Column:
    """One pass: its flow control, what stood where in each slice, its congestion at their ends."""

    mode: str
    state: PassState
    moments: Sequence[Saturation]
    names: Mapping[int, str]

    def root(self, index: int) -> Port | None:
        """The root with the deepest queue."""
        roots = self.moments[index].roots
        return max(roots, key=lambda port: self.waiting(port, index), default=None)

    def waiting(self, port: Port, index: int) -> float:
        """Mean cells before a port in a slice."""
        cells = self.state.depth.get(port)
        return 0.0 if cells is None else float(cells[index])

    def told(self, index: int) -> str:
        """The congestion in a line."""
        root = self.root(index)
        if root is None:
            return "no port is congested"
        now = self.moments[index]
        more = f" and {len(now.roots) - 1} more" if len(now.roots) > 1 else ""
        stopped = (
            f"{len(now.stopped)} links stopped, {now.depth} switches deep"
            if now.stopped
            else "no link stopped"
        )
        cells = f"{self.waiting(root, index):,.0f} cells"
        return f"root {root[0]} port {root[1]} ({cells}){more}; {stopped}"


def tree_figure(topology: Topology, columns: Sequence[Column]) -> Figure:
    """The animation.

    Args:
        topology: the network.
        columns: the passes, whose slices must be the same.
    """
    places = places_of(topology)
    scenes = [_Scene(topology, places, column) for column in columns]
    bars = [22 + 17 * max((len(rows) for rows in group), default=1) for group in _rows(scenes)]
    heights = [360, *(max(size, 60) for size in bars)]
    figure = panels(
        3,
        max(len(columns), 1),
        sum(heights) + 330,
        row_heights=heights,
        horizontal_spacing=0.09,
        vertical_spacing=0.07,
        subplot_titles=_titles(columns),
    )
    moving: list[int] = []
    first = _most_telling(scenes)
    for col, scene in enumerate(scenes, start=1):
        for still in scene.still():
            figure.add_trace(still, row=1, col=col)
        for row, part in scene.moving(first):
            moving.append(len(figure.data))
            figure.add_trace(part, row=row, col=col)
    count = len(columns[0].state.slices) if columns else 0
    figure.frames = [
        {
            "name": str(index),
            "data": [part for scene in scenes for part in scene.frame(index)],
            "traces": moving,
            "layout": {},
        }
        for index in range(count)
    ]
    _dress(figure, scenes)
    player(figure, [one for column in columns[:1] for one in column.state.slices], first)
    return figure


class _Scene:
    """What one column shows."""

    def __init__(self, topology: Topology, places: Mapping[str, Place], column: Column) -> None:
        self.topology, self.places, self.column = topology, places, column
        self.halves = _halves(topology, places)
        self.roots = [column.root(index) for index in range(len(column.moments))]
        self.waiting_rows = self._waiting_rows()
        self.told_rows = sorted(list(column.state.told)[:BARS], key=_natural, reverse=True)

    def _waiting_rows(self) -> list[int]:
        """The VCs that queue most at the roots, over all slices."""
        most: dict[int, float] = {}
        for index, root in enumerate(self.roots):
            if root:
                for vc, cells in self.column.state.by_vc.get(root, {}).items():
                    most[vc] = most.get(vc, 0.0) + float(cells[index])
        ordered = sorted(most, key=lambda vc: -most[vc])[:BARS]
        names = self.column.names
        return sorted(ordered, key=lambda vc: _natural(names.get(vc, "")), reverse=True)

    def still(self) -> list[Trace]:
        """Links and nodes, which do not change."""
        x: list[float | None] = []
        y: list[float | None] = []
        for link in self.topology.links:
            (ax, ay), (bx, by) = self.places[link.a.node], self.places[link.b.node]
            x, y = [*x, ax, bx, None], [*y, ay, by, None]
        line = {"color": LINK, "width": 0.7}
        links = trace(
            "Scatter", x=x, y=y, mode="lines", line=line, hoverinfo="skip", showlegend=False
        )
        return [links, *self._nodes()]

    def _nodes(self) -> list[Trace]:
        look = {"color": NODE, "line": {"color": MUTED, "width": 1}}
        kinds = (
            (self.topology.hosts, {"symbol": "circle", "size": 5, **look}, "markers"),
            (self.topology.switches, {"symbol": "square", "size": 16, **look}, "markers+text"),
        )
        return [
            trace(
                "Scatter",
                x=[self.places[node][0] for node in nodes if node in self.places],
                y=[self.places[node][1] for node in nodes if node in self.places],
                text=[node.lstrip("sn") for node in nodes if node in self.places],
                customdata=[node for node in nodes if node in self.places],
                mode=mode,
                marker=marker,
                textfont={"size": 8, "color": INK},
                hovertemplate="%{customdata}<extra></extra>",
                showlegend=False,
            )
            for nodes, marker, mode in kinds
        ]

    def moving(self, index: int) -> list[tuple[int, Trace]]:
        """The traces that each frame replaces, with their row of panels; as of one slice."""
        drawn = [
            *((1, level) for level in self._levels()),
            (1, self._stopped()),
            (1, self._root()),
            (1, self._pointed()),
            (1, self._caption()),
            (2, self._bars(BLUE, "cells waiting at the root")),
            (3, self._bars(PINK, "told to pause")),
        ]
        for (_, part), values in zip(drawn, self.frame(index), strict=True):
            part.update(values)
        return drawn

    def _levels(self) -> list[Trace]:
        return [
            trace(
                "Scatter",
                mode="lines",
                line={"color": colour, "width": width},
                hoverinfo="skip",
                name=f"{low:,} cells or more wait",
                legendgroup=str(low),
            )
            for low, colour, width in LEVELS
        ]

    def _stopped(self) -> Trace:
        return trace(
            "Scatter",
            mode="lines",
            line={"color": VERMILION, "width": 2, "dash": "dot"},
            hoverinfo="skip",
            name="link stopped",
            legendgroup="stopped",
        )

    def _root(self) -> Trace:
        return trace(
            "Scatter",
            mode="markers",
            marker={
                "symbol": "circle-open",
                "size": 25,
                "color": VERMILION,
                "line": {"width": 3, "color": VERMILION},
            },
            hovertemplate="%{text}<extra></extra>",
            name="root: congested, but not stopped itself",
            legendgroup="root",
        )

    def _pointed(self) -> Trace:
        return trace(
            "Scatter",
            mode="markers",
            marker={"size": 9, "color": GREEN, "opacity": 0},
            hovertemplate="%{text}<extra></extra>",
            showlegend=False,
        )

    def _caption(self) -> Trace:
        return trace(
            "Scatter",
            mode="text",
            textfont={"size": 12, "color": INK},
            hoverinfo="skip",
            showlegend=False,
        )

    def _bars(self, colour: str, name: str) -> Trace:
        return trace(
            "Bar",
            orientation="h",
            marker={"color": colour},
            hovertemplate="%{y}: %{x:,.0f}<extra></extra>",
            showlegend=False,
            name=name,
        )

    def frame(self, index: int) -> list[dict[str, Any]]:
        """What each moving trace shows in a slice, in the order of `moving`."""
        state = self.column.state
        bounds = [*(low for low, _, _ in LEVELS[1:]), float("inf")]
        depth = state.filled(index, LEVELS[0][0])
        parts = [
            _lines([self.halves[port] for port, cells in depth.items()
                    if low <= cells < high and port in self.halves])
            for (low, _, _), high in zip(LEVELS, bounds, strict=True)
        ]  # fmt: skip
        standing = state.standing(index)
        parts.append(_lines([self.halves[port] for port in sorted(standing & set(self.halves))]))
        parts += [self._root_of(index), self._points(index, depth, standing), self._told(index)]
        at = self.roots[index]
        root = state.by_vc.get(at, {}) if at else {}
        parts.append(
            {
                "type": "bar",
                "x": [round(float(root[vc][index])) if vc in root else 0
                      for vc in self.waiting_rows],
                "y": [self.column.names.get(vc, str(vc)) for vc in self.waiting_rows],
            }
        )  # fmt: skip
        told = [round(float(state.told[who][index])) for who in self.told_rows]
        return [*parts, {"type": "bar", "x": told, "y": list(self.told_rows)}]

    def _root_of(self, index: int) -> dict[str, Any]:
        found = [port for port in self.column.moments[index].roots if port[0] in self.places]
        return {
            "x": [_rounded(self.places[node][0]) for node, _ in found[:BARS]] or [None],
            "y": [self.places[node][1] for node, _ in found[:BARS]] or [None],
            "text": [
                f"{node} port {port}: {self.column.waiting((node, port), index):,.0f} cells"
                for node, port in found[:BARS]
            ],
        }

    def _told(self, index: int) -> dict[str, Any]:
        """Above the wiring the congestion in a line, below it its victims."""
        held = self.column.moments[index].victims
        more = f" and {len(held) - _NAMED} more" if len(held) > _NAMED else ""
        below = f"victims: {', '.join(held[:_NAMED])}{more}" if held else "no victims"
        top = max(y for _, y in self.places.values())
        return {
            "x": [WIDTH / 2] * 2,
            "y": [top + 0.38, -0.3],
            "text": [self.column.told(index), below],
        }

    def _points(
        self, index: int, depth: Mapping[Port, float], standing: set[Port]
    ) -> dict[str, Any]:
        shown = [p for p in [*depth, *sorted(standing - set(depth))] if p in self.halves][:_POINTED]
        texts = []
        for port in shown:
            stood = ""
            if port in standing:
                stood = f", stopped {self.column.state.stopped[port][index]:.0%} of the time"
            waiting = self.column.waiting(port, index)
            texts.append(f"{port[0]} port {port[1]}: {waiting:,.0f} cells{stood}")
        ends = [self.halves[port] for port in shown]
        return {
            "x": [_rounded((a[0] + b[0]) / 2) for a, b in ends],
            "y": [_rounded((a[1] + b[1]) / 2) for a, b in ends],
            "text": texts,
        }


def _halves(topology: Topology, places: Mapping[str, Place]) -> dict[Port, tuple[Place, Place]]:
    """The half of its cable next to each transmitter, so that both directions can be seen."""
    found: dict[Port, tuple[Place, Place]] = {}
    for link in topology.links:
        for here, there in ((link.a, link.b), (link.b, link.a)):
            a, b = places[here.node], places[there.node]
            found[here.node, here.port] = (a, ((a[0] + b[0]) / 2, (a[1] + b[1]) / 2))
    return found


def _lines(ends: Sequence[tuple[Place, Place]]) -> dict[str, Any]:
    x: list[float | None] = []
    y: list[float | None] = []
    for a, b in ends:
        x += [_rounded(a[0]), _rounded(b[0]), None]
        y += [_rounded(a[1]), _rounded(b[1]), None]
    # A trace without points keeps what it showed before, so there is always one.
    return {"x": x or [None], "y": y or [None]}


def _natural(name: str) -> list[tuple[str, int]]:
    """Sorts s2 before s10."""
    return [(text, int(part or 0)) for text, part in re.findall(r"(\D+)(\d*)", name)]


def _rounded(value: float) -> float:
    return round(value, _DECIMALS)


def _rows(scenes: Sequence[_Scene]) -> list[list[list[Any]]]:
    return [[scene.waiting_rows for scene in scenes], [scene.told_rows for scene in scenes]]


def _most_telling(scenes: Sequence[_Scene]) -> int:
    """The slice in which most links stand, or most waits; the animation begins there."""
    count = len(scenes[0].roots) if scenes else 0
    weight = [
        max(
            (
                len(scene.column.moments[index].stopped),
                scene.column.waiting(root, index) if root else 0.0,
            )
            for scene in scenes
            for root in [scene.roots[index]]
        )
        for index in range(count)
    ]
    return weight.index(max(weight)) if weight else 0


def _titles(columns: Sequence[Column]) -> list[str]:
    titles = [f"<b>{flow_control_name(column.mode)}</b>" for column in columns]
    waiting = ["cells waiting at the root, by stream"] * len(columns)
    told = [
        "quenches per virtual s, by stream"
        if column.mode == "quench"
        else "stops per virtual s, by link"
        for column in columns
    ]
    return [*titles, *waiting, *told]


def _dress(figure: Figure, scenes: Sequence[_Scene]) -> None:
    layers = max(scenes[0].topology.layer.values(), default=0) if scenes else 0
    hidden = {"visible": False}
    figure.update_xaxes(range=[-1, WIDTH + 1], row=1, **hidden)
    figure.update_yaxes(range=[-0.45, layers + 0.5], row=1, **hidden)
    for row, values in ((2, _most_waiting), (3, _most_told)):
        top = max((values(scene) for scene in scenes), default=0.0)
        figure.update_xaxes(range=[0, 1.05 * top or 1], row=row)
        figure.update_yaxes(type="category", tickfont={"size": 11}, showgrid=False, row=row)
    seen: set[str] = set()
    for part in figure.data:
        if part.legendgroup and part.showlegend is not False:
            part.showlegend = part.legendgroup not in seen
            seen.add(part.legendgroup)


def _most_waiting(scene: _Scene) -> float:
    most = 0.0
    for index, root in enumerate(scene.roots):
        if root:
            queues = scene.column.state.by_vc.get(root, {})
            most = max([most, *(float(cells[index]) for cells in queues.values())])
    return most


def _most_told(scene: _Scene) -> float:
    return max((float(scene.column.state.told[who].max()) for who in scene.told_rows), default=0.0)
