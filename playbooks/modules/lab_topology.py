#!/usr/bin/python
"""Ansible module: the network of a run stands, or is gone."""

DOCUMENTATION = r"""
---
module: lab_topology
short_description: Bring the network of a run up, or remove it
description:
  - With O(state=present), builds the switches, links, hosts and containers that the run's
    scenario names, in Open vSwitch. A lab that a killed run left behind is removed first; one
    that somebody still uses is an error.
  - With O(state=absent), removes the standing lab and everything that bears its label, from
    any state.
options:
  state:
    description: Whether the network stands.
    type: str
    choices: [present, absent]
    default: present
  run_dir:
    description: Directory of a prepared run. Needed for O(state=present).
    type: path
author: [The lab authors]
"""

EXAMPLES = r"""
- name: The network of the run stands
  lab_topology:
    run_dir: "{{ run_dir }}"

- name: Nothing of it is left
  lab_topology:
    state: absent
"""

RETURN = r"""
lab_id:
  description: Label of the lab.
  returned: when present
  type: str
removed:
  description: What was removed, by kind.
  returned: when absent
  type: dict
"""

from typing import Any  # noqa: E402 - Ansible wants its documentation first

from ansible.module_utils.basic import AnsibleModule  # noqa: E402

from lab.engine.ansible_task import Result, any_run_of, run_task  # noqa: E402
from lab.errors import LabError  # noqa: E402

OPTIONS: dict[str, dict[str, Any]] = {
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "run_dir": {"type": "path"},
}


def _present(module: AnsibleModule) -> Result:
    from lab.engine import drive_case, lifecycle
    from lab.engine.run import StackRun

    run = any_run_of(module)
    state = lifecycle.standing_lab()
    if state is not None and state.run_dir == str(run.dir):
        return {"changed": False, "lab_id": state.lab_id}
    if module.check_mode:
        return {"changed": True, "lab_id": ""}
    built = drive_case.up(run) if isinstance(run, StackRun) else lifecycle.up(run)
    return {"changed": True, "lab_id": built.lab_id}


def _absent(module: AnsibleModule) -> Result:
    from lab.emulation.cleanup import inventory
    from lab.engine import lifecycle

    if module.check_mode:
        return {"changed": bool(inventory().things), "removed": {}}
    run = any_run_of(module) if module.params["run_dir"] else None
    report = lifecycle.down(run)
    if report.left:
        raise LabError(
            f"could not remove {', '.join(left.what for left in report.left)}",
            remedy=report.left[0].remedy,
        )
    return {"changed": report.removed_anything, "removed": report.removed}


def main() -> None:
    """Run the module."""
    run_task(
        OPTIONS,
        lambda module: (_present if module.params["state"] == "present" else _absent)(module),
        lambda params: "up" if params["state"] == "present" else "down",
        required_if=[("state", "present", ["run_dir"])],
    )


if __name__ == "__main__":
    main()
