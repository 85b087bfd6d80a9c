"""A circuit as OpenFlow entries: at each switch ``in_port, label -> new label, out port``.

Setting the label field alone leaves the traffic class (which tells quench cells from data)
and the TTL as they are. The cookie is the circuit's id, so that a circuit can be found and
removed in a switch without knowing its labels.
"""

from collections.abc import Iterable

from lab.signalling.vc import Hop, Vc

PRIORITY = 100


def flow_entry(vc_id: int, hop: Hop) -> str:
    """Return the entry of one switch, in the syntax of ``ovs-ofctl``."""
    return (
        f"cookie={vc_id:#x},priority={PRIORITY},in_port={hop.in_port},mpls,"
        f"mpls_label={hop.in_label},"
        f"actions=set_field:{hop.out_label}->mpls_label,output:{hop.out_port}"
    )


def flow_entries(vc: Vc) -> dict[str, list[str]]:
    """Return the entries of both directions, by switch."""
    entries: dict[str, list[str]] = {}
    for hop in (*vc.forward[1:-1], *vc.reverse[1:-1]):
        entries.setdefault(hop.node, []).append(flow_entry(vc.id, hop))
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
