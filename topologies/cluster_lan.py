"""A cluster of up to 32 nodes on two redundant Fast Ethernet networks (thesis 7.6, 7.9).

The wiring is plain data; it needs only Python. ``lab`` reads it through ``describe()``;
Mininet reads the same data:

    mn --custom topologies/cluster_lan.py --topo cluster_lan --switch ovsbr

Network k is switch s<k+1>. Node n1..n32 hangs on port 1..32 of both switches, with its port k on
network k. ``client`` on port 33 is a machine of the same networks that is no node of the cluster:
who uses the cluster's services sits there. Rates and delays belong to the experiment, not to the
wiring. :mod:`cluster_hub` is the same with hubs in place of the switches.
"""

SWITCHES = ["s1", "s2"]
HOSTS = [*(f"n{n}" for n in range(1, 33)), "client"]
LAYER = dict.fromkeys(HOSTS, 0) | dict.fromkeys(SWITCHES, 1)
LINKS = [
    (host, network, switch, port)
    for network, switch in enumerate(SWITCHES)
    for port, host in enumerate(HOSTS, start=1)
]


def describe() -> dict[str, object]:
    """Return the wiring as plain data: name, switches, hosts, links, layer, forwarding."""
    return {
        "name": "cluster_lan",
        "switches": list(SWITCHES),
        "hosts": list(HOSTS),
        "links": list(LINKS),
        "layer": dict(LAYER),
        "forwarding": "ethernet",
    }


try:
    from mininet.topo import Topo
except ImportError:  # read by lab, which has no need of Mininet's Python package
    Topo = None

if Topo is not None:

    class ClusterLan(Topo):
        """The same wiring for Mininet's own command ``mn``."""

        def build(self) -> None:
            """Add the switches, the machines and their cables, on the given ports."""
            for switch in SWITCHES:
                self.addSwitch(switch)
            for host in HOSTS:
                self.addHost(host)
            for a, a_port, b, b_port in LINKS:
                self.addLink(a, b, port1=a_port, port2=b_port)

    topos = {"cluster_lan": ClusterLan}
