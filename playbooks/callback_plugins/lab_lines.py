"""Ansible stdout callback: one JSON line per event, for ``lab run`` to read."""

import json
from typing import Any

from ansible.plugins.callback import CallbackBase

DOCUMENTATION = """
    name: lab_lines
    type: stdout
    short_description: one JSON line per task result
    description:
        - Prints one JSON object per line for each task that started, changed something or failed.
        - C(lab run) uses it to tell why a playbook failed. Use Ansible's own C(default) callback
          when a playbook is run by hand.
"""


class CallbackModule(CallbackBase):  # type: ignore[misc]
    """Prints ``{"event", "task", ...}`` lines and nothing else."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "stdout"
    CALLBACK_NAME = "lab_lines"

    def _line(self, event: str, **values: object) -> None:
        self._display.display(json.dumps({"event": event, **values}, default=str))

    def v2_playbook_on_task_start(self, task: Any, is_conditional: bool) -> None:
        """Tell that a task begins."""
        del is_conditional
        self._line("task", task=task.get_name())

    def v2_runner_on_ok(self, result: Any) -> None:
        """Tell that a task is done, and whether it changed anything."""
        self._line("ok", task=result.task.get_name(), changed=bool(result.result.get("changed")))

    def v2_runner_on_failed(self, result: Any, ignore_errors: bool = False) -> None:
        """Tell why a task failed; of a loop, why its first item that failed did."""
        values = result.result
        failed = [item for item in values.get("results", ()) if item.get("failed")]
        values = failed[0] if failed else values
        message = values.get("msg") or values.get("stderr") or "failed without a message"
        self._line(
            "ignored" if ignore_errors else "failed",
            task=result.task.get_name(),
            message=str(message),
            remedy=str(values.get("remedy", "")),
            details=str(values.get("module_stderr") or values.get("exception") or ""),
        )

    def v2_runner_on_unreachable(self, result: Any) -> None:
        """Tell that a host could not be reached."""
        message = str(result.result.get("msg", "unreachable"))
        self._line("failed", task=result.task.get_name(), message=message, remedy="")
