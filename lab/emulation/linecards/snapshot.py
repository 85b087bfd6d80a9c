"""One moment of the fabric for whoever watches: totals of every port and circuit, as columns.

Read straight from the model's own arrays, so that it takes a fraction of the quantum however
many ports and circuits there are: watching must not make the line cards late.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from lab._native import ffi, lib
from lab.emulation.linecards.network import Network
from lab.emulation.linecards.record import lab_numbers
from lab.fabric.setup import FLOW_CONTROL

Columns = dict[str, list[Any]]

_FLOW_CONTROL_NAMES = {value: name for name, value in FLOW_CONTROL.items()}


def snapshot(network: Network) -> dict[str, Any]:
    """Return the fabric as it is now; totals count from the beginning of the pass."""
    fabric = network.fabric
    queues = _rows("fab_queue", fabric.queue, fabric.queues)
    stats = network.stats()
    return {
        "now_ns": stats["now_ns"],
        "dilation": network.dilation,
        "flow_control": _FLOW_CONTROL_NAMES[fabric.params.flow_control],
        "totals": stats,
        "ports": _ports(network, queues),
        "vcs": _vcs(network, queues),
    }


def _rows(kind: str, at: Any, count: int) -> npt.NDArray[np.void]:
    """Look at a native array of structs without copying it."""
    fields = [
        (name, field) for name, field in ffi.typeof(kind).fields if field.type.kind == "primitive"
    ]
    dtype = np.dtype(
        {
            "names": [name for name, _ in fields],
            "formats": [field.type.cname.removesuffix("_t") for _, field in fields],
            "offsets": [field.offset for _, field in fields],
            "itemsize": ffi.sizeof(kind),
        }
    )
    return np.frombuffer(ffi.buffer(at, count * dtype.itemsize), dtype)


def _ports(network: Network, queues: npt.NDArray[np.void]) -> Columns:
    ports = _rows("fab_port", network.fabric.port, network.fabric.ports)
    quenching = np.bincount(queues["port"][queues["quenching"] > 0], minlength=len(ports))
    places = sorted(network.ports.items(), key=lambda item: item[1])
    columns: Columns = {
        "node": [node for (node, _), _ in places],
        "port": [port for (_, port), _ in places],
        "quenching": quenching.tolist(),
    }
    for name in ("frames", "cells", "busy_ns", "queued_cells"):
        columns[name] = ports[name].tolist()
    for name in ("stopped", "cut"):
        columns[name] = (ports[name] != 0).tolist()
    return columns


def _vcs(network: Network, queues: npt.NDArray[np.void]) -> Columns:
    """Directions of open circuits that have seen traffic; b to a bears a minus sign."""
    count = network.fabric.vcs
    numbers = lab_numbers(network)[:count]
    waiting = np.bincount(queues["vc"], weights=queues["cells"], minlength=count)[:count]
    first = _rows("fab_vc", network.fabric.vc, count)["first_queue"]
    totals = _rows("lc_vc_totals", lib.lc_totals(network.cards), count)
    held = queues["held"][first] != 0
    # Silent ones, of which there may be thousands, would only make the answer long.
    shown = (numbers != 0) & ((totals["messages"] > 0) | (waiting > 0) | held)
    return {
        "vc": numbers[shown].tolist(),
        **{name: totals[name][shown].tolist() for name in ("messages", "bytes", "quenches")},
        "queued_cells": waiting[shown].astype(int).tolist(),
        "held": held[shown].tolist(),
    }
