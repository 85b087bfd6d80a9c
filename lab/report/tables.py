"""The report's tables as HTML, each from plain data."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas as pd

from lab.report.figures.base import flow_control_name
from lab.report.figures.multistage import COLUMNS, printed_row
from lab.report.html import Cell, figure_of, table
from lab.report.verdict import number


def scorecard_table(scorecard: Sequence[Mapping[str, Any]], texts: Mapping[str, str]) -> str:
    """Every claim beside what came out.

    Args:
        scorecard: the run's scorecard.
        texts: the claims' sentences by id; a claim without one shows its id alone.
    """
    rows = []
    for row in scorecard:
        claim, verdict = str(row.get("claim", "?")), str(row.get("verdict", "?"))
        text = texts.get(claim, "")
        rows.append(
            (
                Cell(verdict, style=f"verdict {verdict}"),
                Cell(text or claim, small=claim if text else ""),
                Cell(str(row.get("source") or ""), style="source"),
                figure_of(row.get("expected")),
                figure_of(row.get("measured")),
                Cell(str(row.get("unit") or "")),
                Cell(_tolerance(row.get("tolerance")), style="num"),
                Cell(str(row.get("why") or ""), style="why"),
            )
        )
    headings = ("verdict", "claim", "source", "expected", "measured", "unit", "tolerance", "why")
    return table("What the documents say, and what came out", headings, rows, "scorecard")


def fidelity_table(fidelity: Mapping[str, Any]) -> str:
    """Every instrument of the certificate with its bound."""
    rows = [
        (
            Cell(
                "ok" if check.get("ok") else "broken",
                style="verdict " + ("reproduced" if check.get("ok") else "deviates"),
            ),
            Cell(str(check.get("name", "?")), small=str(check.get("why") or "")),
            figure_of(check.get("value")),
            Cell(number(check.get("bound"))),
        )
        for check in fidelity.get("checks", [])
    ]
    return table("Bounds that the run had to keep", ("", "check", "value", "bound"), rows)


def steps_table(steps: pd.DataFrame) -> str:
    """The timeline: when each step began, settled and ended, in virtual time."""
    rows = [
        (
            Cell(str(step["pass"])),
            figure_of(int(step["step"])),
            Cell(str(step["name"])),
            figure_of(int(step["message_bytes"])),
            *(
                Cell(f"{float(step[name]) / 1e9:.4f}", style="num")
                for name in ("t_start_ns", "t_settled_ns", "t_end_ns")
            ),
        )
        for step in steps.to_dict("records")
    ]
    headings = ("pass", "step", "", "bytes", "start (s)", "measured from (s)", "end (s)")
    return table("Timeline in virtual seconds", headings, rows)


def phases_table(progress: Sequence[Mapping[str, Any]]) -> str:
    """How long each phase of the run took, in real time."""
    first: dict[str, float] = {}
    last: dict[str, float] = {}
    for entry in progress:
        phase = str(entry.get("phase", "?"))
        first.setdefault(phase, float(entry["t"]))
        last[phase] = float(entry["t"])
    names = list(first)
    ends = [first[name] for name in names[1:]] + ([last[names[-1]]] if names else [])
    rows = [
        (Cell(name), Cell(f"{end - first[name]:.1f}", style="num"))
        for name, end in zip(names, ends, strict=True)
    ]
    return table("Phases in real time", ("phase", "took (s)"), rows)


def numbers_table(ports: pd.DataFrame) -> str:
    """The numbers behind the first figure: one row a mode and send rate, one column a port."""
    wide = ports.pivot_table(
        index=["flow_control", "send_rate"], columns="port", values="mbyte_per_s"
    ).sort_index(level="flow_control", key=lambda modes: modes != "quench", sort_remaining=False)
    rows = [
        (
            Cell(flow_control_name(str(mode))),
            Cell(f"{100 * float(rate):g} %", style="num"),
            *(Cell(f"{value:.2f}", style="num") for value in values),
        )
        for (mode, rate), values in zip(wide.index, wide.to_numpy(), strict=True)
    ]
    headings = ("flow control", "send rate", *(f"port {port}" for port in wide.columns))
    return table("Throughput in MByte/s, virtual", headings, rows)


def control_table(totals: pd.DataFrame) -> str:
    """How often each stream was quenched, or each link stopped."""
    kinds = [kind for kind in ("quench", "unquench", "stop", "go") if kind in totals.columns]
    rows = [
        (Cell(str(row["pass"])), Cell(str(row["target"])), *(figure_of(int(row[k])) for k in kinds))
        for row in totals.to_dict("records")
    ]
    headings = ("pass", "told to pause", *kinds)
    return table("Flow control events of the whole run", headings, rows)


def endpoints_table(endpoints: pd.DataFrame) -> str:
    """What each endpoint process counted: nothing may be missing."""
    wanted = (
        "stream",
        "role",
        "host",
        "host_kind",
        "messages",
        "injected",
        "in_send_queue",
        "missing",
        "duplicates",
        "out_of_order",
        "corrupted",
        "blocked_s",
    )
    columns = [column for column in wanted if column in endpoints.columns]
    rows = [
        (Cell(str(row["pass"])), *(_plain(row[column]) for column in columns))
        for row in endpoints.sort_values(["pass", "group", "stream", "role"]).to_dict("records")
    ]
    headings = ("pass", *(column.replace("_", " ") for column in columns))
    return table("The endpoints' own counters", headings, rows)


def counters_table(counters: pd.DataFrame) -> str:
    """Counters of switches, sockets and containers that are not zero."""
    rows = [
        (
            Cell(str(row["pass"])),
            Cell(str(row["where"])),
            Cell(str(row["name"])),
            _plain(row["value"]),
        )
        for row in counters[counters["value"] != 0].to_dict("records")
    ]
    return table("Counters that are not zero", ("pass", "where", "name", "value"), rows)


def parameters_table(parameters: Mapping[str, Any], inputs: Iterable[str]) -> str:
    """Every parameter of the run; those that claims name as inputs are marked as such."""
    marked = set(inputs)
    rows = [
        (
            Cell(name),
            Cell(text, style="num" if len(text) < 20 else "long"),
            Cell("input" if _is_input(name, marked) else ""),
        )
        for name, text in flatten(parameters)
    ]
    return table("Parameters", ("parameter", "value", ""), rows)


def flatten(parameters: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """Nested parameters as dotted names and texts."""
    flat: list[tuple[str, str]] = []
    for key, value in parameters.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping):
            flat += flatten(value, f"{name}.")
        elif isinstance(value, list) and any(isinstance(item, Mapping) for item in value):
            flat += [(f"{name}[{index}]", _one_line(item)) for index, item in enumerate(value)]
        else:
            flat.append((name, number(value)))
    return flat


def _one_line(item: object) -> str:
    if not isinstance(item, Mapping):
        return number(item)
    return ", ".join(
        f"{key} {number(value)}" for key, value in item.items() if value not in ("", [])
    )


def _is_input(name: str, inputs: set[str]) -> bool:
    return any(name == one or name.startswith((f"{one}.", f"{one}[")) for one in inputs)


def _plain(value: object) -> Cell:
    if isinstance(value, str):
        return Cell(value)
    as_float = float(str(value))
    return figure_of(int(as_float) if as_float.is_integer() else as_float)


def _tolerance(value: object) -> str:
    return f"{100 * value:g} %" if isinstance(value, (int, float)) else "-"


def multistage_table(rows: pd.DataFrame) -> str:
    """Table 4.1 beside the measured rows; printed figures stand in the line below."""
    body = []
    for (step, name), own in rows.groupby(["step", "name"], sort=True):
        del step
        printed = printed_row(str(name))
        for row in own.sort_values("flow_control", ascending=False).to_dict("records"):
            cells = [
                Cell(
                    f"{float(row[column]):.1f}",
                    small=f"thesis {printed.values[index]:g}"
                    if printed and row["flow_control"] == "quench"
                    else "",
                    style="num",
                )
                for index, column in enumerate(COLUMNS)
            ]
            body.append(
                (Cell(str(name)), Cell(flow_control_name(str(row["flow_control"]))), *cells)
            )
    return table(
        "MByte/s at the two nodes; the thesis's table is with flow control on. It prints 9 for the "
        "idle set II of test 1, and calls the last row test 5.",
        ("step", "flow control", *COLUMNS),
        body,
    )


def groups_table(groups: pd.DataFrame) -> str:
    """Throughput of each group in each step of each pass."""
    ordered = groups.sort_values(["pass", "step", "group"], kind="stable")
    rows = [
        (
            Cell(str(row["pass"])),
            Cell(str(row["name"])),
            Cell(str(row["group"])),
            figure_of(int(row["streams"])),
            *(Cell(f"{float(row[key]):.2f}", style="num") for key in ("mean", "min", "max")),
            Cell(f"{float(row['total']):.1f}", style="num"),
        )
        for row in ordered.to_dict("records")
    ]
    headings = ("pass", "step", "group", "streams", "mean", "least", "most", "all together")
    return table("Throughput in MByte/s, virtual", headings, rows)


def latency_table(percentiles: pd.DataFrame, steps: pd.DataFrame) -> str:
    """Latency percentiles of each group in each step of each pass, in us."""
    named = percentiles.merge(steps[["pass", "step", "name"]], on=["pass", "step"])
    parts = [column for column in percentiles.columns if isinstance(column, float)]
    rows = [
        (
            Cell(str(row["pass"])),
            Cell(str(row["name"])),
            Cell(str(row["group"])),
            figure_of(int(row["messages"])),
            *(figure_of(float(row[part])) for part in parts),
        )
        for row in named.sort_values(["pass", "step", "group"], kind="stable").to_dict("records")
    ]
    headings = ("pass", "step", "group", "messages", *(f"{100 * part:g} %" for part in parts))
    return table("Latency in us, virtual", headings, rows)


def losses_table(counters: pd.DataFrame) -> str:
    """Planned losses and what came of them, summed over all places, by pass."""
    wide = counters.pivot_table(
        index="name", columns="pass", values="value", aggfunc="sum", sort=False
    ).fillna(0)
    wide = wide[(wide != 0).any(axis=1)]
    rows = [
        (Cell(str(name).replace("_", " ")), *(figure_of(int(value)) for value in values))
        for name, values in zip(wide.index, wide.to_numpy(), strict=True)
    ]
    return table(
        "Losses and expired holds, by pass", ("", *(str(column) for column in wide.columns)), rows
    )


def evenness_table(rows: pd.DataFrame) -> str:
    """Jain's index and variation of the gaps between messages, by pass and group."""
    body = [
        (
            Cell(str(row["pass"])),
            Cell(str(row["group"])),
            figure_of(int(row["streams"])),
            Cell(_plain_or_dash(row["jain"], ".4f"), style="num"),
            Cell(_plain_or_dash(row["least_jain"], ".4f"), small=str(row["least_at"]), style="num"),
            Cell(_plain_or_dash(row["variation"], ".3f"), style="num"),
            Cell(
                _plain_or_dash(row["most_variation"], ".3f"), small=str(row["most_at"]), style="num"
            ),
        )
        for row in rows.to_dict("records")
    ]
    headings = (
        "pass", "group", "streams", "fairness", "least fair step", "variation of gaps",
        "most uneven stream",
    )  # fmt: skip
    return table("Fairness and evenness", headings, body)


def trees_table(rows: Sequence[Sequence[str]]) -> str:
    """What was congested in each step and pass, and whom it held up."""
    headings = (
        "step", "pass", "congested ports (part of the time)", "roots", "links stopped, at most",
        "switches deep", "victims",
    )  # fmt: skip
    looks = ("", "", "long", "long", "num", "num", "long")
    body = [tuple(Cell(text, style=look) for text, look in zip(row, looks, strict=True))
            for row in rows]  # fmt: skip
    return table("Congestion while each step was measured", headings, body)


def _plain_or_dash(value: object, form: str) -> str:
    as_float = float(str(value))
    return format(as_float, form) if math.isfinite(as_float) else "-"
