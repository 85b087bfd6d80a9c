"""The global updates of a case: who asked, when it had the lock, who applied it when. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from lab.analysis.observations import MissingDataError
from lab.analysis.stacks.observations import StackObservations

NOTE = "note"
"""The kind of the updates that an experiment asks for; managers make others."""


@dataclass
class Update:
    """One update; times are virtual s since the case began, None for what did not happen."""

    id: str
    kind: str
    sender: int
    sequence: int = 0
    """Its place in the order; 0 until it has one."""
    asked_s: float | None = None
    """The sender begins with it."""
    locked_s: float | None = None
    """It was given the lock, for the first time."""
    lockers: list[int] = field(default_factory=list)
    """Who gave it the lock, or completed it as the locker, in the order of time."""
    applied_s: dict[int, float] = field(default_factory=dict)
    """When each node applied it."""
    done_s: float | None = None
    """The sender has ended it."""
    rpcs: int = 0
    """What it took the sender."""
    completed_by: int | None = None
    """The locker that completed it."""
    completed_s: float | None = None

    @property
    def took_s(self) -> float | None:
        """From its begin to its end at the sender."""
        if self.asked_s is None or self.done_s is None:
            return None
        return self.done_s - self.asked_s


def updates(run: StackObservations, case: str, kind: str | None = NOTE) -> list[Update]:
    """The updates of a case in the order in which they appeared; None: of all kinds.

    Raises:
        MissingDataError: there is none.
    """
    events = run.events(case, "gup")
    found: dict[str, Update] = {}
    if not events.empty:
        events = events[events["phase"].isin(_NOTES.keys())]
        if kind is not None:
            events = events[events["kind"] == kind]
        rpcs = events["rpcs"] if "rpcs" in events else [0] * len(events)
        columns = (events[c] for c in ("update", "kind", "sender", "sequence"))
        where = (events[c] for c in ("phase", "node", "t_s"))
        rows = zip(*columns, rpcs, *where, strict=True)
        for name, of_kind, sender, sequence, count, phase, node, t_s in rows:
            update = found.setdefault(str(name), Update(str(name), str(of_kind), int(sender)))
            update.sequence = int(sequence) or update.sequence
            _NOTES[str(phase)](update, int(node), float(t_s))
            if phase == "done":
                update.rpcs = int(count)
    if not found:
        raise MissingDataError(f"nobody made an update in case {case}")
    return list(found.values())


def _asked(update: Update, node: int, t_s: float) -> None:
    update.asked_s = t_s if update.asked_s is None else update.asked_s


def _locked(update: Update, node: int, t_s: float) -> None:
    update.locked_s = t_s if update.locked_s is None else update.locked_s
    update.lockers.append(node)


def _applied(update: Update, node: int, t_s: float) -> None:
    update.applied_s.setdefault(node, t_s)


def _done(update: Update, node: int, t_s: float) -> None:
    update.done_s = t_s


def _completed(update: Update, node: int, t_s: float) -> None:
    update.completed_by, update.completed_s = node, t_s
    update.lockers.append(node)


_NOTES = {
    "asked": _asked,
    "locked": _locked,
    "applied": _applied,
    "done": _done,
    "completed": _completed,
}


def applied_in_order(run: StackObservations, case: str) -> Mapping[int, list[tuple[int, str]]]:
    """What each node applied, in the order of its log: places and updates, of all kinds."""
    events = run.events(case, "gup", "applied")
    found: dict[int, list[tuple[int, str]]] = {}
    if not events.empty:
        rows = zip(events["node"], events["sequence"], events["update"], strict=True)
        for node, sequence, name in rows:
            found.setdefault(int(node), []).append((int(sequence), str(name)))
    return found


def times_s(run: StackObservations, case: str) -> list[float]:
    """How long each update of a case took that came to its end.

    Raises:
        MissingDataError: none did.
    """
    found = [update.took_s for update in updates(run, case)]
    times = [took_s for took_s in found if took_s is not None]
    if not times:
        raise MissingDataError(f"no update came to its end in case {case}")
    return times
