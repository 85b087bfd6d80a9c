"""Nodes and faults of a lab built by hand: what ``lab up --stack`` and ``lab fault`` do."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec
import yaml
from pydantic import ValidationError

from lab.emulation.state import LabState
from lab.engine.cluster.faults import Faults, read_standing
from lab.engine.cluster.nodes import Nodes, node_name, runtime_log
from lab.engine.inventory import inventory_of
from lab.errors import LabError
from lab.paths import PROJECT
from lab.scenarios.stack_model import TimelineEntry
from lab.shell.plan import epoch_in, shell_plan
from lab.stacks.events import FAULT, Event, event_line
from lab.stacks.plan import CasePlan, Fault, NetworkPlan
from lab.topology import Topology, load_topology
from lab.world.world import RUNTIME

INVENTORY_FILE = "inventory.yml"
_READY_S = 20.0
_READY_NODE_S = 1.0


def start_stack(state: LabState) -> None:
    """Start the programs of all nodes; LabError when one does not start."""
    topology = load_topology(state.topology)
    nodes = Nodes(state, state.nodes)
    nodes.reset(shell_plan(_plan(state, topology), epoch_in(0.0)))
    for node in nodes.all:
        nodes.start(node)
    nodes.wait_until_ready(nodes.all, time.monotonic() + _READY_S + _READY_NODE_S * nodes.count)


def _plan(state: LabState, topology: Topology) -> CasePlan:
    """The plan of a case that goes on until the lab is removed."""
    networks = tuple(NetworkPlan() for _ in topology.switches)
    return CasePlan(
        "hand", state.stack, state.nodes, float("inf"),
        options={"nodes": state.nodes}, networks=networks, dilation=state.dilation, seed=state.seed,
    )  # fmt: skip


def write_inventory(state: LabState, python: str) -> Path:
    """Write an Ansible inventory of a lab into its directory, and return where it is."""
    hosts = {host.name: host.kind for host in state.hosts.values()}
    path = state.directory / INVENTORY_FILE
    data = inventory_of(hosts, python)
    path.write_text(yaml.safe_dump(data, sort_keys=False), encoding="utf-8")
    return path


def cluster_of(state: LabState) -> Nodes:
    """Return the nodes of a lab; LabError when it has none."""
    if not state.nodes:
        raise LabError(
            f"{state.topology} stands without the nodes of a stack",
            remedy="`lab down`, then `lab up cluster_lan --stack mscs --nodes 4`",
        )
    return Nodes(state, state.nodes)


def numbers_of(nodes: Nodes, names: Sequence[str]) -> tuple[int, ...]:
    """Return the numbers of nodes given as ``n3`` or ``3``; LabError for one that is not there."""
    known = {name: node for node in nodes.all for name in (node_name(node), str(node))}
    for name in names:
        if name not in known:
            raise LabError(f"there is no node {name}", remedy=f"the nodes are n1 to n{nodes.count}")
    return tuple(dict.fromkeys(known[name] for name in names))


def make_fault(
    nodes: Nodes,
    kind: str,
    of: Sequence[str],
    peers: Sequence[str],
    *,
    network: int | None = None,
    value: float | None = None,
    level: str | None = None,
) -> Fault:
    """Return the fault that was asked for; LabError when it lacks something or has too much."""
    given: dict[str, object] = {"fault": kind, "network": network, "value": value, "level": level}
    if peers:
        given["peers"] = list(map(str, numbers_of(nodes, peers)))
    try:
        entry = TimelineEntry.model_validate({k: v for k, v in given.items() if v is not None})
    except ValidationError as error:
        first = error.errors()[0]
        what = str(first["msg"]).removeprefix("Value error, ")
        raise LabError(f"fault {kind}: {what}", remedy="see `lab fault --help`") from None
    assert entry.fault is not None  # noqa: S101 - given above
    return Fault(
        entry.fault,
        nodes=numbers_of(nodes, of),
        peers=numbers_of(nodes, peers),
        network=network,
        value=value or 0.0,
        level=entry.level or "idle",
    )


def inject(state: LabState, fault: Fault) -> None:
    """Bring a fault about now, and log it as the runtime of the lab."""
    nodes = cluster_of(state)
    with contextlib.closing(Faults(state, nodes)) as faults:
        plan = msgspec.json.decode(nodes.plan_file.read_bytes())
        now_s = (time.monotonic_ns() - plan["epoch_ns"]) / 1e9 / state.dilation
        fields = msgspec.to_builtins(fault)
        event = Event(now_s, RUNTIME, FAULT, fields.pop("fault"), fields=fields)
        with runtime_log(state.directory).open("ab") as log:
            log.write(event_line(event))
        faults.carry_out(fault)


def standing(state: LabState) -> list[Fault]:
    """Return the faults that stand."""
    return read_standing(state)


def ansible_hint() -> str:
    """Return the setting with which Ansible reaches the hosts of a lab."""
    return f"ANSIBLE_CONFIG={PROJECT / 'playbooks' / 'ansible.cfg'}"
