"""What a simulated pass observed, in the words that an emulation's processes use for it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lab.fabric.virtual import SERIES
from lab.results.collect import LINE_CARDS
from lab.scenarios.model import Stream
from lab.simulation.network import SimulatedNetwork
from lab.simulation.record import PassRecord

_SOURCE, _SINK = 0, 1
_WINDOW_COUNTS = (
    "messages",
    "bytes",
    "latency_sum_ns",
    "latency_min_ns",
    "latency_max_ns",
    "gaps",
    "gap_sum_ns",
    "gap_min_ns",
    "gap_max_ns",
)


def read_out(network: SimulatedNetwork) -> PassRecord:
    """Return everything that the pass observed."""
    endpoints: dict[str, Mapping[str, Any]] = {}
    for stream in network.plan.streams:
        endpoints[f"{stream.name}.a"] = _source(network, stream)
        endpoints[f"{stream.name}.b"] = _sink(network, stream)
    return PassRecord(
        digest=network.fabric.digest,
        endpoints=endpoints,
        series={name: _series(network, name) for name in SERIES},
        ports=[(ref.node, ref.port) for ref in network.ports],
        counters=_switch_counters(network),
        stats=_totals(network),
    )


# -- endpoints ---------------------------------------------------------------------------


def _source(network: SimulatedNetwork, stream: Stream) -> dict[str, Any]:
    """What the program that begins would have counted: a sender, or a ping."""
    fabric, vc = network.fabric, network.vcs[stream.name]
    injected, queued = fabric.messages_sent(vc), fabric.in_send_queue(vc)
    messages, size = fabric.totals(vc, _SOURCE)
    if not stream.echo:  # a sender counts what the adapter took; the rest waits in its queue
        messages, size = messages + queued, size + fabric.send_queue_bytes(vc)
    return {
        **_common(network, stream, _SOURCE, "ping" if stream.echo else "send"),
        "messages": messages,
        "bytes": size,
        "injected": injected,
        "in_send_queue": queued,
        "missing": _missing(network, vc + 1) if stream.echo else 0,
        # A greedy source fills every slot at the moment it is free: it always waits for one.
        "blocked_s": (fabric.blocked_ns(vc) + network.plan.greedy_ns(stream)) / 1e9,
        "unanswered": fabric.unanswered(vc),
    }


def _sink(network: SimulatedNetwork, stream: Stream) -> dict[str, Any]:
    """What the program at the other end would have counted: a receiver, or a pong."""
    fabric, vc = network.fabric, network.vcs[stream.name]
    messages, size = fabric.totals(vc, _SINK)
    return {
        **_common(network, stream, _SINK, "pong" if stream.echo else "receive"),
        "messages": messages,
        "bytes": size,
        "injected": fabric.messages_sent(vc + 1),
        "in_send_queue": fabric.in_send_queue(vc + 1),
        "missing": _missing(network, vc),
        "blocked_s": 0.0,
    }


def _missing(network: SimulatedNetwork, vc: int) -> int:
    """Messages of a direction that its receiver knows to be lost: later ones have come."""
    fabric, forward = network.fabric, vc - vc % 2
    received = fabric.totals(forward, _SINK if vc == forward else _SOURCE)[0]
    return fabric.messages_sent(vc) - fabric.messages_open(vc) - received


def _common(network: SimulatedNetwork, stream: Stream, end: int, role: str) -> dict[str, Any]:
    """What every endpoint tells. Nothing that a model cannot do to a message is ever counted."""
    fabric, vc = network.fabric, network.vcs[stream.name]
    bins = fabric.bins(vc, end)
    return {
        "stream": stream.name,
        "group": stream.group,
        "role": role,
        "pass": network.plan.passing.name,
        "host": stream.source if end == _SOURCE else stream.to,
        "pid": 0,
        "rejected": 0,
        "duplicates": 0,
        "out_of_order": 0,
        "corrupted": 0,
        "drop_no_buffer": 0,
        "drop_recv_full": 0,
        "ended": "complete",
        "bins": [row.tolist() for row in bins],
        "windows": _windows(network, fabric.window_stats(vc, end)),
    }


def _windows(network: SimulatedNetwork, rows: NDArray[np.void]) -> list[dict[str, Any]]:
    found = []
    for step, row in zip(network.plan.steps, rows, strict=True):
        counts = row["buckets"]
        window: dict[str, Any] = {"step": step.index}
        window.update({name: int(row[name]) for name in _WINDOW_COUNTS})
        window["gap_square_sum_us2"] = float(row["gap_square_sum_us2"])
        window["buckets"] = {str(i): int(counts[i]) for i in np.flatnonzero(counts)}
        found.append(window)
    return found


# -- the fabric --------------------------------------------------------------------------


def _series(network: SimulatedNetwork, name: str) -> NDArray[np.void]:
    """A series with the lab's numbers of VCs: minus for the way back, 0 for all of a port."""
    rows = network.fabric.series(name)
    if "vc" in (rows.dtype.names or ()):
        rows["vc"] = _numbers(network)[rows["vc"]]
    return rows


def _numbers(network: SimulatedNetwork) -> NDArray[np.int32]:
    """The lab's number of a VC by the model's; the last entry (index -1) is the total, 0."""
    numbers = np.zeros(2 * len(network.vcs) + 1, np.int32)
    for vc in network.plan.vcs:
        native = network.vcs[vc.name]
        numbers[native], numbers[native + 1] = vc.id, -vc.id
    return numbers


def _switch_counters(network: SimulatedNetwork) -> list[tuple[str, str, int]]:
    fabric, found = network.fabric, []
    for switch in network.plan.topology.switches:
        node = network.nodes[switch]
        into, out_of = fabric.node_frames(node)
        found += [
            (switch, "frames_in", into),
            (switch, "frames_out", out_of),
            (switch, "overflow_cells", fabric.overflow_cells(node)),
            (switch, "peak_cells", fabric.peak_cells(node)),
            (switch, "buffer_cells", network.plan.fabric.buffer_cells),
        ]
    return found + [(LINE_CARDS, name, value) for name, value in fabric.counters().items()]


def _totals(network: SimulatedNetwork) -> dict[str, int]:
    """What the line cards call their totals of a pass."""
    fabric = network.fabric
    counters = fabric.counters()
    ways = [native + way for native in network.vcs.values() for way in (0, 1)]
    return {
        "now_ns": fabric.now_ns,
        "sent": counters["messages_sent"],
        "delivered": counters["messages_received"],
        "in_flight": sum(fabric.messages_open(vc) for vc in ways),
        "queued_cells": sum(fabric.queued_cells(port) for port in network.ports.values()),
        "events_done": fabric.events_done,
        "rules_broken": int(fabric.broken is not None),
    }
