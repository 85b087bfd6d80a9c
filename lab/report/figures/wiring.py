"""The network drawn by layers with the streams' paths on it."""

from __future__ import annotations

import re
from collections.abc import Mapping

import pandas as pd

from lab.report.figures.base import Figure, Trace, plain_figure, trace
from lab.report.palette import INK, LINK, MUTED, NODE, VERMILION, group_colours
from lab.topology import Topology

WIDTH = 64.0
MOST_PATHS = 128
LAYER_NAMES = {0: "nodes", 1: "leaf switches", 2: "middle switches", 3: "core switches"}


def wiring_figure(topology: Topology, vcs: pd.DataFrame, contended: str = "") -> Figure:
    """Links in grey, each stream's forward path in its group's colour.

    Args:
        topology: the network; only switches and hosts with a layer are drawn.
        vcs: the run's table `vcs`: one row a hop, in order.
        contended: the switch to be highlighted; empty for none.
    """
    places = places_of(topology)
    top = max(topology.layer.values(), default=0)
    figure = plain_figure(230 + 150 * top)
    figure.add_trace(_links(topology, places))
    for path in _paths(vcs, places):
        figure.add_trace(path)
    for nodes in _nodes(topology, places, contended):
        figure.add_trace(nodes)
    for layer in sorted(set(topology.layer.values())):
        figure.add_annotation(
            x=0,
            xref="paper",
            xanchor="right",
            y=layer,
            text=LAYER_NAMES.get(layer, f"layer {layer}").replace(" ", "<br>"),
            showarrow=False,
            font={"size": 12, "color": MUTED},
            xshift=-6,
            align="right",
        )
    hidden = {"visible": False, "fixedrange": False}
    figure.update_xaxes(range=[-1.5, WIDTH + 0.5], **hidden)
    figure.update_yaxes(range=[-0.35, top + 0.3], **hidden)
    figure.update_layout(
        hovermode="closest",
        margin={"l": 84, "r": 12, "t": 24, "b": 48},
        legend={"groupclick": "togglegroup"},
    )
    return figure


def _number(node: str) -> int:
    digits = re.search(r"\d+", node)
    return int(digits.group()) if digits else 0


def places_of(topology: Topology) -> dict[str, tuple[float, float]]:
    """Spread each layer evenly, in the order of the nodes' numbers."""
    places: dict[str, tuple[float, float]] = {}
    for layer in set(topology.layer.values()):
        nodes = sorted((n for n, at in topology.layer.items() if at == layer), key=_number)
        for index, node in enumerate(nodes):
            places[node] = ((index + 0.5) * WIDTH / len(nodes), float(layer))
    return places


def _links(topology: Topology, places: Mapping[str, tuple[float, float]]) -> Trace:
    x: list[float | None] = []
    y: list[float | None] = []
    for link in topology.links:
        (ax, ay), (bx, by) = places[link.a.node], places[link.b.node]
        x += [ax, bx, None]
        y += [ay, by, None]
    return trace(
        "Scatter",
        x=x,
        y=y,
        mode="lines",
        line={"color": LINK, "width": 0.8},
        hoverinfo="skip",
        name="links",
    )


def _paths(vcs: pd.DataFrame, places: Mapping[str, tuple[float, float]]) -> list[Trace]:
    """One trace a stream, moved a little aside so that streams on one link stay apart."""
    streams = vcs[["vc", "stream", "group"]].drop_duplicates("vc").sort_values(["group", "stream"])
    colours = group_colours(sorted({str(group) for group in streams["group"]}))
    streams = streams.iloc[:: max(1, -(-len(streams) // MOST_PATHS))]
    traces: list[Trace] = []
    shown: set[str] = set()
    for index, (vc, stream, group) in enumerate(
        zip(streams["vc"], streams["stream"], streams["group"].astype(str), strict=True)
    ):
        hops = vcs[vcs["vc"] == vc].sort_values("hop")
        hops = hops[hops["node"].isin(list(places))]
        aside = 0.9 * ((index + 0.5) / max(len(streams), 1) - 0.5)
        layers = [places[str(node)][1] for node in hops["node"]]
        traces.append(
            trace(
                "Scatter",
                # At a host the path ends just below the host's disc, so that its end is seen.
                x=[
                    places[str(node)][0] + (aside if layer else 0.0)
                    for node, layer in zip(hops["node"], layers, strict=True)
                ],
                y=[layer + 0.12 * aside if layer else -0.12 for layer in layers],
                text=_hop_texts(hops, str(stream)),
                hovertemplate="%{text}<extra></extra>",
                mode="lines+markers",
                name=f"{group} streams",
                legendgroup=group,
                showlegend=group not in shown,
                line={"color": colours[group], "width": 1.7},
                marker={"size": 6, "color": colours[group], "symbol": _symbols(len(hops))},
                opacity=0.85,
            )
        )
        shown.add(group)
    return traces


def _symbols(hops: int) -> list[str]:
    """A disc where a stream begins, a triangle where it ends."""
    return ["circle"] * (hops - 1) + ["triangle-down"] if hops else []


def _hop_texts(hops: pd.DataFrame, stream: str) -> list[str]:
    src, dst = hops["src"].iloc[0], hops["dst"].iloc[0]
    has_labels = {"in_label", "out_label"} <= set(hops.columns)
    texts = []
    for hop in hops.to_dict("records"):
        into = f"in by port {hop['in_port']}" if hop["in_port"] >= 0 else ""
        out = f"out by port {hop['out_port']}" if hop["out_port"] >= 0 else ""
        if has_labels:
            into += f", VCI {hop['in_label']}" if into else ""
            out += f", VCI {hop['out_label']}" if out else ""
        texts.append(
            f"<b>{stream}</b> (VC {hop['vc']}), {src} to {dst}<br>hop {hop['hop']}: {hop['node']}"
            + "".join(f"<br>{part}" for part in (into, out) if part)
        )
    return texts


def _nodes(
    topology: Topology, places: Mapping[str, tuple[float, float]], contended: str
) -> list[Trace]:
    switches = [node for node in topology.switches if node in places and node != contended]
    hosts = [node for node in topology.hosts if node in places]
    box = {"symbol": "square", "size": 21, "color": NODE, "line": {"color": MUTED, "width": 1}}
    dot = {"symbol": "circle", "size": 13, "color": NODE, "line": {"color": MUTED, "width": 1}}
    traces = [
        _labelled(switches, places, box, 9, "switches"),
        _labelled(hosts, places, dot, 7, "nodes"),
    ]
    if contended in places:
        hot = {**box, "size": 27, "line": {"color": VERMILION, "width": 3}}
        traces.append(_labelled([contended], places, hot, 11, f"contended switch {contended}"))
    return traces


def _labelled(
    nodes: list[str],
    places: Mapping[str, tuple[float, float]],
    marker: Mapping[str, object],
    font_size: int,
    name: str,
) -> Trace:
    return trace(
        "Scatter",
        x=[places[node][0] for node in nodes],
        y=[places[node][1] for node in nodes],
        text=[str(_number(node)) for node in nodes],
        customdata=nodes,
        mode="markers+text",
        marker=dict(marker),
        textfont={"size": font_size, "color": INK},
        hovertemplate="%{customdata}<extra></extra>",
        name=name,
        showlegend=name.startswith("contended"),
    )
