"""An ATM LAN of eight workstations on one switch (thesis 2.4.2: a Fore ASX-200).

The wiring is plain data; it needs only Python. ``lab`` reads it through ``describe()``;
Mininet reads the same data:

    mn --custom topologies/atm_lan.py --topo atm_lan

Workstation n1..n8 hangs on port 1..8 of switch s1; a workstation's only port is 0. The rate of
the fibres (140 Mbit/s TAXI) is a parameter of the scenario's fabric, not of the wiring.
"""

SWITCHES = ["s1"]
HOSTS = [f"n{n}" for n in range(1, 9)]
LAYER = dict.fromkeys(HOSTS, 0) | dict.fromkeys(SWITCHES, 1)
LINKS = [(host, 0, "s1", port) for port, host in enumerate(HOSTS, start=1)]


def describe() -> dict[str, object]:
    """Return the wiring as plain data: name, switches, hosts, links, layer."""
    return {
        "name": "atm_lan",
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

    class AtmLan(Topo):
        """The same wiring for Mininet's own command ``mn``."""

        def build(self) -> None:
            """Add the switch, the workstations and their fibres, on the given ports."""
            for switch in SWITCHES:
                self.addSwitch(switch)
            for host in HOSTS:
                self.addHost(host)
            for a, a_port, b, b_port in LINKS:
                self.addLink(a, b, port1=a_port, port2=b_port)

    topos = {"atm_lan": AtmLan}
