"""The highest load that something carries without loss.

A trial offers a load for a while and tells whether all of it arrived in time. The machine has
other things to do as well, so one bad trial proves nothing: a load counts as too high when it
fails twice.
"""

from collections.abc import Callable
from dataclasses import dataclass

GROWTH = 1.3
REFINEMENTS = 4
TRIES = 2


@dataclass(frozen=True)
class Trial:
    """What came of offering a load, frames per second."""

    offered: float
    carried: float
    lost: int

    @property
    def good(self) -> bool:
        """Nothing was lost and the offered rate was reached."""
        return self.lost == 0 and self.carried >= 0.97 * self.offered


def highest_load(trial: Callable[[float], Trial], start: float, limit: float) -> float:
    """Return the highest rate carried without loss; 0 when even ``start`` is too high.

    Loads grow until one is too high or ``limit`` is reached, then the gap is halved a few times.
    """

    def attempt(load: float) -> float:
        for _ in range(TRIES):
            made = trial(load)
            if made.good:
                return made.carried
        return 0.0

    carried, good, bad = 0.0, 0.0, start
    while bad <= limit and (reached := attempt(bad)):
        carried, good, bad = max(carried, reached), bad, bad * GROWTH
    if not good or bad > limit:
        return carried
    for _ in range(REFINEMENTS):
        middle = (good + bad) / 2
        if reached := attempt(middle):
            carried, good = max(carried, reached), middle
        else:
            bad = middle
    return carried
