"""Writes what the line cards measured: series as ``.npy``, counters as JSON.

Series are structured arrays straight from the native rows. VC numbers are the lab's; the
direction from b to a bears a minus sign, 0 is the whole of a port.
"""

import json
from pathlib import Path

import numpy as np
import numpy.typing as npt

from lab._native import ffi, lib
from lab.emulation.linecards.network import Network
from lab.emulation.linecards.service import Service
from lab.fabric.buckets import EXCESS_BUCKETS, LATENESS_BUCKETS

ROWS = {
    "queues": np.dtype(
        [("t_ns", "i8"), ("port", "i4"), ("vc", "i4"), ("cells", "i4"), ("frames", "i4")]
    ),
    "events": np.dtype(
        [("t_ns", "i8"), ("port", "i4"), ("vc", "i4"), ("kind", "i4"), ("hop", "i4")]
    ),
    "links": np.dtype(
        [
            ("t_ns", "i8"),
            ("busy_ns", "i8"),
            ("wait_ns", "i8"),
            ("port", "i4"),
            ("frames", "i4"),
            ("cells", "i4"),
            ("control", "i4"),
        ]
    ),
    "lateness": np.dtype(
        [
            ("t_ns", "i8"),
            ("handed", "i4"),
            ("late_mean_us", "f4"),
            ("late_max_us", "f4"),
            *((f"late_{bucket}", "i4") for bucket in LATENESS_BUCKETS),
            ("crossed", "i4"),
            ("cross_mean_us", "f4"),
            ("cross_max_us", "f4"),
            *((f"cross_{bucket}", "i4") for bucket in LATENESS_BUCKETS),
            ("exc_max_ns", "i8"),
            *((bucket, "i4") for bucket in EXCESS_BUCKETS),
            ("exc_mean_ns", "f4"),
        ]
    ),
}


def write_record(network: Network, service: Service, directory: Path, prefix: str) -> None:
    """Write ``<prefix>-{queues,events,links,lateness}.npy`` and ``<prefix>-counters.json``."""
    directory.mkdir(parents=True, exist_ok=True)
    for which, name in enumerate(ROWS):
        rows = read_series(network, which)
        if "vc" in (rows.dtype.names or ()):
            rows["vc"] = lab_numbers(network)[rows["vc"]]
        np.save(directory / f"{prefix}-{name}.npy", rows)
    ports = [
        {"index": index, "node": node, "port": port}
        for (node, port), index in network.ports.items()
    ]
    document = {"ports": ports, "counters": counters(network, service)}
    (directory / f"{prefix}-counters.json").write_text(json.dumps(document))


def read_series(network: Network, which: int) -> npt.NDArray[np.void]:
    """Copy a native series into an array of its row type."""
    kept = lib.lc_series(network.cards, which)
    dtype = list(ROWS.values())[which]
    if dtype.itemsize != kept.row_bytes:
        raise AssertionError("row types of record.py and series.h differ")
    raw = ffi.buffer(kept.at, kept.rows * kept.row_bytes)
    return np.frombuffer(raw, dtype).copy()


def lab_numbers(network: Network) -> npt.NDArray[np.int32]:
    """Return the lab's VC number by native index; the last entry (index -1) is the total, 0."""
    numbers = np.zeros(network.fabric.vcs + 1, np.int32)
    for directions in network.vcs.values():
        for direction in directions:
            numbers[direction.native] = direction.number
    return numbers


def counters(network: Network, service: Service) -> list[dict[str, object]]:
    """Return all counters of the pass as rows of where, name and value."""
    rows: list[dict[str, object]] = []
    for name, value in network.stats().items():
        rows.append({"where": "linecards", "name": name, "value": value})
    for which, name in enumerate(ROWS):
        lost = lib.lc_series(network.cards, which).lost
        rows.append({"where": "linecards", "name": f"series_lost_{name}", "value": lost})
    into, out_of = ffi.new("int64_t *"), ffi.new("int64_t *")
    for name, index in network.nodes.items():
        node = network.fabric.node[index]
        if node.kind != lib.FAB_SWITCH:
            continue
        lib.lc_node_frames(network.cards, index, into, out_of)
        for counter, value in (
            ("frames_in", into[0]),
            ("frames_out", out_of[0]),
            ("overflow_cells", node.overflow_cells),
            ("peak_cells", node.peak_cells),
            ("buffer_cells", node.buffer_cells),
        ):
            rows.append({"where": name, "name": counter, "value": value})
    for key in service.claims:
        for counter, value in service.counters(key).items():
            rows.append({"where": f"{key.host}/{key.name}", "name": counter, "value": value})
    return rows
