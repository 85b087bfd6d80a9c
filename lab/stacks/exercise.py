"""How a stack wants to be tried out: what random cases may contain, and what must hold in them.

A stack supplies it as ``EXERCISE`` of ``lab.stacks.<name>.exercise``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any, TypeAlias

from lab.stacks.checking import CheckerMaker
from lab.stacks.plan import Ask, FaultKind

DrawOptions: TypeAlias = Callable[[Random, int], dict[str, Any]]
"""Draws options for so many nodes; all that it draws must be valid."""
DrawRequest: TypeAlias = Callable[[Random, int], Ask]
"""Draws a request to one or some of so many nodes."""


@dataclass(frozen=True)
class Exercise:
    """What a random case is made of.

    A case is calm at first, then faults come and go, then everything is healed, whatever does not
    run is started (again and again: a node may halt itself), and after ``converge_s`` the
    checkers of ``converged`` are asked, too.
    """

    nodes: tuple[int, int]
    """The least and the most nodes."""
    faults: tuple[FaultKind, ...]
    """What the stack promises to survive; how each ends follows from its kind."""
    options: DrawOptions
    request: DrawRequest
    checkers: tuple[CheckerMaker, ...]
    """Must hold at all times."""
    converged: tuple[CheckerMaker, ...]
    """Must hold at the end of a case in which all was healed."""
    calm_s: float
    faults_s: float
    converge_s: float
    most_requests: int = 20
