"""Figures of global updates (thesis 7.8): their pace (figures 7.4, 7.5), and how far they came."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from lab.analysis.mscs.gup import idle
from lab.analysis.mscs.gup_failures import Failure, failures
from lab.analysis.mscs.gup_loaded import loaded_times_s
from lab.analysis.mscs.updates import Update, times_s
from lab.analysis.observations import MissingDataError
from lab.analysis.stacks.observations import StackObservations
from lab.report.figures.base import Figure, Trace, panels, plain_figure, trace
from lab.report.palette import AMBER, BLUE, GREEN, MUTED, PINK, VERMILION
from lab.report.stacks.sizes import Points, mean_line, published

_IDLE = (
    ("50 bytes", 50, "plain", BLUE),
    ("2048 bytes", 2048, "plain", VERMILION),
    ("50 bytes, to all at once", 50, "concurrent", GREEN),
)


def pace_figure(run: StackObservations) -> Figure:
    """How long updates take and how many there are a second, on idle and on loaded nodes.

    Raises:
        MissingDataError: the run has neither.
    """
    quiet = {line: _idle_times_s(run, *line[1:3]) for line in _IDLE}
    loaded = _loaded_times_s(run)
    if not loaded and not any(quiet.values()):
        raise MissingDataError("nobody made updates on nodes of known load")
    titles = ["an update on idle nodes, s", "updates a second"]
    titles += ["an update on moderately loaded nodes, s"] if loaded else []
    shown = panels(1, len(titles), 460, subplot_titles=titles)
    for (name, _, _, colour), times in quiet.items():
        if times:
            mean_line(shown, times, name, colour, col=1)
            mean_line(shown, _rates(times), name, colour, col=2, legend=False)
    if loaded:
        name = "50 bytes, loaded nodes"
        mean_line(shown, _rates(loaded), name, PINK, col=2, legend=False)
        mean_line(shown, loaded, name, PINK, col=3)
        longest = {nodes: [max(times)] for nodes, times in loaded.items()}
        mean_line(shown, longest, "the longest of them", AMBER, col=3)
    published(shown, 32, 6, "6 of 50 bytes", col=2)
    published(shown, 32, 4, "4 of 2 KBytes", col=2)
    shown.update_xaxes(title_text="nodes")
    shown.update_yaxes(rangemode="tozero")
    shown.update_yaxes(type="log", row=1, col=2)
    return shown


def _idle_times_s(run: StackObservations, size_bytes: int, variant: str) -> Points:
    try:
        return {nodes: times_s(run, case) for nodes, case in idle(run, size_bytes, variant).items()}
    except MissingDataError:
        return {}


def _loaded_times_s(run: StackObservations) -> Mapping[int, Sequence[float]]:
    try:
        return loaded_times_s(run)
    except MissingDataError:
        return {}


def _rates(times: Points) -> Points:
    """Updates a second of a sender that makes one after the other."""
    return {nodes: [len(values) / sum(values)] for nodes, values in times.items()}


# --- failures -------------------------------------------------------------------------------


def failures_figure(run: StackObservations) -> Figure:
    """When each node applied the update in whose middle others failed: a band for each case.

    Raises:
        MissingDataError: no failure came in the middle of an update.
    """
    found = failures(run)
    rows = _rows(found)
    shown = plain_figure(140 + 11 * sum(len(band) + 1 for band in rows.values()))
    for name, colour, symbol, seen in (
        ("applied", BLUE, "circle", {f.case: f.update.applied_s for f in found}),
        ("killed", VERMILION, "x", {f.case: dict.fromkeys(f.dead, f.killed_s) for f in found}),
        (
            "first view without the dead",
            MUTED,
            "line-ns-open",
            {f.case: dict.fromkeys(f.alive, f.view_s) for f in found},
        ),
        ("ended by its sender", GREEN, "diamond", {f.case: _end(f.update) for f in found}),
        ("completed by the locker", AMBER, "star", {f.case: _completed(f.update) for f in found}),
    ):
        moments = [
            (at_s, rows[case][node], f"{case}, node {node}")
            for case, moments in seen.items()
            for node, at_s in moments.items()
        ]
        if moments:
            shown.add_trace(_marks(moments, name, {"color": colour, "symbol": symbol, "size": 8}))
    middles = {case: sum(band.values()) / len(band) for case, band in rows.items()}
    shown.update_yaxes(
        tickvals=list(middles.values()), ticktext=list(middles), autorange="reversed"
    )
    shown.update_xaxes(title_text="virtual time in s")
    return shown


def _rows(found: Sequence[Failure]) -> dict[str, dict[int, int]]:
    """Where each node of each case is drawn, from the top down, with room between cases."""
    rows: dict[str, dict[int, int]] = {}
    begin = 0
    for failure in found:
        nodes = sorted(failure.dead | failure.alive)
        rows[failure.case] = {node: begin + place for place, node in enumerate(nodes)}
        begin += len(nodes) + 1
    return rows


def _end(update: Update) -> dict[int, float]:
    return {} if update.done_s is None else {update.sender: update.done_s}


def _completed(update: Update) -> dict[int, float]:
    if update.completed_by is None or update.completed_s is None:
        return {}
    return {update.completed_by: update.completed_s}


def _marks(
    moments: Sequence[tuple[float, int, str]], name: str, marker: Mapping[str, object]
) -> Trace:
    """One kind of moments, of all cases."""
    x, y, words = zip(*moments, strict=True)
    return trace(
        "Scatter",
        x=x,
        y=y,
        customdata=words,
        name=name,
        mode="markers",
        marker=marker,
        hovertemplate=f"%{{customdata}}: {name}, %{{x:.3f}} s<extra></extra>",
    )
