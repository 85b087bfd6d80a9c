"""Brings faults about and heals them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from lab.ethernet.agenda import to_ns
from lab.ethernet.networks import Network
from lab.ethernet.paths import PATH_FAULTS, Path, Paths
from lab.stacks.plan import Fault
from lab.world.disks import QuorumVolume
from lab.world.host import Host


class Faults:
    """Carries out the faults of a plan.

    Args:
        start: starts the program of a node that does not run.
        kill: ends the program of a node.
    """

    def __init__(
        self,
        *,
        hosts: dict[int, Host],
        networks: list[Network],
        paths: Paths,
        quorum: QuorumVolume,
        start: Callable[[Host], None],
        kill: Callable[[Host], None],
    ) -> None:
        self._hosts = hosts
        self._networks = networks
        self._paths = paths
        self._quorum = quorum
        self._start = start
        self._kill = kill

    def carry_out(self, fault: Fault) -> None:
        """Bring a fault about."""
        nodes = fault.nodes or tuple(self._hosts)
        if fault.fault in PATH_FAULTS:
            self._paths.set(fault, self._paths_of(fault, nodes))
        elif fault.fault == "network-load":
            for network in self._chosen(fault):
                network.load(fault.level, nodes)
        elif fault.fault == "heal":
            self._heal(nodes)
        else:
            for node in nodes:
                self._to_host(fault, self._hosts[node])

    def _to_host(self, fault: Fault, host: Host) -> None:
        match fault.fault:
            case "kill":
                self._kill(host)
            case "wipe":
                self._kill(host)
                host.disk.keys.clear()
            case "restart":
                if not host.runs:
                    self._start(host)
            case "pause":
                host.paused = host.runs
            case "resume":
                host.resume()
            case "slow-disk":
                host.disk.slower_ns[host.number] = to_ns(fault.value)
                self._quorum.slower_ns[host.number] = to_ns(fault.value)
            case "cpu-load":
                host.processor.level = fault.level
            case "clock-step":
                host.step_clock(fault.value)
            case "quorum-cut":
                self._quorum.cut_off.add(host.number)

    def _heal(self, nodes: Sequence[int]) -> None:
        touched = set(nodes)
        self._paths.heal(touched.__contains__)
        for network in self._networks:
            network.load("idle", nodes)
        for node in nodes:
            host = self._hosts[node]
            host.processor.level = "idle"  # first, so that it does not go on as a loaded node does
            host.resume()
            host.disk.slower_ns.pop(node, None)
            self._quorum.slower_ns.pop(node, None)
            self._quorum.cut_off.discard(node)

    def _chosen(self, fault: Fault) -> list[Network]:
        return self._networks if fault.network is None else [self._networks[fault.network]]

    def _paths_of(self, fault: Fault, nodes: Sequence[int]) -> list[Path]:
        networks = range(len(self._networks)) if fault.network is None else (fault.network,)
        peers = fault.peers or tuple(self._hosts)
        return [
            (source, target, network)
            for source in nodes
            for target in peers
            for network in networks
            if source != target
        ]
