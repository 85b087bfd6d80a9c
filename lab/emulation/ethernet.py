"""Ethernet labs: the interfaces of hosts, the tables of switches, and the medium in between.

A host's interface ``eth<k>`` is on network k; the other end of its veth lies in the medium's
namespace, beside the outer ends of the switches' ports. Hosts know each other's hardware addresses
from the start, so that there is no ARP but for addresses that move; and the switches know where
everybody is, so that they flood only what is for many.
"""

from __future__ import annotations

import contextlib
import ipaddress
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import msgspec

from lab.emulation import netlink, ovs, realtime, veth
from lab.emulation.client import MediumClient
from lab.emulation.labels import card_interface, group_of, host_dir
from lab.emulation.medium.frames import hardware_address, text_of
from lab.emulation.medium.process import Setting
from lab.emulation.netlink import RouteSocket, inside
from lab.emulation.state import HostState, LabState
from lab.emulation.veth import NETNS_PATH
from lab.stacks.plan import NetworkPlan
from lab.topology import PortRef, Topology

MTU_BYTES = 1500
_PREFIX_BITS = 24
_PROC_IPV4 = Path("/proc/sys/net/ipv4")
_PROC_IPV6 = Path("/proc/sys/net/ipv6")


@dataclass(frozen=True)
class LanPlan:
    """What an Ethernet lab is beyond its wiring."""

    prefixes: Sequence[str]
    """The first three numbers of the IPv4 addresses of each network; a host adds its number."""
    networks: Sequence[NetworkPlan]


def host_number(topology: Topology, host: str) -> int:
    """Return a host's number: that of its port on every switch, and the last of its addresses."""
    return topology.peer(PortRef(host, 0)).port


def standing_networks(topology: Topology) -> tuple[NetworkPlan, ...]:
    """Return the networks of a topology at the usual rate and delay, hubs where it has hubs."""
    return tuple(
        NetworkPlan(kind="hub" if switch in topology.hubs else "switch")
        for switch in topology.switches
    )


def connect(state: LabState, topology: Topology, plan: LanPlan) -> None:
    """Give all hosts their interfaces and addresses, and the switches their tables."""
    hosts = [(host, host_number(topology, name)) for name, host in state.hosts.items()]
    _make_interfaces(state, topology, hosts)
    for host, _ in hosts:
        with inside(_netns(host)):
            _set_up_host(topology, hosts, host.name, plan.prefixes)
    tables = {switch: _table(topology, network) for network, switch in _switches(topology)}
    if tables:
        ovs.change_flows(tables)


def _netns(host: HostState) -> Path:
    return Path(f"/proc/{host.pid}/ns/net")


def _switches(topology: Topology) -> list[tuple[int, str]]:
    return [
        (network, switch)
        for network, switch in enumerate(topology.switches)
        if switch in topology.bridged
    ]


def _make_interfaces(
    state: LabState, topology: Topology, hosts: Sequence[tuple[HostState, int]]
) -> None:
    """Make all veths at once, one end here in the medium's namespace, the other in the host's."""
    births, names = [], []
    with ExitStack() as files, inside(NETNS_PATH), RouteSocket() as route:
        for host, number in hosts:
            netns = files.enter_context(_netns(host).open("rb"))
            for ref in topology.ports(host.name):
                names.append(card_interface(host.name, ref.port))
                births.append(
                    netlink.veth_message(
                        names[-1],
                        f"eth{ref.port}",
                        peer_netns_fd=netns.fileno(),
                        mtu=MTU_BYTES,
                        group=group_of(state.lab_id),
                        peer_address=hardware_address(number, ref.port),
                    )
                )
        netlink.check(route.request(births), names, "making veth")
        netlink.checksum_offload_off(names)
        veth.bring_up(route, names)


def _set_up_host(
    topology: Topology, hosts: Sequence[tuple[HostState, int]], name: str, prefixes: Sequence[str]
) -> None:
    """Bring up the interfaces of the host in whose namespace this runs."""
    ports = [ref.port for ref in topology.ports(name)]
    interfaces = [f"eth{port}" for port in ports]
    for scope in ("all", "default", *interfaces):
        _write(_PROC_IPV6 / "conf" / scope / "disable_ipv6", 1)
    # An interface answers for its own addresses only, and believes at once that one has moved.
    _write(_PROC_IPV4 / "conf" / "all" / "arp_ignore", 1)
    for interface in interfaces:
        _write(_PROC_IPV4 / "neigh" / interface / "locktime", 0)
    netlink.checksum_offload_off(interfaces)
    with RouteSocket() as route:
        veth.bring_up(route, interfaces)
        index = {link.name: link.index for link in route.links()}
        own = host_number(topology, name)
        messages = []
        for port, interface in zip(ports, interfaces, strict=True):
            for _, number in hosts:
                address = ipaddress.IPv4Address(f"{prefixes[port]}.{number}").packed
                at = index[interface]
                if number == own:
                    messages.append(
                        netlink.address_message(netlink.RTM_NEWADDR, at, address, _PREFIX_BITS)
                    )
                else:
                    hardware = hardware_address(number, port)
                    messages.append(netlink.neighbour_message(at, address, hardware))
        netlink.check(route.request(messages), [name] * len(messages), "setting addresses of")


def _write(path: Path, value: int) -> None:
    with contextlib.suppress(FileNotFoundError):  # a kernel without that protocol or setting
        path.write_text(str(value))


def _table(topology: Topology, network: int) -> list[str]:
    """Return the flow lines of a switch: a port for each host, and flooding for the rest."""
    lines = ["add priority=1,dl_dst=01:00:00:00:00:00/01:00:00:00:00:00,actions=flood"]
    for host in topology.hosts:
        number = host_number(topology, host)
        hardware = text_of(hardware_address(number, network))
        lines.append(f"add priority=2,dl_dst={hardware},actions=output:{number}")
    return lines


def start_medium(state: LabState, topology: Topology, plan: LanPlan) -> int:
    """Start the medium and tell it the networks; return its process number."""
    pid = realtime.start(state, "lab.emulation.medium", "medium process", state.medium_socket)
    with MediumClient(state.medium_socket) as medium:
        medium.call(
            "configure",
            networks=[
                _ends(state, topology, network, switch in topology.hubs)
                for network, switch in enumerate(topology.switches)
            ],
            prefixes=list(plan.prefixes),
            setting=setting_data(
                Setting(
                    plan.networks,
                    state.dilation,
                    state.seed,
                    time.monotonic_ns(),
                    hosts=max(host_number(topology, name) for name in state.hosts),
                )
            ),
        )
        for name, host in state.hosts.items():
            medium.call(
                "host",
                name=name,
                number=host_number(topology, name),
                pid=host.pid,
                dir=str(host_dir(state.lab_id, name)),
                uid=host.uid,
            )
    return pid


def _ends(
    state: LabState, topology: Topology, network: int, is_hub: bool
) -> dict[str, tuple[str, str | None]]:
    """Return the two interfaces in the medium of each host's link to a network, by its number."""
    ends: dict[str, tuple[str, str | None]] = {}
    for host in state.hosts:
        far = topology.peer(PortRef(host, network))
        switch_end = None if is_hub else card_interface(far.node, far.port)
        ends[str(far.port)] = (card_interface(host, network), switch_end)
    return ends


def setting_data(setting: Setting) -> dict[str, Any]:
    """Return a setting as plain data for the medium."""
    data = asdict(setting)
    data["networks"] = [msgspec.to_builtins(plan) for plan in setting.networks]
    return data
