"""The AC3 Velocity fat tree: 40 eight-port switches and 64 nodes (thesis 4.2, 4.3, figure 4.1).

The wiring is plain data, made here from the rules below and nothing else; it needs only
Python. ``lab`` reads it through ``describe()``; Mininet reads the same data:

    mn --custom topologies/fat_tree.py --topo fat_tree

Rules (all numbers count from 1; a node's only port is 0):

- Leaves s1..s16. Leaf L carries nodes 4(L-1)+1 .. 4L on ports 1..4; ports 5..8 go up.
- Middles s17..s32, four a pod. Pod P has leaves 4(P-1)+1 .. 4P and middles 16+4(P-1)+1 .. 16+4P;
  leaf port 4+a leads to middle number a of the pod, whose port is the leaf's number in the pod.
- Cores s33..s40. s33..s36 serve middles 1 and 2 of every pod, s37..s40 middles 3 and 4. Core port
  2P-1 leads to pod P's first such middle, port 2P to its second; middle port 5+u leads to core u
  (u = 0..3) of its four.
"""

PODS = 4
NODES_PER_LEAF = 4
LEAVES_PER_POD = 4
MIDDLES_PER_POD = 4
CORES_PER_MIDDLE = 4

LEAVES = [f"s{n}" for n in range(1, 17)]
MIDDLES = [f"s{n}" for n in range(17, 33)]
CORES = [f"s{n}" for n in range(33, 41)]

SWITCHES = LEAVES + MIDDLES + CORES
HOSTS = [f"n{n}" for n in range(1, 65)]
LAYER = (
    dict.fromkeys(HOSTS, 0)
    | dict.fromkeys(LEAVES, 1)
    | dict.fromkeys(MIDDLES, 2)
    | dict.fromkeys(CORES, 3)
)


def _links() -> list[tuple[str, int, str, int]]:
    """Every cable once, the lower end first, as (node, port, node, port)."""
    links = []
    for leaf in range(1, len(LEAVES) + 1):
        for place in range(1, NODES_PER_LEAF + 1):
            links.append((f"n{NODES_PER_LEAF * (leaf - 1) + place}", 0, f"s{leaf}", place))
    for pod in range(1, PODS + 1):
        for leaf_place in range(1, LEAVES_PER_POD + 1):
            leaf = LEAVES_PER_POD * (pod - 1) + leaf_place
            for a in range(1, MIDDLES_PER_POD + 1):
                links.append((f"s{leaf}", 4 + a, f"s{16 + 4 * (pod - 1) + a}", leaf_place))
    for pod in range(1, PODS + 1):
        for a in range(1, MIDDLES_PER_POD + 1):
            first_core = 33 if a <= 2 else 37
            core_port = 2 * pod - 1 if a % 2 == 1 else 2 * pod
            for u in range(CORES_PER_MIDDLE):
                middle = 16 + 4 * (pod - 1) + a
                links.append((f"s{middle}", 5 + u, f"s{first_core + u}", core_port))
    return links


LINKS = _links()


def describe() -> dict[str, object]:
    """Return the wiring as plain data: name, switches, hosts, links, layer."""
    return {
        "name": "fat_tree",
        "switches": list(SWITCHES),
        "hosts": list(HOSTS),
        "links": list(LINKS),
        "layer": dict(LAYER),
    }


try:
    from mininet.topo import Topo
except ImportError:  # read by lab, which has no need of Mininet's Python package
    Topo = None

if Topo is not None:

    class FatTree(Topo):
        """The same wiring for Mininet's own command ``mn``."""

        def build(self) -> None:
            """Add all switches, nodes and links, each link on its two given ports."""
            for switch in SWITCHES:
                self.addSwitch(switch)
            for host in HOSTS:
                self.addHost(host)
            for a, a_port, b, b_port in LINKS:
                self.addLink(a, b, port1=a_port, port2=b_port)

    topos = {"fat_tree": FatTree}
