"""Steps, layouts, passes and bursts: what a scenario file means, and when it is refused."""

from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.errors import LabError
from lab.scenarios import Scenario, load_scenario, steps
from lab.scenarios.model import Layout, drawn
from lab.scenarios.plan import changes, end_s, endpoint_plans, stream_rates

BASE = {
    "name": "small",
    "title": "Small",
    "source": "none",
    "description": "none",
    "engines": ["simulation"],
    "topology": "fat_tree",
    "playbook": "passes.yml",
    "seed": 3,
    "dilation": 100.0,
    "workload": {"message_bytes": 2048},
    "streams": [
        {"name": "a", "group": "g", "from": "n1", "to": "n2"},
        {"name": "b", "group": "g", "from": "n3", "to": "n4", "message_bytes": 4},
        {"name": "c", "group": "h", "from": "n5", "to": "n6", "rate": 0.5},
    ],
    "passes": [{"name": "one", "flow_control": "quench"}],
    "timeline": {
        "settle_s": 0.01,
        "measure_s": 0.02,
        "drain_s": 0.01,
        "bin_s": 0.001,
        "sample_s": 0.001,
        "steps": [{"name": "all"}],
    },
}


def scenario(**changed: object) -> Scenario:
    plain = {**BASE, **{k: v for k, v in changed.items() if k not in ("sweep", "steps")}}
    timeline = dict(BASE["timeline"])
    for key in ("sweep", "steps"):
        if key in changed:
            timeline.pop("steps", None)
            timeline[key] = changed[key]
    return Scenario.model_validate({**plain, "timeline": timeline})


def rates(of: Scenario) -> dict[str, tuple[float, ...]]:
    return {s.name: stream_rates(of, s) for s in of.all_streams}


def test_steps_that_are_written_out():
    short = {"name": "g slowly", "rates": {"g": 0.1, "a": 0.2}, "measure_s": 0.005}
    named = scenario(steps=[{"name": "all"}, short, {"name": "big", "message_bytes": 9000}])
    assert rates(named) == {"a": (1.0, 0.2, 1.0), "b": (1.0, 0.1, 1.0), "c": (0.5, 0.5, 0.5)}
    assert [s.name for s in steps(named)] == ["all", "g slowly", "big"]
    assert [s.t_end_ns - s.t_settled_ns for s in steps(named)] == [
        20_000_000,
        5_000_000,
        20_000_000,
    ]
    sizes = {s.name: [c.message_bytes for c in changes(named, s)] for s in named.all_streams}
    assert sizes == {"a": [2048, 2048, 9000], "b": [4, 4, 4], "c": [2048, 9000]}


def test_a_sweep_that_adds_streams():
    adding = scenario(sweep={"group": "g", "adding": True})
    assert [s.value for s in steps(adding)] == [0, 1, 2]
    assert rates(adding) == {"a": (0, 1, 1), "b": (0, 0, 1), "c": (0.5, 0.5, 0.5)}


def test_a_sweep_of_message_sizes():
    sizes = scenario(sweep={"message_bytes": [1, 64, 65536]})
    assert [s.message_bytes for s in steps(sizes)] == [1, 64, 65536]
    assert [c.message_bytes for c in changes(sizes, sizes.stream("a"))] == [1, 64, 65536]
    assert [c.message_bytes for c in changes(sizes, sizes.stream("b"))] == [4]


@pytest.mark.parametrize(
    "sweep",
    [
        {"group": "g"},
        {"send_rates": [1.0]},
        {"group": "g", "send_rates": [1.0], "adding": True},
        {"adding": True},
    ],
)
def test_a_sweep_varies_one_thing(sweep: dict[str, object]):
    with pytest.raises(ValueError, match="sweep"):
        scenario(sweep=sweep)


def test_a_pass_takes_its_groups_and_parameters():
    own = scenario(
        passes=[
            {"name": "one", "flow_control": "quench", "groups": ["h"]},
            {"name": "two", "flow_control": "link", "fabric": {"propagation_ns": 5000.0}},
        ]
    )
    one, two = own.passes
    assert [s.name for s in own.streams_of(one)] == ["c"]
    assert len(own.streams_of(two)) == 3
    assert own.fabric_of(two).propagation_ns == 5000
    plans = endpoint_plans(own, one, {"a": 1, "b": 2, "c": 3})
    assert [(p.stream, p.role) for p in plans] == [("c", "receive"), ("c", "send")]


def test_an_echo_stream_has_a_ping_and_a_pong():
    echoes = scenario(
        streams=[{"name": "a", "group": "g", "from": "n1", "to": "n2", "echo": True}],
        passes=[
            {
                "name": "one",
                "flow_control": "link",
                "adapter": {"ni_send_ns": 9000.0},
                "reception": "upcall",
            }
        ],
    )
    plans = endpoint_plans(echoes, echoes.passes[0], {"a": 1})
    assert [(p.role, p.host, p.endpoint) for p in plans] == [
        ("pong", "n2", "a.b"),
        ("ping", "n1", "a.a"),
    ]
    assert plans[0].plan["adapter"]["ni_send_ns"] == 9000
    assert plans[0].plan["reception"] == "upcall"


HOSTS = [f"n{i}" for i in range(1, 33)]


@given(seed=st.integers(0, 2**31 - 1), each=st.integers(1, 3))
def test_a_permutation_takes_every_destination_once_a_turn(seed: int, each: int):
    layout = Layout.model_validate(
        {"group": "g", "from": ["n1..n8"], "to": ["n33..n40"], "seed": seed, "each": each}
    )
    streams = drawn(layout)
    assert streams == drawn(layout)
    assert len({s.name for s in streams}) == len(streams) == 8 * each
    for turn in range(each):
        targets = [s.to for s in streams[8 * turn : 8 * turn + 8]]
        assert sorted(targets) == sorted(f"n{i}" for i in range(33, 41))


@given(seed=st.integers(0, 2**31 - 1), hot=st.floats(0, 1))
def test_nobody_sends_to_itself(seed: int, hot: float):
    kind = {"kind": "hotspot", "hot": hot, "seed": seed}
    layout = Layout.model_validate({"group": "g", "from": HOSTS, "to": HOSTS, **kind})
    assert all(s.source != s.to for s in drawn(layout))


def test_a_hot_spot_takes_its_share():
    layout = Layout.model_validate(
        {"group": "g", "from": HOSTS, "to": HOSTS, "kind": "hotspot", "hot": 0.5, "seed": 1,
         "each": 50}
    )  # fmt: skip
    share = sum(s.to == "n1" for s in drawn(layout)) / (50 * 31)
    assert 0.45 < share < 0.56


@given(seed=st.integers(0, 1000), shape=st.floats(1.1, 5))
def test_bursts_go_on_and_off_to_the_end(seed: int, shape: float):
    bursts = {"on_s": 0.002, "off_s": 0.001, "shape": shape}
    bursty = scenario(
        seed=seed,
        streams=[{"name": "a", "group": "g", "from": "n1", "to": "n2", "bursts": bursts}],
        sweep={"group": "g", "send_rates": [1.0, 0.5]},
    )
    found = changes(bursty, bursty.stream("a"))
    assert found == changes(bursty, bursty.stream("a"))
    assert found[0].t_ns == 0
    assert all(before.t_ns < after.t_ns for before, after in pairwise(found))
    assert found[-1].t_ns < end_s(bursty) * 1e9
    half = steps(bursty)[1].t_start_ns
    assert {c.rate for c in found if c.t_ns < half} <= {0.0, 1.0}
    assert {c.rate for c in found if c.t_ns >= half} <= {0.0, 0.5}


def test_the_part_for_the_simulator_applies_to_it_alone(tmp_path: Path):
    ordinary = load_scenario("front-to-back")
    simulated = load_scenario("front-to-back", engine="simulation")
    assert ordinary.timeline.measure_s != simulated.timeline.measure_s
    assert ordinary.timeline.drain_s == simulated.timeline.drain_s
    longer = load_scenario("front-to-back", {"timeline.measure_s": "30"}, engine="simulation")
    assert longer.timeline.measure_s == 30


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("set2-10: 0}}", "set3: 0}}", "there is no group or stream 'set3'"),
        ("flow_control: link}", "flow_control: link, groups: [x]}", "there is no group 'x'"),
        (
            "flow_control: link}",
            "flow_control: link, fabric: {bufer_cells: 5}}",
            "passes[1].fabric.bufer_cells",
        ),
        (
            "flow_control: link}",
            "flow_control: link, adapter: {ni_send_ns: -1}}",
            "passes[1].adapter.ni_send_ns",
        ),
    ],
)
def test_what_steps_and_passes_name_must_exist(tmp_path: Path, old: str, new: str, words: str):
    from lab.paths import SCENARIOS

    text = (SCENARIOS / "multi-stage-congestion.yaml").read_text(encoding="utf-8")
    assert old in text
    path = tmp_path / "multi-stage-congestion.yaml"
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(LabError) as caught:
        load_scenario(str(path))
    assert words in str(caught.value)
