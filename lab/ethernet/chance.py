"""Chance, drawn from seeds: repeatable, and of no use where secrets are needed."""

from __future__ import annotations

from random import Random


def chance(seed: int | str) -> Random:
    """Return a stream of random numbers that is the same on every machine."""
    return Random(seed)  # noqa: S311 - repeatable, not secret
