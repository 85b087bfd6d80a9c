"""The fat tree's wiring, sentence by sentence, and what a topology refuses."""

import subprocess
import sys
from pathlib import Path

import networkx as nx
import pytest

from lab.errors import LabError
from lab.topology import (
    TOPOLOGY_DIR,
    Link,
    PortRef,
    Topology,
    from_description,
    known_topologies,
    load_topology,
)

PODS = range(1, 5)


@pytest.fixture(scope="module")
def tree() -> Topology:
    return load_topology("fat_tree")


def test_counts_and_degrees(tree: Topology):
    assert len(tree.switches) == 40
    assert len(tree.hosts) == 64
    assert len(tree.links) == 64 + 64 + 64
    for switch in tree.switches:
        assert [ref.port for ref in tree.ports(switch)] == list(range(1, 9))
    for host in tree.hosts:
        assert [ref.port for ref in tree.ports(host)] == [0]
    assert [sum(1 for s in tree.switches if tree.layer[s] == n) for n in (1, 2, 3)] == [16, 16, 8]


def test_peers_are_symmetric(tree: Topology):
    for node in (*tree.switches, *tree.hosts):
        for ref in tree.ports(node):
            assert tree.peer(tree.peer(ref)) == ref
            assert tree.peer(ref).node in tree.neighbours(node)
            assert Link(ref, tree.peer(ref)) in tree.links_of(node)


def test_at_most_five_switches_between_two_nodes(tree: Topology):
    graph = tree.graph()
    between = {
        len(path) - 2
        for _, paths in nx.all_pairs_shortest_path(graph)
        for end, path in paths.items()
        if end.startswith("n") and path[0].startswith("n") and len(path) > 1
    }
    assert between == {1, 3, 5}


def test_leaves_carry_their_nodes(tree: Topology):
    for leaf in range(1, 17):
        for port in range(1, 5):
            assert tree.peer(PortRef(f"s{leaf}", port)) == PortRef(f"n{4 * (leaf - 1) + port}", 0)
    assert tree.neighbours("n10") == ("s3",)
    assert tree.neighbours("n18") == ("s5",)


def test_leaves_and_middles_of_a_pod(tree: Topology):
    for pod in PODS:
        for place in range(1, 5):
            leaf = 4 * (pod - 1) + place
            for a in range(1, 5):
                middle = 16 + 4 * (pod - 1) + a
                assert tree.peer(PortRef(f"s{leaf}", 4 + a)) == PortRef(f"s{middle}", place)
    assert "s17" in tree.neighbours("s1")
    assert "s21" in tree.neighbours("s5")


def test_middles_and_cores(tree: Topology):
    for pod in PODS:
        for a in range(1, 5):
            cores = range(33, 37) if a in {1, 2} else range(37, 41)
            core_port = 2 * pod - 1 if a in {1, 3} else 2 * pod
            for u, core in enumerate(cores):
                middle = f"s{16 + 4 * (pod - 1) + a}"
                assert tree.peer(PortRef(middle, 5 + u)) == PortRef(f"s{core}", core_port)


def test_the_placements_of_the_experiments(tree: Topology):
    # Slow host: ports of core 34, out of port 1 to middle 17; port 2 belongs to pod 1 too.
    assert tree.peer(PortRef("s34", 1)).node == "s17"
    assert tree.peer(PortRef("s34", 2)).node == "s18"
    # Multi-stage: output 2 of core 36 goes to pod 1, output 3 to switch 21.
    assert tree.peer(PortRef("s36", 2)).node == "s18"
    assert tree.peer(PortRef("s36", 3)).node == "s21"


def test_names_of_ports(tree: Topology):
    assert tree.port_to("s1", "s17") == 5
    assert tree.port_to("n1", "s1") == 0
    with pytest.raises(LabError, match="s1 and s2 are not linked"):
        tree.port_to("s1", "s2")
    with pytest.raises(LabError, match="no node s41"):
        tree.ports("s41")
    with pytest.raises(LabError, match="no link at port n1:1"):
        tree.peer(PortRef("n1", 1))


def test_unknown_topology_lists_the_known_ones():
    assert "fat_tree" in known_topologies()
    with pytest.raises(LabError, match=r"no topology 'torus'.*fat_tree"):
        load_topology("torus")
    with pytest.raises(LabError, match="no topology"):
        load_topology("../lab/errors")


PLAIN = {
    "name": "t",
    "switches": ["s1", "s2"],
    "hosts": ["n1"],
    "links": [("n1", 0, "s1", 1), ("s1", 2, "s2", 1)],
    "layer": {"s1": 1, "s2": 2, "n1": 0},
}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"links": [*PLAIN["links"], ("s1", 2, "s2", 2)]}, "port s1:2 is wired twice"),
        ({"links": [*PLAIN["links"], ("s1", 3, "s9", 2)]}, "unknown node s9"),
        ({"links": PLAIN["links"][1:]}, r"ports of host n1 are \[\], but they count from 0"),
        ({"links": [("n1", 1, "s1", 1)]}, r"ports of host n1 are \[1\], but they count from 0"),
        ({"links": [*PLAIN["links"], ("n1", 1, "s2", 2)]}, "n1 has 2 links, but VCs begin and end"),
        ({"hosts": ["n1", "s2"], "switches": ["s1"], "links": [("n1", 0, "s2", 0)]},
         "a host is wired to a switch"),
        ({"forwarding": "pigeon"}, "forwarding is one of vc, ethernet"),
        ({"hubs": ["s3"]}, "a hub is one of the switches"),
        ({"layer": {"s1": 1, "n1": 0}}, "s2 has no layer"),
        ({"hosts": ["s1"]}, "used twice"),
    ],
)  # fmt: skip
def test_wrong_wiring_is_refused(change: dict[str, object], message: str):
    with pytest.raises(LabError, match=message):
        from_description(PLAIN | change)


@pytest.mark.parametrize("name", ["cluster_lan", "cluster_hub"])
def test_every_machine_of_a_cluster_is_on_both_networks(name: str):
    lan = load_topology(name)
    assert len(lan.hosts) == 33
    for place, host in enumerate(lan.hosts, 1):
        assert [lan.peer(ref) for ref in lan.ports(host)] == [
            PortRef("s1", place),
            PortRef("s2", place),
        ]
    assert lan.forwarding == "ethernet"
    assert lan.hubs == (lan.switches if name == "cluster_hub" else ())


def test_the_file_needs_nothing_but_python():
    code = "import fat_tree; d = fat_tree.describe(); print(len(d['links']))"
    out = subprocess.run(
        [
            sys.executable,
            "-I",
            "-S",
            "-c",
            f"import sys; sys.path = sys.path + [{str(TOPOLOGY_DIR)!r}]; {code}",
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    assert out.stdout.strip() == "192"


@pytest.mark.skipif(
    not Path("/usr/lib/python3/dist-packages/mininet").exists(), reason="Mininet is not installed"
)
@pytest.mark.parametrize("name", ["fat_tree", "cluster_lan", "cluster_hub"])
def test_mininet_reads_the_same_wiring(name: str):
    tree = load_topology(name)
    code = (
        f"import sys; sys.path.insert(0, {str(TOPOLOGY_DIR)!r}); import {name};"
        f"t = {name}.topos['{name}']();"
        "print(len(t.switches()), len(t.hosts()), len(t.links()));"
        "keys = 'node1', 'port1', 'node2', 'port2';"
        "[print(*(info[k] for k in keys)) for *_, info in t.links(withInfo=True)]"
    )
    out = subprocess.run(
        ["/usr/bin/python3", "-c", code], capture_output=True, text=True, check=True
    )
    first, *rest = out.stdout.splitlines()
    assert first == f"{len(tree.switches)} {len(tree.hosts)} {len(tree.links)}"
    wired = {
        frozenset({PortRef(a, int(ap)), PortRef(b, int(bp))})
        for a, ap, b, bp in (line.split() for line in rest)
    }
    assert wired == {frozenset({link.a, link.b}) for link in tree.links}
