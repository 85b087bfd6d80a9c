"""The plan of a shell: what is the same for all nodes, and where on the networks they are.

This is the one place that knows ports, and with :mod:`lab.stacks.addresses` where nodes are:

- node n is ``10.(k+1).0.n`` on network k (``networks`` gives the first three numbers);
- an address that moves from node to node is a name of ``addresses``, with its last number, on
  every network alike; or it is written out, such as ``10.1.0.201``, and then on that network only;
- each channel has one port, UDP and TCP, on all networks: ``first_port`` plus the channel's place
  in the alphabetical order of the stack's channels;
- multicasts of network k go to ``239.77.(k+1).1``, on the channel's port.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec

from lab.errors import LabError
from lab.stacks.addresses import MOST_NODES, moving_network, prefixes
from lab.stacks.plan import CasePlan, ClientPlan

_FIRST_NAMED = 250
"""Of the addresses that move those with a name are numbered from here down."""
EXIT_STOPPED, EXIT_REFUSED, EXIT_HALTED, EXIT_FAILED = 0, 1, 3, 70


class ShellPlan(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a shell needs to know, apart from which node it is and where its files are."""

    stack: str
    nodes: int
    epoch_ns: int
    """CLOCK_MONOTONIC, which all containers of a machine share, at virtual time 0."""
    dilation: float = 1.0
    """Real seconds a virtual second."""
    options: dict[str, Any] = {}
    seed: int = 1
    networks: tuple[str, ...] = ("10.1.0", "10.2.0")
    addresses: dict[str, int] = {}
    first_port: int = 7000
    reservation_s: float = 10.0
    """Who holds the quorum volume and has not renewed for so long may lose it to another node."""
    journal: bool = False
    clients: tuple[ClientPlan, ...] = ()
    """What the last nodes are, as in :class:`lab.stacks.plan.CasePlan`."""

    def address(self, node: int, network: int) -> str:
        """Return a node's address on a network."""
        return f"{self.networks[network]}.{node}"

    def multicast_group(self, network: int) -> str:
        """Return the group that all nodes of a network are in."""
        return f"239.77.{network + 1}.1"

    def moving_address(self, name: str) -> dict[int, str]:
        """Return the addresses that a name stands for, by network; LabError when it is none."""
        if name in self.addresses:
            number = self.addresses[name]
            return {k: f"{prefix}.{number}" for k, prefix in enumerate(self.networks)}
        network = moving_network(name, self.networks)
        if network is not None:
            return {network: name}
        raise LabError(
            f"{name!r} is no address that can move",
            remedy=f"use {self.networks[0]}.{MOST_NODES + 1} to .254, or a name that the plan has: "
            f"{', '.join(self.addresses) or 'none'}",
        )

    def ports(self, channels: Iterable[str]) -> dict[str, int]:
        """Return the port of each channel."""
        return {name: self.first_port + place for place, name in enumerate(sorted(channels))}


def shell_plan(case: CasePlan, epoch_ns: int, *, journal: bool = False) -> ShellPlan:
    """Return what the shells of a case's nodes need to know."""
    return ShellPlan(
        stack=case.stack,
        nodes=case.nodes,
        epoch_ns=epoch_ns,
        dilation=case.dilation,
        options=case.options,
        seed=case.seed,
        networks=prefixes(len(case.networks)),
        addresses={name: _FIRST_NAMED - place for place, name in enumerate(case.addresses)},
        journal=journal,
        clients=case.clients,
    )


def epoch_in(seconds: float) -> int:
    """Return the ``epoch_ns`` of a case that begins in so many real seconds."""
    return time.monotonic_ns() + round(seconds * 1e9)


def write_plan(path: Path, plan: ShellPlan) -> None:
    """Write a plan, before the first shell starts."""
    path.write_bytes(msgspec.json.format(msgspec.json.encode(plan)) + b"\n")


def read_plan(path: Path) -> ShellPlan:
    """Read a plan.

    Raises:
        LabError: it is missing or wrong; says what.
    """
    try:
        plan = msgspec.json.decode(path.read_bytes(), type=ShellPlan)
    except (OSError, msgspec.DecodeError) as error:
        raise LabError(f"{path} is not the plan of a shell: {error}") from error
    if not 1 <= plan.nodes <= MOST_NODES:
        raise LabError(f"{path}: nodes is {plan.nodes}", remedy=f"use 1 to {MOST_NODES}")
    if plan.dilation <= 0:
        raise LabError(f"{path}: dilation is {plan.dilation}", remedy="use a positive number")
    return plan
