#!/usr/bin/python
"""Ansible module: inject a fault into the standing lab, or undo it."""

DOCUMENTATION = r"""
---
module: lab_fault
short_description: Kill or freeze what runs on a host, or cut a link
description:
  - Acts at once on the standing lab. A fault at a virtual time inside a pass is given to
    M(lab_workload) instead.
  - C(kill) ends the endpoint processes of a host. C(pause) and C(resume) freeze and thaw them
    (a container as a whole). C(cut) stops a link in both directions at its line cards, C(heal)
    starts it again. Other faults are not supported.
  - What was paused or cut is healed at the end of a pass and when the lab is removed.
options:
  action:
    description: What to do.
    type: str
    choices: [kill, pause, resume, cut, heal]
    required: true
  target:
    description: A host such as C(n5) for kill, pause and resume; a link such as C(s40-s19) or
      C(n5-s2) for cut and heal.
    type: str
    required: true
  run_dir:
    description: Directory of the run, to note a failure there.
    type: path
author: [The lab authors]
"""

EXAMPLES = r"""
- name: Cut the link between core switch 40 and middle switch 19
  lab_fault:
    action: cut
    target: s40-s19

- name: And mend it
  lab_fault:
    action: heal
    target: s40-s19
"""

RETURN = r"""
standing:
  description: The faults that stand after this one, as C(action target).
  returned: always
  type: list
  elements: str
"""

from typing import Any  # noqa: E402 - Ansible wants its documentation first

from ansible.module_utils.basic import AnsibleModule  # noqa: E402

from lab.engine.ansible_task import Result, run_task  # noqa: E402

OPTIONS: dict[str, dict[str, Any]] = {
    "action": {
        "type": "str",
        "choices": ["kill", "pause", "resume", "cut", "heal"],
        "required": True,
    },
    "target": {"type": "str", "required": True},
    "run_dir": {"type": "path"},
}


def _perform(module: AnsibleModule) -> Result:
    from lab.emulation.state import load_state
    from lab.engine.faults import Fault, changes, inject, read_faults

    state = load_state()
    fault = Fault(module.params["action"], module.params["target"])
    changed = changes(read_faults(state), fault)
    if changed and not module.check_mode:
        inject(state, fault)
    standing = [f"{other.action} {other.target}" for other in read_faults(state)]
    return {"changed": changed, "standing": standing}


def main() -> None:
    """Run the module."""
    run_task(OPTIONS, _perform, lambda _params: "drive")


if __name__ == "__main__":
    main()
