#!/usr/bin/python
"""Ansible module: drive one pass of an experiment."""

DOCUMENTATION = r"""
---
module: lab_workload
short_description: Drive one pass of an experiment from its first to its last virtual second
description:
  - Starts the endpoint processes of the pass's streams in their hosts and containers, gives them
    and the line cards one common virtual zero, waits until the timeline is over, and gathers what
    was observed into the run's C(raw) directory.
  - All that needs sub-second timing happens inside this one step. Faults of the experiment are
    therefore given to it with their virtual times.
  - It fails when any process of the lab dies, and says which.
options:
  run_dir:
    description: Directory of a run whose lab stands and whose circuits are open.
    type: path
    required: true
  pass:
    description: Name of the pass, one of the scenario's.
    type: str
    required: true
  faults:
    description: Faults to inject during the pass.
    type: list
    elements: dict
    default: []
    suboptions:
      at_s:
        description: Virtual seconds after the beginning of the pass.
        type: float
        required: true
      action:
        description: What to do; see M(lab_fault).
        type: str
        required: true
      target:
        description: A host, or a link such as C(s40-s19).
        type: str
        required: true
author: [The lab authors]
"""

EXAMPLES = r"""
- name: The whole sweep with Source Quench
  lab_workload:
    run_dir: "{{ run_dir }}"
    pass: "on"

- name: The same while a receiver is frozen for ten virtual milliseconds
  lab_workload:
    run_dir: "{{ run_dir }}"
    pass: "on"
    faults:
      - {at_s: 0.10, action: pause, target: n13}
      - {at_s: 0.11, action: resume, target: n13}
"""

RETURN = r"""
endpoints:
  description: How many endpoint processes took part.
  returned: always
  type: int
in_flight:
  description: Messages that were inside the network when the receivers stopped.
  returned: always
  type: int
real_s:
  description: Real seconds that the pass took, starting and gathering included.
  returned: always
  type: float
"""

from dataclasses import asdict  # noqa: E402 - Ansible wants its documentation first
from typing import Any  # noqa: E402

from ansible.module_utils.basic import AnsibleModule  # noqa: E402

from lab.engine.ansible_task import RUN_DIR_OPTION, Result, run_of, run_task  # noqa: E402

FAULT_OPTIONS: dict[str, dict[str, Any]] = {
    "at_s": {"type": "float", "required": True},
    "action": {"type": "str", "required": True},
    "target": {"type": "str", "required": True},
}
OPTIONS: dict[str, dict[str, Any]] = {
    "run_dir": RUN_DIR_OPTION,
    "pass": {"type": "str", "required": True, "no_log": False},
    "faults": {"type": "list", "elements": "dict", "default": [], "options": FAULT_OPTIONS},
}


def _perform(module: AnsibleModule) -> Result:
    from lab.engine.drive import drive_pass
    from lab.engine.faults import parse_fault

    run = run_of(module)
    faults = [parse_fault(item) for item in module.params["faults"]]
    passing = run.passing(module.params["pass"])
    if module.check_mode:
        return {"changed": True, "endpoints": 2 * len(run.scenario.streams_of(passing))}
    return {"changed": True, **asdict(drive_pass(run, module.params["pass"], faults))}


def main() -> None:
    """Run the module."""
    run_task(OPTIONS, _perform, lambda params: f"drive {params['pass']}")


if __name__ == "__main__":
    main()
