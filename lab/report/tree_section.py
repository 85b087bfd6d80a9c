"""The section on where cells wait: an animation for each kind of pass, and the trees by step."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from lab.errors import LabError
from lab.report import html, info, tables
from lab.report.blocks import figure, gap, heading, lacking
from lab.report.figures.tree import Column, tree_figure
from lab.report.rundata import RunData
from lab.report.waiting import Slice, measured_parts, pass_state, routes_of, trees, whole_steps
from lab.topology import Topology, load_topology

FRAMES = 60
MOST_FIGURES = 4
_NAMED = 12
_DEFAULT_CONGESTED_CELLS = 800.0


def where_cells_wait(run: RunData) -> str:
    """Queues and stopped links on the wiring, as they come and go."""
    queues, vcs, steps = run.table("queues"), run.table("vcs"), run.table("steps")
    if vcs.empty or steps.empty:
        return lacking("where cells wait", "vcs and steps")
    if queues.empty:
        return gap("No cell was seen waiting at any sample.")
    try:
        topology = load_topology(info.told(run, "topology") or "fat_tree")
    except LabError as error:
        return gap(f"The wiring can not be drawn: {error.message}.")
    scenes = _Scenes(run)
    sets = info.pass_sets(run)
    parts = [html.paragraph(_READING)]
    shown = sets[:MOST_FIGURES]
    for index, chosen in enumerate(shown):
        drawn = scenes.animation(topology, chosen, FRAMES // len(shown))
        parts.append(drawn if not index else html.folded(chosen.title, drawn))
        if not index and chosen.title:
            parts.insert(-1, heading(chosen.title))
    if len(sets) > MOST_FIGURES:
        parts.append(
            gap(f"The first {MOST_FIGURES} of {len(sets)} kinds of passes are shown as animations.")
        )
    parts.append(tables.trees_table(scenes.rows()))
    return "".join(parts)


class _Scenes:
    """The states of a run's passes."""

    def __init__(self, run: RunData) -> None:
        self.run = run
        self.steps = run.table("steps")
        axis = info.axis(run)
        self.labels = {int(row["step"]): axis.label(row) for row in self.steps.to_dict("records")}
        vcs = run.table("vcs")
        self.names = dict(zip(vcs["vc"].astype(int), vcs["stream"].astype(str), strict=True))
        self.routes = routes_of(vcs)
        asked = info.model(run)
        self.congested = float(asked.fabric.vci_quench_cells) if asked else _DEFAULT_CONGESTED_CELLS

    def column(self, name: str, mode: str, slices: tuple[Slice, ...]) -> Column:
        """The state of one pass in these slices."""
        queues, quenches = self.run.table("queues"), self.run.table("quenches")
        own = queues[queues["pass"] == name]
        state = pass_state(
            own, quenches[quenches["pass"] == name], slices, self.names, _sample_ns(self.run, own)
        )
        flows = self.run.table("flows")
        part = set(flows.loc[flows["pass"] == name, "stream"].astype(str))
        routes = self.routes[self.routes["stream"].astype(str).isin(part)]
        return Column(name, mode, state, routes, self.names)

    def animation(self, topology: Topology, chosen: info.PassSet, frames: int) -> str:
        """One figure, a column for each pass of the set."""
        own = self.steps[self.steps["pass"] == chosen.passes[0][0]]
        slices = whole_steps(own, self.labels, max(frames, 1))
        if not slices:
            return lacking("where cells wait", "steps")
        columns = [self.column(name, mode, slices) for name, mode in chosen.passes]
        return figure(
            tree_figure(topology, columns, self.congested),
            f"A port with {self.congested:,.0f} cells or more waiting counts as congested. It "
            "begins with the moment of the largest tree; move the slider or press Play. Point at "
            "the middle of a marked half of a link to read its queue. The bars show the largest "
            "tree's root by stream, and who was told to pause how often.",
        )

    def rows(self) -> list[list[str]]:
        """The largest tree of each step and pass."""
        found: list[list[str]] = []
        for name, mode in info.passes(self.run):
            own = self.steps[self.steps["pass"] == name]
            slices = measured_parts(own, self.labels)
            if not slices:
                continue
            column = self.column(name, mode, slices)
            found += [
                self._row(column, index, one, self._step_names(own))
                for index, one in enumerate(slices)
            ]
        return found

    def _step_names(self, steps: pd.DataFrame) -> Mapping[int, str]:
        return dict(zip(steps["step"].astype(int), steps["name"].astype(str), strict=True))

    def _row(self, column: Column, index: int, one: Slice, names: Mapping[int, str]) -> list[str]:
        forest = trees(column.state, index, column.routes, self.congested)
        start = [names.get(one.step, one.label), column.name]
        if not forest:
            return [*start, "none", "", "0", "", ""]
        tree = forest[0]
        more = f" (and {len(forest) - 1} more)" if len(forest) > 1 else ""
        named = ", ".join(tree.victims[:_NAMED])
        rest = len(tree.victims) - _NAMED
        victims = f"{named} and {rest} more" if rest > 0 else named or "none"
        root = f"{tree.root[0]} port {tree.root[1]}{more}"
        depth = str(tree.depth)
        return [*start, root, f"{tree.cells:,.0f}", str(len(tree.branches)), depth, victims]


def _sample_ns(run: RunData, queues: pd.DataFrame) -> int:
    """Interval of the samples: the scenario's, else the least time between two of them."""
    asked = info.model(run)
    if asked:
        return max(round(asked.timeline.sample_s * 1e9), 1)
    gaps = queues["t_ns"].drop_duplicates().sort_values().diff().dropna()
    return max(int(gaps.min()), 1) if len(gaps) else 1


_READING = (
    "A port that is sent more than it carries is the root of a saturation tree. With link-level "
    "control alone its switch fills up and stops the links into it, the switches before fill up in "
    "turn, and streams that do not want the root at all (victims) stand with the others. With "
    "Source Quench the cells should wait at the root and before it in the sources, nowhere else. "
    "Each half of a link belongs to the transmitter at its end: thicker and darker means more "
    "cells waiting for it, dotted means that it was stopped for a good part of the time."
)
