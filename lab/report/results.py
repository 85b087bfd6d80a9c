"""The section of results: the figures of the experiment that was run, then those that any has.

Which experiment a run belongs to is told by the claims that it tests, so that a scenario made
after one of the thesis's has its figures too.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import pandas as pd

from lab.analysis.throughput import port_throughput
from lab.report import html, info, tables
from lab.report.blocks import figure, gap, heading, lacking
from lab.report.figures import baseline, front_to_back, multistage, unet
from lab.report.figures.generic import (
    MOST_PANELS,
    PERCENTILES,
    control_rate_figure,
    group_figure,
    latency_figure,
    memory_figure,
)
from lab.report.figures.slow_host import slow_host_figure
from lab.report.figures.throughput import load_figure, port_figure, stream_figure
from lab.report.measured import Measured
from lab.report.measures import (
    control_rates,
    input_load,
    matching,
    measured_steps,
    percentiles,
)
from lab.report.rundata import RunData

_LOSS_COUNTERS = (
    "cells_lost_on_purpose",
    "cells_corrupted_on_purpose",
    "control_lost_on_purpose",
    "hold_expired",
    "pdu_discarded_missing",
    "pdu_discarded_crc",
    "late_sends",
    "overflow_cells",
)


def results(run: RunData) -> str:
    """All figures of what came out."""
    if run.table("flows").empty or run.table("steps").empty or run.table("vcs").empty:
        return lacking("throughput", "flows, steps and vcs")
    measured = Measured(run)
    if measured.streams.empty:
        return lacking("throughput", "flows, within the measured part of a step")
    special = [
        draw(measured)
        for prefixes, draw in _EXPERIMENTS
        if any(claim.startswith(prefixes) for claim in measured.claims)
    ]
    common = _common(measured)
    if special:
        return "".join(special) + html.folded("Throughput, latency and memory by group", common)
    return common


# -- figures of the documents' experiments -----------------------------------------------


def _port_contention(measured: Measured) -> str:
    run, claims = measured.run, measured.claims
    switch, port = info.contended(run)
    streams = measured.streams
    if not switch or measured.axis.kind != "rate":
        return ""
    ports = port_throughput(streams, run.table("vcs"), switch)
    load = input_load(run.table("links"), run.table("steps"), run.table("vcs"), switch)
    return (
        heading("Output ports (thesis figures 4.8 and 4.12)")
        + figure(
            port_figure(ports, claims, port),
            f"Throughput of the output ports of {switch} against the send rate of the "
            "congestion streams: the thesis's figures 4.8 and 4.12 in one. The band round the "
            "mean of the other ports reaches from the slowest to the fastest of them.",
        )
        + html.folded("The numbers behind this figure", tables.numbers_table(ports))
        + heading("Stream by stream")
        + figure(
            stream_figure(streams, claims),
            "The same by stream: lines that lie on each other are streams treated alike.",
        )
        + heading("Load of the input links")
        + (
            lacking("the load of the links", "links")
            if load.empty
            else figure(
                load_figure(load),
                f"Share of the time in which the links into {switch} carried a cell. The thesis: "
                "with flow control on, each of them continues to run at maximum throughput.",
            )
        )
    )


def _baseline(measured: Measured) -> str:
    run = measured.run
    timed = measured.paced(measured.latencies)
    timed = timed.assign(switches=timed["stream"].map(measured.switches))
    parts = []
    if timed.empty:
        parts.append(lacking("latency", "windows"))
    else:
        first = timed["pass"].iloc[0]
        shown = timed[timed["pass"] == first]
        keys = ["pass", "stream", "role", "step", "message_bytes", "switches"]
        buckets = matching(run.table("latency"), shown).merge(
            shown[keys], on=["pass", "stream", "role", "step"]
        )
        parts += [
            heading("Latency by number of switches (thesis figure 4.2)"),
            figure(
                baseline.latency_by_hops_figure(shown, buckets),
                "Streams alone on their path, sending slowly. Left: the mean over the switches on "
                "the path; right: the share of messages by latency, in the classes in which the "
                "endpoints count (eight to a power of two).",
            ),
            heading("Latency by message size (thesis figure 4.3)"),
            figure(
                baseline.latency_by_size_figure(timed),
                "Mean latency over message size. Of the thesis's curve only its lowest point is "
                "known.",
            ),
        ]
    fast = measured.greedy(measured.streams).assign(label=lambda rows: rows["group"])
    if not fast.empty:
        asked = info.model(run)
        sizes = [int(n) for n in fast["message_bytes"].unique()]
        full = max(asked.fabric.full_messages_per_s(n) * n / 1e6 for n in sizes) if asked else 0.0
        labels = sorted(set(fast["group"].astype(str)))
        parts += [
            heading("Bandwidth by message size (thesis figure 4.4)"),
            figure(
                baseline.bandwidth_figure(fast, labels, full),
                "Single streams that send as fast as they can: payload per second, and messages "
                "per second. Lines that lie on each other: the number of switches does not "
                "matter.",
            ),
        ]
    return "".join(parts)


def _front_to_back(measured: Measured) -> str:
    streams, groups = measured.streams, measured.groups
    sizes = sorted(int(n) for n in set(streams["message_bytes"]))
    compared = front_to_back.COMPARED_BYTES if front_to_back.COMPARED_BYTES in sizes else sizes[-1]
    modes = groups.groupby("group")["flow_control"].nunique()
    layout = str(modes.idxmax())
    apart = front_to_back.streams_apart(measured.run.table("vcs"))
    loss = front_to_back.mean_loss(streams, layout, compared, apart)
    lost = (
        f" Without quench the streams that share a link lose {loss:.0%} on average; the thesis: "
        f"{front_to_back.MEAN_LOSS:.0%}."
        if math.isfinite(loss)
        else ""
    )
    return (
        heading(f"Streams by throughput, {compared:,}-byte messages (thesis figure 4.5)")
        + figure(
            front_to_back.histogram_figure(streams, compared),
            "How many of a layout's 32 streams got how much. A spread that reaches up to the "
            "maximum (112 MByte/s) shows hot-spots beside streams that have their links to "
            "themselves.",
        )
        + heading("All streams together by message size (thesis figures 4.6 and 4.11)")
        + figure(
            front_to_back.totals_figure(groups, measured.claims),
            "Throughput of the whole fabric, layout by layout. The thesis labels its axis in "
            "KByte/s up to 2000; 32 streams of it can only be MByte/s.",
        )
        + figure(
            front_to_back.totals_figure(groups, measured.claims, layout),
            f"{layout} alone, flow control on and off.",
        )
        + heading(f"Every stream of {layout}, {compared:,}-byte messages (thesis figure 4.10)")
        + figure(
            front_to_back.pairs_figure(streams, layout, compared, apart, measured.claims),
            "Streams in the order of what they get with flow control on." + lost,
        )
    )


def _slow_host(measured: Measured) -> str:
    asked = info.model(measured.run)
    sweep = asked.timeline.sweep if asked else None
    if sweep is None or sweep.group is None or measured.axis.kind != "count":
        return ""
    steps = measured.run.table("steps")
    seconds = steps.assign(s=(steps["t_end_ns"] - steps["t_settled_ns"]) / 1e9)
    table = measured.streams.merge(seconds[["pass", "step", "s"]], on=["pass", "step"])
    rates = info.rates(measured.run)
    pairs = zip(table["stream"].astype(str), table["step"].astype(int), strict=True)
    table = table.assign(
        messages_per_s=table["messages"] / table["s"],
        active=[rates.get(pair, 1.0) > 0 for pair in pairs],
    )
    return heading("Background and congestion (thesis figure 4.7)") + figure(
        slow_host_figure(table, sweep.group, measured.claims),
        "Above: each background stream. Below: messages per second of each stream to the slow "
        "host, whose adapter takes 266,000 in all. Streams are added one by one.",
    )


def _multistage(measured: Measured) -> str:
    switch, _ = info.contended(measured.run)
    rows = multistage.measured_rows(measured.streams, measured.run.table("vcs"), switch)
    return (
        heading("Table 4.1 and what was measured")
        + tables.multistage_table(rows)
        + figure(
            multistage.multistage_figure(rows),
            "The same as bars. The thesis gives no figures for flow control off here; it says "
            "that the used bandwidth falls by half or more.",
        )
    )


def _round_trip(measured: Measured) -> str:
    if measured.latencies.empty:
        return lacking("round trips", "windows")
    return heading("Round trip by message size (thesis figure 2.3)") + figure(
        unet.round_trip_figure(_labelled(measured.latencies, measured)),
        "Mean round trip, with a band from the shortest to the longest. A message of up to 40 "
        "bytes travels in its descriptor and a single cell.",
    )


def _fibre(measured: Measured) -> str:
    return heading("Bandwidth by message size (thesis figure 2.4)") + figure(
        unet.fibre_figure(_labelled(measured.streams, measured)),
        "Payload per second over message size. Below the size at which the fibre is full the "
        "adapter's processor is the bottleneck.",
    )


def _labelled(table: pd.DataFrame, measured: Measured) -> pd.DataFrame:
    """Groups told apart by pass, where there are several passes."""
    if len(measured.sets) <= 1:
        return table
    titles = {name: one.title for one in measured.sets for name, _ in one.passes}
    groups = table["group"].astype(str)
    suffix = ", " + groups if groups.nunique() > 1 else ""
    return table.assign(group=table["pass"].map(titles) + suffix)


_EXPERIMENTS: Sequence[tuple[tuple[str, ...], Callable[[Measured], str]]] = (
    (("fabric-port-contention", "fabric-off-port"), _port_contention),
    (("fabric-base-latency", "fabric-hop-latency", "fabric-rate-vs-size"), _baseline),
    (("fabric-ftb", "fabric-off-ftb"), _front_to_back),
    (("fabric-slowhost",), _slow_host),
    (("fabric-multistage",), _multistage),
    (("unet-rtt-single-cell", "unet-rtt-per-cell"), _round_trip),
    (("unet-saturation-size", "unet-bandwidth-4k"), _fibre),
)


# -- figures of any run ------------------------------------------------------------------


def _common(measured: Measured) -> str:
    groups, axis, sets = measured.groups, measured.axis, measured.sets
    parts = [
        heading("Throughput by group"),
        figure(
            group_figure(groups, axis, sets, "mean", "MByte/s of one stream"),
            "Mean throughput of a group's streams; a band, where there is one, reaches from the "
            "slowest to the fastest." + _cut(sets),
        ),
        figure(
            group_figure(groups, axis, sets, "total", "MByte/s of the group"),
            "All streams of a group together.",
        ),
        html.folded("The numbers behind these figures", tables.groups_table(groups)),
        heading("Latency"),
        _latency(measured),
        heading("Memory of the switches"),
        _memory(measured),
        heading("Flow control"),
        _control(measured),
    ]
    return "".join(parts)


def _cut(sets: Sequence[info.PassSet]) -> str:
    if len(sets) <= MOST_PANELS:
        return ""
    return f" The first {MOST_PANELS} of {len(sets)} kinds of passes are drawn."


def _latency(measured: Measured) -> str:
    run = measured.run
    buckets = matching(run.table("latency"), measured.latencies)
    table = percentiles(buckets, tuple(PERCENTILES))
    if table.empty:
        return lacking("latency", "windows and latency")
    drawn = latency_figure(table, run.table("steps"), measured.axis, measured.sets)
    return figure(
        drawn,
        "Latency of single messages: the median, and what 99 and 99.9 per cent stay below. It "
        "counts from wanting to send to delivery, so a source that is held back adds its waiting.",
    ) + html.folded(
        "The numbers behind this figure", tables.latency_table(table, run.table("steps"))
    )


def _memory(measured: Measured) -> str:
    counters = measured.run.table("counters")
    peaks = counters[
        (counters["name"] == "peak_cells") & counters["where"].astype(str).str.fullmatch(r"s\d+")
    ]
    used = peaks[peaks["value"] > 0]
    if used.empty:
        return lacking("the switches' memory", "counters")
    asked = info.model(measured.run)
    sizes = {asked.fabric_of(p).buffer_cells for p in asked.passes} if asked else set()
    drawn = memory_figure(
        used.rename(columns={"where": "switch", "value": "cells"}),
        measured.sets,
        float(sizes.pop()) if len(sizes) == 1 else 0.0,
    )
    return figure(drawn, "The most cells that a switch held at one time, fullest switches first.")


def _control(measured: Measured) -> str:
    run = measured.run
    quenches, steps = run.table("quenches"), run.table("steps")
    counters = run.table("counters")
    parts = []
    if quenches.empty:
        parts.append(gap("No source was quenched and no link was stopped in this run."))
    else:
        made = measured_steps(run.table("flows"), steps)
        rates = control_rates(quenches, made)
        kinds = [kind for kind in ("quench", "stop") if (rates[kind] > 0).any()] or ["quench"]
        parts.append(
            figure(
                control_rate_figure(rates, measured.axis, measured.sets, kinds),
                "Quenches (to sources) and stops (of links), all together, while a step was "
                "measured.",
            )
        )
    rows = counters[counters["name"].isin(_LOSS_COUNTERS)]
    if (rows["value"] != 0).any():
        parts.append(tables.losses_table(rows))
    return "".join(parts)
