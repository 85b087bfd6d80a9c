"""Measurements of thesis 7.7.2 and 7.9.3: regroup, over the size of the cluster (figure 7.2)."""

from __future__ import annotations

import pandas as pd

from lab.analysis.mscs.courses import (
    PERIOD_S,
    PHASES,
    completed,
    courses,
    fitted,
    last_views,
    mean_s,
    state_messages,
    survivors,
)
from lab.analysis.observations import MissingDataError
from lab.analysis.regression import flat
from lab.analysis.stacks.observations import StackMeasures, StackObservations
from lab.claims.judge import Measurement

MEASURES = StackMeasures()

_MIN_S, _MAX_S = 2.4, 9.6
"""Published time-outs of phase 1."""
_TICK_ROOM_S = 2 * PERIOD_S
"""Phase 1 ends with a tick of the node's clock after the time-out, or with a message."""


def _all_cases(run: StackObservations) -> list[str]:
    return run.names()


# --- correctness ----------------------------------------------------------------------------


def _disagreement(run: StackObservations, case: str) -> str:
    """What is wrong with the memberships at the end of a case; nothing when all agree."""
    alive = survivors(run, case)
    views = last_views(run, case)
    for node in sorted(alive):
        members = views.get(node, (0, ()))[1]
        if set(members) != alive:
            return f"{case}: node {node} ends with {list(members)}, not {sorted(alive)}"
    if len({views[node] for node in alive}) > 1:
        return f"{case}: the last views have different numbers"
    return ""


@MEASURES.of("mscs-rg-correct")
def correct(run: StackObservations) -> Measurement:
    """In every case the survivors, and they alone, end as members of one view."""
    cases = _all_cases(run)
    wrong = [said for case in cases if (said := _disagreement(run, case))]
    detail = f"{len(cases) - len(wrong)} of {len(cases)} cases end with the survivors as members."
    return Measurement("mscs-rg-correct", holds=not wrong, detail=" ".join([detail, *wrong[:2]]))


@MEASURES.of("mscs-membership-agreement", "mscs-regroup")
def agreement(run: StackObservations) -> Measurement:
    """No two nodes ever install different views of one number."""
    split = []
    count = 0
    for case in _all_cases(run):
        views = run.events(case, "view")
        members = views["members"].map(tuple)
        count += len(views)
        split += [case] if (members.groupby(views["id"]).nunique() > 1).any() else []
    detail = f"{count} views were installed; {len(split)} cases have two of one number."
    return Measurement("mscs-membership-agreement", holds=not split, detail=detail)


@MEASURES.of("mscs-rg-cleanup")
def cleanup(run: StackObservations) -> Measurement:
    """One view; clean-up 2 only when all are in clean-up 1; then silence."""
    faults: list[str] = []
    for case in run.names(sweep="one", variant="plain"):
        rows = completed(run, case)
        if rows["cleanup-1"].max() > rows["cleanup-2"].min():
            faults.append(f"{case}: clean-up 2 began before all had begun clean-up 1")
        late = state_messages(run, case)["t_s"] > rows["done"].max() + PERIOD_S
        if late.any():
            faults.append(f"{case}: {int(late.sum())} state messages after the end")
        if _disagreement(run, case):
            faults.append(_disagreement(run, case))
    return Measurement("mscs-rg-cleanup", holds=not faults, detail="; ".join(faults[:3]))


@MEASURES.of("mscs-rg-hearsay")
def hearsay(run: StackObservations) -> Measurement:
    """With datagrams lost, members leave phases in which they have not heard all others.

    It is about the regroup after the failure: losses may cause a false suspicion later.
    """
    unheard, rows_seen, broken = 0, 0, []
    for case in run.names(sweep="loss"):
        begun = courses(run, case)
        begun = begun[begun["id"] == begun["id"].min()]
        rows = begun[begun["done"].notna()]
        received = run.messages(case, "regroup", "receive")
        for node in rows["node"]:
            rows_seen += 1
            unheard += _not_heard(rows, received, int(node))
        if _disagreement(run, case) or not survivors(run, case) <= set(rows["node"]):
            broken.append(case)
    return Measurement(
        "mscs-rg-hearsay",
        holds=not broken and unheard > 0,
        detail=f"{rows_seen} members came through all phases; {unheard} times one of them had not "
        f"heard another directly in phase 3. Cases that were held up or disagree: {len(broken)}.",
    )


def _not_heard(rows: pd.DataFrame, received: pd.DataFrame, node: int) -> int:
    """How many members a node had not heard itself in phase 3 when it left that phase."""
    left_s = float(rows.loc[rows["node"] == node, "cleanup-1"].iloc[0])
    mine = received[(received["node"] == node) & (received["t_s"] <= left_s)]
    last_heard = mine.groupby("peer", observed=True)["t_s"].max()
    others = rows[rows["node"] != node].set_index("node")
    heard_s = last_heard.reindex(others.index)
    return int((heard_s.isna() | (heard_s < others["pruning"])).sum())


# --- phases ---------------------------------------------------------------------------------


@MEASURES.of("mscs-rg-phases")
def phases(run: StackObservations) -> Measurement:
    """Phases that every member went through, in order; nothing is sent before a clock tick."""
    counts: set[int] = set()
    early = 0
    for case in run.names(sweep="one", variant="plain"):
        rows = completed(run, case)
        times = rows[list(PHASES)].to_numpy()
        in_order = bool((times[:, 1:] >= times[:, :-1]).all())
        counts.add(len(PHASES) - 1 if in_order else 0)
        first_s = state_messages(run, case).groupby("node", observed=True)["t_s"].min()
        early += int((first_s.reindex(rows["node"]).to_numpy() <= rows["activate"]).sum())
    detail = f"{early} members sent state before their clock had ticked."
    value = min(counts) if len(counts) == 1 else 0
    return Measurement("mscs-rg-phases", value=value, holds=not early, detail=detail)


@MEASURES.of("mscs-rg-phase1-rules")
def phase1_rules(run: StackObservations) -> Measurement:
    """Each rule in the case that it is about, by the time that phase 1 took."""
    cases = {
        "all active": _first_where(run, "all active"),
        "single failure": run.names(sweep="one", variant="plain")[0],
        "several failures": run.names(sweep="two", variant="plain")[-1],
        "cascading": run.names(sweep="")[0],
    }
    lasted = {rule: _activation_s(run, case) for rule, case in cases.items()}
    expected = {
        "all active": lasted["all active"].max() < _MIN_S,
        "single failure": _about(lasted["single failure"], _MIN_S),
        "several failures": _about(lasted["several failures"], _MAX_S),
        "cascading": _about(lasted["cascading"], _MAX_S),
    }
    told = ", ".join(
        f"{rule} {times.mean():.2f} s{'' if expected[rule] else ' (against the rule)'}"
        for rule, times in lasted.items()
    )
    return Measurement(
        "mscs-rg-phase1-rules", holds=all(expected.values()), detail=f"Phase 1 lasted: {told}."
    )


def _first_where(run: StackObservations, why: str) -> str:
    """The first stall after which phase 1 was over for this reason."""
    for case in run.names(sweep="stall"):
        rows = run.events(case, "regroup", "closing")
        if not rows.empty and (rows["cause"] == why).all():
            return case
    raise MissingDataError(f"in no case was phase 1 over because of: {why}")


def _activation_s(run: StackObservations, case: str) -> pd.Series[float]:
    """How long phase 1 lasted at each member, in the last run of a case."""
    rows = completed(run, case)
    rows = rows[rows["id"] == rows["id"].max()]
    lasted: pd.Series[float] = rows["closing"] - rows["activate"]
    return lasted


def _about(lasted: pd.Series[float], timeout_s: float) -> bool:
    """Whether the time-out ended it everywhere: the first member takes the others along."""
    near = (lasted - timeout_s).abs() <= _TICK_ROOM_S
    return bool(near.all())


@MEASURES.of("mscs-rg-independent")
def independent(run: StackObservations) -> Measurement:
    """Phases 1 and 2 over the number of nodes."""
    chosen = run.chosen(sweep="one", variant="plain")
    lasted = [mean_s(run, [str(case)], "activate", "pruning") for case in chosen.index]
    fit = fitted(flat, chosen["nodes"], lasted)
    return Measurement("mscs-rg-independent", deviation=fit.deviation, detail=f"{fit.text}.")


# --- times ----------------------------------------------------------------------------------


@MEASURES.of("mscs-rg-runtime")
def runtime(run: StackObservations) -> Measurement:
    """A whole regroup after one failure, beside its phase 1."""
    cases = run.names(sweep="one", variant="plain")
    value = mean_s(run, cases, "activate", "done")
    baseline = mean_s(run, cases, "activate", "closing")
    detail = f"Mean over {len(cases)} sizes; phase 1 takes {baseline:.2f} s of it."
    return Measurement("mscs-rg-runtime", value=value, baseline=baseline, detail=detail)


@MEASURES.of("mscs-rg-known-early")
def known_early(run: StackObservations) -> Measurement:
    """When the last change of who is known to be active came, after activation."""
    cases = [*run.names(sweep="one", variant="plain"), *run.names(sweep="two", variant="plain")]
    known = pd.concat([run.events(case, "regroup", "closing")["known_s"] for case in cases])
    took = mean_s(run, cases, "activate", "done")
    return Measurement(
        "mscs-rg-known-early",
        value=float(known.max()),
        baseline=took,
        published_baseline=3.0,
        detail=f"{known.max():.2f} s at most, {known.mean():.2f} s in the mean; a run took "
        f"{took:.1f} s.",
    )


@MEASURES.of("mscs-rg-grace")
def grace(run: StackObservations) -> Measurement:
    """Between the longest stall that a node survived and the shortest that cost it its place."""
    kept: list[float] = []
    lost: list[float] = []
    detected: list[float] = []
    for case in run.names(sweep="stall"):
        (paused_s,) = run.fault_times_s(case, "pause")
        (resumed_s,) = run.fault_times_s(case, "resume")
        halted = run.of_case("events", case)
        excluded = (halted["kind"] == "halted").any()
        (lost if excluded else kept).append(resumed_s - paused_s)
        suspicions = run.events(case, "suspicion")
        if not suspicions.empty:
            detected.append(float(suspicions["t_s"].min()) - paused_s)
    if not kept or not lost or not detected:
        raise MissingDataError("no stall lies on either side of the grace period")
    value = (max(kept) + min(lost)) / 2
    return Measurement(
        "mscs-rg-grace",
        value=value,
        baseline=min(detected),
        published_baseline=7.2,
        holds=max(kept) < min(lost),
        detail=f"A stall of {max(kept):g} s was survived, one of {min(lost):g} s not; the first "
        f"suspicion came after {min(detected):.2f} s.",
    )


@MEASURES.of("mscs-hb-multiple-failures", "mscs-regroup")
def multiple_failures(run: StackObservations) -> Measurement:
    """Detection of two failures at once beside that of one, over clusters of the same sizes."""
    one, two = (_detection_s(run, sweep) for sweep in ("one", "two"))
    sizes = sorted(set(one) & set(two))
    if not sizes:
        raise MissingDataError("no size has cases with one and with two failures")
    single = sum(one[size] for size in sizes) / len(sizes)
    double = sum(two[size] for size in sizes) / len(sizes)
    return Measurement(
        "mscs-hb-multiple-failures",
        value=double / single,
        detail=f"First suspicion of the last of them {double:.2f} s after two failures, "
        f"{single:.2f} s after one, mean of {len(sizes)} sizes.",
    )


def _detection_s(run: StackObservations, sweep: str) -> dict[int, float]:
    """By size of the cluster: from the failure until somebody suspects the last failed node."""
    found = {}
    chosen = run.chosen(sweep=sweep, variant="plain")
    for case, nodes in zip(chosen.index, chosen["nodes"], strict=True):
        (killed_s,) = run.fault_times_s(str(case), "kill")
        first = run.events(str(case), "suspicion").groupby("peer")["t_s"].min()
        found[int(nodes)] = float(first.max()) - killed_s
    return found


@MEASURES.of("mscs-rg-shorten")
def shorten(run: StackObservations) -> Measurement:
    """A regroup that uses the detectors' knowledge beside a plain one."""
    plain, combined = (_took_s(run, "variants", variant) for variant in ("plain", "detector"))
    return Measurement(
        "mscs-rg-shorten",
        holds=combined.max() < plain.min(),
        detail=f"{combined.mean():.2f} s instead of {plain.mean():.2f} s, "
        f"over {len(combined)} repetitions.",
    )


@MEASURES.of("mscs-rg-kernel")
def kernel(run: StackObservations) -> Measurement:
    """Regroup in the kernel beside one in the service, on loaded nodes: time and its spread."""
    service, inside = (_took_s(run, "loaded", variant) for variant in ("plain", "kernel"))
    return Measurement(
        "mscs-rg-kernel",
        holds=bool(inside.mean() < service.mean() and inside.std() < service.std()),
        detail=f"On moderately loaded nodes {inside.mean():.2f} +- {inside.std():.2f} s in the "
        f"kernel, {service.mean():.2f} +- {service.std():.2f} s in the service.",
    )


def _took_s(run: StackObservations, sweep: str, variant: str) -> pd.Series[float]:
    """The length of the last completed regroup in each repetition, mean over its members."""
    took = []
    for case in run.names(sweep=sweep, variant=variant):
        rows = completed(run, case)
        took.append(float(rows.loc[rows["id"] == rows["id"].max(), "took_s"].mean()))
    return pd.Series(took, dtype="float64")
