"""What the project's Ansible modules have in common.

A module is a thin wrapper: it checks its arguments, calls one phase function and reports
``changed`` honestly. A LabError becomes a failed task with message and remedy, and an error
event of the run, which is where ``lab run`` finds it.
"""

import signal
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from lab.engine.run import AnyRun, Run, StackRun, load_any_run, load_run, load_stack_run
from lab.errors import LabError

RUN_DIR_OPTION = {"type": "path", "required": True}
Result = dict[str, Any]


def run_task(
    options: dict[str, dict[str, Any]],
    perform: Callable[[AnsibleModule], Result],
    phase: Callable[[dict[str, Any]], str],
    required_if: list[tuple[Any, ...]] | None = None,
) -> None:
    """Run one module: parse its arguments, call ``perform``, print its result.

    Args:
        options: the module's argument specification.
        perform: does the work; returns at least ``changed``.
        phase: names the run's phase for an error event, given the arguments.
        required_if: as in Ansible's argument specification.
    """
    # An interrupted run ends its tasks by SIGINT; whoever sent it removes the lab.
    signal.signal(signal.SIGINT, _stop)
    module = AnsibleModule(
        argument_spec=options, supports_check_mode=True, required_if=required_if or []
    )
    try:
        result = perform(module)
    except LabError as error:
        run_dir = module.params.get("run_dir")
        if run_dir:
            _record(Path(run_dir), phase(module.params), error)
        module.fail_json(msg=error.message, remedy=error.remedy)
        return
    module.exit_json(**result)


def _stop(_number: int, _frame: FrameType | None) -> None:
    sys.exit(128 + signal.SIGINT)


def _record(run_dir: Path, phase: str, error: LabError) -> None:
    try:
        load_any_run(run_dir).reporter().error(phase, error.message, error.remedy)
    except LabError:
        return


def run_of(module: AnsibleModule) -> Run:
    """The run on the fabric that a module's ``run_dir`` names."""
    return load_run(Path(module.params["run_dir"]))


def stack_run_of(module: AnsibleModule) -> StackRun:
    """The run of a stack that a module's ``run_dir`` names."""
    return load_stack_run(Path(module.params["run_dir"]))


def any_run_of(module: AnsibleModule) -> AnyRun:
    """The run of either kind that a module's ``run_dir`` names."""
    return load_any_run(Path(module.params["run_dir"]))
