"""The stacks that this project carries, by name."""

from __future__ import annotations

import importlib

from lab.errors import LabError
from lab.stacks.checking import CheckerMaker
from lab.stacks.core import Stack
from lab.stacks.exercise import Exercise
from lab.stacks.plan import CLIENT

STACKS = ("mscs",)


def find_stack(name: str) -> Stack:
    """Return a stack: the ``STACK`` of its package; LabError listing the names there are.

    Clients are found too, though they are no stack that can be tried out by itself.
    """
    if name not in (*STACKS, CLIENT):
        raise LabError(f"there is no stack {name!r}", remedy=f"there are: {', '.join(STACKS)}")
    stack: Stack = importlib.import_module(f"lab.stacks.{name}").STACK
    return stack


def find_checkers(name: str) -> tuple[CheckerMaker, ...]:
    """Return the makers of a stack's invariant checkers: ``CHECKERS`` of its ``invariants``."""
    find_stack(name)
    makers: tuple[CheckerMaker, ...] = importlib.import_module(
        f"lab.stacks.{name}.invariants"
    ).CHECKERS
    return tuple(makers)


def find_exercise(name: str) -> Exercise:
    """Return how a stack is tried out in random cases: ``EXERCISE`` of its ``exercise``."""
    find_stack(name)
    exercise: Exercise = importlib.import_module(f"lab.stacks.{name}.exercise").EXERCISE
    return exercise
