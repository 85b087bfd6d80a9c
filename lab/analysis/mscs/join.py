"""Measurements of thesis 7.7.1 on joins: phases, RPCs, times over the size of the cluster."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise

import pandas as pd

from lab.analysis.mscs.joins import Join, cases_of, grown, joins, serial_rpcs
from lab.analysis.observations import MissingDataError
from lab.analysis.regression import Fit, flat, linear
from lab.analysis.stacks.observations import StackMeasures, StackObservations
from lab.claims.judge import Measurement
from lab.stacks.mscs.join_member import CONNECT, CONNECT_BACK, SECURITY
from lab.stacks.mscs.sponsor_answers import QUESTIONS

MEASURES = StackMeasures()

_PHASE_3 = (*QUESTIONS, CONNECT, CONNECT_BACK, SECURITY)
_SIZES_TOGETHER = 8


def _first(run: StackObservations, case: str) -> Join:
    return joins(run, case)[0]


def _all(run: StackObservations, *beginnings: str) -> list[tuple[str, Join]]:
    return [(case, join) for case in cases_of(run, *beginnings) for join in joins(run, case)]


# --- counts ---------------------------------------------------------------------------------


@MEASURES.of("mscs-join-rpc-count")
def rpc_count(run: StackObservations) -> Measurement:
    """RPCs of every join, counted as datagrams, against 10 + 7 n."""
    worst, told = 0.0, ""
    for case, join in _all(run, "grow", "last"):
        found = serial_rpcs(run, case, join.begin_s, join.end_s)
        worst = max(worst, abs(found / (10 + 7 * join.active) - 1))
        told = f"{found} RPCs with {join.active} nodes active"
    return Measurement("mscs-join-rpc-count", deviation=worst, detail=f"{told}.")


@MEASURES.of("mscs-join-phase3-rpcs")
def phase3_rpcs(run: StackObservations) -> Measurement:
    """RPCs of phase 3 by the datagrams of its methods, against 5 + 3 n."""
    worst, told = 0.0, ""
    for case, join in _all(run, "grow", "last"):
        found = serial_rpcs(run, case, join.begin_s, join.end_s, _PHASE_3)
        worst = max(worst, abs(found / (5 + 3 * join.active) - 1))
        told = f"{found} RPCs with {join.active} nodes active"
    return Measurement("mscs-join-phase3-rpcs", deviation=worst, detail=f"{told}.")


@MEASURES.of("mscs-join-petition")
def petition(run: StackObservations) -> Measurement:
    """The steps of phase 4, by the datagrams that each of them is made of, in their order."""
    counts = {
        _steps_in_order(run, case, join)
        for case, join in _all(run, "grow", "last")
        if join.active > 1
    }
    if not counts:
        raise MissingDataError("no join had more than a sponsor")
    return Measurement(
        "mscs-join-petition",
        value=min(counts),
        detail="Announced to all, configuration, first heartbeat, alive to all, inserted: "
        "the order of their datagrams.",
    )


def _steps_in_order(run: StackObservations, case: str, join: Join) -> int:
    """The five steps, if each came after the one before; else 0."""
    sent = run.messages(case)
    sent = sent[(sent["t_s"] >= join.begin_s) & (sent["t_s"] <= join.end_s)]
    times = {}
    for step in ("announce", "configure", "alive", "inserted"):
        rows = sent.loc[sent["label"] == f"rpc join {step}", "t_s"]
        if rows.empty:
            return 0
        times[step] = (float(rows.min()), float(rows.max()))
    beats = run.messages(case, "heartbeat", "receive")
    beats = beats[(beats["peer"] == join.node) & (beats["t_s"] >= times["configure"][0])]
    order = [
        times["announce"][1],
        times["configure"][0],
        float(beats["t_s"].min()),
        times["alive"][0],
        times["inserted"][0],
    ]
    return len(order) if all(a <= b for a, b in pairwise(order)) else 0


# --- times ----------------------------------------------------------------------------------


@MEASURES.of("mscs-join-time-linear")
def time_linear(run: StackObservations) -> Measurement:
    """Time of a join over the nodes that are active, without its two waits: for the time-out of
    discovery, and for the first heartbeat, which is as long with any number of nodes."""
    took: dict[int, list[float]] = {}
    whole: dict[int, list[float]] = {}
    for case, join in _all(run, "grow"):
        wait_s = first_heartbeat_wait_s(run, case, join)
        took.setdefault(join.active, []).append(join.after_discovery_s - wait_s)
        whole.setdefault(join.active, []).append(join.after_discovery_s)
    fit, with_wait = (_fit_means(times) for times in (took, whole))
    return Measurement(
        "mscs-join-time-linear",
        deviation=fit.deviation,
        detail=f"{fit.text}. With the wait for the first heartbeat, which is random, "
        f"{with_wait.formula}.",
    )


def _fit_means(times: Mapping[int, Sequence[float]]) -> Fit:
    sizes = sorted(times)
    return _fit_linear(sizes, [sum(times[size]) / len(times[size]) for size in sizes])


def first_heartbeat_wait_s(run: StackObservations, case: str, join: Join) -> float:
    """How long the sponsor of a join waited, from the answer to the configuration to what follows.

    Raises:
        MissingDataError: the log does not tell.
    """
    start_s, end_s = join.start_s("petition"), join.end_s
    answers = run.messages(case, "rpc join configure answer", "receive")["t_s"]
    answers = answers[(answers >= start_s) & (answers <= end_s)]
    following = run.messages(case, ["rpc join alive", "rpc join inserted"])["t_s"]
    following = following[(following >= start_s) & (following <= end_s)]
    if answers.empty or following.empty:
        raise MissingDataError(f"case {case} does not tell when node {join.node} was heard")
    return float(following.min() - answers.min())


def _fit_linear(x: Sequence[float], y: Sequence[float]) -> Fit:
    try:
        return linear(x, y)
    except ValueError as error:
        raise MissingDataError(str(error)) from None


@MEASURES.of("mscs-join-phase3-time")
def phase3_time(run: StackObservations) -> Measurement:
    """Phase 3 with the most nodes active."""
    found = [join for _, join in _all(run, "grow", "last")]
    most = max(join.active for join in found)
    times = [join.took_s["network"] for join in found if join.active == most]
    detail = f"With {most} nodes active."
    return Measurement("mscs-join-phase3-time", value=sum(times) / len(times), detail=detail)


@MEASURES.of("mscs-join-broadcast")
def broadcast(run: StackObservations) -> Measurement:
    """The first RPC broadcast of phase 4 with the most nodes active."""
    times = broadcast_times_s(run, cases_of(run, "grow", "last"))
    most = max(times)
    value = 1000 * sum(times[most]) / len(times[most])
    detail = f"To {most} nodes."
    return Measurement("mscs-join-broadcast", value=value, detail=detail)


def broadcast_times_s(run: StackObservations, cases: Sequence[str]) -> dict[int, list[float]]:
    """How long the announcement to all members took, by how many they are.

    Raises:
        MissingDataError: nobody was announced.
    """
    found: dict[int, list[float]] = {}
    for case in cases:
        sent = run.messages(case, "rpc join announce")
        answers = run.messages(case, "rpc join announce answer", "receive")
        for sponsor, mine in sent.groupby("node", observed=True):
            answered = answers.loc[answers["node"] == sponsor, "t_s"]
            for peers, start_s, last_s in _rounds(mine["peer"], mine["t_s"]):
                after = answered[answered >= last_s]
                if len(after):
                    found.setdefault(peers, []).append(float(after.min()) - start_s)
    if not found:
        raise MissingDataError("nobody was announced to a member")
    return found


def _rounds(peers: Iterable[int], times_s: Iterable[float]) -> Iterator[tuple[int, float, float]]:
    """Split a series of calls into broadcasts: each goes to nobody twice.

    Yields:
        How many nodes it went to, when it began, when its last call was made.
    """
    seen: dict[int, float] = {}
    for peer, t_s in zip(peers, times_s, strict=True):
        if peer in seen:
            yield len(seen), min(seen.values()), max(seen.values())
            seen = {}
        seen[int(peer)] = float(t_s)
    if seen:
        yield len(seen), min(seen.values()), max(seen.values())


@MEASURES.of("mscs-join-heartbeat-wait")
def heartbeat_wait(run: StackObservations) -> Measurement:
    """From the configuration of the joiner to the announcement that it is alive."""
    cases = [*run.names(sweep="heartbeat"), *grown(run)]
    waits = [first_heartbeat_wait_s(run, case, join) for case in cases for join in joins(run, case)]
    value = sum(waits) / len(waits)
    return Measurement(
        "mscs-join-heartbeat-wait",
        value=value,
        baseline=_heartbeat_period_s(run, cases),
        published_baseline=1.2,
        detail=f"Mean of {len(waits)} joins, from {min(waits):.2f} to {max(waits):.2f} s.",
    )


def _heartbeat_period_s(run: StackObservations, cases: Sequence[str]) -> float:
    """The time between two heartbeats from one node to another, as they were sent."""
    gaps = [
        run.messages(case, "heartbeat").groupby(["node", "peer"], observed=True)["t_s"].diff()
        for case in cases
    ]
    return float(pd.concat(gaps).median())


@MEASURES.of("mscs-join-db-sync")
def db_sync(run: StackObservations) -> Measurement:
    """Phase 5 over the size of the cluster, mean of so many sizes together."""
    took: dict[int, list[float]] = {}
    for _, join in _all(run, "grow"):
        took.setdefault((join.active - 1) // _SIZES_TOGETHER, []).append(join.took_s["database"])
    sizes = [(group + 0.5) * _SIZES_TOGETHER for group in sorted(took)]
    try:
        fit = flat(sizes, [sum(took[group]) / len(took[group]) for group in sorted(took)])
    except ValueError as error:
        raise MissingDataError(str(error)) from None
    return Measurement("mscs-join-db-sync", deviation=fit.deviation, detail=f"{fit.text} (s).")


# --- discovery ------------------------------------------------------------------------------


@MEASURES.of("mscs-join-discovery")
def discovery(run: StackObservations) -> Measurement:
    """Discovery with some nodes down, however many, beside the time-out of an RPC."""
    ratios, told = [], []
    for variant, timeout_s in (("plain", 30.0), ("short-timeout", 10.0)):
        cases = run.names(sweep="down", variant=variant) if _has(run, variant) else []
        times = [_first(run, case).took_s["discovery"] for case in cases]
        ratios += [time_s / timeout_s for time_s in times]
        told += [f"{', '.join(f'{time_s:.2f}' for time_s in times)} s at {timeout_s:g} s"]
    if not ratios:
        raise MissingDataError("no node joined with others down")
    worst = max(ratios, key=lambda ratio: abs(ratio - 1))
    return Measurement(
        "mscs-join-discovery",
        value=worst,
        detail=f"With one node down, and more: {'; '.join(told)}.",
    )


def _has(run: StackObservations, variant: str) -> bool:
    cases = run.cases
    return bool(((cases["sweep"] == "down") & (cases["variant"] == variant)).any())


@MEASURES.of("mscs-join-cluster-ip")
def cluster_ip(run: StackObservations) -> Measurement:
    """Discovery that asks the cluster's address first; the holder sponsors in either way."""
    cases = run.names(sweep="down", variant="address-first")
    times = [_first(run, case).took_s["discovery"] for case in cases]
    probes = [_first(run, case).rpcs["discovery"] for case in cases]
    return Measurement(
        "mscs-join-cluster-ip",
        value=max(times),
        baseline=_first(run, run.names(sweep="down", variant="plain")[0]).took_s["discovery"],
        holds=max(probes) == 1,
        detail=f"{max(times) * 1e3:.1f} ms at most, with {max(probes)} probe.",
    )


@MEASURES.of("mscs-join-forms-alone")
def forms_alone(run: StackObservations) -> Measurement:
    """A node that finds nobody becomes the only member of a cluster, until others start."""
    (case,) = cases_of(run, "alone")
    formed = run.events(case, "join", "formed")
    views = run.events(case, "view")
    views = views[views["t_s"] < min(run.fault_times_s(case, "restart"), default=float("inf"))]
    alone = not views.empty and all(list(members) == [1] for members in views["members"])
    return Measurement(
        "mscs-join-forms-alone",
        holds=len(formed) == 1 and alone,
        detail=f"{len(formed)} node formed a cluster.",
    )


@MEASURES.of("mscs-join-lock")
def lock(run: StackObservations) -> Measurement:
    """Two nodes that start together are admitted one after the other."""
    (case,) = cases_of(run, "two-at-once")
    found = sorted(joins(run, case), key=lambda join: join.end_s)
    if len(found) != 2:
        raise MissingDataError("two nodes did not both join")
    first, second = found
    locked_s = second.start_s("network")
    return Measurement(
        "mscs-join-lock",
        holds=locked_s >= first.start_s("unlock"),
        detail=f"The first released the lock from {first.start_s('unlock'):.2f} s on, the second "
        f"had it at {locked_s:.2f} s.",
    )
