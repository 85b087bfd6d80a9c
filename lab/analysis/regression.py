"""Fitting a shape to points, and how far the points depart from it. Pure.

The thesis states many results as shapes: linear in the number of nodes, proportional to n(n-1),
flat, falling as 1/n. A fit minimises *relative* residuals, so that small clusters count as much as
large ones, and its deviation is the relative distance of the farthest point. That is the number
which a claim's tolerance is about.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Term = Callable[[float], float]

TERMS: Mapping[str, Term] = {
    "1": lambda n: 1.0,
    "n": lambda n: n,
    "n(n-1)": lambda n: n * (n - 1),
    "n^2": lambda n: n * n,
    "1/n": lambda n: 1 / n,
}
"""What shapes are made of, by the words that a fit is told in."""


@dataclass(frozen=True)
class Fit:
    """A shape with its coefficients, and how well it fits."""

    terms: tuple[str, ...]
    coefficients: tuple[float, ...]
    deviation: float
    """Relative distance of the farthest point from the curve."""
    farthest: float
    """Where that point is."""
    r_squared: float
    """Part of the variance that the shape explains; nan where nothing varies."""
    points: int

    def at(self, x: float) -> float:
        """The curve."""
        pairs = zip(self.terms, self.coefficients, strict=True)
        return sum(factor * TERMS[term](x) for term, factor in pairs)

    @property
    def formula(self) -> str:
        """The curve in words, such as ``0.12 + 0.034 n``."""
        parts = [
            f"{factor:.4g}" if term == "1" else f"{factor:.4g} {term}"
            for term, factor in zip(self.terms, self.coefficients, strict=True)
        ]
        return " + ".join(parts).replace("+ -", "- ")

    @property
    def text(self) -> str:
        """The curve and how well it fits, in a clause."""
        explained = "" if math.isnan(self.r_squared) else f", r^2 {self.r_squared:.4f}"
        return (
            f"{self.formula} through {self.points} points{explained}, "
            f"farthest {self.deviation:.1%} off at n = {self.farthest:g}"
        )


def flat(x: Sequence[float], y: Sequence[float]) -> Fit:
    """Fit y = c."""
    return fit(x, y, "1")


def linear(x: Sequence[float], y: Sequence[float]) -> Fit:
    """Fit y = a + b n."""
    return fit(x, y, "1", "n")


def proportional(x: Sequence[float], y: Sequence[float], term: str) -> Fit:
    """Fit y = k f(n), with f one of :data:`TERMS`."""
    return fit(x, y, term)


def fit(x: Sequence[float], y: Sequence[float], *terms: str) -> Fit:
    """Fit a sum of terms.

    Args:
        x: where the points are.
        y: their values, none of them 0.
        terms: names in :data:`TERMS`.

    Raises:
        ValueError: fewer different places than the shape has terms, and one more; or a value is 0.
    """
    if len(set(x)) <= len(terms):
        raise ValueError(f"{len(set(x))} places do not test a shape of {len(terms)} terms")
    xs, ys = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    if not ys.all():
        raise ValueError("a relative fit has no value that is 0")
    matrix = np.array([[TERMS[term](float(place)) for term in terms] for place in xs])
    weights = 1 / np.abs(ys)
    solved = np.linalg.lstsq(matrix * weights[:, None], ys * weights, rcond=None)[0]
    curve = np.asarray(matrix @ solved, dtype=np.float64)
    off = np.abs(ys - curve) / np.maximum(np.abs(curve), np.finfo(np.float64).tiny)
    worst = int(np.argmax(off))
    return Fit(
        terms=terms,
        coefficients=tuple(float(factor) for factor in solved),
        deviation=float(off[worst]),
        farthest=float(xs[worst]),
        r_squared=_explained(ys, curve),
        points=len(ys),
    )


def exponent(x: Sequence[float], y: Sequence[float]) -> float:
    """The power of x with which y grows: the slope in logarithms.

    Raises:
        ValueError: fewer than two places, or a number that is not positive.
    """
    if len(set(x)) < 2 or min(x) <= 0 or min(y) <= 0:
        raise ValueError("a power needs two places or more, and positive numbers")
    log_x, log_y = np.log(np.asarray(x)), np.log(np.asarray(y))
    away = log_x - log_x.mean()
    return float((away * log_y).sum() / (away**2).sum())


def _explained(values: NDArray[np.float64], curve: NDArray[np.float64]) -> float:
    spread = float(((values - values.mean()) ** 2).sum())
    if math.isclose(spread, 0.0, abs_tol=1e-30):
        return math.nan
    return 1 - float(((values - curve) ** 2).sum()) / spread
