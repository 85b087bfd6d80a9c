"""The fidelity certificate of a run of a stack: whether its own instruments vouch for its figures.

A simulated case cannot be late, but it can break off, lose a log, or break what the stack promises.
In containers, programs compete for a small machine: a shell that wakes too late, a medium that
holds frames back or a socket that drops them makes a protocol look slow or wrong that is not.
"""

from __future__ import annotations

from lab.analysis.certificate import PROMISES, Certificate, Check
from lab.analysis.stacks.machine import (
    DRIVER,
    KERNEL,
    MEDIUM,
    counted,
    idle,
    steal,
    switch_drops,
    throttled,
)
from lab.analysis.stacks.observations import StackObservations
from lab.analysis.stacks.probes import (
    broken_invariants,
    digest_missing,
    never_started,
    unfinished,
    without_origin,
)
from lab.analysis.stacks.shells import delay_s, lost_in_sockets, silence_windows
from lab.scenarios.model import Engine


def certify_stack(run: StackObservations) -> Certificate:
    """Judge a run by all checks that its engine asks for."""
    cases = list(run.planned)
    checks = [check for check in CHECKS if run.engine in check.engines and check.applies(run)]
    return Certificate(tuple(check.run(run, cases, "case") for check in checks))


_BOTH: tuple[Engine, ...] = ("emulation", "simulation")
_SIMULATION: tuple[Engine, ...] = ("simulation",)

CHECKS: tuple[Check[StackObservations], ...] = (
    Check(
        "cases-complete", unfinished, 0, "cases broken off",
        "what a case would still have shown is unknown", engines=_BOTH,
    ),
    Check(
        "nodes-started", never_started, 0, "nodes",
        "a node without a log may have done anything", engines=_BOTH,
    ),
    Check(
        PROMISES, broken_invariants, 0, "broken",
        "figures of a protocol that breaks its own promises are not figures of that protocol",
        engines=_BOTH,
    ),
    Check(
        "logs-complete", without_origin, 0, "of the datagrams",
        "a world that loses lines of its own logs has lost count", engines=_SIMULATION,
    ),
    Check(
        "logs-complete", without_origin, 0.001, "of the datagrams",
        "a killed node loses the lines of the work it was in, of which a thousandth is much",
    ),
    Check(
        "shells-tell", silence_windows, 3, "windows",
        "a shell that tells nothing for so long was stopped, or its log is torn",
    ),
    Check(
        "shell-timers", delay_s("timers_late", "timers"), 0.05, "s virtual",
        "the shortest time that a protocol waits for is 0.3 s (regroup's broadcasts); a sixth of "
        "it late changes no phase, nor a count of messages",
    ),
    Check(
        "shell-queues", delay_s("waited", "datagrams"), 0.05, "s virtual",
        "a datagram that lies in its receiver's socket looks like one that the network delayed",
    ),
    Check(
        "socket-drops", lost_in_sockets, 0, "datagrams",
        "a datagram that a socket had no room for looks like one that the network lost",
    ),
    Check(
        "medium-lateness", counted(MEDIUM, "late_p99_s"), 0.001, "s virtual",
        "a call of one node by another takes 3 ms at least; a millisecond is less than calls vary",
    ),
    Check(
        "medium-drops", counted(MEDIUM, "ring_drops", "refused"), 0, "frames",
        "a frame lost on the way into or out of the medium, and not by the modelled network",
    ),
    Check(
        "switch-drops", switch_drops, 0, "frames",
        "the modelled network drops frames in the medium only, where they are counted",
    ),
    Check(
        "softnet-drops", counted(KERNEL, "softnet_dropped"), 0, "frames",
        "the kernel's backlog was full",
    ),
    Check(
        "driver-lateness", counted(DRIVER, "late_max_s"), 0.1, "s virtual",
        "faults and requests come at their time: a tenth of a second is a third of the shortest "
        "period, and no figure counts from anything but the logged time",
    ),
    Check(
        "container-throttling", throttled, 0, "periods",
        "a throttled node is slower than the case says",
    ),
    Check(
        "machine-idle", idle, 0.05, "of the cores",
        "on a machine without idle time, queues of the scheduler are part of the result",
        at_least=True,
    ),
    Check(
        "machine-steal", steal, 0.05, "of the cores",
        "time that a hypervisor took cannot be told from a node's delay",
    ),
    Check(
        "digest", digest_missing, 0, "missing",
        "without one nobody can show that the same seed gives the same run", engines=_SIMULATION,
    ),
)  # fmt: skip
