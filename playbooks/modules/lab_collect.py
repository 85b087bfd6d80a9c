#!/usr/bin/python
"""Ansible module: turn what a run observed into its tables."""

DOCUMENTATION = r"""
---
module: lab_collect
short_description: Turn the raw observations of a run into tidy Parquet tables
description:
  - Reads what endpoints, line cards and samplers left in the run's C(raw) directory and writes
    one table per kind of observation beside it. The raw files are kept.
options:
  run_dir:
    description: Directory of a run whose passes were driven.
    type: path
    required: true
author: [The lab authors]
"""

EXAMPLES = r"""
- name: Tables of the run
  lab_collect:
    run_dir: "{{ run_dir }}"
"""

RETURN = r"""
tables:
  description: Name of each table and how many rows it has.
  returned: always
  type: dict
"""

from typing import Any  # noqa: E402 - Ansible wants its documentation first

from ansible.module_utils.basic import AnsibleModule  # noqa: E402

from lab.engine.ansible_task import RUN_DIR_OPTION, Result, any_run_of, run_task  # noqa: E402

OPTIONS: dict[str, dict[str, Any]] = {"run_dir": RUN_DIR_OPTION}


def _perform(module: AnsibleModule) -> Result:
    from lab.engine.evaluate import collect

    run = any_run_of(module)
    if module.check_mode:
        return {"changed": False, "tables": {}}
    return {"changed": True, "tables": collect(run)}


def main() -> None:
    """Run the module."""
    run_task(OPTIONS, _perform, lambda _params: "collect")


if __name__ == "__main__":
    main()
