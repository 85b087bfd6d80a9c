"""The operations that the lab can ask the medium for, one JSON line each.

=========  ==============================================================================
configure  networks (hosts, each with the names of its two interfaces), prefixes of their
           addresses, setting: begin (once)
host       name, number, pid, dir, uid: open the keeper of addresses for that host
begin      setting (networks, dilation, seed, epoch_ns, hosts): forget everything and begin anew
fault      fault (of a plan): bring it about
stats      counters per network and host, and what was lost
dump       path: write the same, all collisions, and how late the medium was since the last dump
stop       end the process
=========  ==============================================================================
"""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from selectors import BaseSelector
from typing import Any

import msgspec

from lab.emulation.medium import frames
from lab.emulation.medium.keeper import SOCKET, HostAddresses, listen
from lab.emulation.medium.lan import Ends
from lab.emulation.medium.process import Medium, Setting
from lab.errors import LabError
from lab.ethernet.paths import PATH_FAULTS
from lab.stacks.plan import Fault

Answer = dict[str, Any]


class Control:
    """Carries out operations on the medium."""

    def __init__(self, selector: BaseSelector) -> None:
        self._selector = selector
        self.medium: Medium | None = None
        self.stopping = False
        self._prefixes: tuple[str, ...] = ()

    def handle(self, request: dict[str, Any]) -> Answer:
        """Do one operation; LabError when it cannot be done."""
        operations: dict[str, Callable[..., Answer | None]] = {
            "configure": self._configure,
            "host": self._host,
            "begin": self._begin,
            "fault": self._fault,
            "stats": self._stats,
            "dump": self._dump,
            "stop": self._stop,
        }
        op = str(request.pop("op", None))
        if op not in operations:
            raise LabError(f"no operation {op!r}; there are {', '.join(operations)}")
        try:
            return operations[op](**request) or {}
        except (KeyError, TypeError, ValueError, OSError, msgspec.ValidationError) as error:
            raise LabError(f"{type(error).__name__}: {error}") from error

    @property
    def _standing(self) -> Medium:
        if self.medium is None:
            raise LabError("the medium is not configured yet")
        return self.medium

    def _configure(
        self,
        networks: Sequence[Mapping[str, Any]],
        prefixes: Sequence[str],
        setting: Mapping[str, Any],
    ) -> None:
        if self.medium is not None:
            raise LabError("the medium is configured already")
        ends = [
            {
                int(number): Ends(
                    socket.if_nametoindex(host_if),
                    socket.if_nametoindex(switch_if) if switch_if else None,
                )
                for number, (host_if, switch_if) in hosts.items()
            }
            for hosts in networks
        ]
        self._prefixes = tuple(prefixes)
        self.medium = Medium(ends, msgspec.convert(setting, Setting))

    def _host(self, name: str, number: int, pid: int, dir: str, uid: int) -> None:
        netns = Path(f"/proc/{pid}/ns/net")
        if not netns.exists():
            raise LabError(f"host {name} is dead")
        addresses = HostAddresses(number, netns, self._prefixes, self._announce)
        listen(Path(dir) / SOCKET, uid, addresses, self._selector)

    def _announce(self, host: int, network: int, address: bytes) -> None:
        hardware = frames.hardware_address(host, network)
        medium = self._standing
        medium.turn()
        medium.lans[network].from_host(host, frames.gratuitous_arp(hardware, address))

    def _begin(self, setting: Mapping[str, Any]) -> None:
        self._standing.begin(msgspec.convert(setting, Setting))

    def _fault(self, fault: Mapping[str, Any]) -> None:
        medium = self._standing
        medium.turn()  # what came before the fault is not touched by it
        bring_about(medium, msgspec.convert(fault, Fault))

    def _stats(self) -> Answer:
        medium = self._standing
        medium.turn()
        return stats(medium)

    def _dump(self, path: str) -> None:
        medium = self._standing
        collisions = [asdict(collision) for collision in medium.collisions]
        data = {**self._stats(), "late": medium.late.take(), "collisions": collisions}
        Path(path).write_text(json.dumps(data), encoding="utf-8")

    def _stop(self) -> None:
        self.stopping = True


def bring_about(medium: Medium, fault: Fault) -> None:
    """Bring about what concerns the networks: faults between hosts, load, and healing."""
    every = sorted({host for lan in medium.lans for host in lan.ends})
    hosts = fault.nodes or tuple(every)
    chosen = medium.lans if fault.network is None else [medium.lans[fault.network]]
    if fault.fault in PATH_FAULTS:
        paths = [
            (source, target, lan.number)
            for source in hosts
            for target in fault.peers or every
            for lan in chosen
            if source != target
        ]
        medium.paths.set(fault, paths)
    elif fault.fault == "network-load":
        for lan in chosen:
            lan.load(fault.level, hosts)
    elif fault.fault == "heal":
        medium.paths.heal(set(hosts).__contains__)
        for lan in medium.lans:
            lan.load("idle", hosts)
    else:
        raise LabError(f"a medium knows no fault {fault.fault}")


def stats(medium: Medium) -> Answer:
    """Return the counters as plain data."""
    return {
        "networks": [
            {
                "kind": lan.plan.kind,
                "collisions": lan.collisions,
                "lost_in_queues": lan.lost(),
                "foreign": lan.foreign,
                "hosts": {str(host): asdict(counts) for host, counts in lan.counts.items()},
            }
            for lan in medium.lans
        ],
        "lost_by_faults": medium.paths.lost,
        "ring_drops": medium.ring_drops(),
        "refused": medium.refused,
    }
