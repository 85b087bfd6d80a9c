"""Writes what a simulated pass observed, under the names that an emulation uses.

See ``lab.results.collect``: tables, certificate and verdicts come from these files, whichever
engine made them.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class PassRecord:
    """What one simulated pass observed.

    Attributes:
        digest: over all events of the pass, as the kernel gives it.
        endpoints: file stem (``bg2.a``) -> what that endpoint counted.
        series: queues, events and links -> rows as the line cards keep them.
        ports: index in the series -> node and port.
        counters: where, name and value each.
        stats: totals of the pass by name.
    """

    digest: int
    endpoints: Mapping[str, Mapping[str, Any]]
    series: Mapping[str, NDArray[np.void]]
    ports: Sequence[tuple[str, int]]
    counters: Sequence[tuple[str, str, int]]
    stats: Mapping[str, int]


def write_pass(raw: Path, name: str, record: PassRecord) -> None:
    """Write the files of the pass ``name`` into a run's ``raw`` directory."""
    for stem, endpoint in record.endpoints.items():
        _write_json(raw / f"{name}-{stem}.out.json", endpoint)
    for what, rows in record.series.items():
        np.save(raw / f"{name}-{what}.npy", rows)
    ports = [
        {"index": index, "node": node, "port": port}
        for index, (node, port) in enumerate(record.ports)
    ]
    counters = [
        {"where": where, "name": counter, "value": value}
        for where, counter, value in record.counters
    ]
    _write_json(raw / f"{name}-counters.json", {"ports": ports, "counters": counters})
    _write_json(raw / f"{name}-stats.json", dict(record.stats))


def _write_json(path: Path, content: object) -> None:
    path.write_text(json.dumps(content), encoding="utf-8")


def run_digest(passes: Sequence[tuple[str, int]]) -> str:
    """One digest of a run from the names and digests of its passes, in their order."""
    text = "\n".join(f"{name} {digest:016x}" for name, digest in passes)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
