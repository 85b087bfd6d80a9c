"""What raw U-Net over the ATM LAN achieved: round trips and bandwidth (thesis 2.4).

The chapter's software counts in MBytes of 2^20 bytes: packets of 4 KByte over cells of 53 bytes at
140 Mbit/s carry 125.8 million bit/s, which are the 120 Mbit/s of table 2.3 in units of 2^20.
Link rates are in millions, as everywhere. ``docs/u-net.md`` has the arithmetic.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pandas as pd

from lab.analysis.measuring import Measures
from lab.analysis.observations import MissingDataError, Observations
from lab.analysis.unet_base import MEASURES as BASE_MEASURES
from lab.claims.judge import Measurement

MEASURES = Measures()

MBYTE = 2**20
ONE_CELL_BYTES = 32  # 2.4.2 speaks of one cell: up to 40 bytes
SATURATED = 0.98  # part of what the fibre carries at that message size
OTHERS_US = {"CM-5": 12.0, "CS-2": 25.0, "ADC": 150.0, "Jetstream": 300.0}


def _windows(run: Observations, pass_name: str, role: str) -> pd.DataFrame:
    """Windows of one pass and role, with the message size of their step."""
    windows, steps = run.rows("windows", pass_name), run.rows("steps", pass_name)
    found = windows[(windows["role"] == role) & (windows["messages"] > 0)]
    if found.empty:
        raise MissingDataError(f"pass {pass_name!r} has no window of role {role!r}")
    return found.merge(steps[["step", "message_bytes"]], on="step")


def _at(run: Observations, pass_name: str, role: str, size: int) -> pd.Series:
    """The window of one message size."""
    windows = _windows(run, pass_name, role)
    found = windows[windows["message_bytes"] == size]
    if found.empty:
        raise MissingDataError(f"pass {pass_name!r} measured no messages of {size} bytes")
    row = found.iloc[0]
    if row["bytes"] != row["messages"] * size:
        raise MissingDataError(f"pass {pass_name!r}: messages of another size in step {size}")
    return row


def _mean_us(row: pd.Series) -> float:
    return float(row["latency_sum_ns"]) / float(row["messages"]) / 1e3


def round_trip_us(run: Observations, pass_name: str, size: int) -> float:
    """Mean round trip of messages of a size."""
    return _mean_us(_at(run, pass_name, "ping", size))


def round_trips_us(run: Observations, pass_name: str) -> dict[int, float]:
    """Mean round trip by message size."""
    sizes = _windows(run, pass_name, "ping")["message_bytes"].astype(int)
    return {size: round_trip_us(run, pass_name, size) for size in sorted(set(sizes))}


def bytes_per_s(run: Observations, pass_name: str, size: int) -> float:
    """Payload that arrived, from the mean distance between messages of a size."""
    row = _at(run, pass_name, "recv", size)
    if not row["gap_sum_ns"]:
        raise MissingDataError(f"fewer than two messages of {size} bytes arrived")
    return size * float(row["gaps"]) * 1e9 / float(row["gap_sum_ns"])


def bandwidths(run: Observations, pass_name: str) -> dict[int, float]:
    """Bytes/s by message size, of the sizes whose step held no messages of the step before."""
    sizes = _windows(run, pass_name, "recv")["message_bytes"].astype(int)
    found = {}
    for size in sorted(set(sizes)):
        try:
            found[size] = bytes_per_s(run, pass_name, size)
        except MissingDataError:
            continue
    return found


def fibre_bytes_per_s(run: Observations, size: int) -> float:
    """Payload that the fibre can carry in messages of a size."""
    return size * 1e9 / run.scenario.fabric.service_time_ns(size)


# -- latency -------------------------------------------------------------------------------


@MEASURES.of("unet-rtt-single-cell")
def _rtt_single_cell(run: Observations) -> Measurement:
    value = round_trip_us(run, "sba200", ONE_CELL_BYTES)
    return Measurement(
        "unet-rtt-single-cell", value, detail=f"Mean round trip of {ONE_CELL_BYTES} bytes."
    )


@MEASURES.of("unet-rtt-single-cell-step")
def _rtt_step(run: Observations) -> Measurement:
    value = round_trip_us(run, "sba200", 48)
    baseline = round_trip_us(run, "sba200", ONE_CELL_BYTES)
    return Measurement(
        "unet-rtt-single-cell-step",
        value,
        baseline,
        detail=f"48 bytes (two cells) {value:.1f} us, one cell {baseline:.1f} us.",
    )


@MEASURES.of("unet-rtt-per-cell")
def _rtt_per_cell(run: Observations) -> Measurement:
    trips = {n: us for n, us in round_trips_us(run, "sba200").items() if 40 < n <= 1024}
    if len(trips) < 3:
        raise MissingDataError("fewer than three message sizes beyond one cell")
    cells = np.array([run.scenario.fabric.message_cells(n) for n in trips], dtype=float)
    times = np.array(list(trips.values()))
    slope, offset = (float(c) for c in np.polyfit(cells, times, 1))
    off = float(np.max(np.abs(times - slope * cells - offset) / times))
    return Measurement(
        "unet-rtt-per-cell",
        slope,
        holds=off <= 0.02,
        detail=f"Straight line through {len(trips)} sizes; no point is off by more than {off:.1%}.",
    )


@MEASURES.of("unet-signal-vs-polling")
def _signal(run: Observations) -> Measurement:
    polling = round_trip_us(run, "sba200", ONE_CELL_BYTES)
    value = round_trip_us(run, "signal", ONE_CELL_BYTES) - polling
    return Measurement("unet-signal-vs-polling", value, polling, detail="One cell.")


@MEASURES.of("unet-rtt-vs-others")
def _rtt_vs_others(run: Observations) -> Measurement:
    own = round_trip_us(run, "sba200", ONE_CELL_BYTES)
    holds = OTHERS_US["CM-5"] < OTHERS_US["CS-2"] < own < OTHERS_US["ADC"] < OTHERS_US["Jetstream"]
    others = ", ".join(f"{name} {us:g}" for name, us in OTHERS_US.items())
    return Measurement(
        "unet-rtt-vs-others",
        holds=holds,
        detail=f"U-Net {own:.1f} us, measured; as published: {others}.",
    )


@MEASURES.of("unet-sba100-oneway")
def _sba100_oneway(run: Observations) -> Measurement:
    passing = next((p for p in run.scenario.passes if p.name == "sba100"), None)
    if passing is None:
        raise MissingDataError("the run has no pass 'sba100'")
    costs = run.scenario.adapter_of(passing)
    network_us = _mean_us(_at(run, "sba100", "pong", ONE_CELL_BYTES))
    value = network_us + (costs.host_send_ns + costs.host_receive_ns) / 1e3
    return Measurement(
        "unet-sba100-oneway",
        float(round(value)),
        detail=f"{value:.3f} us, from the send queue to the receiving process; the table has "
        "whole microseconds.",
    )


@MEASURES.of("unet-sba100-rtt")
def _sba100_rtt(run: Observations) -> Measurement:
    return Measurement("unet-sba100-rtt", round_trip_us(run, "sba100", ONE_CELL_BYTES))


@MEASURES.of("unet-fore-firmware-rtt")
def _fore_rtt(run: Observations) -> Measurement:
    value = round_trip_us(run, "fore", ONE_CELL_BYTES)
    simple = round_trip_us(run, "sba100", ONE_CELL_BYTES)
    return Measurement(
        "unet-fore-firmware-rtt",
        value,
        simple,
        detail=f"{value / simple:.2f} times the simple adapter's {simple:.1f} us.",
    )


# -- bandwidth -----------------------------------------------------------------------------


def _raw_mbyte_per_s(run: Observations) -> float:
    return run.scenario.fabric.link_bytes_per_s / 1e6


@MEASURES.of("unet-peak-fiber-bandwidth")
def _peak(run: Observations) -> Measurement:
    measured = bandwidths(run, "sba200")
    if not measured:
        raise MissingDataError("no bandwidth was measured")
    size = max(measured, key=lambda n: measured[n])
    return Measurement(
        "unet-peak-fiber-bandwidth",
        measured[size] / MBYTE,
        _raw_mbyte_per_s(run),
        detail=f"Best of all sizes, {size} bytes: {measured[size] / 1e6:.2f} million bytes/s.",
    )


@MEASURES.of("unet-bandwidth-4k")
def _bandwidth_4k(run: Observations) -> Measurement:
    rate = bytes_per_s(run, "sba200", 4096)
    return Measurement(
        "unet-bandwidth-4k",
        rate * 8 / MBYTE,
        run.scenario.fabric.link_bytes_per_s * 8 / 1e6,
        detail=f"{rate * 8 / 1e6:.1f} million bit/s.",
    )


@MEASURES.of("unet-saturation-size")
def _saturation_size(run: Observations) -> Measurement:
    measured = bandwidths(run, "sba200")
    used = {n: rate / fibre_bytes_per_s(run, n) for n, rate in measured.items()}
    saturated = [n for n in used if all(used[m] >= SATURATED for m in used if m >= n)]
    if not saturated or len(saturated) == len(used):
        raise MissingDataError("the fibre was saturated with no or with every message size")
    smallest = min(saturated)
    below = max(n for n in used if n < smallest)
    rising = [used[n] for n in sorted(used) if 40 < n <= smallest]
    return Measurement(
        "unet-saturation-size",
        float(smallest),
        holds=all(a < b for a, b in pairwise(rising)),
        detail=f"From {smallest} bytes on at least {SATURATED:.0%} of what the fibre carries at "
        f"that size; {below} bytes: {used[below]:.1%}, held back by the adapter's processor.",
    )


@MEASURES.of("unet-sba100-bandwidth")
def _sba100_bandwidth(run: Observations) -> Measurement:
    return _of_fibre(run, "unet-sba100-bandwidth", "sba100", 1024)


@MEASURES.of("unet-fore-firmware-bandwidth")
def _fore_bandwidth(run: Observations) -> Measurement:
    return _of_fibre(run, "unet-fore-firmware-bandwidth", "fore", 4096)


def _of_fibre(run: Observations, claim: str, pass_name: str, size: int) -> Measurement:
    """Bandwidth of an adapter beside the fibre's peak, which the same run measured."""
    peak = max(bandwidths(run, "sba200").values(), default=0.0)
    return Measurement(
        claim,
        bytes_per_s(run, pass_name, size) / MBYTE,
        peak / MBYTE,
        detail=f"Messages of {size} bytes; the fibre's peak is that of the U-Net firmware.",
    )


# -- loss ----------------------------------------------------------------------------------


@MEASURES.of("unet-unreliable", "unet-raw-bandwidth")
def _unreliable_fibre(run: Observations) -> Measurement:
    """On fibres that lose cells: whole messages vanish, none arrives damaged or comes again."""
    ends = run.rows("endpoints", "lossy")
    if ends.empty:
        raise MissingDataError("the run has no pass 'lossy'")
    sent = int(ends.loc[ends["role"] == "send", "injected"].sum())
    receivers = ends[ends["role"] == "recv"]
    received = int(receivers["messages"].sum())
    damaged = int(receivers["corrupted"].sum())
    repeated = int(receivers["duplicates"].sum())
    discarded = sum(total(run, "lossy", f"pdu_discarded_{why}") for why in ("missing", "crc"))
    balanced = sent - received >= discarded > 0
    return Measurement(
        "unet-unreliable",
        holds=balanced and damaged == 0 and repeated == 0,
        detail=f"{sent} messages sent over lossy fibres, {received} arrived, {discarded:.0f} "
        f"were discarded whole by the adapter; {damaged} damaged, {repeated} repeated.",
    )


def total(run: Observations, pass_name: str, name: str) -> float:
    """A counter over all places that have it; the line cards' total where there is one."""
    whole = run.counter(pass_name, "linecards", name)
    if whole is not None:
        return whole
    counters = run.rows("counters", pass_name)
    found = counters[counters["name"] == name]
    if found.empty:
        raise MissingDataError(f"the counter {name} was not recorded")
    return float(found["value"].sum())


MEASURES = MEASURES.merged(BASE_MEASURES)
