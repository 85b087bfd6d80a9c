"""A circuit as OpenFlow entries: at each switch ``in_port, label -> new label, out port``.

Each hop has one entry for data and one for quench cells, told apart by the traffic class.
That is not for counting alone. Setting the label leaves the class as it is, but Open
vSwitch's user datapath rewrites the whole label word from a cached flow, and the cache tells
frames apart only by what the entries match: with one entry for both, quench cells that follow
data would come out as data. The TTL is rewritten in the same way, which is harmless, because
all our frames bear the same. The cookie is the circuit's id, so that a circuit can be found
and removed in a switch without knowing its labels.
"""

from collections.abc import Iterable

from lab.signalling.vc import Hop, Vc

PRIORITY = 100
DATA_CLASS = 0
QUENCH_CLASS = 7
CLASSES = (DATA_CLASS, QUENCH_CLASS)


def hop_entries(vc_id: int, hop: Hop) -> list[str]:
    """Return the entries of one hop of one direction, in the syntax of ``ovs-ofctl``."""
    return [
        f"cookie={vc_id:#x},priority={PRIORITY},in_port={hop.in_port},mpls,"
        f"mpls_label={hop.in_label},mpls_tc={traffic_class},"
        f"actions=set_field:{hop.out_label}->mpls_label,output:{hop.out_port}"
        for traffic_class in CLASSES
    ]


def flow_entries(vc: Vc) -> dict[str, list[str]]:
    """Return the entries of both directions, by switch."""
    entries: dict[str, list[str]] = {}
    for hop in (*vc.forward[1:-1], *vc.reverse[1:-1]):
        entries.setdefault(hop.node, []).extend(hop_entries(vc.id, hop))
    return entries


def entries_by_switch(vcs: Iterable[Vc]) -> dict[str, list[str]]:
    """Return the entries of many circuits, by switch, for one bulk call a switch."""
    entries: dict[str, list[str]] = {}
    for vc in vcs:
        for switch, lines in flow_entries(vc).items():
            entries.setdefault(switch, []).extend(lines)
    return entries


def delete_spec(vc_id: int) -> str:
    """Return the match that removes all entries of a circuit in a switch."""
    return f"cookie={vc_id:#x}/-1"
