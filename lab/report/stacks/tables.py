"""Tables about runs of stacks as HTML."""

from __future__ import annotations

import json

import pandas as pd

from lab.analysis.stacks.counting import sent_by_label
from lab.analysis.stacks.observations import StackObservations
from lab.report.html import Cell, figure_of, table
from lab.stacks.words import listed

MOST_ROWS = 400


def cases_table(run: StackObservations) -> str:
    """Every case: what was varied, how long it lasted, how much was sent."""
    sent = sent_by_label(run).groupby("case")[["messages", "bytes"]].sum()
    rows = [
        (
            Cell(str(case)),
            figure_of(int(row["nodes"])),
            *(Cell(str(row[key])) for key in ("load", "network_load", "medium", "variant")),
            Cell("" if row["parameters"] == "{}" else str(row["parameters"])),
            Cell(str(int(row["seed"])), style="num"),
            Cell(_seconds(row["ended_s"]), style="num"),
            figure_of(int(sent["messages"].get(str(case), 0))),
            figure_of(int(sent["bytes"].get(str(case), 0))),
        )
        for case, row in run.cases.iterrows()
    ]
    headings = (
        "case", "nodes", "load", "network load", "medium", "variant", "parameters", "seed",
        "ended (s)", "datagrams sent", "bytes",
    )  # fmt: skip
    return table("The cases of the run", headings, rows)


def faults_table(faults: pd.DataFrame) -> str:
    """What was done to nodes, in the order of cases and time."""
    rows = []
    for case, t_s, phase, text in _first(faults, "case", "t_s", "phase", "fields"):
        fields = json.loads(str(text))
        peers, network = fields.get("peers") or [], fields.get("network")
        rows.append(
            (
                Cell(str(case)),
                Cell(f"{t_s:.3f}", style="num"),
                Cell(str(phase)),
                Cell(listed(fields.get("nodes") or []) or "all"),
                Cell(listed(peers)),
                Cell("" if network is None else str(network)),
                Cell(_amount(fields)),
            )
        )
    headings = ("case", "t (s)", "fault", "nodes", "peers", "network", "how much")
    return table(_told("Faults, load and heals", len(faults)), headings, rows)


def events_table(events: pd.DataFrame) -> str:
    """What nodes told, without routine."""
    rows = [
        (
            Cell(f"{t_s:.3f}", style="num"),
            Cell("runtime" if node == 0 else str(node)),
            Cell(f"{kind} {phase}".strip()),
            Cell(str(cause)),
            Cell("" if fields == "{}" else str(fields), style="long"),
        )
        for t_s, node, kind, phase, cause, fields in _first(
            events, "t_s", "node", "kind", "phase", "cause", "fields"
        )
    ]
    headings = ("t (s)", "node", "event", "cause", "fields")
    return table(_told("Events in the order of time", len(events)), headings, rows)


def instruments_table(instruments: pd.DataFrame) -> str:
    """What instruments counted in each case."""
    rows = [
        (Cell(str(case)), Cell(str(where)), Cell(str(name)), figure_of(value))
        for case, where, name, value in _first(instruments, "case", "where", "name", "value")
    ]
    return table(_told("Instruments", len(instruments)), ("case", "where", "what", "value"), rows)


def _first(frame: pd.DataFrame, *columns: str) -> zip[tuple[object, ...]]:
    shown = frame.head(MOST_ROWS)
    return zip(*(shown[column] for column in columns), strict=True)


def _told(title: str, rows: int) -> str:
    return title if rows <= MOST_ROWS else f"{title}: the first {MOST_ROWS} of {rows:,}"


def _amount(fields: dict[str, object]) -> str:
    level, value = fields.get("level", "idle"), fields.get("value", 0)
    return str(level) if level != "idle" else "" if not value else f"{value:g}"


def _seconds(value: object) -> str:
    number = float(str(value))
    return "broke off" if number != number else f"{number:.3f}"  # noqa: PLR0124 - nan
