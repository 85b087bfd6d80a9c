"""How a scenario's measurements are declared: one function per claim, by the claim's id."""

from __future__ import annotations

from collections.abc import Callable

from lab.analysis.observations import MissingDataError, Observations
from lab.claims.judge import Measurement

Measure = Callable[[Observations], Measurement]


class Measures:
    """A table of measurement functions, filled by decorating them."""

    def __init__(self) -> None:
        self._by_claim: dict[str, Measure] = {}

    def of(self, claim: str) -> Callable[[Measure], Measure]:
        """Declare the decorated function as the measurement of a claim."""

        def declare(function: Measure) -> Measure:
            if claim in self._by_claim:
                raise ValueError(f"{claim} is measured twice")
            self._by_claim[claim] = function
            return function

        return declare

    def merged(self, other: Measures) -> Measures:
        """Both tables in one."""
        both = Measures()
        both._by_claim = {**self._by_claim, **other._by_claim}
        return both

    @property
    def claims(self) -> tuple[str, ...]:
        """The claims that can be measured."""
        return tuple(self._by_claim)

    def measure(self, claim: str, observations: Observations) -> Measurement:
        """Measure one claim; what lacks its data comes back with ``missing`` set."""
        function = self._by_claim.get(claim)
        if function is None:
            return Measurement(claim, missing="nothing in the project measures this claim yet")
        try:
            return function(observations)
        except MissingDataError as error:
            return Measurement(claim, missing=str(error))
