"""Routes, labels and flow entries: what must hold for any set of circuits."""

import itertools
import random
import re
from collections import Counter

import networkx as nx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lab.errors import LabError
from lab.signalling import (
    FIRST_LABEL,
    LAST_LABEL,
    LabelSpace,
    Vc,
    VcRequest,
    entries_by_switch,
    flow_entries,
    open_vcs,
    route,
)
from lab.topology import HOST_PORT, PortRef, load_topology

TREE = load_topology("fat_tree")
Ends = list[tuple[str, str]]
FLOW = re.compile(
    r"cookie=(0x[0-9a-f]+),priority=\d+,in_port=(\d+),mpls,mpls_label=(\d+),mpls_tc=([07]),"
    r"actions=set_field:(\d+)->mpls_label,output:(\d+)"
)

pairs = st.lists(
    st.tuples(st.sampled_from(TREE.hosts), st.sampled_from(TREE.hosts)).filter(
        lambda pair: pair[0] != pair[1]
    ),
    min_size=1,
    max_size=60,
)


def draw(seed: int) -> random.Random:
    return random.Random(seed)  # noqa: S311 - repeatable, not secret


def circuits(ends: Ends, seed: int) -> tuple[Vc, ...]:
    requests = [VcRequest(f"v{i}", "g", a, b) for i, (a, b) in enumerate(ends)]
    return open_vcs(TREE, requests, seed)


def climbs_then_descends(path: tuple[str, ...]) -> bool:
    layers = [TREE.layer[node] for node in path]
    top = layers.index(max(layers))
    return layers[: top + 1] == sorted(set(layers[: top + 1])) and layers[top:] == sorted(
        set(layers[top:]), reverse=True
    )


@settings(max_examples=60, deadline=None)
@given(pairs, st.integers(0, 2**32))
def test_paths_are_shortest_and_up_down_and_wired(ends: Ends, seed: int):
    graph = TREE.graph()
    for vc, (a, b) in zip(circuits(ends, seed), ends, strict=True):
        assert vc.path[0] == a
        assert vc.path[-1] == b
        assert len(vc.path) == nx.shortest_path_length(graph, a, b) + 1
        assert climbs_then_descends(vc.path)
        assert tuple(hop.node for hop in vc.reverse) == vc.path[::-1]
        for here, there in zip(vc.forward, vc.forward[1:], strict=False):
            out = PortRef(here.node, here.out_port)
            assert TREE.peer(out) == PortRef(there.node, there.in_port)
            assert here.out_label == there.in_label
        for forth, back in zip(vc.forward, reversed(vc.reverse), strict=True):
            assert (forth.in_port, forth.out_port) == (back.out_port, back.in_port)


@settings(max_examples=60, deadline=None)
@given(pairs, st.integers(0, 2**32))
def test_no_two_circuits_share_a_label_of_a_directed_link(ends: Ends, seed: int):
    used = Counter(
        (hop.node, hop.out_port, hop.out_label)
        for vc in circuits(ends, seed)
        for chain in (vc.forward, vc.reverse)
        for hop in chain[:-1]
    )
    assert max(used.values()) == 1
    assert all(FIRST_LABEL <= label <= LAST_LABEL for _, _, label in used)


@settings(max_examples=40, deadline=None)
@given(pairs, st.integers(0, 2**32))
def test_following_the_entries_leads_to_the_other_host(ends: Ends, seed: int):
    vcs = circuits(ends, seed)
    tables: dict[str, dict[tuple[int, int, int], tuple[int, int, int]]] = {}
    for switch, lines in entries_by_switch(vcs).items():
        for line in lines:
            match = FLOW.fullmatch(line)
            assert match, line
            numbers = (int(group, 0) for group in match.groups())
            cookie, in_port, in_label, traffic_class, out_label, out_port = numbers
            table = tables.setdefault(switch, {})
            assert (in_port, in_label, traffic_class) not in table
            table[in_port, in_label, traffic_class] = (cookie, out_label, out_port)
    for vc in vcs:
        ways = ((vc.forward, vc.a, vc.b), (vc.reverse, vc.b, vc.a))
        for (chain, start, end), traffic_class in itertools.product(ways, (0, 7)):
            at, label = TREE.peer(PortRef(start, HOST_PORT)), chain[0].out_label
            for _ in range(10):
                cookie, label, out_port = tables[at.node][at.port, label, traffic_class]
                assert cookie == vc.id
                at = TREE.peer(PortRef(at.node, out_port))
                if at.node not in tables:
                    break
            assert at == PortRef(end, HOST_PORT)
            assert label == chain[-1].in_label


@settings(max_examples=25, deadline=None)
@given(pairs, st.integers(0, 2**32))
def test_no_cycle_of_buffers(ends: Ends, seed: int):
    """A circuit that holds a buffer of one link and waits for the next: no waiting in a ring."""
    waits = nx.DiGraph()
    for vc in circuits(ends, seed):
        for chain in (vc.forward, vc.reverse):
            links = [(hop.node, hop.out_port) for hop in chain[:-1]]
            nx.add_path(waits, links)
    assert nx.is_directed_acyclic_graph(waits)


def test_all_equal_paths_are_drawn():
    rng = draw(1)
    drawn = Counter(route(TREE, "n1", "n64", None, rng) for _ in range(3200))
    assert len(drawn) == 4 * 4 * 2
    assert min(drawn.values()) > 50


def test_a_seed_repeats_and_another_differs():
    ends = [(f"n{i}", f"n{i + 32}") for i in range(1, 33)]
    assert circuits(ends, 1) == circuits(ends, 1)
    assert [vc.path for vc in circuits(ends, 1)] != [vc.path for vc in circuits(ends, 2)]


def test_a_circuit_more_leaves_the_paths_of_the_others():
    ends = [(f"n{i}", f"n{i + 32}") for i in range(1, 33)]
    few = circuits(ends[:8], 5)
    assert [vc.path for vc in circuits(ends, 5)[:8]] == [vc.path for vc in few]


def test_pinned_paths():
    rng = draw(0)
    full = ("s2", "s20", "s40", "s19", "s3")
    assert route(TREE, "n5", "n9", full, rng) == ("n5", *full, "n9")
    assert route(TREE, "n5", "n33", ["s40"], rng)[3] == "s40"
    part = route(TREE, "n5", "n9", ["s19"], rng)
    assert part == ("n5", "s2", "s19", "s3", "n9")
    assert route(TREE, "n5", "n9", ["s40", "s19"], rng) == ("n5", *full, "n9")


@pytest.mark.parametrize(
    ("a", "b", "via", "message"),
    [
        ("n1", "n1", (), "n1 to itself"),
        ("n1", "n65", (), "n65 is not a host"),
        ("s1", "n2", (), "s1 is not a host"),
        ("n1", "n33", ("s99",), "s99 is not a switch"),
        ("n1", "n33", ("s17", "s40"), "from s17 to s40"),
        ("n1", "n33", ("s2",), "from s2 to s9 .*came down before"),
        ("n5", "n9", ("s40", "s20", "s37"), "from s20 to s37 .*came down before"),
        ("n1", "n2", ("s40",), "pass a switch twice"),
    ],
)
def test_impossible_paths_name_the_offending_pair(
    a: str, b: str, via: tuple[str, ...], message: str
):
    with pytest.raises(LabError, match=message):
        route(TREE, a, b, via, draw(0))


def test_ids_and_labels_beside_standing_circuits():
    old = open_vcs(TREE, [VcRequest("one", "g", "n1", "n2")], 1)
    new = open_vcs(TREE, [VcRequest("two", "g", "n1", "n2")], 1, existing=old, first_id=2)
    assert (old[0].id, new[0].id) == (1, 2)
    assert (old[0].forward[0].out_label, new[0].forward[0].out_label) == (16, 17)
    assert new[0].a_endpoint == "two.a"
    with pytest.raises(LabError, match="already a circuit named one"):
        open_vcs(TREE, [VcRequest("one", "g", "n3", "n2")], 1, existing=old)
    with pytest.raises(LabError, match="circuit bad: route n1 -> n3 via s4"):
        open_vcs(TREE, [VcRequest("bad", "g", "n1", "n3", via=("s4",))], 1)


def test_entries_of_one_circuit():
    (vc,) = open_vcs(TREE, [VcRequest("one", "g", "n1", "n2")], 1)
    assert flow_entries(vc) == {
        "s1": [
            f"cookie=0x1,priority=100,in_port={in_port},mpls,mpls_label=16,mpls_tc={tc},"
            f"actions=set_field:16->mpls_label,output:{out_port}"
            for in_port, out_port in ((1, 2), (2, 1))
            for tc in (0, 7)
        ]
    }


@given(st.lists(st.booleans(), max_size=200))
def test_freed_labels_come_back(plan: list[bool]):
    labels, ref, held = LabelSpace(), PortRef("s1", 1), []
    for take in plan:
        if take or not held:
            label = labels.allocate(ref)
            assert label not in held
            assert label <= FIRST_LABEL + len(held)
            held.append(label)
        else:
            labels.free(ref, held.pop(0))
        assert labels.used(ref) == frozenset(held)


def test_labels_end():
    labels, ref = LabelSpace(), PortRef("s1", 1)
    for label in range(FIRST_LABEL, LAST_LABEL + 1):
        labels.take(ref, label)
    with pytest.raises(LabError, match="all labels of the link out of s1:1"):
        labels.allocate(ref)
    assert labels.allocate(PortRef("s1", 2)) == FIRST_LABEL
    labels.free(ref, 77)
    assert labels.allocate(ref) == 77
    with pytest.raises(LabError, match="taken twice"):
        labels.take(ref, 77)
    with pytest.raises(LabError, match="outside"):
        labels.take(ref, 15)
    with pytest.raises(LabError, match="is not taken"):
        labels.free(PortRef("s1", 3), 16)
