"""The Ansible inventory of a run: this machine, and every host of the experiment.

A Mininet host or a container is reached through ``lab exec`` by the connection plugin
``lab_host``, so that ad-hoc commands and tasks of an experiment's playbook can run inside it.
A host on another machine would only need another connection here.
"""

from pathlib import Path

import yaml

from lab.engine.run import Run
from lab.scenarios import Scenario

INVENTORY_FILE = "inventory.yml"


def inventory(scenario: Scenario, python: str) -> dict[str, object]:
    """Inventory of a scenario as plain data; ``python`` runs modules on this machine."""
    groups: dict[str, dict[str, object]] = {"containers": {}, "mininet": {}}
    for host in scenario.used_hosts():
        kind = scenario.host_kind(host)
        groups["containers" if kind == "container" else "mininet"][host] = {
            "lab_host": host,
            "lab_kind": kind,
            "lab_streams_out": [s.name for s in scenario.all_streams if s.source == host],
            "lab_streams_in": [s.name for s in scenario.all_streams if s.to == host],
            "ansible_python_interpreter": "/usr/bin/python3" if kind == "container" else python,
        }
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


def write_inventory(run: Run, python: str) -> Path:
    """Write the inventory into the run's directory."""
    path = run.dir / INVENTORY_FILE
    data = inventory(run.scenario, python)
    path.write_text(yaml.safe_dump(data, sort_keys=False), encoding="utf-8")
    return path
