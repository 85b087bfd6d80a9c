"""Which cases of a run, and which moments of them, a reader wants to see first. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import pandas as pd

from lab.analysis.stacks.observations import StackObservations
from lab.stacks.events import FAULT, HALTED, REPLY, REQUEST, STARTED

MOST_STORIES = 6
READABLE_NODES = 8
"""With more nodes, arrows between them cannot be told apart."""
LEAD = 0.04
"""Part of a window that lies before what it is about."""
CLOSE_UP_ARROWS = 30
_LEAST_BURST = 4
_LONGEST_S = 20.0
_INSTRUMENTS = ("shell", "medium", "collision")
_LOAD = ("cpu-load", "network-load", "heal", "restart", "resume")
_ROUTINE = (STARTED, REQUEST, REPLY, *_INSTRUMENTS)


@dataclass(frozen=True)
class Window:
    """A part of a case, and what it is about."""

    case: str
    start_s: float
    end_s: float
    about: str


def stories(run: StackObservations) -> list[str]:
    """Cases to be told as stories: of each kind of case the largest that is still readable.

    Cases are of one kind when they differ in nothing but nodes and repetition.
    """
    done = run.cases[run.cases["ended_s"].notna()]
    if done.empty:
        return []
    same = ["sweep", "load", "network_load", "medium", "variant", "parameters"]
    order = done.assign(
        too_large=done["nodes"] > READABLE_NODES,
        rank=done["nodes"].where(done["nodes"] > READABLE_NODES, -done["nodes"]),
    ).sort_values(["too_large", "rank", "repetition"], kind="stable")
    first = order.reset_index().drop_duplicates(same)["case"]
    names = set(first.astype(str))
    return [case for case in run.planned if case in names][:MOST_STORIES]


def told_events(run: StackObservations, case: str) -> pd.DataFrame:
    """Events of a case without routine: no starts, requests, instruments."""
    events = run.of_case("events", case)
    return events[~events["kind"].isin(_ROUTINE) & ~is_first_start(events)]


def is_first_start(events: pd.DataFrame) -> pd.Series[bool]:
    """Which events are orders to start nodes with the case, as a plan gives them."""
    return (events["kind"] == FAULT) & (events["phase"] == "restart") & (events["t_s"] == 0)


def window(run: StackObservations, case: str) -> Window:
    """The part of a case around its first fault, or else around the first thing that nodes told.

    It ends when nodes have fallen silent, and is no longer than a reader can take in.
    """
    ended_s = run.ended_s(case)
    told = told_events(run, case)
    begin_s, about = _anchor(told, ended_s)
    after = told.loc[(told["t_s"] >= begin_s) & (told["t_s"] <= begin_s + _LONGEST_S), "t_s"]
    end_s = float(after.max()) if len(after) else begin_s
    length_s = max(end_s - begin_s, min(2.0, ended_s))
    return Window(
        case,
        max(0.0, begin_s - LEAD * length_s),
        min(ended_s, begin_s + length_s * (1 + LEAD)),
        about,
    )


def _anchor(told: pd.DataFrame, ended_s: float) -> tuple[float, str]:
    faults = told[(told["kind"] == FAULT) & ~told["phase"].isin(_LOAD)]
    if len(faults):
        return float(faults["t_s"].iloc[0]), f"the first fault ({faults['phase'].iloc[0]})"
    halted = told[told["kind"] == HALTED]
    if len(halted):
        return float(halted["t_s"].iloc[0]), "the first node that halted"
    later = told[(told["kind"] != FAULT) & (told["t_s"] > 0)]
    if len(later):
        kind, phase = str(later["kind"].iloc[0]), str(later["phase"].iloc[0])
        return float(later["t_s"].iloc[0]), f"the first event ({f'{kind} {phase}'.strip()})"
    return ended_s / 2, "the middle of the case, in which nodes told of nothing"


def close_up(seen: Window, arrows: pd.DataFrame) -> Window | None:
    """A short window inside another, in which arrows are not upright: from where the kind of
    datagram that begins last begins, with as many datagrams as can be followed one by one.

    Args:
        seen: the whole window.
        arrows: its datagrams: columns sent_s, received_s, group, in the order of sending.
    """
    arrived = arrows[arrows["received_s"].notna()]
    if len(arrived) <= CLOSE_UP_ARROWS:
        return None
    begins = arrived.groupby("group")["sent_s"].min()
    newest = str(begins.idxmax())
    few = arrived[arrived["sent_s"] >= begins[newest]].head(CLOSE_UP_ARROWS)
    few = few.head(_burst(few["sent_s"].tolist()))
    start_s, end_s = float(few["sent_s"].iloc[0]), float(few["received_s"].max())
    edge_s = LEAD * (end_s - start_s)
    about = f"the first {newest} of that window"
    return Window(seen.case, start_s - edge_s, end_s + edge_s, about)


def _burst(times_s: list[float]) -> int:
    """How many of these were sent together: up to a pause that is longer than all before it."""
    for index, (before_s, after_s) in enumerate(pairwise(times_s), 1):
        if index >= _LEAST_BURST and after_s - before_s > before_s - times_s[0]:
            return index
    return len(times_s)
