"""A run of a stack made by hand: its scenario, logs and tables, without any runtime."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lab.analysis.run import observe_stack
from lab.analysis.stacks.observations import StackObservations
from lab.engine.run import StackRun
from lab.results.cases import CaseRecord, Count, collect_cases, tabulate_case, write_case
from lab.results.manifest import note_digest
from lab.results.runs import create_run
from lab.scenarios.stack_model import StackScenario
from lab.stacks.events import Event, event_line

OVER_S = 20.0


def scenario_of(**parts: Any) -> StackScenario:
    """A scenario with the keys that it needs."""
    whole = {
        "name": "toys", "title": "Toys", "source": "nowhere", "description": "x",
        "engines": ["simulation", "emulation"], "stack": "mscs", "topology": "cluster_lan",
        "playbook": "heartbeat.yml", "seed": 1, "over_s": OVER_S,
        "sweeps": [{"nodes": [2, 4]}], **parts,
    }  # fmt: skip
    return StackScenario.model_validate(whole)


def heartbeats(nodes: int, over_s: float = OVER_S, period_s: float = 1.0) -> list[Event]:
    """Every node sends to every other each period; a datagram takes a millisecond."""
    events = [Event(0.0, node, "started") for node in range(1, nodes + 1)]
    for node in range(1, nodes + 1):
        peers, number = [peer for peer in range(1, nodes + 1) if peer != node], 0
        for beat in range(int(over_s / period_s)):
            for peer in peers:
                number += 1
                t_s, name = beat * period_s + node / 100, f"{node}.1.{number}"
                common = {"network": 0, "channel": "c", "label": "heartbeat", "bytes": 40}
                events += [
                    Event(t_s, node, "send", "", name, 1, {"peer": peer, **common}),
                    Event(t_s + 0.001, peer, "receive", "", name, 1, {"peer": node, **common}),
                ]
    return events


def shell_tells(nodes: int, over_s: float = OVER_S, **more: Any) -> list[Event]:
    """Every shell tells each five seconds that its timers were a millisecond late."""
    late = {"n": 10, "max_s": 0.001, "counts": {"40": 10}}
    fields = {"window_s": 5.0, "cpu_s": 0.1, "sent": 9, "received": 9, "unsent": 0, "refused": 0,
              "dropped": 0, "timers_late": late, "waited": late, "busy": late, **more}  # fmt: skip
    times_s = [5.0 * (k + 1) for k in range(int(over_s / 5))]
    return [Event(t, node, "shell", "window", fields=fields)
            for node in range(1, nodes + 1) for t in times_s]  # fmt: skip


def machine_counts(nodes: int, **more: float) -> tuple[Count, ...]:
    """What the instruments of a machine without trouble count; ``where__name`` for others."""
    quiet = {
        "medium__late_p99_s": 1e-4, "medium__ring_drops": 0, "medium__refused": 0,
        "ovs s1__tx_dropped": 0, "kernel__softnet_dropped": 0, "driver__late_max_s": 0.001,
        "machine__machine_cores": 0.4, "machine__steal_cores": 0.0,
        **{f"n{node}__nr_throttled": 0.0 for node in range(1, nodes + 1)}, **more,
    }  # fmt: skip
    return tuple(Count(*name.split("__"), float(value)) for name, value in quiet.items())


def view(t_s: float, node: int, number: int, members: Sequence[int]) -> Event:
    """A node installs a view."""
    return Event(t_s, node, "view", fields={"id": number, "members": list(members)})


@dataclass
class StackRunMaker:
    """Makes the directory of a run; change ``events`` or ``records`` of a case before."""

    root: Path
    scenario: StackScenario = field(default_factory=scenario_of)
    engine: str = "simulation"
    digest: str = "d"
    events: dict[str, list[Event]] = field(default_factory=dict)
    records: dict[str, CaseRecord | None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        made = create_run(self.scenario, engine=self.engine, root=self.root)
        self.run = StackRun(made.path, self.scenario, self.engine)
        for case in self.run.cases:
            over_s = case.plan.over_s
            self.events[case.name] = heartbeats(case.nodes, over_s)
            self.records[case.name] = CaseRecord(over_s, "abc", (), (Count("world", "lost", 0.0),))
            if self.engine == "emulation":
                self.events[case.name] += shell_tells(case.nodes, over_s)
                self.records[case.name] = CaseRecord(over_s, instruments=machine_counts(case.nodes))

    def write(self) -> Path:
        """Write logs and tables; returns the run's directory."""
        for case in self.run.cases:
            case_dir, events = self.run.case_dir(case.name), self.events[case.name]
            case_dir.mkdir(parents=True, exist_ok=True)
            for node in sorted({event.node for event in events}):
                own = sorted((e for e in events if e.node == node), key=lambda e: e.t_s)
                path = case_dir / f"{node}.events.jsonl"
                path.write_bytes(b"".join(event_line(event) for event in own))
            tabulate_case(case.name, case_dir)
            record = self.records[case.name]
            if record is not None:
                write_case(case_dir, record)
        collect_cases(self.run.dir, self.run.raw, self.run.cases)
        if self.digest:
            note_digest(self.run.dir, self.digest)
        return self.run.dir

    def observe(self) -> StackObservations:
        """Write the run and read it again."""
        return observe_stack(self.write())
