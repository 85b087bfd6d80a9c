"""The plan of a stream program: what it shall do, from a JSON file."""

from __future__ import annotations

import json
import math
from pathlib import Path

from .pacing import Step
from .payload import MIN_BYTES

TYPE_CHECKING = False  # importing typing would cost start-up time
if TYPE_CHECKING:
    from typing import Any


class PlanError(ValueError):
    """The plan lacks something or contradicts itself."""


class Plan:
    """A checked plan; times in virtual ns, except ``poll_s`` in real seconds."""

    def __init__(self, raw: dict[str, Any]) -> None:
        try:
            self.pass_name = str(raw["pass"])
            self.stream = str(raw["stream"])
            self.group = str(raw["group"])
            self.role = str(raw["role"])
            self.channel = int(raw["channel"])
            self.message_bytes = int(raw["message_bytes"])
            self.end_ns = _virtual_ns(raw["end_s"])
            self.drain_ns = _virtual_ns(raw["drain_s"])
            self.bin_ns = _virtual_ns(raw["bin_s"])
            self.poll_s = float(raw["poll_ms"]) / 1e3
            self.steps = [_step(step, raw) for step in raw.get("steps") or ()]
        except KeyError as error:
            raise PlanError(f"the plan lacks {error.args[0]!r}") from error
        except (TypeError, ValueError) as error:
            raise PlanError(f"the plan has a wrong value: {error}") from error
        self._check()

    def _check(self) -> None:
        if self.role not in {"send", "receive"}:
            raise PlanError(f"role must be 'send' or 'receive', not {self.role!r}")
        if self.message_bytes < MIN_BYTES:
            raise PlanError(f"message_bytes must be at least {MIN_BYTES}")
        if self.bin_ns <= 0 or self.poll_s <= 0 or self.end_ns <= 0 or self.drain_ns < 0:
            raise PlanError("bin_s, poll_ms and end_s must be positive, drain_s not negative")
        if self.role == "send" and not self.steps:
            raise PlanError("a sender needs steps")
        starts = [step.start_ns for step in self.steps]
        if starts != sorted(starts):
            raise PlanError("steps must be in the order of t_start_s")


def _virtual_ns(seconds: float) -> int:
    return round(float(seconds) * 1e9)


def _step(step: dict[str, Any], raw: dict[str, Any]) -> Step:
    explicit = step.get("messages_per_s")
    if explicit is not None:
        messages_per_s = float(explicit)
    elif float(step["rate"]) >= 1:
        messages_per_s = math.inf
    else:
        messages_per_s = float(step["rate"]) * float(raw["full_messages_per_s"])
    return Step(_virtual_ns(step["t_start_s"]), messages_per_s)


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
