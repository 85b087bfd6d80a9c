"""From what the processes of a run left in ``raw/`` to the run's tables.

Names in ``raw/`` (``P`` is a pass, ``S`` a stream):

    vcs.json               the VCs with their hops
    P-S.a.out.json         what the sender counted; P-S.b.out.json: the receiver
    P-queues.npy, P-events.npy, P-links.npy, P-lateness.npy, P-counters.json
                           series and counters of the line cards
    P-os-counters.json     [{where, name, value}]: OVS, kernel, containers, over the pass
    P-stats.json           totals of the line cards at the end of the pass
    P-machine.jsonl        {t_s, what, cpu} lines

A simulation has no emulation's delays, operating system and machine to tell of: it leaves out
lateness, os-counters and machine, and is otherwise collected alike. A file that is missing leaves
its table short, which the fidelity certificate notices; a file that is broken is an error.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lab.errors import LabError
from lab.fabric.buckets import EXCESS_BUCKETS, LATENESS_BUCKETS
from lab.paths import shown
from lab.results.files import read_json, write_json
from lab.results.tables import SCHEMAS, coded, conform, empty_table, write_table
from lab.scenarios.model import Pass, Scenario
from lab.scenarios.plan import steps
from lab.signalling import Vc

EVENT_KINDS = ("quench", "unquench", "stop", "go")
_ROLES = {"send": "send", "receive": "recv", "recv": "recv", "ping": "ping", "pong": "pong"}
_FLOW_COLUMNS = ("t_ns", "messages", "bytes", "latency_sum_ns")
_ENDPOINT_COUNTERS = ("rejected", "drop_recv_full", "late_sends")
# ``where`` of the line cards' totals among the counters of a pass.
LINE_CARDS = "linecards"

Row = dict[str, object]


def write_vcs(raw: Path, vcs: Sequence[Vc]) -> None:
    """Note the open VCs of a run for its ``vcs`` table."""
    write_json(raw / "vcs.json", [asdict(vc) for vc in vcs])


def collect(run_dir: Path, scenario: Scenario) -> dict[str, int]:
    """Write all tables of a run from its ``raw`` directory; returns the rows of each.

    Raises:
        LabError: a raw file is broken.
    """
    raw = run_dir / "raw"
    parts: dict[str, list[pd.DataFrame]] = {name: [] for name in SCHEMAS}
    parts["vcs"].append(_vcs(raw))
    passes = [passing.name for passing in scenario.passes]
    modes = list(dict.fromkeys(passing.flow_control for passing in scenario.passes))
    for passing in scenario.passes:
        for name, frame in _of_pass(raw, scenario, passing).items():
            labels = {
                "pass": coded(np.full(len(frame), passes.index(passing.name)), passes),
                "flow_control": coded(
                    np.full(len(frame), modes.index(passing.flow_control)), modes
                ),
            }
            parts[name].append(frame.assign(**labels))
    rows: dict[str, int] = {}
    for name, frames in parts.items():
        full = [frame for frame in frames if not frame.empty]
        table = pd.concat(full, ignore_index=True) if full else empty_table(name)
        write_table(run_dir, name, table)
        rows[name] = len(table)
    return rows


def _of_pass(raw: Path, scenario: Scenario, passing: Pass) -> dict[str, pd.DataFrame]:
    outs = _endpoint_files(raw, scenario, passing)
    flows, endpoints, endpoint_counters = _endpoints(outs, scenario)
    windows, latency = _windows(outs)
    ports, card_counters = _card_counters(raw / f"{passing.name}-counters.json")
    known = {(row["where"], row["name"]) for row in card_counters}
    stats = _stats(raw / f"{passing.name}-stats.json")
    counters = [
        *endpoint_counters,
        *card_counters,
        *(row for row in stats if (row["where"], row["name"]) not in known),
        *_rows(raw / f"{passing.name}-os-counters.json"),
    ]
    return {
        "flows": flows,
        "endpoints": endpoints,
        "windows": windows,
        "latency": latency,
        "steps": pd.DataFrame([_step_row(step) for step in steps(scenario)]),
        "counters": pd.DataFrame(counters),
        "machine": pd.DataFrame(_lines(raw / f"{passing.name}-machine.jsonl")),
        **_series(raw, passing.name, ports),
    }


def _step_row(step: object) -> Row:
    row = asdict(cast(Any, step))
    row["step"] = row.pop("index")
    return cast(Row, row)


# -- endpoints ---------------------------------------------------------------------------


def _endpoint_files(raw: Path, scenario: Scenario, passing: Pass) -> list[Mapping[str, Any]]:
    outs = []
    for stream in scenario.streams_of(passing):
        for end in ("a", "b"):
            path = raw / f"{passing.name}-{stream.name}.{end}.out.json"
            if path.is_file():
                outs.append(_endpoint_file(path))
    return outs


def _endpoint_file(path: Path) -> Mapping[str, Any]:
    out = _mapping(path)
    known = {"pass", "flow_control", "host_kind"}
    lacking = [
        key for key in (*SCHEMAS["endpoints"], "bins") if key not in out and key not in known
    ]
    if lacking:
        raise LabError(f"{shown(path)} is no endpoint's result: it lacks {', '.join(lacking)}")
    return out


def _endpoints(
    outs: Iterable[Mapping[str, Any]], scenario: Scenario
) -> tuple[pd.DataFrame, pd.DataFrame, list[Row]]:
    """Bins, totals, and the counters that have no column of their own."""
    bins: list[pd.DataFrame] = []
    totals: list[Row] = []
    counters: list[Row] = []
    ends = {stream.name: (stream.source, stream.to) for stream in scenario.all_streams}
    columns = [c for c in SCHEMAS["endpoints"] if c not in ("pass", "flow_control")]
    for out in outs:
        who = _who(out)
        source, to = ends[str(out["stream"])]
        host = source if who["role"] in ("send", "ping") else to
        frame = pd.DataFrame(out["bins"], columns=list(_FLOW_COLUMNS))
        bins.append(_labelled(frame, who))
        total = {**out, **who, "host": host, "host_kind": scenario.host_kind(host)}
        totals.append({column: total[column] for column in columns})
        where = f"endpoint {who['stream']} {who['role']}"
        ended = out.get("ended", "complete")
        counters.append(_counter(where, "ended_early", float(ended != "complete")))
        counters += [_counter(where, n, float(out[n])) for n in _ENDPOINT_COUNTERS if n in out]
        counters += [_counter(where, name, seen) for name, seen in out.get("observed", {}).items()]
    flows = pd.concat([b for b in bins if not b.empty], ignore_index=True) if bins else None
    return (
        flows if flows is not None else empty_table("flows"),
        pd.DataFrame(totals) if totals else empty_table("endpoints"),
        counters,
    )


def _labelled(frame: pd.DataFrame, labels: Mapping[str, str]) -> pd.DataFrame:
    return frame.assign(**labels)


def _who(out: Mapping[str, Any]) -> dict[str, str]:
    return {"stream": out["stream"], "group": out["group"], "role": _ROLES[out["role"]]}


def _windows(outs: Iterable[Mapping[str, Any]]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """What each endpoint counted in the measured parts, and its histogram of latencies."""
    windows: list[Row] = []
    latency: list[Row] = []
    for out in outs:
        who = _who(out)
        for window in out.get("windows", ()):
            # An empty window has no least and no largest value.
            row = {**who, **{key: value or 0 for key, value in window.items()}}
            buckets = window.get("buckets", {})
            windows.append(row)
            latency += [
                {
                    **who,
                    "step": window["step"],
                    "low_ns": bucket_low_ns(int(index)),
                    "high_ns": bucket_low_ns(int(index) + 1),
                    "messages": count,
                }
                for index, count in buckets.items()
            ]
    return (
        pd.DataFrame(windows) if windows else empty_table("windows"),
        pd.DataFrame(latency) if latency else empty_table("latency"),
    )


def bucket_low_ns(index: int) -> int:
    """The least latency that endpoints count in a bucket: eight buckets to each power of two."""
    return index if index < 8 else (8 + (index & 7)) << (index // 8 - 1)


# -- line cards --------------------------------------------------------------------------


def _card_counters(path: Path) -> tuple[list[tuple[str, int]], list[Row]]:
    """Ports by index, and counters."""
    if not path.is_file():
        return [], []
    data = _mapping(path)
    ports: dict[int, tuple[str, int]] = {
        int(p["index"]): (str(p["node"]), int(p["port"])) for p in data["ports"]
    }
    by_index = [ports.get(index, ("?", -1)) for index in range(max(ports, default=-1) + 1)]
    return by_index, [_counter(c["where"], c["name"], c["value"]) for c in data["counters"]]


def _stats(path: Path) -> list[Row]:
    """The plain numbers among the line cards' totals."""
    if not path.is_file():
        return []
    return [
        _counter(LINE_CARDS, name, float(value))
        for name, value in _mapping(path).items()
        if isinstance(value, (int, float))
    ]


def _counter(where: object, name: object, value: object) -> Row:
    return {"where": str(where), "name": str(name), "value": float(cast(float, value))}


def _series(raw: Path, prefix: str, ports: list[tuple[str, int]]) -> dict[str, pd.DataFrame]:
    frames: dict[str, pd.DataFrame] = {}
    for name, table in (("queues", "queues"), ("events", "quenches"), ("links", "links")):
        rows = _array(raw / f"{prefix}-{name}.npy")
        if rows is None:
            frames[table] = empty_table(table)
            continue
        frame = pd.DataFrame({column: rows[column] for column in rows.dtype.names or ()})
        index = frame.pop("port").to_numpy()
        nodes, names = pd.factorize(np.array([node for node, _ in ports], dtype=object))
        frame["node"] = coded(nodes[index], names.tolist())
        frame["port"] = np.array([port for _, port in ports], dtype=np.int64)[index]
        if "kind" in frame:
            frame["kind"] = coded(frame["kind"].to_numpy(), EVENT_KINDS)
        frames[table] = frame.rename(columns={"control": "control_cells"})
    rows = _array(raw / f"{prefix}-lateness.npy")
    frames["lateness"] = empty_table("lateness") if rows is None else _delays(rows)
    return frames


def _delays(rows: NDArray[Any]) -> pd.DataFrame:
    """Lateness and crossing time of an interval stand in one native row; here they are two.

    An interval in which no frame moved has its rows too: they show that a sample was taken.
    """
    parts = []
    for what, prefix, frames in (("late", "late_", "handed"), ("crossing", "cross_", "crossed")):
        columns = {name: rows[prefix + name] for name in ("mean_us", "max_us", *LATENESS_BUCKETS)}
        part = pd.DataFrame({"t_ns": rows["t_ns"], "frames": rows[frames], **columns})
        known = what == "crossing" and EXCESS_BUCKETS[0] in (rows.dtype.names or ())
        for name in (*EXCESS_BUCKETS, "exc_max_ns", "exc_mean_ns"):
            part[name] = rows[name] if known else 0
        parts.append(part.assign(what=what))
    return pd.concat(parts, ignore_index=True)


def _array(path: Path) -> NDArray[Any] | None:
    if not path.is_file():
        return None
    try:
        rows: NDArray[Any] = np.load(path, allow_pickle=False)
    except (OSError, ValueError) as error:
        raise LabError(f"{shown(path)} cannot be read: {error}") from error
    return rows


# -- other files -------------------------------------------------------------------------


def _vcs(raw: Path) -> pd.DataFrame:
    path = raw / "vcs.json"
    if not path.is_file():
        return empty_table("vcs")
    rows = [
        {
            "vc": vc["id"],
            "stream": vc["name"],
            "group": vc["group"],
            "src": vc["a"],
            "dst": vc["b"],
            "hop": number,
            **hop,
        }
        for vc in cast(list[dict[str, Any]], read_json(path))
        for number, hop in enumerate(vc["forward"])
    ]
    return conform("vcs", pd.DataFrame(rows)) if rows else empty_table("vcs")


def _mapping(path: Path) -> Mapping[str, Any]:
    data = read_json(path)
    if not isinstance(data, dict):
        raise LabError(f"{shown(path)} holds no mapping")
    return data


def _rows(path: Path) -> list[Row]:
    if not path.is_file():
        return []
    data = read_json(path)
    if not isinstance(data, list):
        raise LabError(f"{shown(path)} holds no list")
    return [_counter(row["where"], row["name"], row["value"]) for row in data]


def _lines(path: Path) -> list[Row]:
    if not path.is_file():
        return []
    try:
        return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    except ValueError as error:
        raise LabError(f"{shown(path)} cannot be read: {error}") from error
