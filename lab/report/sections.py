"""The sections of the page: each turns a run into HTML, or says what it lacks to do so."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from html import escape

from lab.analysis.throughput import port_throughput
from lab.claims.registry import load_registry
from lab.errors import LabError
from lab.report import html, info, tables
from lab.report.figures.base import Figure
from lab.report.figures.control import control_figure, control_totals
from lab.report.figures.instruments import cpu_figure, delay_figure
from lab.report.figures.queues import FULLEST_PORTS, queue_figure
from lab.report.figures.throughput import load_figure, port_figure, stream_figure
from lab.report.figures.wiring import wiring_figure
from lab.report.measures import input_load, stream_throughput
from lab.report.rundata import RunData
from lab.report.verdict import banner, number
from lab.topology import load_topology

_PLACEHOLDER = '<div class="scroll" tabindex="0"><div class="plot" style="height:{height}px"></div>'


def head(run: RunData) -> str:
    """Title, verdict, the facts of the run, and what it lacks."""
    verdict = banner(run.manifest, run.fidelity, run.scorecard)
    said = html.paragraph(verdict.detail) if verdict.detail else ""
    versions = run.manifest.get("versions", {})
    dilation = number(run.manifest["dilation"]) if "dilation" in run.manifest else ""
    facts = [
        ("source", info.told(run, "source")),
        ("engine", info.told(run, "engine")),
        ("dilation", f"{dilation} (a virtual second took {dilation} s)" if dilation else ""),
        ("seed", info.told(run, "seed")),
        ("started", _moment(info.told(run, "start"))),
        ("ended", _moment(info.told(run, "end"))),
        ("run", run.run_dir.name),
        ("versions", ", ".join(f"{key} {value}" for key, value in dict(versions).items())),
    ]
    gaps = ""
    if run.gaps:
        gaps = html.paragraph("This run is incomplete; the report goes without:", "muted")
        gaps += html.bullets(run.gaps)
    return (
        f"<h1>{escape(info.told(run, 'title') or info.name(run))}</h1>"
        + html.paragraph(f"Scenario {info.name(run)}", "muted")
        + f'<div class="banner {verdict.level}" role="status">'
        + f"<strong>{escape(verdict.headline)}</strong>{said}</div>"
        + html.facts(facts)
        + gaps
    )


def reading(_: RunData) -> str:
    """How to read the page."""
    return html.paragraph(
        "All rates, times and depths are virtual: the network ran slowed down by the dilation "
        "above, and its figures are given as if it had run at full speed. 1 MByte/s is "
        "1,000,000 bytes of payload per virtual second."
    ) + html.paragraph(
        "Flow control on means Source Quench per VCI; off means that a full input stops the "
        "whole link before it. Solid lines and dashed lines are those two, hollow markers are "
        "figures printed in the thesis. A verdict counts only if the fidelity certificate is "
        "valid: it says whether the machine kept up. Click a name in a legend to hide what it "
        "stands for, drag over a figure to zoom, double-click to come back."
    )


def scorecard(run: RunData) -> str:
    """Every claim and its verdict."""
    if not run.scorecard:
        return _gap("The run has no scorecard: no claim was judged.")
    try:
        texts = {claim.id: claim.claim for claim in load_registry()}
    except LabError:
        texts = {}
    return tables.scorecard_table(run.scorecard, texts)


def throughput(run: RunData) -> str:
    """Figure 1: throughput against send rate."""
    flows, steps, vcs = run.table("flows"), run.table("steps"), run.table("vcs")
    switch, port = info.contended(run)
    if flows.empty or steps.empty or vcs.empty or not switch:
        return _lacking("throughput", "flows, steps and vcs")
    streams = stream_throughput(flows, steps, vcs)
    if streams.empty:
        return _lacking("throughput", "flows, within the measured part of a step")
    ports = port_throughput(streams, vcs, switch)
    claims = info.claims(run)
    return (
        _figure(
            port_figure(ports, claims, port),
            f"Throughput of the output ports of {switch} against the send rate of the "
            "congestion streams: the thesis's figures 4.8 and 4.12 in one. The band round the "
            "mean of the other ports reaches from the slowest to the fastest of them.",
        )
        + html.folded("The numbers behind this figure", tables.numbers_table(ports))
        + "<h3>Stream by stream</h3>"
        + _figure(
            stream_figure(streams, claims),
            "The same by stream: lines that lie on each other are streams treated alike.",
        )
        + _load(run, switch)
    )


def _load(run: RunData, switch: str) -> str:
    load = input_load(run.table("links"), run.table("steps"), run.table("vcs"), switch)
    title = "<h3>Load of the input links</h3>"
    if load.empty:
        return title + _lacking("the load of the links", "links")
    return title + _figure(
        load_figure(load),
        f"Share of the time in which the links into {switch} carried a cell. The thesis: with "
        "flow control on, each of them continues to run at maximum throughput.",
    )


def queues(run: RunData) -> str:
    """Figure 2: queue depth over time."""
    table, vcs, steps = run.table("queues"), run.table("vcs"), run.table("steps")
    switch, port = info.contended(run)
    if table.empty or not switch:
        return _lacking("queue depth", "queues and vcs")
    figure = queue_figure(table, vcs, steps, info.passes(run), node=switch, contended_port=port)
    return _figure(
        figure,
        "Queue depth, which the thesis could not measure. Dotted lines and percentages mark the "
        "steps of the send rate. Each pixel column shows the smallest, mean and largest sample "
        "that fall into it (the strips: the largest), so no spike is lost by thinning. The "
        f"lowest strips are the {FULLEST_PORTS} ports of the whole fabric with the deepest "
        "queues: congestion that spreads shows there as ports of other switches.",
    )


def control(run: RunData) -> str:
    """Figure 2, continued: quenches and stops over time."""
    table, vcs, steps = run.table("quenches"), run.table("vcs"), run.table("steps")
    if table.empty:
        return _lacking("flow control", "quenches")
    return _figure(
        control_figure(table, vcs, steps, info.passes(run)),
        "Above: flow control events per virtual second. Below: whom they told to pause - a "
        "stream by Source Quench, the sending port of a link by a stop.",
    ) + html.folded("How often each was told", tables.control_table(control_totals(table, vcs)))


def wiring(run: RunData) -> str:
    """Figure 3: the network and the streams' paths."""
    vcs = run.table("vcs")
    if vcs.empty:
        return _lacking("the wiring", "vcs")
    name = info.told(run, "topology") or "fat_tree"
    try:
        topology = load_topology(name)
    except LabError as error:
        return _gap(f"The wiring can not be drawn: {error.message}.")
    switch, _ = info.contended(run)
    return _figure(
        wiring_figure(topology, vcs, switch),
        "The network by layers with the forward path of each stream: a disc at its source, a "
        "triangle at its destination. Point at a path to read its VCI on each link.",
    )


def certificate(run: RunData) -> str:
    """The fidelity certificate and the instruments behind it."""
    parts = [
        tables.fidelity_table(run.fidelity)
        if run.fidelity
        else _gap("The run has no fidelity certificate.")
    ]
    passes = info.passes(run)
    lateness, machine = run.table("lateness"), run.table("machine")
    for what, heading, caption in (
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
        parts.append(f"<h3>{heading}</h3>")
        parts.append(
            _lacking("lateness", "lateness")
            if lateness.empty
            else _figure(delay_figure(lateness, what, passes), caption)
        )
    parts.append("<h3>Processor time</h3>")
    parts.append(
        _lacking("processor time", "machine")
        if machine.empty
        else _figure(cpu_figure(machine, passes), "Cores used by each part, over real time.")
    )
    return "".join(parts)


def details(run: RunData) -> str:
    """Timeline, counters and parameters."""
    parts = []
    if run.progress:
        parts.append(tables.phases_table(run.progress))
    if not run.table("steps").empty:
        parts.append(html.folded("Steps of the send rate", tables.steps_table(run.table("steps"))))
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
    ("throughput", "Figure 1. Throughput and send rate", throughput),
    ("scorecard", "Scorecard", scorecard),
    ("queues", "Figure 2. Queues over time", queues),
    ("control", "Figure 3. Flow control over time", control),
    ("wiring", "Figure 4. The wiring and the streams", wiring),
    ("certificate", "Fidelity certificate", certificate),
    ("details", "The run in detail", details),
)
"""Anchor, title and content of each section, in the order of the page."""


def _moment(iso: str) -> str:
    return iso.replace("T", " ").replace("+00:00", " UTC")


def _figure(figure: Figure, caption: str) -> str:
    data = json.dumps(json.loads(figure.to_json())).replace("</", "<\\/")
    return (
        _PLACEHOLDER.format(height=int(figure.layout.height))
        + f'<script type="application/json">{data}</script></div>'
        + html.paragraph(caption, "muted")
    )


def _lacking(what: str, needed: str) -> str:
    return _gap(f"Nothing can be drawn of {what}: the run has no usable rows in {needed}.")


def _gap(text: str) -> str:
    return html.paragraph(text, "gap")
