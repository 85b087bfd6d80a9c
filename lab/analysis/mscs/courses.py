"""How regroup went in a case: when each member came into which phase, and what was sent. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TypeAlias

import pandas as pd

from lab.analysis.observations import MissingDataError
from lab.analysis.regression import Fit
from lab.analysis.stacks.observations import StackObservations

PHASES = ("activate", "closing", "pruning", "cleanup-1", "cleanup-2", "done")
"""The five phases of thesis 7.7.2 and their end, by the words of the event log."""
STATE = "regroup"
"""Label of the state messages."""
PERIOD_S = 0.3
"""Published time between two broadcasts of the state."""
Shape: TypeAlias = Callable[[Sequence[float], Sequence[float]], Fit]


def courses(run: StackObservations, case: str) -> pd.DataFrame:
    """When each member came into each phase, virtual s: a row for every run that it took part in.

    Columns ``node``, ``id`` (of the run), one for each of :data:`PHASES`, nan where it did not get
    so far, ``took_s`` and ``why`` (phase 1 was over).

    Raises:
        MissingDataError: no regroup was begun.
    """
    events = run.events(case, "regroup")
    if events.empty:
        raise MissingDataError(f"nobody began a regroup in case {case}")
    times = events.pivot_table(
        index=["node", "id"], columns="phase", values="t_s", aggfunc="min", observed=True
    ).reindex(columns=list(PHASES))
    why = events[events["phase"] == "closing"].set_index(["node", "id"])["cause"].astype("str")
    table = times.join(why.rename("why")).reset_index()
    return table.assign(took_s=table["done"] - table["activate"])


def completed(run: StackObservations, case: str) -> pd.DataFrame:
    """The rows of :func:`courses` that came to the end.

    Raises:
        MissingDataError: nobody came to the end of a regroup.
    """
    found = courses(run, case)
    found = found[found["done"].notna()]
    if found.empty:
        raise MissingDataError(f"no regroup came to its end in case {case}")
    return found


def mean_s(run: StackObservations, cases: Sequence[str], start: str, end: str) -> float:
    """Mean time from one phase to another, over all members of all these cases."""
    rows = pd.concat([completed(run, case) for case in cases], ignore_index=True)
    return float((rows[end] - rows[start]).mean())


def state_messages(run: StackObservations, case: str) -> pd.DataFrame:
    """The state messages that were sent in a case."""
    return run.messages(case, STATE)


def survivors(run: StackObservations, case: str) -> set[int]:
    """The nodes that nobody killed and that did not halt; a stalled one may be among them."""
    gone: set[int] = set()
    for phase in ("kill", "wipe"):
        killed = run.events(case, "fault", phase)
        for nodes in killed["nodes"] if len(killed) else ():
            gone |= set(nodes)
    halted = run.of_case("events", case)
    gone |= set(halted.loc[halted["kind"] == "halted", "node"])
    return set(range(1, run.planned[case].nodes + 1)) - gone


def last_views(run: StackObservations, case: str) -> dict[int, tuple[int, tuple[int, ...]]]:
    """Each node's last view: its number and its members."""
    views = run.events(case, "view").drop_duplicates("node", keep="last")
    rows = zip(views["node"], views["id"], views["members"], strict=True)
    return {int(node): (int(number), tuple(members)) for node, number, members in rows}


def fitted(shape: Shape, nodes: Iterable[float], values: Sequence[float]) -> Fit:
    """Fit a shape over sizes; MissingDataError when there are too few of them."""
    try:
        return shape([float(n) for n in nodes], values)
    except ValueError as error:
        raise MissingDataError(str(error)) from None
