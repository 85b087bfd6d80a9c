"""How measurements are declared: one function per claim, or per claim and family of scenarios.

A claim can be tested by several experiments, each of which measures it in its own way; then the
function says for which scenarios it stands. A scenario belongs to the family that it is named
after: ``front-to-back`` and ``front-to-back-short`` to ``front-to-back``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

from lab.analysis.observations import MissingDataError, Observations
from lab.claims.judge import Measurement

Key = tuple[str, str | None]


class _Named(Protocol):
    @property
    def name(self) -> str: ...


class Observed(Protocol):
    """Observations of a run of some scenario."""

    @property
    def scenario(self) -> _Named:
        """The scenario that ran."""


RunT = TypeVar("RunT", bound=Observed)


class MeasureTable(Generic[RunT]):
    """A table of measurement functions, filled by decorating them."""

    def __init__(self) -> None:
        self._functions: dict[Key, Callable[[RunT], Measurement]] = {}

    def of(
        self, claim: str, scenario: str | None = None
    ) -> Callable[[Callable[[RunT], Measurement]], Callable[[RunT], Measurement]]:
        """Declare the decorated function as the measurement of a claim.

        Args:
            claim: the claim's id.
            scenario: the family of scenarios in which it is measured so; None for all others.
        """

        def declare(function: Callable[[RunT], Measurement]) -> Callable[[RunT], Measurement]:
            self._add((claim, scenario), function)
            return function

        return declare

    def _add(self, key: Key, function: Callable[[RunT], Measurement]) -> None:
        if key in self._functions:
            raise ValueError(f"{key[0]} is measured twice in {key[1] or 'all scenarios'}")
        self._functions[key] = function

    def merged(self, *others: MeasureTable[RunT]) -> MeasureTable[RunT]:
        """All tables in one."""
        merged: MeasureTable[RunT] = MeasureTable()
        for table in (self, *others):
            for key, function in table._functions.items():
                merged._add(key, function)
        return merged

    @property
    def claims(self) -> tuple[str, ...]:
        """The claims that can be measured."""
        return tuple(dict.fromkeys(claim for claim, _ in self._functions))

    def find(self, claim: str, scenario: str) -> Callable[[RunT], Measurement] | None:
        """The function that measures a claim in a scenario; None when there is none."""
        families = [name for known, name in self._functions if known == claim and name is not None]
        own = [name for name in families if scenario == name or scenario.startswith(f"{name}-")]
        family = max(own, key=len, default=None)
        return self._functions.get((claim, family))

    def measure(self, claim: str, observations: RunT) -> Measurement:
        """Measure one claim; what lacks its data comes back with ``missing`` set."""
        function = self.find(claim, observations.scenario.name)
        if function is None:
            return Measurement(claim, missing="nothing in the project measures this claim yet")
        try:
            return function(observations)
        except MissingDataError as error:
            return Measurement(claim, missing=str(error))


Measures = MeasureTable[Observations]
"""Of runs on the fabric."""
