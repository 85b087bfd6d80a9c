"""The plan of a stream program: what it shall do, from a JSON file."""

from __future__ import annotations

import json
import math
from pathlib import Path

from .pacing import Step

TYPE_CHECKING = False  # importing typing would cost start-up time
if TYPE_CHECKING:
    from typing import Any

ROLES = ("send", "receive", "ping", "pong")
RECEPTIONS = ("poll", "block", "upcall")


class PlanError(ValueError):
    """The plan lacks something or contradicts itself."""


class Plan:
    """A checked plan; times in virtual ns, except ``poll_s`` in real seconds.

    Attributes:
        send_cost_ns: from a process's wish to send until the adapter may take the message.
        receive_cost_ns: from delivery until the process has the message.
    """

    def __init__(self, raw: dict[str, Any]) -> None:
        try:
            self.pass_name = str(raw["pass"])
            self.stream = str(raw["stream"])
            self.group = str(raw["group"])
            self.role = str(raw["role"])
            self.channel = int(raw["channel"])
            self.end_ns = _virtual_ns(raw["end_s"])
            self.drain_ns = _virtual_ns(raw["drain_s"])
            self.bin_ns = _virtual_ns(raw["bin_s"])
            self.poll_s = float(raw["poll_ms"]) / 1e3
            self.reception = str(raw.get("reception", "block"))
            self.emulated = bool(raw.get("emulated", False))
            self.steps = [_step(change) for change in raw["changes"]]
            self.windows = [
                (int(w["step"]), _virtual_ns(w["t_start_s"]), _virtual_ns(w["t_end_s"]))
                for w in raw["windows"]
            ]
            self.send_cost_ns, self.receive_cost_ns = self._costs(raw.get("adapter", {}))
        except KeyError as error:
            raise PlanError(f"the plan lacks {error.args[0]!r}") from error
        except (TypeError, ValueError, AttributeError) as error:
            raise PlanError(f"the plan has a wrong value: {error}") from error
        self._check()

    def _costs(self, adapter: dict[str, Any]) -> tuple[int, int]:
        kernel_ns = int(adapter.get("kernel_ns", 0)) if self.emulated else 0
        signal_ns = int(adapter.get("signal_ns", 0)) if self.reception != "poll" else 0
        return (
            int(adapter.get("host_send_ns", 0)) + kernel_ns,
            int(adapter.get("host_receive_ns", 0)) + signal_ns + kernel_ns,
        )

    @property
    def sizes(self) -> tuple[int, ...]:
        """Lengths that messages of the stream have, each once."""
        return tuple(sorted({step.message_bytes for step in self.steps}))

    @property
    def sends(self) -> bool:
        """Whether it is for the end that begins: `send` or `ping`."""
        return self.role in {"send", "ping"}

    def _check(self) -> None:
        if self.role not in ROLES:
            raise PlanError(f"role must be one of {', '.join(ROLES)}, not {self.role!r}")
        if self.reception not in RECEPTIONS:
            raise PlanError(f"reception must be one of {', '.join(RECEPTIONS)}")
        if self.bin_ns <= 0 or self.poll_s <= 0 or self.end_ns <= 0 or self.drain_ns < 0:
            raise PlanError("bin_s, poll_ms and end_s must be positive, drain_s not negative")
        if not self.steps:
            raise PlanError("a plan needs changes")
        if any(step.message_bytes < 1 for step in self.steps):
            raise PlanError("message_bytes must be at least 1")
        starts = [step.start_ns for step in self.steps]
        if starts != sorted(starts):
            raise PlanError("changes must be in the order of t_start_s")


def _virtual_ns(seconds: float) -> int:
    return round(float(seconds) * 1e9)


def _step(change: dict[str, Any]) -> Step:
    rate = float(change["rate"])
    messages_per_s = math.inf if rate >= 1 else float(change["messages_per_s"]) if rate else 0.0
    return Step(_virtual_ns(change["t_start_s"]), messages_per_s, int(change["message_bytes"]))


def load_plan(path: str) -> Plan:
    """Read a plan.

    Raises:
        PlanError: unreadable, not JSON, or not a plan.
    """
    try:
        raw = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise PlanError(f"cannot read the plan {path}: {error}") from error
    if not isinstance(raw, dict):
        raise PlanError(f"{path} holds no plan")
    return Plan(raw)
