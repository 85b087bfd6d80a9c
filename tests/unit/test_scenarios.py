"""Scenario files: what is accepted, what is refused with which words, and what follows."""

import json
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest

from lab.errors import LabError
from lab.fabric.params import FabricParams
from lab.paths import SCENARIOS
from lab.scenarios import endpoint_plans, list_scenarios, load_scenario, steps, vc_requests
from lab.scenarios.plan import batch_us, end_s, full_messages_per_s, pass_s, real_s, stream_rates
from lab.scenarios.schema import SCHEMA_PATH, schema_text

NAME = "switch-port-contention"
TEXT = (SCENARIOS / f"{NAME}.yaml").read_text(encoding="utf-8")


Change = Callable[[str, str], str]


def line_of(text: str, part: str) -> int:
    return next(n for n, line in enumerate(text.splitlines(), 1) if part in line)


def refusal(name: str, **options: str) -> LabError:
    with pytest.raises(LabError) as caught:
        load_scenario(name, {key.replace("__", "."): value for key, value in options.items()})
    return caught.value


@pytest.fixture
def changed(tmp_path: Path):
    """Write the scenario with one text replaced; returns its path."""

    def write(old: str, new: str) -> str:
        assert TEXT.count(old) >= 1
        path = tmp_path / f"{NAME}.yaml"
        path.write_text(TEXT.replace(old, new, 1), encoding="utf-8")
        return str(path)

    return write


def test_the_scenario_loads_and_is_listed():
    scenario = load_scenario(NAME)
    assert [p.flow_control for p in scenario.passes] == ["quench", "link"]
    assert len(scenario.streams) == 14
    entry = next(entry for entry in list_scenarios() if entry.name == NAME)
    assert (entry.engines, entry.claims) == (
        ("emulation", "simulation"),
        len(scenario.claims),
    )


def test_the_published_schema_is_current():
    assert SCHEMA_PATH.read_text(encoding="utf-8") == schema_text(), (
        "run python -m lab.scenarios.schema"
    )


def test_unknown_scenario_suggests_the_nearest():
    error = refusal("switch-port-contension")
    assert f"did you mean {NAME}?" in error.remedy
    assert "no scenario file" in refusal("nowhere.yaml").message


@pytest.mark.parametrize(
    ("old", "new", "field", "remedy"),
    [
        ("playbook: s", "playbok: s", "playbok: unknown key", "did you mean playbook?"),
        ("{name: bg2, g", "{nam: bg2, g", "streams[0].nam: unknown key", "did you mean name?"),
        ("seed: 1", "seed: one", "seed: 'one' is not allowed; it should be a valid integer", ""),
        ("dilation: 100", "dilation: 0", "dilation: 0 is not allowed; it should be greater", ""),
        ("_bytes: 2048", "_bytes: 90000", "workload.message_bytes: 90000 is not allowed", ""),
        ("control: link", "control: lnk", "passes[1].flow_control: 'lnk'", "did you mean link?"),
        ("[emulation, sim", "[emulator, sim", "engines[0]: 'emulator'", "did you mean emulation?"),
        ("from: n7,", "from: n99,", "streams[0].from: there is no host 'n99'", "did you mean n9?"),
        ("containers: [n1,", "containers: [n0,", "hosts.containers[0]: there is no host", "n1"),
        (
            "[s20, s40, s23]",
            "[s20, x40, s23]",
            "streams[0].via[1]: there is no switch",
            "mean s40?",
        ),
        ("[s20, s40, s23]", "[s20, s33, s23]", "streams[0].via: route n7 -> n25", ""),
        ("to: n25", "to: n7", "streams[0].to: stream bg2 ends where it begins", ""),
        ("name: bg3", "name: bg2", "streams[1].name: 'bg2' is given twice", ""),
        ('name: "off"', 'name: "on"', "passes[1].name: 'on' is given twice", ""),
        ("topology: fat_tree", "topology: fattree", "topology: there is no", "fat_tree"),
        ("saturation.yml", "satration.yml", "playbook: there is no", "did you mean saturation.yml"),
        (
            "- fabric-quench\n",
            "- fabric-qench\n",
            "there is no claim",
            "did you mean fabric-quench",
        ),
        ("group: congestion\n    send", "group: congest\n    send", "timeline.sweep.group", "back"),
        ("rates: [0, 0.05", "rates: [0, 1.05", "timeline.sweep.send_rates[1]: 1.05", ""),
        ("contended_port: 1", "contended_port: 9", "observe.contended_port: s40 has no", "1, 2"),
        ("seed: 1\n", "seed: 1\nseed: 2\n", "seed: given twice", ""),
        ("measure_s: 0.030", "measure_s: 0.0305", "timeline: measure_s must be a whole", ""),
        (
            "buffer_cells: 20000",
            "buffer_cells: 500",
            "fabric: vci_quench_cells must be smaller",
            "",
        ),
        ("title: S", "title: [S", "not valid YAML", ""),
    ],
)
def test_errors_name_file_line_field_and_what_is_allowed(
    changed: Change, old: str, new: str, field: str, remedy: str
):
    path = changed(old, new)
    error = refusal(path)
    assert f"{NAME}.yaml:" in error.message
    assert field in error.message
    assert remedy in error.remedy


def test_the_line_is_the_one_to_mend(changed: Change):
    path = changed("from: n22", "from: n222")
    line = line_of(Path(path).read_text(encoding="utf-8"), "n222")
    assert f"{NAME}.yaml:{line}: streams[2].from:" in refusal(path).message


def test_the_name_is_the_files_name(changed: Change):
    assert "the file is called" in refusal(changed(f"name: {NAME}", "name: other")).message


def test_options_go_through_the_same_schema():
    scenario = load_scenario(
        NAME,
        {
            "seed": "7",
            "timeline.sweep.send_rates": "[0, 0.5, 1]",
            "fabric.buffer_quench_fraction": "7e-1",
            "streams.bg2.rate": "0.5",
            "streams.1.rate": "0.25",
            "hosts.containers": '["n1", "n2"]',
        },
    )
    assert (scenario.seed, scenario.fabric.buffer_quench_fraction) == (7, 0.7)
    assert scenario.timeline.sweep.send_rates == [0, 0.5, 1]
    assert [s.rate for s in scenario.streams[:3]] == [0.5, 0.25, 1.0]
    assert scenario.hosts.containers == ["n1", "n2"]


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("seed", "x", "option --set seed=x: seed: 'x' is not allowed"),
        ("sed", "1", "option --set sed=1: sed: unknown key (did you mean seed?"),
        ("streams.bg9.to", "n1", "option --set streams.bg9.to=n1: no element 'bg9'"),
        ("streams.bg2.to", "n99", "option --set streams.bg2.to=n99: streams[0].to: there is no"),
        ("seed.x", "1", "option --set seed.x=1: seed has no parts"),
        ("passes", "[{name: on}]", "option --set passes=[{name: on}]: passes[0].flow_control"),
        ("seed", "[1", "option --set seed=[1: the value is no YAML"),
        ("emulation.seed", "2", "option --set emulation.seed=2: options apply to the engine that"),
    ],
)
def test_errors_of_an_option_name_the_option(path: str, value: str, message: str):
    with pytest.raises(LabError) as caught:
        load_scenario(NAME, {path: value})
    assert message in str(caught.value)


def test_words_that_other_yaml_takes_for_booleans_stay_words(changed: Change):
    scenario = load_scenario(changed('name: "on"', "name: on"))
    assert scenario.passes[0].name == "on"


def test_service_time_of_a_message():
    params = FabricParams()
    assert params.message_cells(2048) == 43
    assert params.message_cells(40) == 1
    assert params.message_cells(41) == 2
    assert params.service_time_ns(2048) == pytest.approx(43 * 424)
    assert params.full_messages_per_s(2048) * 2048 / 1e6 == pytest.approx(112.33, abs=0.01)
    assert params.full_messages_per_s(4) == 266_000


def test_the_timeline_has_a_step_per_rate():
    scenario = load_scenario(NAME)
    timeline = steps(scenario)
    assert [step.send_rate for step in timeline] == scenario.timeline.sweep.send_rates
    for before, after in pairwise(timeline):
        assert before.t_start_ns < before.t_settled_ns < before.t_end_ns == after.t_start_ns
    assert end_s(scenario) == pytest.approx(0.65)
    assert pass_s(scenario) == pytest.approx(0.71)
    assert real_s(scenario) == pytest.approx(142)


def test_batches_are_short_where_latencies_are_judged_and_long_where_time_is_slow():
    def batch(dilation: float, **changed: bool) -> int:
        scenario = load_scenario(NAME)
        return batch_us(scenario.model_copy(update={"dilation": dilation, **changed}))

    assert [batch(d) for d in (10, 100, 300, 600, 1000)] == [2000, 2000, 6000, 10_000, 10_000]
    assert batch(1000, exact_timing=True) == 200


def test_plans_of_a_pass():
    scenario = load_scenario(NAME)
    requests = vc_requests(scenario)
    assert [request.name for request in requests] == [s.name for s in scenario.streams]
    channels = {request.name: number for number, request in enumerate(requests, 1)}
    plans = endpoint_plans(scenario, scenario.passes[0], channels)
    assert [plan.role for plan in plans] == ["receive"] * 14 + ["send"] * 14
    sender = next(p for p in plans if p.role == "send" and p.stream == "cong8")
    assert (sender.host, sender.endpoint) == ("n50", "cong8.a")
    plain = json.loads(json.dumps(sender.plan))
    assert plain["channel"] == channels["cong8"]
    assert [s["rate"] for s in plain["changes"]] == scenario.timeline.sweep.send_rates
    full = full_messages_per_s(scenario)
    assert plain["changes"][1]["messages_per_s"] == pytest.approx(0.05 * full)
    greedy = next(p for p in plans if p.role == "send" and p.stream == "bg2").plan
    assert greedy["changes"] == [
        {"t_start_s": 0.0, "rate": 1.0, "message_bytes": 2048, "messages_per_s": full}
    ]
    assert [w["step"] for w in plain["windows"]] == list(range(10))
    assert (plain["windows"][1]["t_start_s"], plain["windows"][1]["t_end_s"]) == (0.1, 0.13)
    assert set(stream_rates(scenario, scenario.stream("bg2"))) == {1.0}
