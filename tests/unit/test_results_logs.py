"""From the logs of cases to the tables of a run."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lab.errors import LabError
from lab.results.cases import (
    CaseRecord,
    Count,
    collect_cases,
    read_case,
    tabulate_case,
    write_case,
)
from lab.results.logs import case_tables, message_name, message_number
from lab.results.tables import STACK_SCHEMAS, read_tables
from lab.scenarios.cases import PlannedCase
from lab.stacks.events import Event, event_line
from lab.stacks.plan import CasePlan


def datagram(t_s: float, node: int, kind: str, name: str, peer: int) -> Event:
    fields = {"peer": peer, "network": 0, "channel": "clusnet", "label": "hb", "bytes": 40}
    return Event(t_s, node, kind, cause=name, fields=fields)


def write_logs(case_dir: Path, events: list[Event]) -> None:
    case_dir.mkdir(parents=True, exist_ok=True)
    for node in {event.node for event in events}:
        lines = [event_line(event) for event in events if event.node == node]
        (case_dir / f"{node}.events.jsonl").write_bytes(b"".join(lines))


def planned(name: str, **more: Any) -> PlannedCase:
    return PlannedCase(name, 2, CasePlan(name, "toy", 2, 10.0), **more)


EVENTS = [
    Event(0.0, 1, "started"),
    Event(0.0, 2, "started"),
    datagram(1.0, 1, "send", "1.1.7", 2),
    datagram(1.1, 2, "receive", "1.1.7", 1),
    Event(2.0, 0, "fault", "kill", fields={"nodes": [2]}),
    Event(3.0, 1, "view", "", "1.1.9", 2, {"id": 4, "members": [1]}),
]


def test_messages_and_events_are_apart_and_in_order(tmp_path: Path):
    write_logs(tmp_path, EVENTS)
    tables = {name: table.to_pandas() for name, table in case_tables("one", tmp_path).items()}
    messages, events = tables["messages"], tables["events"]
    assert list(messages["direction"]) == ["send", "receive"]
    assert list(messages["message"]) == [message_number("1.1.7")] * 2
    assert list(messages["peer"]) == [2, 1]
    assert list(events["kind"]) == ["started", "started", "fault", "view"]
    view = events.iloc[-1]
    assert (view["incarnation"], view["cause"]) == (2, "1.1.9")
    assert json.loads(view["fields"]) == {"id": 4, "members": [1]}


def test_requests_have_their_answers(tmp_path: Path):
    ask = {"name": "update", "arguments": {"bytes": 50}}
    events = [
        Event(1.0, 1, "request", fields={"id": 1, **ask}),
        Event(1.0, 2, "request", fields={"id": 1, **ask}),
        Event(1.5, 1, "reply", fields={"id": 1, "ok": True, "value": [1]}),
        Event(9.0, 2, "reply", fields={"id": 99, "ok": True, "value": None}),
    ]
    write_logs(tmp_path, events)
    rows = case_tables("one", tmp_path)["requests"].to_pandas()
    assert list(rows["replied_s"].fillna(-1)) == [1.5, -1]
    assert list(rows["ok"]) == [True, False]
    assert list(rows["value"]) == ["[1]", "null"]
    assert json.loads(rows["arguments"][0]) == {"bytes": 50}


def test_a_line_that_a_crash_cut_off_is_left_out_but_a_broken_one_is_told(tmp_path: Path):
    write_logs(tmp_path, EVENTS)
    log = tmp_path / "1.events.jsonl"
    whole = log.read_bytes()
    log.write_bytes(whole + b'{"t_s": 4, "no')
    assert len(case_tables("one", tmp_path)["events"]) == 4
    log.write_bytes(whole + b'{"t_s": 4}\n')
    with pytest.raises(LabError, match=r"1\.events\.jsonl, line 4: not an event"):
        case_tables("one", tmp_path)
    log.write_bytes(event_line(datagram(1.0, 1, "send", "no-name", 2)))
    with pytest.raises(LabError, match=r"1\.events\.jsonl, line 1"):
        case_tables("one", tmp_path)


def test_the_tables_of_a_run_are_those_of_its_cases(tmp_path: Path):
    raw, cases = tmp_path / "raw", [planned("one"), planned("two", variant="v"), planned("lost")]
    for case, more in zip(cases[:2], ([], [Event(5.0, 1, "only-here", "p")]), strict=True):
        case_dir = raw / case.name
        write_logs(case_dir, [*EVENTS, *more])
        broken = ("a at 1 s: b",) * 2 if more else ()
        write_case(case_dir, CaseRecord(9.5, "abc", broken, (Count("world", "lost", 3.0),)))
        tabulate_case(case.name, case_dir, keep_logs=not more)
    rows = collect_cases(tmp_path, raw, cases)
    tables = read_tables(tmp_path, STACK_SCHEMAS)
    assert rows == {name: len(table) for name, table in tables.items()}
    assert rows["messages"] == 4
    assert list(tables["cases"]["variant"]) == ["plain", "v", "plain"]
    assert math.isnan(tables["cases"]["ended_s"].iloc[2])
    assert list(tables["events"].groupby("case", observed=True).size()) == [4, 5]
    counted = tables["instruments"].set_index(["case", "where", "name"])["value"]
    assert counted["one", "invariants", "all"] == 0
    assert counted["two", "invariants", "all"] == 2
    assert counted["two", "world", "lost"] == 3
    assert not list((raw / "two").glob("*.jsonl"))
    assert list((raw / "one").glob("*.jsonl"))


def test_records_of_cases(tmp_path: Path):
    assert read_case(tmp_path) is None
    record = CaseRecord(3.0, "d", ("broken",), (Count("a", "b", 1.0),))
    write_case(tmp_path, record)
    assert read_case(tmp_path) == record
    (tmp_path / "case.json").write_text("{}")
    with pytest.raises(LabError, match=r"case\.json cannot be read"):
        read_case(tmp_path)


@given(st.integers(0, 500), st.integers(1, 2**16 - 1), st.integers(0, 2**32 - 1))
@settings(max_examples=100, deadline=None)
def test_names_of_datagrams_are_numbers_and_back(node: int, incarnation: int, number: int):
    name = f"{node}.{incarnation}.{number}"
    assert message_name(message_number(name)) == name
    assert 0 <= message_number(name) < 2**63
