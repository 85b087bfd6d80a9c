"""The placements of chapter 4: through the switches and ports that the text names."""

from collections import Counter
from itertools import pairwise

import pytest

from lab.scenarios import ScenarioEntry, list_scenarios, load_scenario, vc_requests
from lab.signalling import Vc, open_vcs
from lab.topology import load_topology

TREE = load_topology("fat_tree")


def routes(name: str) -> dict[str, Vc]:
    scenario = load_scenario(name)
    return {vc.name: vc for vc in open_vcs(TREE, vc_requests(scenario), scenario.seed)}


def ports_at(vc: Vc, switch: str) -> tuple[int, int]:
    return next((h.in_port, h.out_port) for h in vc.forward if h.node == switch)


def load_of(vcs: list[Vc]) -> Counter[tuple[str, str]]:
    return Counter(link for vc in vcs for link in pairwise(vc.path))


ON_THE_FABRIC = [entry for entry in list_scenarios() if entry.stack is None]


@pytest.mark.parametrize("entry", ON_THE_FABRIC, ids=lambda e: e.name)
def test_every_scenario_of_the_fabric_loads_on_its_engines(entry: ScenarioEntry):
    for engine in entry.engines:
        scenario = load_scenario(entry.name, engine=engine)
        open_vcs(load_topology(scenario.topology), vc_requests(scenario), scenario.seed)


def test_slow_host():
    vcs = routes("slow-host")
    ins = {name: ports_at(vc, "s34") for name, vc in vcs.items()}
    assert [ins[f"cong{p}"] for p in range(2, 9)] == [(p, 1) for p in range(2, 9)]
    assert [ins[f"bg{p}"][0] for p in range(3, 9)] == list(range(3, 9))
    assert sorted(ins[f"bg{p}"][1] for p in range(3, 9)) == list(range(3, 9))
    assert all(ins[f"bg{p}"][1] != p for p in range(3, 9))
    for port in range(2, 9):
        assert vcs[f"cong{port}"].switches[-3:] == ("s34", "s17", "s1")
    load = load_of([vc for name, vc in vcs.items() if name.startswith("bg")])
    assert set(load.values()) == {1}
    load = load_of(list(vcs.values()))
    shared = {link for link, n in load.items() if n > 1}
    assert {b for _, b in shared} == {"s34", "s17", "s1", "n1"}


def test_multi_stage_congestion():
    vcs = routes("multi-stage-congestion")
    first = [vc for vc in vcs.values() if vc.group == "set1"]
    second = [vc for vc in vcs.values() if vc.group == "set2-18"]
    probe = [vc for vc in vcs.values() if vc.group == "set2-10"]
    assert (len(first), len(second), len(probe)) == (7, 6, 6)
    assert not any("s36" in vc.path for vc in first)
    assert sum("s21" in vc.path for vc in first) == 4
    assert [ports_at(vc, "s36") for vc in second] == [(p, 3) for p in (1, 4, 5, 6, 7, 8)]
    assert [ports_at(vc, "s36") for vc in probe] == [(p, 2) for p in (1, 4, 5, 6, 7, 8)]
    assert [vc.a for vc in second] == [vc.a for vc in probe]
    assert {vc.b for vc in first + second} == {"n18"}
    assert {vc.b for vc in probe} == {"n10"}
    load = load_of(first + second + probe)
    assert load["s5", "n18"] == 13
    assert load["s3", "n10"] == 6


def test_front_to_back():
    vcs = routes("front-to-back")
    assert len(vcs) == 4 * 32
    for number in range(1, 5):
        layout = [vc for vc in vcs.values() if vc.group == f"layout{number}"]
        assert sorted(int(vc.a[1:]) for vc in layout) == list(range(1, 33))
        assert sorted(int(vc.b[1:]) for vc in layout) == list(range(33, 65))
        assert all(len(vc.switches) == 5 for vc in layout)
    layout1 = [vc for vc in vcs.values() if vc.group == "layout1"]
    load = load_of(layout1)
    alone = [vc.a for vc in layout1 if all(load[link] == 1 for link in pairwise(vc.path))]
    assert alone == ["n22"]


def test_layouts_do_not_depend_on_the_seed_of_the_run():
    one, two = (
        open_vcs(TREE, vc_requests(load_scenario("front-to-back", {"seed": s})), int(s))
        for s in ("1", "2")
    )
    assert [vc.path for vc in one] == [vc.path for vc in two]


def test_baseline():
    vcs = routes("fabric-baseline")
    assert {name: len(vc.switches) for name, vc in vcs.items()} == {
        "hops1": 1,
        "hops3": 3,
        "hops5": 5,
    }
    assert set(load_of(list(vcs.values())).values()) == {1}
