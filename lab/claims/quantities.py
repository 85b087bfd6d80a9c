"""The simple reading of numbers and units in the registry: ``784 MByte/s = 7 x 112 ...``."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

# Unit -> (dimension, factor to the dimension's first unit).
_UNITS: dict[str, tuple[str, float]] = {
    "bytes/s": ("rate", 1.0),
    "KBytes/s": ("rate", 1e3),
    "MByte/s": ("rate", 1e6),
    "MBytes/s": ("rate", 1e6),
    "Mbit/s": ("rate", 1e6 / 8),
    "Gbit/s": ("rate", 1e9 / 8),
    "s": ("time", 1.0),
    "ms": ("time", 1e-3),
    "us": ("time", 1e-6),
    "bytes": ("size", 1.0),
    "KBytes": ("size", 1024.0),
    "MBytes": ("size", 1024.0**2),
}
_LEADING = re.compile(
    r"^\s*(?P<number>[-+]?[0-9][0-9,]*(?:\.[0-9]+)?(?:e[-+]?[0-9]+)?)\s+(?P<unit>\S+)"
)
_BOUND = re.compile(r"^\s*(?P<sign>>=|<=)\s*(?P<number>[-+]?[0-9.]+(?:e[-+]?[0-9]+)?)\s*$")


@dataclass(frozen=True)
class Bound:
    """A one-sided bound."""

    sign: Literal[">=", "<="]
    limit: float


def parse_bound(text: str) -> Bound | None:
    """``'>= 110'`` -> ``Bound('>=', 110)``; None when the text is no bound."""
    match = _BOUND.match(text)
    if match is None:
        return None
    return Bound(">=" if match["sign"] == ">=" else "<=", float(match["number"]))


def convert(number: float, unit: str, to_unit: str) -> float | None:
    """The number in another unit; None when the units do not measure the same thing."""
    if unit == to_unit:
        return number
    have, want = _UNITS.get(unit), _UNITS.get(to_unit)
    if have is None or want is None or have[0] != want[0]:
        return None
    return number * have[1] / want[1]


def leading_quantity(text: str, unit: str) -> float | None:
    """The number that a text begins with, in ``unit``; None when it has none of that unit."""
    match = _LEADING.match(text)
    if match is None:
        return None
    return convert(float(match["number"].replace(",", "")), match["unit"].rstrip(",;"), unit)
