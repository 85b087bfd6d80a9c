"""Base-level U-Net's functions and guarantees, from what probes saw (thesis 2.3).

The probes (``lab/unet/probing.py``) tried the endpoints of real hosts and wrote numbers; here it
is said what the numbers must be for a claim to hold. What no emulation can show, because it is
about pieces of hardware that are not there, is said to be so.
"""

from __future__ import annotations

import pandas as pd

from lab.analysis.measuring import Measures
from lab.analysis.observations import MissingDataError, Observations
from lab.claims.judge import Measurement

MEASURES = Measures()

WHEN = "base"
PROBE = "endpoint probe send"


class _Seen:
    """The probe's numbers by name; ``MissingDataError`` for one that was not observed."""

    def __init__(self, run: Observations) -> None:
        self._run = run

    def __getitem__(self, name: str) -> float:
        value = self._run.counter(WHEN, PROBE, name)
        if value is None:
            raise MissingDataError(f"the probe has not observed {name}")
        return value


def _totals(run: Observations, stream: str) -> pd.DataFrame:
    endpoints = run.rows("endpoints", WHEN)
    found = endpoints[endpoints["stream"] == stream].set_index("role")
    if len(found) != 2:
        raise MissingDataError(f"the stream {stream} has not two ends on record")
    return found


@MEASURES.of("unet-endpoint-structure")
def _structure(run: Observations) -> Measurement:
    seen = _Seen(run)
    queues = [int(seen[f"{name}_slots"]) for name in ("send", "recv", "free")]
    parts = int(seen["gathered_parts"])
    holds = (
        min(queues) > 0
        and seen["buffers"] > 0
        and parts > 1
        and seen["scattered_parts"] > 1
        and seen["gathered_intact"] == 1
        and seen["flagged_injected"] == 1
    )
    return Measurement(
        "unet-endpoint-structure",
        holds=holds,
        detail=f"Send, receive and free queues of {queues[0]}, {queues[1]}, {queues[2]} slots; a "
        f"message gathered from {parts} buffers arrived whole in {seen['scattered_parts']:.0f} "
        "that the adapter chose, and its descriptor was flagged as injected.",
    )


@MEASURES.of("unet-kernel-off-critical-path")
def _kernel_entries(run: Observations) -> Measurement:
    seen = _Seen(run)
    messages, doorbells = seen["flow_messages"], seen["flow_doorbells"]
    if seen["flow_received"] != messages:
        raise MissingDataError("not all messages of the probe arrived")
    others = seen["flow_calls_sending"] - doorbells + seen["flow_calls_receiving"]
    return Measurement(
        "unet-kernel-off-critical-path",
        # The looks at the kernel's counts are calls too, a fixed number for all messages.
        float(round(others / messages, 1)),
        detail=f"{messages:.0f} messages sent, and received by polling, with {others:.0f} system "
        "calls, those for counting included. Not counted: "
        f"{doorbells:.0f} to wake the emulated adapter, a process that sleeps; a real one polls.",
    )


@MEASURES.of("unet-backpressure-send-queue")
def _back_pressure(run: Observations) -> Measurement:
    seen = _Seen(run)
    slots, waiting = seen["send_slots"], seen["pushed_waiting_when_refused"]
    accepted, arrived = seen["pushed_accepted"], seen["pushed_arrived"]
    holds = (
        seen["pushed_refused"] > 0
        and waiting >= slots - 1  # the adapter may have taken one since
        and seen["pushed_blocked_s"] > 0
        and accepted == arrived > slots
    )
    return Measurement(
        "unet-backpressure-send-queue",
        holds=holds,
        detail=f"Refused with {waiting:.0f} messages in a queue of {slots:.0f}; then blocked for "
        f"{seen['pushed_blocked_s']:.2f} real s; {arrived:.0f} of {accepted:.0f} arrived.",
    )


@MEASURES.of("unet-receive-models")
def _receive_models(run: Observations) -> Measurement:
    seen = _Seen(run)
    holds = (
        seen["flow_received"] == seen["flow_messages"]
        and seen["select_woken"] == seen["select_received"] == 1
        and seen["upcall_received"] == 1
        and seen["upcall_while_disabled"] == 0
        and seen["upcall_largest"] == 9
        and seen["almost_full_early"] == 0
        and seen["almost_full_warned_at"] >= 12
    )
    return Measurement(
        "unet-receive-models",
        holds=holds,
        detail=f"Polling; select; upcalls: {seen['upcall_while_disabled']:.0f} while disabled, "
        f"then one with all {seen['upcall_largest']:.0f} messages; almost-full upcall at "
        f"{seen['almost_full_warned_at']:.0f} messages and not at 11. Disabling and enabling "
        f"takes {seen['upcall_switch_ns']:.0f} real ns and no system call.",
    )


@MEASURES.of("unet-demux-by-tag")
def _demux(run: Observations) -> Measurement:
    seen, beside = _Seen(run), _totals(run, "bystander")
    foreign = int(beside["corrupted"].sum())
    sent, received = beside["injected"]["send"], beside["messages"]["recv"]
    forged, rejected = seen["forged_channels"], seen["rejected_channels"]
    return Measurement(
        "unet-demux-by-tag",
        holds=sent == received > 0
        and foreign == 0
        and forged == rejected > 0
        and seen["refused_endpoints"] == 4,
        detail=f"Two streams between the same hosts: each got its own messages, {foreign} of "
        f"others. Channels that the service had not given: {rejected:.0f} of {forged:.0f} "
        f"rejected; endpoints asked for without right: {seen['refused_endpoints']:.0f} of 4 "
        "refused.",
    )


@MEASURES.of("unet-protection")
def _protection(run: Observations) -> Measurement:
    seen, beside = _Seen(run), _totals(run, "bystander")
    disturbed = int(beside[["corrupted", "duplicates", "out_of_order", "missing"]].sum().sum())
    forged, rejected = seen["forged_descriptors"], seen["rejected_descriptors"]
    channels = seen["forged_channels"] - seen["rejected_channels"]
    return Measurement(
        "unet-protection",
        holds=forged == rejected > 0
        and channels == 0
        and seen["refused_endpoints"] == 4
        and disturbed == 0,
        detail=f"{rejected:.0f} of {forged:.0f} descriptors that point outside the own buffers "
        f"rejected, {channels:.0f} sends on channels of others accepted, "
        f"{seen['refused_endpoints']:.0f} of 4 endpoints of others refused; the stream beside "
        f"it was disturbed {disturbed} times.",
    )


@MEASURES.of("unet-copies")
def _copies(run: Observations) -> Measurement:
    seen = _Seen(run)
    if seen["composed_in_segment"] != 1 or seen["read_in_segment"] != 1:
        return Measurement(
            "unet-copies", holds=False, detail="A message cannot be made or read in its buffer."
        )
    return Measurement(
        "unet-copies",
        missing="base level was seen to hold (a message is made and read in its buffer, so a copy "
        "is made only from or to the process's own data), but direct access is not built, as in "
        "the thesis's own implementations (2.3.3)",
    )


@MEASURES.of("unet-emulated-endpoints")
def _emulated(run: Observations) -> Measurement:
    windows = run.rows("windows", WHEN)
    pings = windows[(windows["role"] == "ping") & (windows["messages"] > 0)]
    mean_us = {
        str(row["stream"]): float(row["latency_sum_ns"]) / float(row["messages"]) / 1e3
        for _, row in pings.iterrows()
    }
    emulated = [us for name, us in mean_us.items() if name.startswith("emulated")]
    if "regular" not in mean_us or len(emulated) < 2:
        raise MissingDataError("round trips over regular and two emulated endpoints are lacking")
    regular, shown = mean_us["regular"], ", ".join(f"{us:.0f}" for us in emulated)
    return Measurement(
        "unet-emulated-endpoints",
        holds=regular < min(emulated),
        detail=f"Round trip {regular:.0f} us over regular endpoints, {shown} us over emulated "
        "ones, run by the same program; each host's two share the one real endpoint of its "
        "kernel. By how much they are slower is an input.",
    )


@MEASURES.of("unet-unreliable")
def _unreliable(run: Observations) -> Measurement:
    seen = _Seen(run)
    sent, kept = seen["unbuffered_sent"], seen["unbuffered_kept"]
    dropped, later = seen["unbuffered_dropped"], seen["unbuffered_later"]
    return Measurement(
        "unet-unreliable",
        holds=dropped > 0 and sent == kept + dropped and later == 0,
        detail=f"{sent:.0f} messages sent to an endpoint that gave no buffer back: {kept:.0f} "
        f"arrived, {dropped:.0f} were dropped, {later:.0f} came once there was room.",
    )


def _not_to_be_seen(claim: str, why: str) -> None:
    @MEASURES.of(claim)
    def _missing(_: Observations) -> Measurement:
        return Measurement(claim, missing=why)


_not_to_be_seen(
    "unet-queue-placement",
    "both sides of an emulated adapter's queues lie in the same memory of one machine, so where "
    "they would lie, and what polling across an I/O bus costs, cannot be observed",
)
_not_to_be_seen(
    "unet-ni-memory",
    "the emulated adapter has no memory, DMA space or TLB of its own that could run out",
)
