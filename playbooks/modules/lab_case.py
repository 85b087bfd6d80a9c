#!/usr/bin/python
"""Ansible module: carry out one case of an experiment on a protocol stack."""

DOCUMENTATION = r"""
---
module: lab_case
short_description: Carry out one case of an experiment on a protocol stack, in containers
description:
  - Starts the nodes of the case with empty disks, drives its timeline of faults and requests, stops
    the nodes, heals whatever was done to them, and puts the nodes' logs into the run's C(raw)
    directory.
  - All that needs sub-second timing happens inside this one step.
options:
  run_dir:
    description: Directory of a run of a stack whose hosts stand.
    type: path
    required: true
  case:
    description: Name of the case, one of the scenario's.
    type: str
    required: true
author: [The lab authors]
"""

EXAMPLES = r"""
- name: The case of four nodes
  lab_case:
    run_dir: "{{ run_dir }}"
    case: n4
"""

RETURN = r"""
ended_s:
  description: Virtual seconds that the case lasted.
  returned: always
  type: float
violations:
  description: Invariants of the stack that the nodes' logs show to be broken, each in a sentence.
  returned: always
  type: list
  elements: str
"""

from typing import Any  # noqa: E402 - Ansible wants its documentation first

from ansible.module_utils.basic import AnsibleModule  # noqa: E402

from lab.engine.ansible_task import (  # noqa: E402
    RUN_DIR_OPTION,
    Result,
    run_task,
    stack_run_of,
)

OPTIONS: dict[str, dict[str, Any]] = {
    "run_dir": RUN_DIR_OPTION,
    "case": {"type": "str", "required": True},
}


def _perform(module: AnsibleModule) -> Result:
    from lab.engine.drive_case import drive_case

    run = stack_run_of(module)
    case = run.case(module.params["case"])
    if module.check_mode:
        return {"changed": True, "ended_s": case.plan.over_s, "violations": []}
    done = drive_case(run, case)
    return {"changed": True, "ended_s": done.ended_s, "violations": list(done.violations)}


def main() -> None:
    """Run the module."""
    run_task(OPTIONS, _perform, lambda params: f"case {params['case']}")


if __name__ == "__main__":
    main()
