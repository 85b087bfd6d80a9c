"""Scenarios of stacks: what is accepted, what is refused with which words, and what follows."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lab.errors import LabError
from lab.scenarios import StackScenario, load_any, load_scenario
from lab.scenarios.cases import PlanError, PlannedCase, planned_cases, virtual_s
from lab.scenarios.model import Scenario
from lab.stacks.plan import Action, Ask, Fault, Seen

TEXT = """
name: heartbeats
title: A title
source: nowhere
description: Nothing.
engines: [simulation]
stack: toy
topology: fat_tree
playbook: heartbeat.yml
seed: 1
over_s: 10
options: {period_s: 1.2}
variants:
  - {name: multicast, options: {multicast: true, size: $bytes}}
sweeps:
  - nodes: [2, 4]
    load: [idle, heavy]
    variant: [plain, multicast]
    parameters: {bytes: [50, 2048]}
cases:
  - name: two-fail
    nodes: 5
    members: 1..-2
    over_s: 30
    timeline:
      - {at_s: 3, fault: kill, nodes: [2, -1]}
      - {at_s: 5, ask: update, nodes: 1, arguments: {bytes: 50}, every_s: 10}
claims: []
"""


Load = Callable[..., StackScenario]


class ToyStack:
    """Accepts three options."""

    def make(self, node: int, options: dict[str, Any], seed: int) -> None:
        unknown = set(options) - {"nodes", "members", "period_s", "multicast", "size"}
        if unknown:
            raise LabError(f"there is no option {unknown.pop()!r}", remedy="allowed: period_s")


@pytest.fixture(autouse=True)
def toy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lab.scenarios.stack_check.STACKS", ("toy",))
    monkeypatch.setattr("lab.scenarios.stack_check.find_stack", lambda _: ToyStack())


@pytest.fixture
def load(tmp_path: Path):
    def write(old: str = "", new: str = "", engine: str | None = None) -> StackScenario:
        assert old in TEXT
        path = tmp_path / "heartbeats.yaml"
        path.write_text(TEXT.replace(old, new, 1) if old else TEXT, encoding="utf-8")
        scenario = load_any(str(path), engine=engine)
        assert isinstance(scenario, StackScenario)
        return scenario

    return write


def scenario_of(**parts: Any) -> StackScenario:
    whole = {
        "name": "x", "title": "x", "source": "x", "description": "x", "engines": ["simulation"],
        "stack": "toy", "topology": "t", "playbook": "p", "seed": 1, "over_s": 60, **parts,
    }  # fmt: skip
    return StackScenario.model_validate(whole)


def only_case(**parts: Any) -> PlannedCase:
    (case,) = planned_cases(scenario_of(cases=[{"name": "one", "nodes": 4, **parts}]))
    return case


def test_a_sweep_is_the_product_of_its_values_and_cases_follow(load: Load):
    cases = planned_cases(load())
    assert len(cases) == 2 * 2 * 2 * 2 + 1
    assert cases[0].name == "n2-bytes50"
    assert cases[7].name == "n2-heavy-multicast-bytes2048"
    assert [c.name for c in cases if c.nodes == 5] == ["two-fail"]
    assert virtual_s(load()) == 16 * 10 + 30


def test_options_are_the_scenarios_then_the_variants_with_parameters_filled_in(load: Load):
    by_name = {case.name: case for case in planned_cases(load())}
    plain, multicast = by_name["n4-bytes50"], by_name["n4-multicast-bytes2048"]
    assert plain.plan.options == {"nodes": 4, "period_s": 1.2}
    assert multicast.plan.options == {
        "nodes": 4, "period_s": 1.2, "multicast": True, "size": 2048,
    }  # fmt: skip
    assert (multicast.variant, multicast.parameters) == ("multicast", {"bytes": 2048})
    assert by_name["two-fail"].plan.options["members"] == [1, 2, 3, 4]


def test_load_is_an_action_and_the_timeline_follows(load: Load):
    by_name = {case.name: case.plan for case in planned_cases(load())}
    assert by_name["n2-heavy-bytes50"].actions == (Action(0.0, Fault("cpu-load", level="heavy")),)
    assert by_name["two-fail"].actions == (
        Action(3.0, Fault("kill", (2, 5))),
        *(Action(at, Ask("update", (1,), {"bytes": 50})) for at in (5.0, 15.0, 25.0)),
    )


def test_seeds_differ_but_variants_are_compared_under_the_same_draws(load: Load):
    by_name = {case.name: case.plan.seed for case in planned_cases(load())}
    assert by_name["n4-bytes50"] == by_name["n4-multicast-bytes50"]
    assert by_name["n4-bytes50"] != by_name["n2-bytes50"]
    assert planned_cases(load("seed: 1", "seed: 2"))[0].plan.seed != by_name["n2-bytes50"]
    repeated = load("    load: [idle, heavy]", "    repetitions: 3\n    load: [idle, heavy]")
    cases = planned_cases(repeated)
    assert [c.name for c in cases[:3]] == ["n2-bytes50-r1", "n2-bytes50-r2", "n2-bytes50-r3"]
    assert len({c.plan.seed for c in cases[:3]}) == 3


def test_nodes_one_by_one_wait_for_the_former():
    plan = only_case(
        late="2..-1",
        timeline=[
            {"at_s": 2, "fault": "restart", "nodes": "2..-1",
             "one_by_one": {"kind": "join", "phase": "done", "at_most_s": 90, "then_s": 0.5}},
        ],
    ).plan  # fmt: skip
    wait = {node: Seen("join", "done", (node,), 90.0) for node in (2, 3)}
    assert plan.actions == (
        Action(2.0, Fault("restart", (2,))),
        Action(0.5, Fault("restart", (3,)), after=wait[2]),
        Action(0.5, Fault("restart", (4,)), after=wait[3]),
    )


def test_requests_one_after_the_other_reply():
    plan = only_case(
        parameters={"count": 3},
        timeline=[
            {"ask": "update", "nodes": 2, "times": "$count", "one_by_one": {"kind": "reply"}}
        ],
    ).plan
    assert [a.after for a in plan.actions] == [None, *[Seen("reply", "", (2,), 60.0)] * 2]


def test_nodes_that_start_once_more_start_at_the_beginning_too():
    entries = [
        {"at_s": 1, "fault": "kill", "nodes": [2]},
        {"at_s": 9, "fault": "restart", "nodes": [2, 3]},
    ]
    plan = only_case(timeline=entries, late=[3]).plan
    assert plan.actions[0] == Action(0.0, Fault("restart", (2,)))


def test_all_nodes_are_named_by_naming_none_and_an_empty_set_does_nothing():
    entries = [
        {"at_s": 1, "fault": "pause"},
        {"at_s": 2, "fault": "kill", "nodes": "5..-1"},
        {"at_s": 3, "fault": "cut", "nodes": 1, "peers": "5..-1"},
        {"at_s": 4, "fault": "cut", "nodes": 1},
    ]
    plan = only_case(timeline=entries).plan
    assert plan.actions == (Action(1.0, Fault("pause")), Action(4.0, Fault("cut", (1,))))


def test_the_section_of_an_engine_applies_on_that_engine(load: Load):
    section = "simulation: {seed: 9, sweeps: [{nodes: [3]}]}\nclaims: []"
    assert load("claims: []", section).seed == 1
    there = load("claims: []", section, engine="simulation")
    assert (there.seed, [c.name for c in planned_cases(there)]) == (9, ["n3", "two-fail"])


def test_the_scenario_survives_the_manifest(load: Load):
    scenario = load()
    assert StackScenario.model_validate(scenario.plain()) == scenario


def test_a_fabric_scenario_is_none_of_a_stack(load: Load, tmp_path: Path):
    assert isinstance(load_any("slow-host"), Scenario)
    load()
    with pytest.raises(LabError, match="an experiment on the stack toy, not on the fabric"):
        load_scenario(str(tmp_path / "heartbeats.yaml"))


@pytest.mark.parametrize(
    ("old", "new", "what", "remedy"),
    [
        ("stack: toy", "stack: tox", "stack: there is no stack 'tox'", "did you mean toy?"),
        ("over_s: 10\n", "ovr_s: 10\n", "ovr_s: unknown key", "did you mean over_s?"),
        ("over_s: 10\n", "", "sweeps[0]: case n2-bytes50: over_s is given nowhere", ""),
        ("[plain, multicast]", "[plain, multicost]", "there is no variant 'multicost'",
         "did you mean multicast?"),
        ("name: multicast", "name: plain", "'plain' is the variant that changes nothing", ""),
        ("size: $bytes", "size: $byte", "variants[0].options.size: there is no parameter 'byte'",
         "did you mean bytes?"),
        ("[2, -1]", "[2, 6]", "cases[0].timeline[0].nodes[1]: 6 is not among the 5 nodes", ""),
        ("[2, -1]", "[2, x]", "cases[0].timeline[0].nodes[1]: 'x' is no node", ""),
        ("fault: kill", "fault: kil", "cases[0].timeline[0].fault: 'kil'", "did you mean kill?"),
        ("fault: kill", "fault: loss", "fault loss needs a value", ""),
        ("fault: kill", "fault: kill, peers: 1", "fault kill has no peers", ""),
        ("fault: kill", "fault: cut, network: 2", "there is no network 2", "allowed: 0, 1"),
        ("fault: kill", "ask: x, fault: kill", "one of fault and ask", ""),
        ("every_s: 10", "every_s: 0", "a series needs a time above 0", ""),
        ("every_s: 10", "level: idle", "level belongs to a fault, not to a request", ""),
        ("name: two-fail", "name: n2-bytes50", "cases[0]: case 'n2-bytes50' is given twice", ""),
        ("members: 1..-2", "late: [3]", "node 3 is late, but no restart", ""),
        ("period_s: 1.2", "period: 1.2", "options: there is no option 'period'", "period_s"),
        ("claims: []", "claims: [no-such]", "claims[0]: there is no claim 'no-such'", ""),
        ("topology: fat_tree", "topology: fat", "there is no topology 'fat'", "fat_tree"),
    ],
)  # fmt: skip
def test_refusals_name_file_line_and_field(load: Load, old: str, new: str, what: str, remedy: str):
    with pytest.raises(LabError) as caught:
        load(old, new)
    assert what in caught.value.message
    assert "heartbeats.yaml:" in caught.value.message
    assert remedy in caught.value.remedy


@given(
    nodes=st.integers(1, 40),
    items=st.lists(
        st.one_of(
            st.integers(1, 40).flatmap(lambda n: st.sampled_from([n, -n])),
            st.tuples(st.integers(1, 40), st.integers(1, 40)).map(lambda p: f"{p[0]}..-{p[1]}"),
        ),
        min_size=1, max_size=4,
    ),
)  # fmt: skip
@settings(max_examples=60, deadline=None)
def test_node_sets_are_within_the_case_or_refused(nodes: int, items: list[int | str]):
    case = {"name": "one", "nodes": nodes, "members": items}
    expected: set[int] = set()
    for item in items:
        first, last = item.split("..") if isinstance(item, str) else (item, item)
        ends = [n if n > 0 else nodes + 1 + n for n in (int(first), int(last))]
        expected |= set(range(ends[0], ends[1] + 1)) or ({0} if ends[1] < ends[0] - 1 else set())
    if expected <= set(range(1, nodes + 1)):
        (planned,) = planned_cases(scenario_of(cases=[case]))
        assert set(planned.plan.options["members"]) == expected
    else:
        with pytest.raises(PlanError, match="is not among the"):
            planned_cases(scenario_of(cases=[case]))
