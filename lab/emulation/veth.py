"""The veth pairs between OVS and the line cards, and the line cards' namespace.

One end of each pair is a port of a switch, in the root namespace; a line card holds the
other. Both carry whole frames of ours and nothing else: no IPv6, no checksum offload (the
receiver would see unfinished checksums), an MTU for the largest frame.
"""

import contextlib
import errno
import subprocess
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from lab.emulation import netlink
from lab.emulation.labels import (
    CARDS_NETNS,
    RUN_ROOT,
    alias_of,
    card_interface,
    group_of,
    lab_dir,
    lab_of_alias,
    lab_of_group,
    switch_interface,
)
from lab.emulation.netlink import LinkInfo, RouteSocket, inside
from lab.errors import LabError
from lab.topology import Topology

MTU_BYTES = 9216
NETNS_PATH = Path("/run/netns") / CARDS_NETNS
_IPV6_CONF = Path("/proc/sys/net/ipv6/conf")


@dataclass(frozen=True)
class Pair:
    """A veth pair: its end in OVS and its end at the line card."""

    switch_end: str
    card_end: str


def pairs_of(topology: Topology) -> tuple[Pair, ...]:
    """Return one pair a switch port, in the order of switches and ports; a hub has none."""
    return tuple(
        Pair(switch_interface(switch, ref.port), card_interface(switch, ref.port))
        for switch in topology.bridged
        for ref in topology.ports(switch)
    )


def _netns_marker(lab_id: str) -> Path:
    return lab_dir(lab_id) / "netns"


def create_netns(lab_id: str) -> None:
    """Make the line cards' namespace and label it.

    A marker in the lab's directory goes first: it labels the namespace in the moment
    between its birth and the label on its loopback interface.
    """
    if NETNS_PATH.exists():
        raise LabError(
            f"a network namespace {CARDS_NETNS} exists that is not of this lab",
            remedy=f"remove it with `ip netns del {CARDS_NETNS}`",
        )
    _netns_marker(lab_id).write_text(CARDS_NETNS)
    done = subprocess.run(
        ["ip", "netns", "add", CARDS_NETNS], capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise LabError(f"namespace {CARDS_NETNS} cannot be made: {done.stderr.strip()}")
    with inside(NETNS_PATH), RouteSocket() as route:
        message = netlink.link_message(
            netlink.RTM_NEWLINK,
            netlink.text(netlink.IFLA_IFALIAS, alias_of(lab_id)),
            index=netlink.LOOPBACK_INDEX,
        )
        netlink.check(route.request([message]), ["lo"], "labelling the loopback of")
        for scope in ("all", "default"):
            with contextlib.suppress(FileNotFoundError):
                (_IPV6_CONF / scope / "disable_ipv6").write_text("1")


def create_pairs(lab_id: str, pairs: Sequence[Pair]) -> None:
    """Make all pairs, label their switch ends, and bring both ends up."""
    if not pairs:
        return
    switch_ends = [pair.switch_end for pair in pairs]
    with NETNS_PATH.open("rb") as netns, RouteSocket() as route:
        group = group_of(lab_id)
        births = [
            netlink.veth_message(
                pair.switch_end,
                pair.card_end,
                peer_netns_fd=netns.fileno(),
                mtu=MTU_BYTES,
                group=group,
            )
            for pair in pairs
        ]
        netlink.check(route.request(births), switch_ends, "making veth")
        for name in switch_ends:
            with contextlib.suppress(FileNotFoundError):
                (_IPV6_CONF / name / "disable_ipv6").write_text("1")
        netlink.checksum_offload_off(switch_ends)
        alias = netlink.text(netlink.IFLA_IFALIAS, alias_of(lab_id))
        bring_up(route, switch_ends, alias)
    with inside(NETNS_PATH), RouteSocket() as route:
        card_ends = [pair.card_end for pair in pairs]
        netlink.checksum_offload_off(card_ends)
        bring_up(route, card_ends)


def bring_up(route: RouteSocket, names: Sequence[str], attributes: bytes = b"") -> None:
    """Bring up interfaces of the namespace in which ``route`` was opened."""
    index = {link.name: link.index for link in route.links()}
    messages = [
        netlink.link_message(netlink.RTM_NEWLINK, attributes, index=index[name], up=True)
        for name in names
    ]
    netlink.check(route.request(messages), names, "bringing up")


def label_taps(lab_id: str, bridges: Sequence[str]) -> None:
    """Label the interface that Open vSwitch made for each bridge.

    It is persistent: it outlives the switch daemon when that is killed.
    """
    alias = netlink.text(netlink.IFLA_IFALIAS, alias_of(lab_id))
    with RouteSocket() as route:
        index = {link.name: link.index for link in route.links()}
        messages = [
            netlink.link_message(netlink.RTM_NEWLINK, alias, index=index[name]) for name in bridges
        ]
        netlink.check(route.request(messages), bridges, "labelling")


def lab_of_link(link: LinkInfo) -> str | None:
    """Return the lab that an interface belongs to, None for an interface that is not ours."""
    if link.kind not in {"veth", "tun"}:
        return None
    born_ours = link.kind == "veth" and link.name.startswith("lab-")
    return lab_of_alias(link.alias) or (lab_of_group(link.group) if born_ours else None)


def labelled_links() -> list[tuple[LinkInfo, str]]:
    """Return the interfaces of the root namespace that are ours, each with its lab."""
    with RouteSocket() as route:
        return [(link, lab) for link in route.links() if (lab := lab_of_link(link))]


def remove_links(lab_ids: Collection[str], bridges: Collection[str]) -> None:
    """Remove the interfaces of some labs, and what a dead switch daemon left of ``bridges``.

    A lab's veths go in one request where nothing of others has joined their group.
    """
    with RouteSocket() as route:
        every = route.links()
        ours = [
            link
            for link in every
            if lab_of_link(link) in lab_ids or (link.kind == "tun" and link.name in bridges)
        ]
        for lab_id in lab_ids:
            group = group_of(lab_id)
            members = [link for link in every if link.group == group]
            if members and all(lab_of_link(link) == lab_id for link in members):
                attributes = netlink.number(netlink.IFLA_GROUP, group)
                if route.request([netlink.link_message(netlink.RTM_DELLINK, attributes)]) == [0]:
                    ours = [link for link in ours if link.group != group]
        deaths = [netlink.link_message(netlink.RTM_DELLINK, b"", index=link.index) for link in ours]
        for link, code in zip(ours, route.request(deaths), strict=True):
            if code not in {0, errno.ENODEV}:
                netlink.check([code], [link.name], "removing")


def netns_lab() -> str | None:
    """Return the lab whose line cards' namespace stands, None when there is none of ours."""
    if not NETNS_PATH.exists():
        return None
    with contextlib.suppress(OSError), inside(NETNS_PATH), RouteSocket() as route:
        for link in route.links():
            if link.index == netlink.LOOPBACK_INDEX and lab_of_alias(link.alias):
                return lab_of_alias(link.alias)
    for marker in RUN_ROOT.glob("lab-*/netns"):
        return marker.parent.name
    return None


def remove_netns() -> None:
    """Remove the line cards' namespace with every interface in it."""
    subprocess.run(["ip", "netns", "del", CARDS_NETNS], capture_output=True, check=False)
    # Left when the name was made but no namespace was bound to it yet.
    NETNS_PATH.unlink(missing_ok=True)
