"""The Ansible inventory of a run: this machine, and every host of the experiment.

A Mininet host or a container is reached through ``lab exec`` by the connection plugin
``lab_host``, so that ad-hoc commands and tasks of an experiment's playbook can run inside it.
A host on another machine would only need another connection here.
"""

from collections.abc import Mapping
from pathlib import Path

import yaml

from lab.emulation.state import HostKind
from lab.engine.run import AnyRun
from lab.scenarios import AnyScenario, Scenario, StackScenario
from lab.scenarios.cases import most_nodes

INVENTORY_FILE = "inventory.yml"
CONTAINER_PYTHON = "/usr/bin/python3"


def inventory(scenario: AnyScenario, python: str) -> dict[str, object]:
    """Inventory of a scenario as plain data; ``python`` runs modules on this machine."""
    groups = (
        _nodes_of_stack(scenario)
        if isinstance(scenario, StackScenario)
        else _hosts_of_fabric(scenario, python)
    )
    return _grouped(groups, python)


def inventory_of(hosts: Mapping[str, HostKind], python: str) -> dict[str, object]:
    """Inventory of a lab built by hand: its hosts and their kinds."""
    groups: dict[str, dict[str, object]] = {"containers": {}, "mininet": {}}
    for host, kind in hosts.items():
        groups["containers" if kind == "container" else "mininet"][host] = {
            "lab_host": host,
            "lab_kind": kind,
            "ansible_python_interpreter": CONTAINER_PYTHON if kind == "container" else python,
        }
    return _grouped(groups, python)


def _grouped(groups: Mapping[str, dict[str, object]], python: str) -> dict[str, object]:
    return {
        "all": {
            "hosts": {
                "localhost": {
                    "ansible_connection": "local",
                    "ansible_python_interpreter": python,
                }
            },
            "children": {
                "lab_hosts": {
                    "vars": {"ansible_connection": "lab_host"},
                    "children": {name: {"hosts": hosts} for name, hosts in groups.items()},
                }
            },
        }
    }


def _nodes_of_stack(scenario: StackScenario) -> dict[str, dict[str, object]]:
    """Node 3 of the stack is container n3."""
    hosts: dict[str, object] = {
        f"n{node}": {
            "lab_host": f"n{node}",
            "lab_kind": "container",
            "ansible_python_interpreter": CONTAINER_PYTHON,
        }
        for node in range(1, most_nodes(scenario) + 1)
    }
    return {"containers": hosts}


def _hosts_of_fabric(scenario: Scenario, python: str) -> dict[str, dict[str, object]]:
    groups: dict[str, dict[str, object]] = {"containers": {}, "mininet": {}}
    for host in scenario.used_hosts():
        kind = scenario.host_kind(host)
        groups["containers" if kind == "container" else "mininet"][host] = {
            "lab_host": host,
            "lab_kind": kind,
            "lab_streams_out": [s.name for s in scenario.all_streams if s.source == host],
            "lab_streams_in": [s.name for s in scenario.all_streams if s.to == host],
            "ansible_python_interpreter": CONTAINER_PYTHON if kind == "container" else python,
        }
    return groups


def write_inventory(run: AnyRun, python: str) -> Path:
    """Write the inventory into the run's directory."""
    path = run.dir / INVENTORY_FILE
    data = inventory(run.scenario, python)
    path.write_text(yaml.safe_dump(data, sort_keys=False), encoding="utf-8")
    return path
