"""The sections of the page: each turns a run into HTML, or says what it lacks to do so."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from html import escape

from lab.claims.registry import load_registry
from lab.errors import LabError
from lab.report import html, info, tables
from lab.report.blocks import figure, gap, heading, lacking
from lab.report.envelope import COLUMNS
from lab.report.evenness import evenness
from lab.report.figures.base import Figure
from lab.report.figures.control import control_figure, control_totals
from lab.report.figures.instruments import cpu_figure, delay_figure
from lab.report.figures.queues import FULLEST_PORTS, queue_figure
from lab.report.figures.wiring import MOST_PATHS, wiring_figure
from lab.report.results import results
from lab.report.rundata import RunData
from lab.report.tree_section import where_cells_wait
from lab.report.verdict import banner, number
from lab.topology import load_topology

MOST_SETS = 4
LEAST_COLUMNS = 160
MOST_CPU = 4


def head(run: RunData) -> str:
    """Title, verdict, the facts of the run, and what it lacks."""
    verdict = banner(run.manifest, run.fidelity, run.scorecard)
    said = html.paragraph(verdict.detail) if verdict.detail else ""
    gaps = ""
    if run.gaps:
        gaps = html.paragraph("This run is incomplete; the report goes without:", "muted")
        gaps += html.bullets(run.gaps)
    return (
        f"<h1>{escape(info.told(run, 'title') or info.name(run))}</h1>"
        + html.paragraph(f"Scenario {info.name(run)}", "muted")
        + f'<div class="banner {verdict.level}" role="status">'
        + f"<strong>{escape(verdict.headline)}</strong>{said}</div>"
        + html.facts(_facts(run))
        + gaps
    )


def _facts(run: RunData) -> list[tuple[str, str]]:
    versions = run.manifest.get("versions", {})
    facts = [("source", info.told(run, "source")), ("engine", info.told(run, "engine"))]
    if info.simulated(run):
        asked = info.model(run)
        cells = asked.fabric.frame_cells if asked else 0
        moves = {0: "", 1: "cell by cell"}.get(cells, f"in trains of up to {cells} cells")
        facts += [("messages move", moves), ("digest of all events", info.told(run, "digest"))]
    elif "dilation" in run.manifest:
        dilation = number(run.manifest["dilation"])
        facts.append(("dilation", f"{dilation} (a virtual second took {dilation} s)"))
    return [
        *facts,
        ("seed", info.told(run, "seed")),
        ("started", _moment(info.told(run, "start"))),
        ("ended", _moment(info.told(run, "end"))),
        ("run", run.run_dir.name),
        ("versions", ", ".join(f"{key} {value}" for key, value in dict(versions).items())),
    ]


def reading(run: RunData) -> str:
    """How to read the page."""
    how = (
        "The network was simulated: the same model of switches and adapters as in the "
        "emulation, driven by its events alone. All times are the model's."
        if info.simulated(run)
        else "All rates, times and depths are virtual: the network ran slowed down by the dilation "
        "above, and its figures are given as if it had run at full speed."
    )
    trust = (
        "it says whether the simulation's own books balance"
        if info.simulated(run)
        else "it says whether the machine kept up"
    )
    return html.paragraph(
        f"{how} 1 MByte/s is 1,000,000 bytes of payload per virtual second."
    ) + html.paragraph(
        "Flow control on means Source Quench per VCI; off means that a full input stops the "
        "whole link before it. Solid lines and dashed lines are those two, hollow markers and "
        "dotted lines are figures printed in the thesis. A verdict counts only if the fidelity "
        f"certificate is valid: {trust}. Click a name in a legend to hide what it stands for, "
        "drag over a figure to zoom, double-click to come back."
    )


def scorecard(run: RunData) -> str:
    """Every claim and its verdict."""
    if not run.scorecard:
        return gap("The run has no scorecard: no claim was judged.")
    try:
        texts = {claim.id: claim.claim for claim in load_registry()}
    except LabError:
        texts = {}
    return tables.scorecard_table(run.scorecard, texts)


def queues(run: RunData) -> str:
    """Queue depth over time."""
    table = run.table("queues")
    switch, port = info.contended(run)
    if table.empty or not switch:
        return lacking("queue depth", "queues and vcs")
    return _by_set(
        run,
        lambda passes, columns: queue_figure(
            table,
            run.table("vcs"),
            run.table("steps"),
            passes,
            axis=info.axis(run),
            node=switch,
            contended_port=port,
            columns=columns,
        ),
        "Queue depth, which the thesis could not measure. Dotted lines and the words above "
        "mark the steps. Each pixel column shows the smallest, mean and largest sample "
        "that fall into it (the strips: the largest), so no spike is lost by thinning. The "
        f"lowest strips are the {FULLEST_PORTS} ports of the whole fabric with the deepest "
        "queues: congestion that spreads shows there as ports of other switches.",
    )


def control(run: RunData) -> str:
    """Quenches and stops over time."""
    table, vcs, steps = run.table("quenches"), run.table("vcs"), run.table("steps")
    if table.empty:
        return gap("No source was quenched and no link was stopped in this run.")
    return _by_set(
        run,
        lambda passes, columns: control_figure(
            table, vcs, steps, passes, axis=info.axis(run), columns=columns
        ),
        "Above: flow control events per virtual second. Below: whom they told to pause - a "
        "stream by Source Quench, the sending port of a link by a stop.",
    ) + html.folded("How often each was told", tables.control_table(control_totals(table, vcs)))


def _by_set(
    run: RunData, draw: Callable[[Sequence[tuple[str, str]], int], Figure], caption: str
) -> str:
    """A figure for each set of passes; all but the first are folded."""
    sets = info.pass_sets(run)
    shown = sets[:MOST_SETS]
    columns = max(COLUMNS // max(len(shown), 1), LEAST_COLUMNS)
    parts = []
    for index, chosen in enumerate(shown):
        drawn = figure(draw(chosen.passes, columns), "" if index else caption)
        parts.append(html.folded(chosen.title, drawn) if index else drawn)
        if not index and chosen.title:
            parts.insert(0, heading(chosen.title))
    if len(sets) > MOST_SETS:
        parts.append(gap(f"The first {MOST_SETS} of {len(sets)} kinds of passes are drawn."))
    return "".join(parts)


def wiring(run: RunData) -> str:
    """The network and the streams' paths."""
    vcs = run.table("vcs")
    if vcs.empty:
        return lacking("the wiring", "vcs")
    name = info.told(run, "topology") or "fat_tree"
    try:
        topology = load_topology(name)
    except LabError as error:
        return gap(f"The wiring can not be drawn: {error.message}.")
    switch, _ = info.contended(run)
    streams = vcs["vc"].nunique()
    some = (
        f" Of the {streams:,} streams {MOST_PATHS} are drawn, picked at equal distances."
        if streams > MOST_PATHS
        else ""
    )
    return figure(
        wiring_figure(topology, vcs, switch),
        "The network by layers with the forward path of each stream: a disc at its source, a "
        "triangle at its destination. Point at a path to read its VCI on each link." + some,
    )


def certificate(run: RunData) -> str:
    """The fidelity certificate and the instruments behind it."""
    parts = [
        tables.fidelity_table(run.fidelity)
        if run.fidelity
        else gap("The run has no fidelity certificate.")
    ]
    if info.simulated(run):
        parts.append(
            html.paragraph(
                "A simulation has no line cards that could be late and no machine that could be "
                "too slow; its certificate rests on its own books, and the digest above can be "
                "had again from the same scenario and seed on any machine.",
                "muted",
            )
        )
        return "".join(parts)
    passes = info.passes(run)
    lateness, machine = run.table("lateness"), run.table("machine")
    for what, title, caption in (
        (
            "late",
            "Lateness of the line cards",
            "How long after its time a frame was handed on, in real time; divided by the dilation "
            "it is the delay that the frame suffered.",
        ),
        (
            "crossing",
            "Time inside Open vSwitch",
            "How long a real switch had a frame, in real time. It grows before frames are lost.",
        ),
    ):
        parts.append(heading(title))
        parts.append(
            lacking("lateness", "lateness")
            if lateness.empty
            else figure(delay_figure(lateness, what, passes), caption)
        )
    parts.append(heading("Processor time"))
    parts.append(
        lacking("processor time", "machine")
        if machine.empty
        else figure(
            cpu_figure(machine, passes[:MOST_CPU]), "Cores used by each part, over real time."
        )
    )
    return "".join(parts)


def details(run: RunData) -> str:
    """Timeline, counters and parameters."""
    parts = []
    if run.progress:
        parts.append(tables.phases_table(run.progress))
    if not run.table("steps").empty:
        parts.append(html.folded("Steps of the timeline", tables.steps_table(run.table("steps"))))
    if not run.table("endpoints").empty:
        parts.append(
            html.folded(
                "What each endpoint counted", tables.endpoints_table(run.table("endpoints"))
            )
        )
    if not run.table("counters").empty:
        parts.append(
            html.folded(
                "Counters of switches, sockets and containers",
                tables.counters_table(run.table("counters")),
            )
        )
    parameters = info.scenario(run)
    if parameters:
        parts.append(
            html.folded(
                "Parameters of the run",
                html.paragraph(
                    "Parameters marked as input are configured. Measuring them back proves "
                    "nothing, so no claim that rests on them alone counts as reproduced."
                )
                + tables.parameters_table(parameters, _INPUTS),
            )
        )
    return "".join(parts)


_INPUTS = ("fabric", "workload", "topology", "streams", "dilation", "seed", "timeline", "hosts")


Section = tuple[str, str, Callable[[RunData], str]]
SECTIONS: Sequence[Section] = (
    ("reading", "How to read this", reading),
    ("results", "Figure 1. What came out", results),
    ("scorecard", "Scorecard", scorecard),
    ("evenness", "Fairness and evenness", evenness),
    ("waiting", "Figure 2. Where cells wait", where_cells_wait),
    ("queues", "Figure 3. Queues over time", queues),
    ("control", "Figure 4. Flow control over time", control),
    ("wiring", "Figure 5. The wiring and the streams", wiring),
    ("certificate", "Fidelity certificate", certificate),
    ("details", "The run in detail", details),
)
"""Anchor, title and content of each section, in the order of the page."""


def _moment(iso: str) -> str:
    return iso.replace("T", " ").replace("+00:00", " UTC")
