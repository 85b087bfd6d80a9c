"""Measurements of thesis 7.8: order and atomicity, and the five ways in which an update can fail.

Which of the five it was follows from the logs: who was killed, and who had the update by then. A
case in which the update was over when the failure came tests none of them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from lab.analysis.mscs.courses import survivors
from lab.analysis.mscs.updates import Update, applied_in_order, updates
from lab.analysis.observations import MissingDataError
from lab.analysis.stacks.observations import StackMeasures, StackObservations
from lab.claims.judge import Measurement

MEASURES = StackMeasures()


# --- order and atomicity --------------------------------------------------------------------


@MEASURES.of("mscs-gup-total-order")
def total_order(run: StackObservations) -> Measurement:
    """What survivors applied, of all kinds and in all cases: at each place the same."""
    wrong, applied = 0, 0
    for case in run.names():
        here = survivors(run, case)
        places: dict[int, str] = {}
        for node, order in applied_in_order(run, case).items():
            if node not in here:
                continue
            numbers = [sequence for sequence, _ in order]
            wrong += numbers != sorted(set(numbers))
            wrong += sum(places.setdefault(at, name) != name for at, name in order)
            applied += len(order)
    if not applied:
        raise MissingDataError("nobody applied an update")
    return Measurement(
        "mscs-gup-total-order",
        holds=wrong == 0,
        detail=f"{applied} updates applied by survivors, {wrong} of them out of order.",
    )


@MEASURES.of("mscs-gup-atomicity")
def atomicity(run: StackObservations) -> Measurement:
    """What one survivor applied, all applied; but for what was on its way when a case ended."""
    partial, made = 0, 0
    for case in run.names():
        here = survivors(run, case)
        try:
            found = updates(run, case, kind=None)
        except MissingDataError:
            continue
        joined = _since(run, case)
        for update in found:
            have = here & update.applied_s.keys()
            lack = {node for node in here - have if joined.get(node, 0) < update.sequence}
            on_its_way = update.sender in here and update.done_s is None
            if have and not on_its_way:
                partial, made = partial + bool(lack), made + 1
    if not made:
        raise MissingDataError("no survivor applied an update")
    return Measurement(
        "mscs-gup-atomicity",
        holds=partial == 0,
        detail=f"Of {made} updates that a survivor applied {partial} are lacking at another.",
    )


def _since(run: StackObservations, case: str) -> dict[int, int]:
    """The place in the order up to which a node took over the state of others, as a newcomer."""
    events = run.events(case, "gup", "entered")
    if events.empty:
        return {}
    rows = zip(events["node"], events["sequence"], strict=True)
    return {int(node): int(sequence) for node, sequence in rows}


# --- the five failures ----------------------------------------------------------------------


@dataclass(frozen=True)
class Failure:
    """The first update of a case, and the failure in the middle of it."""

    case: str
    update: Update
    killed_s: float
    dead: frozenset[int]
    alive: frozenset[int]
    locker: int
    """Who was the locker when the failure came."""
    had: frozenset[int]
    """Who had applied the update before the first view without the dead."""
    view_s: float
    """When the first survivor had that view."""

    @property
    def sender_died(self) -> bool:
        """Whether the sender is among the dead."""
        return self.update.sender in self.dead

    @property
    def locker_died(self) -> bool:
        """Whether the locker is among the dead."""
        return self.locker in self.dead

    @property
    def next_locker(self) -> int:
        """The survivor that follows the locker in the circle."""
        return min(self.alive, key=lambda node: (node <= self.locker, node))

    @property
    def everywhere(self) -> bool:
        """Whether all survivors have applied the update."""
        return self.alive <= self.update.applied_s.keys()

    @property
    def finished_after(self) -> bool:
        """Whether the sender ended it over the new membership."""
        return self.update.done_s is not None and self.update.done_s > self.view_s


def failures(run: StackObservations) -> list[Failure]:
    """All failures that came before an update was over, or just before it was asked for.

    Raises:
        MissingDataError: there is none.
    """
    found = [_failure(run, case) for case in run.names() if "fail" in run.planned[case].sweep]
    hit = [failure for failure in found if failure is not None]
    if not hit:
        raise MissingDataError("no failure came in the middle of an update")
    return hit


def _failure(run: StackObservations, case: str) -> Failure | None:
    """The failure of a case; None when its update was over by then, or nobody noticed in time."""
    faults = run.events(case, "fault", "kill")
    views = run.events(case, "view")
    if faults.empty or views.empty:
        return None
    killed_s = float(faults["t_s"].min())
    dead = frozenset(int(node) for nodes in faults["nodes"] for node in nodes)
    alive = frozenset(survivors(run, case))
    later = views[(views["t_s"] > killed_s) & views["node"].isin(sorted(alive))]
    try:
        update = updates(run, case)[0]
    except MissingDataError:
        return None
    over = update.done_s is not None and update.done_s < killed_s
    if later.empty or over or not _reachable(update, killed_s, dead):
        return None
    view_s = float(later["t_s"].min())
    had = (node for node, t_s in update.applied_s.items() if t_s < view_s)
    return Failure(
        case=case,
        update=update,
        killed_s=killed_s,
        dead=dead,
        alive=alive,
        locker=min(dead | alive),
        had=frozenset(had),
        view_s=view_s,
    )


def _reachable(update: Update, killed_s: float, dead: frozenset[int]) -> bool:
    """Whether an update that a dead sender asked for had begun."""
    begun = update.locked_s is not None and update.locked_s < killed_s
    return update.sender not in dead or begun


def _judged(
    run: StackObservations,
    claim: str,
    which: Callable[[Failure], bool],
    fine: Callable[[Failure], bool],
) -> Measurement:
    """Whether all failures of one kind went as they have to."""
    cases = [failure for failure in failures(run) if which(failure)]
    if not cases:
        raise MissingDataError("no failure came at the moment that makes it this one")
    wrong = [failure.case for failure in cases if not fine(failure)]
    told = f", but not {', '.join(wrong)}" if wrong else ""
    had = ", ".join(str(len(failure.had & failure.alive)) for failure in cases)
    return Measurement(
        claim,
        holds=not wrong,
        detail=f"{len(cases)} such failures{told}; so many survivors had the update before: {had}.",
    )


@MEASURES.of("mscs-gup-sender-fails")
def sender_fails(run: StackObservations) -> Measurement:
    """Case 1: the locker completes what a dead sender has begun, and not ended."""
    return _judged(
        run,
        "mscs-gup-sender-fails",
        lambda it: it.sender_died and not it.locker_died and not it.alive <= it.had,
        lambda it: it.everywhere and it.update.completed_by == it.locker,
    )


@MEASURES.of("mscs-gup-receiver-fails")
def receiver_fails(run: StackObservations) -> Measurement:
    """Case 2: the sender waits for regroup, and ends the update over the new membership."""
    return _judged(
        run,
        "mscs-gup-receiver-fails",
        lambda it: not it.sender_died and not it.locker_died and not it.dead <= it.had,
        lambda it: it.everywhere and it.finished_after,
    )


@MEASURES.of("mscs-gup-locker-fails")
def locker_fails(run: StackObservations) -> Measurement:
    """Case 3: the next node of the list is locker, and the sender goes on with it."""
    return _judged(
        run,
        "mscs-gup-locker-fails",
        lambda it: not it.sender_died and it.locker_died,
        lambda it: (
            it.everywhere
            and it.finished_after
            and (it.update.lockers[-1] == it.next_locker or it.alive <= it.had)
        ),
    )


@MEASURES.of("mscs-gup-both-fail")
def both_fail(run: StackObservations) -> Measurement:
    """Case 4: the new locker, which has the update, completes it."""
    return _judged(
        run,
        "mscs-gup-both-fail",
        lambda it: it.sender_died and it.locker_died and it.next_locker in it.had,
        lambda it: it.everywhere and it.update.completed_by == it.next_locker,
    )


@MEASURES.of("mscs-gup-all-fail")
def all_fail(run: StackObservations) -> Measurement:
    """Case 5: nobody ever applies it, and its place in the order is given to another update."""
    return _judged(
        run,
        "mscs-gup-all-fail",
        lambda it: it.sender_died and it.locker_died and not it.alive & it.had,
        lambda it: (
            not it.alive & it.update.applied_s.keys()
            and any(
                other.id != it.update.id
                and other.sequence == it.update.sequence
                and it.alive <= other.applied_s.keys()
                for other in updates(run, it.case, kind=None)
            )
        ),
    )


# --- time -----------------------------------------------------------------------------------


@MEASURES.of("mscs-gup-unbounded")
def unbounded(run: StackObservations) -> Measurement:
    """A receiver that answers late, with keep-alives: updates take as much longer, without end."""
    chosen = run.chosen(sweep="slow-receiver")
    told, fine = [], True
    for case, slow_s in zip(chosen.index, chosen["slow_s"], strict=True):
        took_s = updates(run, str(case))[0].took_s
        late = took_s is not None and took_s >= float(slow_s)
        fine = fine and late and run.events(str(case), "suspicion").empty
        told.append(f"{'no end' if took_s is None else f'{took_s:.1f}'} for {slow_s:g}")
    alive = sum(len(run.messages(str(case), "rpc gup apply working")) for case in chosen.index)
    return Measurement(
        "mscs-gup-unbounded",
        holds=fine and alive > 0 and len(chosen) > 1,
        detail=f"Seconds of an update for the seconds that one receiver took: {', '.join(told)}; "
        f"{alive} keep-alives, and nobody was suspected.",
    )
