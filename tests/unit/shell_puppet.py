"""A stack whose cores do what requests tell them, and say what they got: for tests of the shell.

Run as a program it is the shell's command line, with this stack beside the project's own.
"""

from __future__ import annotations

import os
from typing import Any

import msgspec

from lab.errors import LabError
from lab.stacks import core, registry


class PuppetCore:
    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.got: list[str] = []
        self.wake_s: dict[str, float | None] = {"kernel": None, "service": None}
        self.outputs: list[core.Output] = []

    def next_timer_s(self, level: core.Level) -> float | None:
        return self.wake_s[level]

    def take_outputs(self) -> list[core.Output]:
        outputs, self.outputs = self.outputs, []
        return outputs

    def state(self) -> dict[str, Any]:
        return {"seed": self.seed, "got": list(self.got)}

    def handle(self, now_s: float, item: core.Input) -> None:
        self.got.append(type(item).__name__)
        if not isinstance(item, core.Request):
            if isinstance(item, core.TimerDue):
                self.wake_s[item.level] = None
            fields = {**msgspec.to_builtins(item), "now_s": now_s}
            self.outputs.append(core.Emit("got", type(item).__name__, fields=fields))
            return
        match item.name:
            case "put out":
                self.outputs += msgspec.convert(item.arguments["what"], list[core.Output])
            case "wake":
                self.wake_s[item.arguments["level"]] = now_s + item.arguments["after_s"]
            case "raise":
                raise ValueError("as asked for")
        self.outputs.append(core.Reply(item.id, ok=True, value=now_s))


class PuppetStack:
    name = "puppet"
    channels: dict[str, core.Level] = {"low": "kernel", "high": "service"}  # noqa: RUF012

    def make(self, node: int, options: dict[str, Any], seed: int) -> core.Core:
        if options:
            raise LabError(f"a puppet takes no options, not {', '.join(options)}")
        return PuppetCore(seed)


STACK = PuppetStack()


if __name__ == "__main__":
    registry.find_stack = lambda name: STACK
    from lab.shell.__main__ import main

    os._exit(main())
