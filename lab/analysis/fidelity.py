"""The fidelity certificate: whether a run's own instruments vouch for its figures.

An emulation on a small machine can go wrong without failing: frames lost in a socket, a switch
that cannot keep up, a process that slept too long. A simulation cannot be late, but it can lose
count. Every such way has a check with a documented bound in :data:`CHECKS`, which also says on
which engine it is made. A check whose instrument recorded nothing has failed.
"""

from __future__ import annotations

from lab.analysis.certificate import Certificate, Check
from lab.analysis.endpoint_probes import (
    endpoint_faults,
    endpoint_losses,
    endpoints_complete,
    greedy_blocked,
    paced_shortfall,
    windows_reported,
)
from lab.analysis.observations import Observations
from lab.analysis.probes import (
    counters_sum,
    cpu_p95,
    delay_p99_us,
    digest_missing,
    idle,
    late_crossings,
    late_sends,
    longest_delay_us,
    model_broken,
    ovs_balance,
    ovs_ports,
    series_lost,
    steal,
    throttled,
    window_gaps,
)
from lab.results.collect import LINE_CARDS
from lab.scenarios.model import Engine


def certify(observations: Observations) -> Certificate:
    """Judge a run by all checks that its engine and its scenario ask for."""
    passes = [passing.name for passing in observations.scenario.passes]
    checks = checks_of(observations)
    return Certificate(tuple(check.run(observations, passes, "pass") for check in checks))


def checks_of(observations: Observations) -> tuple[Check[Observations], ...]:
    """The checks that are made of a run."""
    return tuple(
        check
        for check in CHECKS
        if observations.engine in check.engines and check.applies(observations)
    )


_BOTH: tuple[Engine, ...] = ("emulation", "simulation")
_SIMULATION: tuple[Engine, ...] = ("simulation",)


def _exact(run: Observations) -> bool:
    return run.scenario.exact_timing


CHECKS: tuple[Check[Observations], ...] = (
    Check(
        "endpoints-complete", endpoints_complete, 0, "endpoints",
        "every stream needs a sender and a receiver that stayed to the end", engines=_BOTH,
    ),
    Check(
        "windows-reported", windows_reported, 0, "windows",
        "a receiver that tells nothing of a window cannot be told from one that got nothing",
        engines=_BOTH,
    ),
    Check(
        "windows-complete", window_gaps, 0.05, "of a window",
        "figures of a window are means; a hole of 5 % can shift them by no more",
    ),
    Check(
        "linecards-lateness", delay_p99_us("late", "lateness"), 50, "us virtual",
        "late frames lengthen the quench round trip; the model itself, with 150 us more a switch, "
        "still gives every figure within 2 %",
    ),
    Check(
        "ovs-frames-lost", ovs_balance, 0, "frames",
        "what goes into a switch must come out: the modelled network loses nothing",
    ),
    Check(
        "ovs-port-drops", ovs_ports, 0, "frames", "a full port is the first sign of livelock"
    ),
    Check(
        "socket-drops", counters_sum(LINE_CARDS, "rx_drops", "tx_refused"), 0, "frames",
        "a frame lost between Open vSwitch and the line cards",
    ),
    Check(
        "veth-drops",
        counters_sum("line cards", "veth_rx_dropped", "veth_tx_dropped"), 0, "frames",
        "a frame lost on the way through the kernel",
    ),
    Check(
        "softnet-drops", counters_sum("kernel", "softnet_dropped"), 0, "frames",
        "the kernel's backlog was full",
    ),
    Check(
        "linecards-refused",
        counters_sum(LINE_CARDS, "unknown", "malformed", "no_frame"), 0, "frames",
        "a frame that the line cards could not place",
    ),
    Check(
        "instrument-losses", series_lost, 0, "rows", "a series that overflowed has holes",
        engines=_BOTH,
    ),
    Check(
        "crossings-on-time", late_crossings, 0.01, "of the frames",
        "latencies are judged: what the real switch takes must stay hidden below what the modelled "
        "one takes; 1 % moves a mean by less than its tolerance",
        applies=_exact,
    ),
    Check(
        "sends-on-time", late_sends, 0.01, "of the messages",
        "latencies are judged: a message must be in the queue before it is to be sent",
        applies=_exact,
    ),
    # Not its CPU time: the main thread of Open vSwitch polls all ports at each of its turns, so it
    # is nearly always busy, and takes more frames a turn when there are more.
    Check(
        "switch-delay", delay_p99_us("crossing", "crossing times"), 100, "us virtual",
        "near its capacity Open vSwitch is slow before it drops; with the lateness of the line "
        "cards it stays within those 150 us a switch",
    ),
    Check(
        "longest-delay", longest_delay_us, 1000, "us virtual",
        "in that time a source at full speed fills its part of a switch's memory: a longer pause "
        "stops links which the modelled switch would not have stopped",
    ),
    Check(
        "cpu-linecards", cpu_p95("linecards"), 0.85, "cores",
        "one thread serves all links; a busy one is late",
    ),
    Check(
        "machine-idle", idle, 0.05, "of the cores",
        "on a machine without idle time, queues of the scheduler are part of the result",
        at_least=True,
    ),
    Check(
        "machine-steal", steal, 0.05, "of the cores",
        "time that a hypervisor took cannot be told from the network's delay",
    ),
    Check(
        "container-throttling", throttled, 0, "periods", "a throttled endpoint sends in bursts"
    ),
    Check(
        "endpoint-losses", endpoint_losses, 0, "messages",
        "sent = received + in flight + lost on purpose, by the endpoints' own counts",
        engines=_BOTH,
    ),
    Check(
        "model-books", model_broken, 0, "errors",
        "cells in = cells out + cells held, at every switch and for every VC",
        engines=_SIMULATION,
    ),
    Check(
        "digest", digest_missing, 0, "missing",
        "without one nobody can show that the same seed gives the same run",
        engines=_SIMULATION,
    ),
    Check(
        "endpoint-faults", endpoint_faults, 0, "messages",
        "the fabric keeps order and content, receivers keep up", engines=_BOTH,
    ),
    Check(
        "greedy-senders", greedy_blocked, 0.5, "of its time",
        "a greedy sender that does not wait is itself the bottleneck", at_least=True,
    ),
    Check(
        "paced-senders", paced_shortfall, 0.05, "of the rate",
        "below contention a sender must reach the rate it was told", engines=_BOTH,
    ),
)  # fmt: skip
