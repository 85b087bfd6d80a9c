"""The placement of switch-port-contention: only what the experiment is about is shared."""

from collections import defaultdict
from itertools import pairwise

import pytest

from lab.scenarios import load_scenario, vc_requests
from lab.signalling import Vc, open_vcs
from lab.topology import PortRef, load_topology

Vcs = tuple[Vc, ...]
SCENARIO = load_scenario("switch-port-contention")
TOPOLOGY = load_topology(SCENARIO.topology)
SWITCH, HOT = SCENARIO.observe.switch, SCENARIO.observe.contended_port


@pytest.fixture(params=[1, 2, 77], scope="module")
def vcs(request: pytest.FixtureRequest):
    return open_vcs(TOPOLOGY, vc_requests(SCENARIO), request.param)


def links_of(vcs: Vcs):
    """(node, next node) -> the streams that cross that direction of the link."""
    users: dict[tuple[str, str], list[Vc]] = defaultdict(list)
    for vc in vcs:
        nodes = [hop.node for hop in vc.forward]
        for link in pairwise(nodes):
            users[link].append(vc)
    return users


def test_every_stream_has_its_own_hosts():
    ends = [host for stream in SCENARIO.streams for host in (stream.source, stream.to)]
    assert len(set(ends)) == len(ends) == 28


def test_all_taking_part_in_pod_1_are_containers_and_nobody_else():
    pod = {host for host in SCENARIO.used_hosts() if int(host[1:]) <= 16}
    assert pod == set(SCENARIO.hosts.containers)
    assert len(pod) == 10


def test_all_routes_cross_the_switch_over_five_switches(vcs: Vcs):
    for vc in vcs:
        assert len(vc.forward) == 7
        assert vc.forward[3].node == SWITCH


def test_ports_at_the_switch(vcs: Vcs):
    at = {vc.name: vc.forward[3] for vc in vcs}
    for kind in ("bg", "cong"):
        assert [at[f"{kind}{port}"].in_port for port in range(2, 9)] == list(range(2, 9))
    outs = [at[f"bg{port}"].out_port for port in range(2, 9)]
    assert sorted(outs) == list(range(2, 9))
    assert all(out != port for port, out in enumerate(outs, 2))
    assert {at[f"cong{port}"].out_port for port in range(2, 9)} == {HOT}


def test_only_inputs_of_the_switch_and_the_way_behind_the_hot_port_are_shared(vcs: Vcs):
    behind = TOPOLOGY.peer(next(r for r in _refs(SWITCH) if r.port == HOT)).node
    for (node, following), users in links_of(vcs).items():
        groups = sorted(vc.group for vc in users)
        if len(users) == 1:
            continue
        if following == SWITCH:
            assert groups == ["background", "congestion"]
            assert len({vc.name.lstrip("bgcon") for vc in users}) == 1
        elif node == SWITCH:
            assert following == behind
            assert groups == ["congestion"] * 7
        else:
            # A seventh of the hot port each: two of them never fill a link.
            assert node == behind
            assert groups == ["congestion"] * len(users)
            assert len(users) <= 2


def test_the_hot_port_is_the_only_second_bottleneck(vcs: Vcs):
    """With the inputs full, max-min shares leave every other link below its capacity."""
    full = 1.0
    load = {vc.name: full / 7 if vc.group == "congestion" else full * 6 / 7 for vc in vcs}
    for (node, following), users in links_of(vcs).items():
        total = sum(load[vc.name] for vc in users)
        at_capacity = following == SWITCH or (node == SWITCH and len(users) == 7)
        assert total == pytest.approx(full) if at_capacity else total < 0.9 * full


def test_quench_cells_travel_back_on_links_of_their_own_direction(vcs: Vcs):
    for vc in vcs:
        assert [h.node for h in vc.reverse] == [h.node for h in reversed(vc.forward)]


def _refs(node: str) -> list[PortRef]:
    return [end for link in TOPOLOGY.links_of(node) for end in (link.a, link.b) if end.node == node]
