"""What multi-stage-congestion says about the claims of thesis 4.6.4, table 4.1 and 4.7.

Each step is a row of the table. Set I goes to host 18 without crossing the switch under test, set
II through it to hosts 18 and 10; the step ``test 4 100 %`` is what the table calls Test 5.
"""

from __future__ import annotations

import pandas as pd

from lab.analysis.general import EQUAL
from lab.analysis.measuring import Measures
from lab.analysis.observations import LINK, QUENCH, MissingDataError, Observations
from lab.analysis.spreading import spread_of
from lab.analysis.throughput import spread
from lab.claims.judge import Measurement

MEASURES = Measures()
FAMILY = "multi-stage-congestion"
SET_I, SET_II, TO_10 = "set1", "set2-18", "set2-10"
TEST_3 = ("test 3 5 %", "test 3 20 %", "test 3 100 %")
TEST_4 = ("test 4 5 %", "test 4 20 %", "test 4 100 %")
# The single link's maximum in table 4.1, MByte/s.
LINK_MAXIMUM = 115.0


def rates(run: Observations, flow_control: str, step: str, *groups: str) -> pd.Series[float]:
    """MByte/s of each stream of some groups in a step."""
    rows = run.measured(run.pass_named(flow_control))
    chosen = rows[(rows["name"] == step) & rows["group"].isin(groups)]
    if chosen.empty:
        raise MissingDataError(f"there is no step {step!r} with streams of {', '.join(groups)}")
    return chosen.set_index("stream")["mbyte_per_s"]


def into_18(run: Observations, step: str, flow_control: str = QUENCH) -> float:
    """Total throughput into host 18, MByte/s."""
    return float(rates(run, flow_control, step, SET_I, SET_II).sum())


def into_10(run: Observations, step: str, flow_control: str = QUENCH) -> float:
    """Total throughput into host 10, MByte/s."""
    return float(rates(run, flow_control, step, TO_10).sum())


def link_maximum(run: Observations) -> float:
    """The most that any host received in a step with quench, MByte/s."""
    rows = run.measured(run.pass_named(QUENCH))
    to_10 = rows["group"] == TO_10
    most = float(rows.groupby(["step", to_10])["mbyte_per_s"].sum().max())
    if not most:
        raise MissingDataError("no host received anything")
    return most


def _parts(run: Observations, step: str) -> str:
    one, two = (float(rates(run, QUENCH, step, g).sum()) for g in (SET_I, SET_II))
    return f"I {one:.1f}, II {two:.1f} MByte/s"


@MEASURES.of("fabric-multistage-setup", FAMILY)
def setup(run: Observations) -> Measurement:
    """Streams of each set."""
    sizes = run.streams.groupby("group").size()
    told = ", ".join(f"{count} in {group}" for group, count in sizes.items())
    return Measurement("fabric-multistage-setup", detail=f"Streams: {told}.")


@MEASURES.of("fabric-multistage-t1", FAMILY)
def test_1(run: Observations) -> Measurement:
    """Set I alone: its total, and equal shares."""
    own = rates(run, QUENCH, "test 1", SET_I)
    return Measurement(
        "fabric-multistage-t1",
        value=float(own.sum()),
        baseline=link_maximum(run),
        published_baseline=LINK_MAXIMUM,
        holds=spread(own) <= 1 + EQUAL,
        detail=f"{own.min():.1f} to {own.max():.1f} MByte/s for each of {len(own)} streams.",
    )


@MEASURES.of("fabric-multistage-t2", FAMILY)
def test_2(run: Observations) -> Measurement:
    """Host 10 joins; host 18 must not notice."""
    before, beside, other = into_18(run, "test 1"), into_18(run, "test 2"), into_10(run, "test 2")
    return Measurement(
        "fabric-multistage-t2",
        value=other,
        baseline=beside,
        published_baseline=LINK_MAXIMUM,
        holds=bool(before) and abs(beside / before - 1) <= EQUAL,
        detail=f"Host 10 {other:.1f}, host 18 {beside:.1f} (before {before:.1f}) MByte/s.",
    )


def _total_at(claim: str, step: str) -> None:
    @MEASURES.of(claim, FAMILY)
    def total(run: Observations) -> Measurement:
        return Measurement(
            claim,
            value=into_18(run, step),
            baseline=link_maximum(run),
            published_baseline=LINK_MAXIMUM,
            detail=f"{_parts(run, step)}.",
        )


_total_at("fabric-multistage-t3-5", TEST_3[0])
_total_at("fabric-multistage-t3-20", TEST_3[1])
_total_at("fabric-multistage-t3-100", TEST_3[2])


@MEASURES.of("fabric-multistage-t3-dip", FAMILY)
def dip(run: Observations) -> Measurement:
    """Whether the total falls when set II comes in slowly, and rises again with its rate."""
    none, low, middle, high = (into_18(run, step) for step in ("test 1", *TEST_3))
    return Measurement(
        "fabric-multistage-t3-dip",
        holds=low < (1 - EQUAL) * none and low < middle < high,
        detail=f"Into host 18: {none:.1f} without set II, then {low:.1f}, {middle:.1f} and "
        f"{high:.1f} MByte/s at 5, 20 and 100 %.",
    )


@MEASURES.of("fabric-multistage-t3-fair", FAMILY)
def shares(run: Observations) -> Measurement:
    """Mean stream of set I over mean stream of set II, at 20 and 100 %; the farther from 1."""
    ratios, uneven = {}, {}
    for step in TEST_3[1:]:
        one, two = (rates(run, QUENCH, step, group) for group in (SET_I, SET_II))
        if not two.mean():
            raise MissingDataError("set II received nothing")
        ratios[step] = float(one.mean() / two.mean())
        uneven[step] = spread([*one, *two])
    farthest = max(ratios, key=lambda step: abs(ratios[step] - 1))
    return Measurement(
        "fabric-multistage-t3-fair",
        value=ratios[farthest],
        baseline=1.0,
        holds=max(uneven.values()) <= 1.05,
        detail=f"In {farthest}; largest / smallest of all 13 streams {max(uneven.values()):.3f}.",
    )


@MEASURES.of("fabric-multistage-t4-host10", FAMILY)
def host_10(run: Observations) -> Measurement:
    """Host 10 while its sources' other streams are quenched, against test 2."""
    own, before = into_10(run, TEST_4[2]), into_10(run, "test 2")
    each = rates(run, QUENCH, TEST_4[2], TO_10)
    return Measurement(
        "fabric-multistage-t4-host10",
        value=own,
        baseline=before,
        detail=f"{own:.1f} against {before:.1f} MByte/s in test 2; {each.min():.1f} to "
        f"{each.max():.1f} for each stream.",
    )


@MEASURES.of("fabric-multistage-t4-rates", FAMILY)
def host_10_rates(run: Observations) -> Measurement:
    """Host 10 at 5, 20 and 100 %: each clearly more than the one before, as 30 < 64 < 114."""
    low, middle, high = (into_10(run, step) for step in TEST_4)
    return Measurement(
        "fabric-multistage-t4-rates",
        holds=low < (1 - EQUAL) * middle and middle < (1 - EQUAL) * high,
        detail=f"{low:.1f}, {middle:.1f} and {high:.1f} MByte/s; six sources at 20 % offer "
        f"{6 * 0.2:.0%} of a link.",
    )


@MEASURES.of("fabric-multistage-t4-host18", FAMILY)
def host_18(run: Observations) -> Measurement:
    """Host 18 in the three steps of test 4, at its least."""
    own = {step: into_18(run, step) for step in TEST_4}
    least = min(own, key=lambda step: own[step])
    return Measurement(
        "fabric-multistage-t4-host18",
        value=own[least],
        baseline=link_maximum(run),
        published_baseline=LINK_MAXIMUM,
        detail=f"Least in {least}: {_parts(run, least)}.",
    )


@MEASURES.of("fabric-fair", FAMILY)
def fair(run: Observations) -> Measurement:
    """Streams that compete for one link, all greedy: into host 18, and into host 10."""
    competing = {
        "test 1": (SET_I,),
        "test 2": (TO_10,),
        TEST_3[2]: (SET_I, SET_II),
        TEST_4[2]: (SET_I, SET_II),
    }
    ratios = {step: spread(rates(run, QUENCH, step, *g)) for step, g in competing.items()}
    worst = max(ratios, key=lambda step: ratios[step])
    return Measurement(
        "fabric-fair",
        holds=ratios[worst] <= 1 + EQUAL,
        detail=f"Largest / smallest stream {ratios[worst]:.3f} at worst, in {worst}.",
    )


@MEASURES.of("fabric-off-fair", FAMILY)
def off_fair(run: Observations) -> Measurement:
    """Without quench and with all at full rate: largest over smallest stream of each set."""
    ratios = {g: spread(rates(run, LINK, TEST_4[2], g)) for g in (SET_I, SET_II, TO_10)}
    worst = max(ratios, key=lambda group: ratios[group])
    return Measurement(
        "fabric-off-fair", value=ratios[worst], baseline=1.0, detail=f"Worst in {worst}."
    )


@MEASURES.of("fabric-off-spread", FAMILY)
def off_spread(run: Observations) -> Measurement:
    """Used bandwidth in test 4, where the overload of host 18 can touch the streams to host 10."""
    on, off = (
        sum(into_18(run, step, mode) + into_10(run, step, mode) for step in TEST_4) / len(TEST_4)
        for mode in (QUENCH, LINK)
    )
    target = run.scenario.stream(str(rates(run, LINK, TEST_4[0], SET_I).index[0])).to
    hot = set(run.links.loc[run.links["next"] == target, "node"])
    if not hot:
        raise MissingDataError("the table of routes is missing")
    return spread_of(run, run.pairs()[0], (on, off), hot, "in the three steps of test 4")
