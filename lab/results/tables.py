"""The tables of a run: one Parquet file per kind of observation, each with a fixed schema.

All times ``t_*`` are virtual and count from the beginning of the pass or case; bytes are payload.
Runs on the fabric have the tables of :data:`SCHEMAS`, runs of a stack those of
:data:`STACK_SCHEMAS`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lab.errors import LabError
from lab.fabric.buckets import EXCESS_BUCKETS, LATENESS_BUCKETS
from lab.paths import shown
from lab.results.files import replacing

Dtype = Literal["str", "int64", "float64", "bool", "category"]
Schema = Mapping[str, Dtype]

_TEXT: Dtype = "str"
_INT: Dtype = "int64"
_REAL: Dtype = "float64"
_YES: Dtype = "bool"
_WORD: Dtype = "category"


def _schema(**columns: Dtype) -> Schema:
    # "pass" is a keyword of Python, so it is spelt pass_ here.
    return {name.rstrip("_"): dtype for name, dtype in columns.items()}


SCHEMAS: Mapping[str, Schema] = {
    # What endpoints counted, in bins: sent (accepted by the adapter) and received messages.
    "flows": _schema(
        pass_=_TEXT, flow_control=_TEXT, stream=_TEXT, group=_TEXT, role=_TEXT, t_ns=_INT,
        messages=_INT, bytes=_INT, latency_sum_ns=_INT,
    ),
    # The endpoints' own totals of a pass.
    "endpoints": _schema(
        pass_=_TEXT, flow_control=_TEXT, stream=_TEXT, group=_TEXT, role=_TEXT, host=_TEXT,
        host_kind=_TEXT, pid=_INT, messages=_INT, bytes=_INT, injected=_INT, in_send_queue=_INT,
        duplicates=_INT, out_of_order=_INT, corrupted=_INT, missing=_INT, blocked_s=_REAL,
        drop_no_buffer=_INT,
    ),
    # What endpoints counted in the measured part of each step. Latency is from wanting to send to
    # delivery (role ping: until the echo is there); a gap lies between two deliveries.
    "windows": _schema(
        pass_=_TEXT, flow_control=_TEXT, stream=_TEXT, group=_TEXT, role=_TEXT, step=_INT,
        messages=_INT, bytes=_INT, latency_sum_ns=_INT, latency_min_ns=_INT, latency_max_ns=_INT,
        gaps=_INT, gap_sum_ns=_INT, gap_square_sum_us2=_REAL, gap_min_ns=_INT, gap_max_ns=_INT,
    ),
    # How many of those messages had a latency of low_ns or more and less than high_ns.
    "latency": _schema(
        pass_=_TEXT, flow_control=_TEXT, stream=_TEXT, group=_TEXT, role=_TEXT, step=_INT,
        low_ns=_INT, high_ns=_INT, messages=_INT,
    ),
    # The timeline. value is what an axis shows; send_rate is that of the swept group, or nan.
    "steps": _schema(
        pass_=_TEXT, flow_control=_TEXT, step=_INT, name=_TEXT, value=_REAL, send_rate=_REAL,
        message_bytes=_INT, t_start_ns=_INT, t_settled_ns=_INT, t_end_ns=_INT,
    ),
    # Routes: one row per hop of the forward direction, source host first.
    "vcs": _schema(
        vc=_INT, stream=_TEXT, group=_TEXT, src=_TEXT, dst=_TEXT, hop=_INT, node=_TEXT,
        in_port=_INT, in_label=_INT, out_port=_INT, out_label=_INT,
    ),
    # Cells waiting for a port, sampled; vc 0 is the port's total, empty queues have no row.
    "queues": _schema(pass_=_WORD, t_ns=_INT, node=_WORD, port=_INT, vc=_INT, cells=_INT),
    # Flow control as it happened; node and port are where the queue is that was judged.
    "quenches": _schema(pass_=_WORD, t_ns=_INT, node=_WORD, port=_INT, vc=_INT, kind=_WORD),
    # What each transmitter (one direction of a link) did in a sample interval.
    "links": _schema(
        pass_=_WORD, t_ns=_INT, node=_WORD, port=_INT, frames=_INT, cells=_INT, busy_ns=_INT,
        control_cells=_INT, wait_ns=_INT,
    ),
    # The emulation's own delays, in real microseconds, by number of frames: "late", how long after
    # its time the line cards handed a frame on; "crossing", how long Open vSwitch had it. The
    # excess is what a crossing took beyond the modelled time, virtual ns (crossings only).
    "lateness": _schema(
        pass_=_TEXT, t_ns=_INT, what=_TEXT, frames=_INT, mean_us=_REAL, max_us=_REAL,
        **dict.fromkeys(LATENESS_BUCKETS, _INT), **dict.fromkeys(EXCESS_BUCKETS, _INT),
        exc_max_ns=_REAL, exc_mean_ns=_REAL,
    ),
    # Cores used, sampled in real time.
    "machine": _schema(pass_=_TEXT, t_s=_REAL, what=_TEXT, cpu=_REAL),
    # Counters of OVS, sockets, kernel, containers and line cards: the increase over a pass.
    "counters": _schema(pass_=_TEXT, where=_TEXT, name=_TEXT, value=_REAL),
}  # fmt: skip


STACK_SCHEMAS: Mapping[str, Schema] = {
    # The cases of the run: what was varied, and how each ended.
    "cases": _schema(
        case=_WORD, nodes=_INT, load=_WORD, network_load=_WORD, medium=_WORD, variant=_WORD,
        parameters=_TEXT, repetition=_INT, seed=_INT, over_s=_REAL, ended_s=_REAL,
    ),
    # What nodes logged, without their datagrams; node 0 is the runtime. fields is JSON.
    "events": _schema(
        case=_WORD, t_s=_REAL, node=_INT, incarnation=_INT, kind=_WORD, phase=_WORD, cause=_TEXT,
        fields=_TEXT,
    ),
    # Every datagram at its sender (send) and at its receiver (receive); peer 0 is all. The number
    # in message is the same at both ends, see lab.results.logs.
    "messages": _schema(
        case=_WORD, t_s=_REAL, node=_INT, incarnation=_INT, direction=_WORD, peer=_INT,
        network=_INT, channel=_WORD, label=_WORD, bytes=_INT, message=_INT,
    ),
    # What was asked of nodes; without a reply replied_s is nan and ok false. arguments and value
    # are JSON.
    "requests": _schema(
        case=_WORD, node=_INT, incarnation=_INT, id=_INT, name=_WORD, arguments=_TEXT,
        t_s=_REAL, replied_s=_REAL, ok=_YES, value=_TEXT,
    ),
    # What the runtime's instruments counted in a case.
    "instruments": _schema(case=_WORD, where=_TEXT, name=_TEXT, value=_REAL),
}  # fmt: skip
_ALL = {**SCHEMAS, **STACK_SCHEMAS}


def coded(codes: NDArray[np.integer], words: Sequence[str]) -> pd.Categorical[str]:
    """A column of few words in millions of rows: a small number each, its index in ``words``."""
    return pd.Categorical.from_codes(codes.astype(np.int64), pd.Index(list(words), dtype="str"))


def table_path(run_dir: Path, name: str) -> Path:
    """Where a table of a run is."""
    return run_dir / f"{name}.parquet"


def empty_table(name: str) -> pd.DataFrame:
    """The table without rows."""
    return pd.DataFrame({c: pd.Series(dtype=dtype) for c, dtype in _ALL[name].items()})


def conform(name: str, frame: pd.DataFrame) -> pd.DataFrame:
    """The frame with exactly the schema's columns and types.

    Raises:
        LabError: a column is missing, or holds what its type cannot.
    """
    schema = _ALL[name]
    lacking = [column for column in schema if column not in frame.columns]
    if lacking:
        raise LabError(f"table {name} lacks the columns {', '.join(lacking)}")
    columns: dict[str, pd.Series] = {}
    for column, dtype in schema.items():
        values = frame[column]
        if values.dtype == dtype:
            columns[column] = values
            continue
        try:
            cast = values.astype(dtype)
        except (TypeError, ValueError, OverflowError) as error:
            raise LabError(f"table {name}: column {column} is no {dtype}: {error}") from error
        if dtype == _INT and not bool((cast == values).all()):
            raise LabError(f"table {name}: column {column} holds numbers that are not whole")
        columns[column] = cast
    return pd.DataFrame(columns).reset_index(drop=True)


def write_table(run_dir: Path, name: str, frame: pd.DataFrame) -> None:
    """Write one table atomically; ``LabError`` when it does not fit its schema."""
    fitted = conform(name, frame)
    with replacing(table_path(run_dir, name)) as temporary:
        fitted.to_parquet(temporary, index=False, compression="zstd")


def read_table(run_dir: Path, name: str) -> pd.DataFrame:
    """Read one table of a run.

    Raises:
        LabError: the run has no such table, or it is broken.
    """
    path = table_path(run_dir, name)
    try:
        frame = pd.read_parquet(path)
    except (OSError, ValueError) as error:
        raise LabError(f"{shown(path)} cannot be read: {error}") from error
    return conform(name, frame)


def read_tables(run_dir: Path, schemas: Mapping[str, Schema] = SCHEMAS) -> dict[str, pd.DataFrame]:
    """All tables of a run; one that is missing comes back empty (its checks will fail)."""
    return {
        name: read_table(run_dir, name) if table_path(run_dir, name).exists() else empty_table(name)
        for name in schemas
    }
