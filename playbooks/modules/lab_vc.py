#!/usr/bin/python
"""Ansible module: virtual circuits of the standing lab."""

DOCUMENTATION = r"""
---
module: lab_vc
short_description: Open or close virtual circuits
description:
  - With O(run_dir) and O(state=open), opens one duplex circuit for every stream of the run's
    scenario, with its labels in Open vSwitch and its channel at both endpoints.
  - With O(name), O(from) and O(to), opens a single one on the standing lab.
  - With O(state=closed), closes the circuit O(name), or all circuits of the run.
options:
  state:
    description: Whether the circuits are open.
    type: str
    choices: [open, closed]
    default: open
  run_dir:
    description: Directory of a prepared run whose lab stands.
    type: path
  name:
    description: Name of a single circuit.
    type: str
  from:
    description: Host at which a single circuit begins.
    type: str
  to:
    description: Host at which a single circuit ends.
    type: str
  via:
    description: Switches that a single circuit must cross, in order.
    type: list
    elements: str
    default: []
author: [The lab authors]
"""

EXAMPLES = r"""
- name: A circuit for every stream of the scenario
  lab_vc:
    run_dir: "{{ run_dir }}"

- name: One more, across switch 40
  lab_vc:
    name: extra
    from: n3
    to: n60
    via: [s40]
"""

RETURN = r"""
opened:
  description: How many circuits were opened now.
  returned: always
  type: int
closed:
  description: How many circuits were closed now.
  returned: always
  type: int
"""

from typing import Any  # noqa: E402 - Ansible wants its documentation first

from ansible.module_utils.basic import AnsibleModule  # noqa: E402

from lab.engine.ansible_task import Result, run_of, run_task  # noqa: E402
from lab.errors import LabError  # noqa: E402

OPTIONS: dict[str, dict[str, Any]] = {
    "state": {"type": "str", "choices": ["open", "closed"], "default": "open"},
    "run_dir": {"type": "path"},
    "name": {"type": "str"},
    "from": {"type": "str"},
    "to": {"type": "str"},
    "via": {"type": "list", "elements": "str", "default": []},
}


def _perform(module: AnsibleModule) -> Result:
    from lab.emulation import net
    from lab.emulation.state import load_state
    from lab.engine import lifecycle
    from lab.signalling import VcRequest

    params = module.params
    state = load_state()
    known = {vc.name: vc.id for vc in state.vcs}
    if params["name"]:
        wanted = {params["name"]}
    elif params["run_dir"]:
        wanted = {stream.name for stream in run_of(module).scenario.all_streams}
    else:
        raise LabError("neither name nor run_dir says which circuits", remedy="give one of them")
    opened = closed = 0
    if params["state"] == "closed":
        ids = [known[name] for name in sorted(wanted & set(known))]
        closed = len(ids)
        if ids and not module.check_mode:
            net.close_vcs(state, ids)
    elif wanted - set(known):
        opened = len(wanted - set(known))
        if module.check_mode:
            pass
        elif params["name"]:
            if not params["from"] or not params["to"]:
                raise LabError("a circuit needs from and to")
            request = VcRequest(
                params["name"], "hand", params["from"], params["to"], via=tuple(params["via"])
            )
            net.open_vcs(state, [request])
        else:
            lifecycle.start(run_of(module))
    return {"changed": bool(opened or closed), "opened": opened, "closed": closed}


def main() -> None:
    """Run the module."""
    run_task(OPTIONS, _perform, lambda _params: "start")


if __name__ == "__main__":
    main()
