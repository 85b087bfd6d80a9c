"""What a fidelity certificate is: checks of a run, each with a bound and its reason. Pure.

:mod:`lab.analysis.fidelity` has the checks of runs on the fabric, those of runs of a stack are in
:mod:`lab.analysis.stacks.fidelity`. A check looks at one value of each part of a run (a pass, a
case); the worst value counts. A check whose instrument recorded nothing has failed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Generic, TypeVar

from lab.analysis.observations import MissingDataError
from lab.scenarios.model import Engine

PROMISES = "invariants"
"""The one check that is not about the instruments, but about the protocol that they observe."""
RunT = TypeVar("RunT")
"""The observations of a run."""


@dataclass(frozen=True)
class CheckResult:
    """One line of the certificate; ``value`` is None when nothing was recorded."""

    name: str
    value: float | None
    bound: str
    ok: bool
    why: str


@dataclass(frozen=True)
class Certificate:
    """All checks of a run; it is valid when every one of them is met."""

    checks: tuple[CheckResult, ...]

    @property
    def valid(self) -> bool:
        """Whether every check is met."""
        return bool(self.checks) and all(check.ok for check in self.checks)

    @property
    def observed_well(self) -> bool:
        """Whether what was seen did happen, be it that the protocol broke its promises."""
        own = [c for c in self.checks if c.name != PROMISES or c.value is None]
        return bool(self.checks) and all(check.ok for check in own)

    @property
    def why(self) -> str:
        """The checks that failed, in one line."""
        return "; ".join(
            f"{c.name}: {c.why}" if c.value is None else f"{c.name} is {c.value:.4g}, not {c.bound}"
            for c in self.checks
            if not c.ok
        )

    def plain(self) -> dict[str, object]:
        """As fidelity.json holds it."""
        return {"valid": self.valid, "checks": [asdict(check) for check in self.checks]}


@dataclass(frozen=True)
class Check(Generic[RunT]):
    """A bound on one value; over all parts of the run, the worst value counts.

    The probe returns the value of one part and a clause about it, and raises ``MissingDataError``
    when its instrument recorded nothing. ``at_least`` turns the bound into a lower one. ``why`` is
    the reason for the bound. The check is made of runs of those ``engines``, and of runs to which
    it ``applies``.
    """

    name: str
    probe: Callable[[RunT, str], tuple[float, str]]
    bound: float
    unit: str
    why: str
    at_least: bool = False
    engines: tuple[Engine, ...] = ("emulation",)
    applies: Callable[[RunT], bool] = lambda _: True

    @property
    def bound_text(self) -> str:
        """The bound in words."""
        sign = ">=" if self.at_least else "<="
        return f"{sign} {self.bound:g} {self.unit}".rstrip()

    def meets(self, value: float) -> bool:
        """Whether a value is within the bound."""
        return value >= self.bound if self.at_least else value <= self.bound

    def run(self, observations: RunT, parts: Sequence[str], what: str) -> CheckResult:
        """Check a run.

        Args:
            observations: of the run.
            parts: names of its passes or cases.
            what: what a part is called.
        """
        worst: float | None = None
        told = f"the run has no {what}"
        for part in parts:
            try:
                value, about = self.probe(observations, part)
            except MissingDataError as error:
                why = f"{what} {part}: {error}, so this cannot be ruled out"
                return CheckResult(self.name, None, self.bound_text, ok=False, why=why)
            if not math.isfinite(value):
                value = -math.inf if self.at_least else math.inf
            if worst is None or (value < worst if self.at_least else value > worst):
                worst, told = value, f"{what} {part}: {about}"
        if worst is None:
            return CheckResult(self.name, None, self.bound_text, ok=False, why=told)
        shown = worst if math.isfinite(worst) else None
        why = f"{told} ({self.why})"
        return CheckResult(self.name, shown, self.bound_text, self.meets(worst), why)
