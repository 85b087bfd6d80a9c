"""What the machine spent and lost while a case went on, for its certificate.

``machine.jsonl`` in the case's directory has the samples (:mod:`lab.engine.machine`); what was
dropped or held up anywhere is returned as counts.
"""

from __future__ import annotations

import json
from pathlib import Path
from types import TracebackType
from typing import Self

from lab.emulation.ovs import switch_daemon_pid
from lab.emulation.state import LabState
from lab.engine.cluster.nodes import Nodes
from lab.engine.counters import difference, read_counters
from lab.engine.machine import MachineSampler
from lab.results.cases import Count

MACHINE_FILE = "machine.jsonl"


class Instruments:
    """Measures from its begin to its end."""

    def __init__(self, state: LabState, nodes: Nodes, case_dir: Path, epoch_ns: int) -> None:
        self.counts: list[Count] = []
        """What was counted, once it has ended."""
        self._pids = {nodes.host(node).name: nodes.host(node).pid for node in nodes.all}
        self._path = case_dir / MACHINE_FILE
        groups = {"medium": [state.medium_pid], "ovs": [switch_daemon_pid()]}
        self._sampler = MachineSampler(groups, self._path, epoch_ns, state.dilation)

    def __enter__(self) -> Self:
        self._before = read_counters(self._pids)
        self._sampler.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._sampler.stop()
        after = read_counters(self._pids)
        self.counts = [
            *(
                Count(str(row["where"]), str(row["name"]), float(str(row["value"])))
                for row in difference(self._before, after)
            ),
            *machine_counts(self._path),
        ]


def machine_counts(path: Path) -> list[Count]:
    """Return the mean of each of the machine's samples, in cores."""
    sums: dict[str, list[float]] = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        sample = json.loads(line)
        sums.setdefault(sample["what"], []).append(sample["cpu"])
    return [
        Count("machine", f"{what}_cores", sum(values) / len(values))
        for what, values in sorted(sums.items())
    ]
