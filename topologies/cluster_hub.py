"""A cluster of up to 32 nodes on two hubs: shared segments on which frames collide (thesis 7.6.1).

The wiring is plain data; it needs only Python. ``lab`` reads it through ``describe()``;
Mininet reads the same data, but its switches do not collide:

    mn --custom topologies/cluster_hub.py --topo cluster_hub --switch ovsbr

It is the wiring of ``cluster_lan``: network k is hub s<k+1>, node n1..n32 and ``client`` hang on
its ports 1..33 with their port k.
"""

HUBS = ["s1", "s2"]
HOSTS = [*(f"n{n}" for n in range(1, 33)), "client"]
LAYER = dict.fromkeys(HOSTS, 0) | dict.fromkeys(HUBS, 1)
LINKS = [
    (host, network, hub, port)
    for network, hub in enumerate(HUBS)
    for port, host in enumerate(HOSTS, start=1)
]


def describe() -> dict[str, object]:
    """Return the wiring as plain data: name, switches, hosts, links, layer, forwarding, hubs."""
    return {
        "name": "cluster_hub",
        "switches": list(HUBS),
        "hosts": list(HOSTS),
        "links": list(LINKS),
        "layer": dict(LAYER),
        "forwarding": "ethernet",
        "hubs": list(HUBS),
    }


try:
    from mininet.topo import Topo
except ImportError:  # read by lab, which has no need of Mininet's Python package
    Topo = None

if Topo is not None:

    class ClusterHub(Topo):
        """The same wiring for Mininet's own command ``mn``."""

        def build(self) -> None:
            """Add the hubs, the machines and their cables, on the given ports."""
            for hub in HUBS:
                self.addSwitch(hub)
            for host in HOSTS:
                self.addHost(host)
            for a, a_port, b, b_port in LINKS:
                self.addLink(a, b, port1=a_port, port2=b_port)

    topos = {"cluster_hub": ClusterHub}
