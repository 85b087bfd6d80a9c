"""The page of a stack's run: what is drawn, what is left out and told, and what is missing."""

from pathlib import Path

import pandas as pd
import pytest
from stack_run import StackRunMaker, heartbeats, scenario_of, view

from lab.analysis import analyse
from lab.analysis.stacks.lives import phases, running, views
from lab.analysis.stacks.observations import StackObservations
from lab.report import write_report
from lab.report.stacks.arrows import arrows
from lab.report.stacks.moments import CLOSE_UP_ARROWS, Window, close_up, stories, window
from lab.report.stacks.over_nodes import message_rates
from lab.report.stacks.spacetime import space_time_figure
from lab.results.tables import table_path
from lab.stacks.events import Event

KILLED = Event(8.0, 0, "fault", "kill", fields={"nodes": [2], "peers": []})
REGROUP = [
    *(Event(t, 1, "regroup", phase) for t, phase in ((9.0, "activate"), (11.0, "closing"))),
    Event(12.0, 1, "regroup", "done"),
]


def silent(nodes: int, dead: int, from_s: float) -> list[Event]:
    """Heartbeats of nodes of which one falls silent."""
    return [
        e
        for e in heartbeats(nodes)
        if e.t_s < from_s
        or (e.node != dead and not (e.kind == "receive" and e.fields["peer"] == dead))
    ]


@pytest.fixture
def made(tmp_path: Path) -> StackRunMaker:
    made = StackRunMaker(tmp_path, scenario_of(sweeps=[{"nodes": [4]}]))
    told = [view(0.5, node, 1, [1, 2, 3, 4]) for node in range(1, 5)]
    told += [view(11.5, node, 2, [1, 3, 4]) for node in (1, 3, 4)]
    made.events["n4"] = [*silent(4, 2, 8.0), KILLED, *told, *REGROUP]
    return made


@pytest.fixture
def run(made: StackRunMaker) -> StackObservations:
    return made.observe()


def test_the_window_begins_at_the_first_fault_and_ends_when_nodes_are_silent(
    run: StackObservations,
):
    seen = window(run, "n4")
    assert 7.5 < seen.start_s < 8.0
    assert 12.0 < seen.end_s < 12.5
    assert seen.about == "the first fault (kill)"


def test_a_quiet_case_shows_its_middle(tmp_path: Path):
    run = StackRunMaker(tmp_path).observe()
    seen = window(run, "n2")
    assert seen.start_s < 10.0 < seen.end_s
    assert "nodes told of nothing" in seen.about


def test_arrows_are_datagrams_and_those_that_never_arrived_are_told(run: StackObservations):
    found = arrows(run, Window("n4", 0.0, 1.0, "")).rows
    assert len(found) == 4 * 3
    assert not found["lost"].any()
    assert ((found["received_s"] - found["sent_s"]) > 0).all()
    later = arrows(run, Window("n4", 9.0, 10.0, "")).rows
    assert later["lost"].sum() == 3
    assert set(later.loc[later["lost"], "target"]) == {2}


def test_too_many_arrows_leave_out_the_most_frequent_kind_and_tell_so(run: StackObservations):
    extra = run.tables["messages"].head(24).assign(label="rpc lock")
    more = StackObservations(
        run.scenario,
        {**run.tables, "messages": pd.concat([run.tables["messages"], extra])},
    )
    seen = Window("n4", 0.0, 20.0, "")
    assert set(arrows(more, seen).rows["group"]) == {"heartbeat", "rpc"}
    cut = arrows(more, seen, most=30)
    assert set(cut.rows["group"]) == {"rpc"}
    assert cut.left_out["heartbeat"] > 100
    less = arrows(run, seen, most=30)
    assert len(less.rows) == 30
    assert less.left_out["heartbeat"] > 100


def test_lives_of_nodes(run: StackObservations):
    spans = {(s.node, s.start_s, s.end_s) for s in running(run, "n4")}
    assert (2, 0.0, 8.0) in spans
    assert (1, 0.0, 20.0) in spans
    seen = [(s.node, s.start_s, s.end_s, s.what) for s in views(run, "n4")]
    assert (2, 0.5, 8.0, "1-4") in seen
    assert (3, 0.5, 11.5, "1-4") in seen
    assert (3, 11.5, 20.0, "1, 3-4") in seen
    assert [(s.start_s, s.end_s, s.what) for s in phases(run, "n4")] == [
        (9.0, 11.0, "regroup activate"),
        (11.0, 12.0, "regroup closing"),
    ]


def test_a_close_up_is_short_and_where_something_new_begins():
    rows = pd.DataFrame(
        {
            "sent_s": [i / 10 for i in range(200)],
            "received_s": [i / 10 + 0.01 for i in range(200)],
            "group": ["heartbeat"] * 100 + ["regroup", "heartbeat"] * 50,
        }
    )
    seen = Window("n4", 0.0, 20.0, "all")
    nearer = close_up(seen, rows)
    assert nearer is not None
    assert nearer.start_s == pytest.approx(10.0, abs=0.2)
    assert nearer.end_s - nearer.start_s < 4
    assert "regroup" in nearer.about
    assert close_up(seen, rows.head(CLOSE_UP_ARROWS)) is None


def test_of_each_kind_of_case_the_largest_readable_one_is_told(tmp_path: Path):
    sweeps = [{"nodes": [2, 5, 12], "load": ["idle", "heavy"]}, {"nodes": [12], "medium": ["hub"]}]
    run = StackRunMaker(tmp_path, scenario_of(sweeps=sweeps, over_s=2)).observe()
    assert stories(run) == ["n5", "n5-heavy", "n12-hub"]
    rates = message_rates(run).set_index(["nodes", "setting"])["per_s"]
    assert rates[12, "hub"] == 12 * 11
    assert rates[5, "heavy"] == 5 * 4


def test_the_diagram_has_a_line_for_each_node_and_the_fault(run: StackObservations):
    seen = window(run, "n4")
    figure = space_time_figure(run, seen, arrows(run, seen))
    names = [trace.name for trace in figure.data]
    assert {"node runs", "regroup activate", "heartbeat", "never arrived"} <= set(names)
    assert list(figure.layout.yaxis.ticktext) == ["node 1", "node 2", "node 3", "node 4"]
    assert [a.text for a in figure.layout.annotations] == ["kill 2"]
    assert figure.layout.shapes[0].x0 == 8.0


def page(made: StackRunMaker) -> str:
    run_dir = made.write()
    analyse(run_dir)
    return write_report(run_dir).read_text(encoding="utf-8")


def test_the_page_tells_the_run(made: StackRunMaker):
    text = page(made)
    for words in (
        "Figure 2. Who sent what to whom",
        "Case n4 around the first fault (kill)",
        "Every node" if made.engine == "emulation" else "in a simulated world",
        "Faults, load and heals",
        "every invariant held",
        "The cases of the run",
    ):
        assert words in text
    assert "Source Quench" not in text.split("</nav>")[1].split("<script>")[0]


def test_a_page_of_a_run_without_tables_says_so(made: StackRunMaker):
    run_dir = made.write()
    for name in ("cases", "messages", "events"):
        table_path(run_dir, name).unlink()
    text = write_report(run_dir).read_text(encoding="utf-8")
    assert "table cases is missing" in text
    assert "Nothing can be drawn of the cases" in text
