"""Measurements of thesis 7.8 and 7.9.4: the course of global updates on idle nodes, and their pace.

Loaded nodes are in :mod:`lab.analysis.mscs.gup_loaded`, failures in
:mod:`lab.analysis.mscs.gup_failures`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np

from lab.analysis.mscs.updates import Update, times_s, updates
from lab.analysis.observations import MissingDataError
from lab.analysis.regression import Fit, linear, proportional
from lab.analysis.stacks.observations import StackMeasures, StackObservations
from lab.claims.judge import Measurement

MEASURES = StackMeasures()

SMALL_BYTES, LARGE_BYTES = 50, 2048


def idle(
    run: StackObservations, size_bytes: int = SMALL_BYTES, variant: str = "plain"
) -> dict[int, str]:
    """The cases of one sender on idle nodes, by how many nodes they have."""
    chosen = run.chosen(sweep="idle", variant=variant, bytes=size_bytes)
    return {
        int(nodes): str(name) for name, nodes in zip(chosen.index, chosen["nodes"], strict=True)
    }


def mean_s(run: StackObservations, case: str) -> float:
    """How long an update took on the mean."""
    return float(np.mean(times_s(run, case)))


# --- the course of an update ----------------------------------------------------------------


@MEASURES.of("mscs-gup-lock")
def lock(run: StackObservations) -> Measurement:
    """Where all want to update at once, each is everywhere before the next is given the lock."""
    overlaps, waited, made = 0, 0, 0
    for case in run.names(sweep="together"):
        order = sorted(_locked(run, case), key=lambda update: update.sequence)
        for before, after in pairwise(order):
            locked_s, asked_s = after.locked_s or 0.0, after.asked_s or 0.0
            overlaps += locked_s < max(before.applied_s.values())
            waited += asked_s < (before.locked_s or 0.0)
        made += len(order)
    return Measurement(
        "mscs-gup-lock",
        holds=overlaps == 0 and waited > 0,
        detail=f"Of {made} updates {waited} were asked for before the one before them was given "
        f"the lock; {overlaps} were given it before that one was everywhere.",
    )


def _locked(run: StackObservations, case: str) -> list[Update]:
    found = [update for update in updates(run, case) if update.locked_s is not None]
    if not found:
        raise MissingDataError(f"no update was given the lock in case {case}")
    return found


@MEASURES.of("mscs-gup-order")
def order(run: StackObservations) -> Measurement:
    """In which order nodes apply an update, and whom its sender calls in which order."""
    wrong, seen, wrapped = 0, 0, 0
    for case in [*idle(run).values(), *_wrapping(run)]:
        nodes = run.planned[case].nodes
        for update in updates(run, case):
            locker = update.lockers[0]
            circle = [*range(locker + 1, nodes + 1), *range(1, locker)]
            wrapped += locker > 1
            applied = sorted(update.applied_s, key=lambda node: update.applied_s[node])
            called = [
                ("lock", locker),
                *(("apply", node) for node in circle if node != update.sender),
                ("unlock", locker),
            ]
            fine = applied == [locker, *circle] and _calls(run, case, update) == called
            wrong, seen = wrong + (not fine), seen + 1
    return Measurement(
        "mscs-gup-order",
        holds=wrong == 0,
        detail=f"{wrong} of {seen} updates went another way; {wrapped} of them wrapped.",
    )


def _wrapping(run: StackObservations) -> list[str]:
    return [name for name in run.names() if name.startswith("wrap")]


def _calls(run: StackObservations, case: str, update: Update) -> list[tuple[str, int]]:
    """The calls of an update in their order, without what was sent again."""
    sent = run.messages(case, [f"rpc gup {what}" for what in ("lock", "apply", "unlock")])
    sent = sent[(sent["node"] == update.sender) & (sent["t_s"] >= update.asked_s)]
    # At the moment of its end the sender asks for the next one's lock.
    sent = sent[sent["t_s"] < update.done_s].sort_values("t_s", kind="stable")
    labels = (str(label).removeprefix("rpc gup ") for label in sent["label"])
    return [(label, int(peer)) for label, peer in zip(labels, sent["peer"], strict=True)]


@MEASURES.of("mscs-gup-rpc-count")
def rpc_count(run: StackObservations) -> Measurement:
    """RPCs of updates by a sender that is not the locker, counted as datagrams, against n."""
    worst, made = 0.0, 0
    for nodes, case in idle(run).items():
        for update in updates(run, case):
            counts = (len(_calls(run, case, update)), update.rpcs)
            worst, made = max(worst, *(abs(count / nodes - 1) for count in counts)), made + 1
    return Measurement(
        "mscs-gup-rpc-count", deviation=worst, detail=f"{made} updates, by datagrams and by sender."
    )


# --- latency and throughput -----------------------------------------------------------------


@MEASURES.of("mscs-gup-latency")
def latency(run: StackObservations) -> Measurement:
    """Mean time of an update over the nodes (figure 7.4), of the small ones."""
    fit = _fitted(linear, _latencies_s(run, "plain"))
    return Measurement(
        "mscs-gup-latency", deviation=fit.deviation, detail=f"Seconds an update: {fit.text}."
    )


def _latencies_s(run: StackObservations, variant: str) -> dict[int, float]:
    return {nodes: mean_s(run, case) for nodes, case in idle(run, variant=variant).items()}


def _fitted(
    shape: Callable[[Sequence[float], Sequence[float]], Fit], points: dict[int, float]
) -> Fit:
    try:
        return shape(list(points), list(points.values()))
    except ValueError as error:
        raise MissingDataError(str(error)) from None


@MEASURES.of("mscs-gup-throughput")
def throughput(run: StackObservations) -> Measurement:
    """Updates a second of one sender over the nodes (figure 7.5), against 1/n."""
    rates = {nodes: rate_per_s(run, case) for nodes, case in idle(run).items()}
    fit = _fitted(lambda x, y: proportional(x, y, "1/n"), rates)
    return Measurement(
        "mscs-gup-throughput", deviation=fit.deviation, detail=f"Updates a second: {fit.text}."
    )


def rate_per_s(run: StackObservations, case: str) -> float:
    """Updates a second of one sender, from the begin of its first to the end of its last.

    Raises:
        MissingDataError: it ended none.
    """
    ended = [update for update in updates(run, case) if update.took_s is not None]
    if not ended:
        raise MissingDataError(f"no update came to its end in case {case}")
    start_s = min(update.asked_s or 0.0 for update in ended)
    return len(ended) / (max(update.done_s or 0.0 for update in ended) - start_s)


@MEASURES.of("mscs-gup-small")
def small(run: StackObservations) -> Measurement:
    """Updates of 50 bytes a second with 32 nodes."""
    return Measurement("mscs-gup-small", value=rate_per_s(run, _most(run, SMALL_BYTES)))


@MEASURES.of("mscs-gup-large")
def large(run: StackObservations) -> Measurement:
    """Updates of 2 KBytes a second with 32 nodes, beside small ones."""
    return Measurement(
        "mscs-gup-large",
        value=rate_per_s(run, _most(run, LARGE_BYTES)),
        baseline=rate_per_s(run, _most(run, SMALL_BYTES)),
    )


def _most(run: StackObservations, size_bytes: int) -> str:
    cases = idle(run, size_bytes)
    if 32 not in cases:
        raise MissingDataError("the run has no case with 32 nodes")
    return cases[32]


@MEASURES.of("mscs-concurrent-sends")
def concurrent(run: StackObservations) -> Measurement:
    """Updates that are sent to all at once, beside serial ones, over the nodes."""
    serial, at_once = _latencies_s(run, "plain"), _latencies_s(run, "concurrent")
    # With two nodes there is nobody but the locker to send to.
    both = sorted(nodes for nodes in serial.keys() & at_once.keys() if nodes > 2)
    if not both:
        raise MissingDataError("no size was run both serially and at once")
    slopes = [
        _fitted(linear, {nodes: times[nodes] for nodes in both}).coefficients[1] * 1e3
        for times in (serial, at_once)
    ]
    return Measurement(
        "mscs-concurrent-sends",
        holds=all(at_once[nodes] < serial[nodes] for nodes in both),
        detail=f"With {both[-1]} nodes {at_once[both[-1]] * 1e3:.1f} ms instead of "
        f"{serial[both[-1]] * 1e3:.1f}; {slopes[1]:.2f} ms more for each node instead of "
        f"{slopes[0]:.2f}.",
    )
