"""The cluster service holds its invariants in random cases, and each case is repeatable."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from lab.engine.seeds import Trial, try_seeds
from lab.stacks.mscs import STACK
from lab.stacks.mscs.commands import COMMANDS
from lab.stacks.plan import Ask

LAB = Path(sys.executable).with_name("lab")
SEEDS = range(1, 301)


@pytest.mark.timeout(1200)
def test_invariants_hold_in_300_random_cases() -> None:
    outcomes = list(try_seeds(Trial("mscs"), SEEDS, keep_going=True))
    assert len(outcomes) == len(SEEDS)
    failed = {o.seed: o.violation for o in outcomes if o.violation is not None}
    assert failed == {}, "`lab simulate mscs --seed N` tells the shortest case"


def test_digests_do_not_depend_on_the_process_or_its_hashes() -> None:
    def digests(hash_seed: str) -> list[bytes]:
        command = [LAB, "simulate", "mscs", "--seeds", "21..28", "--json", "--keep-going"]
        environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
        done = subprocess.run(
            [*command, "--no-shrink"], env=environment, capture_output=True, check=False
        )
        return [line for line in done.stdout.splitlines() if b'"digest"' in line]

    first = digests("1")
    assert len(first) == 8
    assert first == digests("2")


def test_cases_ask_for_what_the_stack_knows() -> None:
    commands = {command.name: command for command in COMMANDS}
    asked = set()
    for seed in range(50):
        plan = Trial("mscs").case(seed).plan
        STACK.make(1, plan.options, seed)
        for action in plan.actions:
            if isinstance(action.does, Ask):
                command = commands[action.does.request]
                known = {argument.name for argument in command.arguments}
                assert set(action.does.arguments) <= known
                asked.add(action.does.request)
    assert len(asked) > 5
