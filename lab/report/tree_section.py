"""The section on where cells wait: an animation for each kind of pass, and the trees by step."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pandas as pd

from lab.analysis.observations import MissingDataError, Observations
from lab.analysis.tree import Saturation, sample_times, snapshots, time_congested
from lab.errors import LabError
from lab.report import html, info, tables
from lab.report.blocks import figure, gap, heading, lacking
from lab.report.figures.tree import Column, tree_figure
from lab.report.rundata import RunData
from lab.report.waiting import Slice, pass_state, whole_steps
from lab.scenarios.model import Pass
from lab.scenarios.plan import steps
from lab.topology import Topology, load_topology

FRAMES = 60
MOST_FIGURES = 4
_MOMENTS = 12
_LONG_SHARE = 0.05
_NAMED = 10


def where_cells_wait(run: RunData) -> str:
    """Queues and stopped links on the wiring, as they come and go."""
    observed = info.observations(run)
    if observed is None or run.table("vcs").empty or run.table("steps").empty:
        return lacking("where cells wait", "manifest, vcs and steps")
    if run.table("queues").empty:
        return gap("No cell was seen waiting at any sample.")
    try:
        topology = load_topology(observed.scenario.topology)
    except LabError as error:
        return gap(f"The wiring can not be drawn: {error.message}.")
    scenes = _Scenes(observed, info.axis(run).label)
    sets = info.pass_sets(run)
    shown = sets[:MOST_FIGURES]
    parts = [html.paragraph(_READING)]
    try:
        for index, chosen in enumerate(shown):
            drawn = scenes.animation(topology, chosen, max(FRAMES // len(shown), 1))
            if index:
                parts.append(html.folded(chosen.title, drawn))
            else:
                parts += [heading(chosen.title) if chosen.title else "", drawn]
        rows = scenes.rows()
    except MissingDataError as error:
        return gap(f"Where cells wait can not be told: {error}.")
    if len(sets) > MOST_FIGURES:
        parts.append(
            gap(f"The first {MOST_FIGURES} of {len(sets)} kinds of passes are shown as animations.")
        )
    return "".join([*parts, tables.trees_table(rows)])


class _Scenes:
    """The states of a run's passes."""

    def __init__(self, observed: Observations, label: Callable[[Mapping[Any, Any]], str]) -> None:
        self.observed = observed
        self.sample_ns = max(round(observed.scenario.timeline.sample_s * 1e9), 1)
        vcs = observed.tables["vcs"]
        self.names = dict(zip(vcs["vc"].astype(int), vcs["stream"].astype(str), strict=True))
        self.label = label

    def animation(self, topology: Topology, chosen: info.PassSet, frames: int) -> str:
        """One figure, a column for each pass of the set."""
        passes = [self._pass(name) for name, _ in chosen.passes]
        own = self.observed.rows("steps", chosen.passes[0][0])
        labels = {int(row["step"]): self.label(row) for row in own.to_dict("records")}
        slices = whole_steps(own, labels, frames)
        if not slices or None in passes:
            return lacking("where cells wait", "steps")
        columns = [self._column(one, slices) for one in passes if one]
        return figure(
            tree_figure(topology, columns),
            "It begins with the moment at which most links stand; move the slider or press Play. "
            "Point at the middle of a marked half of a link to read its queue. The colours are "
            "means over the time between two frames. The bars show the deepest root by stream, "
            "and who was told to pause how often.",
        )

    def _column(self, passing: Pass, slices: tuple[Slice, ...]) -> Column:
        run = self.observed
        state = pass_state(
            run.rows("queues", passing.name),
            run.rows("quenches", passing.name),
            slices,
            self.names,
            self.sample_ns,
        )
        moments = snapshots(run, passing, [one.moment_ns(self.sample_ns) for one in slices])
        return Column(passing.flow_control, state, moments, self.names)

    def _pass(self, name: str) -> Pass | None:
        return next((p for p in self.observed.scenario.passes if p.name == name), None)

    def rows(self) -> list[list[str]]:
        """What was congested in each step and pass."""
        run = self.observed
        timeline = steps(run.scenario)
        found: list[list[str]] = []
        for passing in run.scenario.passes:
            if run.rows("steps", passing.name).empty or run.rows("flows", passing.name).empty:
                continue
            shares = time_congested(run, passing)
            seen = snapshots(run, passing, sample_times(run, _MOMENTS))
            for step in timeline:
                moments = [s for s in seen if step.t_settled_ns <= s.t_ns <= step.t_end_ns]
                ports = shares[(shares["step"] == step.index) & (shares["share"] >= _LONG_SHARE)]
                found.append([step.name, passing.name, *_row(ports, moments)])
        return found


def _row(ports: pd.DataFrame, moments: Sequence[Saturation]) -> list[str]:
    """Congested ports with their part of the time, stopped links, depth, victims."""
    ordered = ports.sort_values("share", ascending=False, kind="stable").to_dict("records")
    named = [f"{row['node']}:{row['port']} {row['share']:.0%}" for row in ordered]
    roots = {f"{node}:{port}" for moment in moments for node, port in moment.roots}
    stopped = max((len(moment.stopped) for moment in moments), default=0)
    depth = max((moment.depth for moment in moments), default=0)
    victims = sorted({name for moment in moments for name in moment.victims})
    return [
        _listed(named) or "none",
        _listed(sorted(roots)) or "none",
        str(stopped),
        str(depth),
        _listed(victims) or "none",
    ]


def _listed(names: Sequence[str]) -> str:
    more = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {more} more" if more > 0 else "")


_READING = (
    "A port that is sent more than it carries is the root of a saturation tree. With link-level "
    "control alone its switch fills up and stops the links into it, the switches before fill up in "
    "turn, and streams that do not want the root at all (victims) stand with the others. With "
    "Source Quench the cells should wait at the root and before it in the sources, nowhere else. "
    "Each half of a link belongs to the transmitter at its end: thicker and darker means more "
    "cells waiting for it, dotted means that it was stopped for a good part of the time. Congested "
    "is a port before which as much waits as gets a VCI quenched."
)
