#!/usr/bin/python
"""Ansible module: prepare a run of a scenario, or judge a collected one."""

DOCUMENTATION = r"""
---
module: lab_scenario
short_description: Prepare a run of a scenario, or judge what a run recorded
description:
  - With O(state=prepared), reads and checks a scenario file and makes the run's directory with
    its manifest and inventory. Nothing is built when anything is wrong.
  - With O(state=analysed), judges a collected run - fidelity certificate, scorecard, report.
options:
  state:
    description: What to bring about.
    type: str
    choices: [prepared, analysed]
    default: prepared
  scenario:
    description: Name of a scenario, or path of a YAML file. Needed unless O(run_dir) is given.
    type: str
  run_dir:
    description: Directory of a run that is prepared already; then nothing is prepared.
    type: path
  set:
    description: Overrides of scenario values, dotted path to value.
    type: dict
    default: {}
  seed:
    description: Seed of the run instead of the scenario's own.
    type: int
author: [The lab authors]
"""

EXAMPLES = r"""
- name: Prepare a short run with another seed
  lab_scenario:
    scenario: switch-port-contention
    seed: 2
    set:
      timeline.measure_s: 0.01
  register: run

- name: Judge it
  lab_scenario:
    state: analysed
    run_dir: "{{ run.run_dir }}"
"""

RETURN = r"""
run_dir:
  description: The run's directory; empty in check mode when there is none yet.
  returned: always
  type: str
experiment:
  description: The experiment's own playbook, as the scenario names it.
  returned: when prepared
  type: str
passes:
  description: Names of the passes of a scenario of the fabric, in order.
  returned: when prepared
  type: list
  elements: str
stack:
  description: The protocol stack that the scenario is about; empty for the fabric.
  returned: when prepared
  type: str
cases:
  description: Names of the cases of a scenario of a stack, in order.
  returned: when prepared
  type: list
  elements: str
valid:
  description: Whether the fidelity certificate lets the results be trusted.
  returned: when analysed
  type: bool
"""

from typing import Any  # noqa: E402 - Ansible wants its documentation first

from ansible.module_utils.basic import AnsibleModule  # noqa: E402

from lab.engine.ansible_task import Result, any_run_of, run_task  # noqa: E402
from lab.engine.engines import EMULATION  # noqa: E402
from lab.errors import LabError  # noqa: E402
from lab.scenarios import AnyScenario  # noqa: E402

OPTIONS: dict[str, dict[str, Any]] = {
    "state": {"type": "str", "choices": ["prepared", "analysed"], "default": "prepared"},
    "scenario": {"type": "str"},
    "run_dir": {"type": "path"},
    "set": {"type": "dict", "default": {}},
    "seed": {"type": "int"},
}


def _analyse(module: AnsibleModule) -> Result:
    from lab.engine.evaluate import analyse

    run = any_run_of(module)
    if module.check_mode:
        return {"changed": False, "run_dir": str(run.dir)}
    return {"changed": True, "run_dir": str(run.dir), "valid": analyse(run)}


def _parts(scenario: AnyScenario) -> Result:
    """What an experiment's playbook walks through."""
    from lab.scenarios import StackScenario
    from lab.scenarios.cases import planned_cases

    if isinstance(scenario, StackScenario):
        cases = [planned.name for planned in planned_cases(scenario)]
        return {"stack": scenario.stack, "cases": cases, "passes": []}
    return {"stack": "", "cases": [], "passes": [passing.name for passing in scenario.passes]}


def _prepare(module: AnsibleModule) -> Result:
    from lab.engine.prepare import prepare, resolve

    changed = module.params["run_dir"] is None
    if not changed:
        run = any_run_of(module)
        scenario, run_dir = run.scenario, str(run.dir)
    else:
        name = module.params["scenario"]
        if not name:
            raise LabError("neither scenario nor run_dir is given", remedy="-e scenario=NAME")
        overrides = {key: str(value) for key, value in module.params["set"].items()}
        if module.check_mode:
            scenario, _ = resolve(name, overrides, seed=module.params["seed"], engine=EMULATION)
            run_dir = ""
        else:
            run = prepare(name, overrides, seed=module.params["seed"])
            scenario, run_dir = run.scenario, str(run.dir)
    return {
        "changed": changed,
        "run_dir": run_dir,
        "experiment": scenario.playbook,
        **_parts(scenario),
    }


def main() -> None:
    """Run the module."""
    run_task(
        OPTIONS,
        lambda module: (_analyse if module.params["state"] == "analysed" else _prepare)(module),
        lambda params: "analyse" if params["state"] == "analysed" else "prepare",
    )


if __name__ == "__main__":
    main()
