"""Runs one pass of a scenario in virtual time, from the first event to the last."""

from __future__ import annotations

import time
from collections.abc import Callable

from lab.errors import LabError
from lab.simulation.network import SimulatedNetwork, build
from lab.simulation.plan import PassPlan
from lab.simulation.readout import read_out
from lab.simulation.record import PassRecord

LOOK_EVERY_S = 0.2
"""Real seconds between two reports of progress: the model is left alone for so long."""
_FIRST_PART = 1000
_MOST_FASTER = 4.0


class Stopped(Exception):  # noqa: N818 - a condition, not an error
    """Whoever asked for the pass wants it no longer."""


def simulate_pass(
    plan: PassPlan, on_progress: Callable[[float], None], *, checking: bool = False
) -> PassRecord:
    """Simulate a pass and return what it observed.

    The result depends on the plan alone, not on how often progress is reported.

    Args:
        plan: the pass.
        on_progress: called several times a second with the part that is done, 0..1; may raise
            :class:`Stopped`.
        checking: verify the model's accounting after every event (slow).

    Raises:
        LabError: a switch's memory was too small, or the model broke a rule of its own.
    """
    network = build(plan)
    now_ns, part_ns = 0, max(1, plan.over_ns // _FIRST_PART)
    while now_ns < plan.over_ns:
        now_ns = min(now_ns + part_ns, plan.over_ns)
        started_s = time.monotonic()
        network.fabric.run(now_ns, checking=checking)
        took_s = max(time.monotonic() - started_s, 1e-6)
        _check(network, plan)
        part_ns = max(1, round(part_ns * min(LOOK_EVERY_S / took_s, _MOST_FASTER)))
        on_progress(now_ns / plan.over_ns)
    return read_out(network)


def _check(network: SimulatedNetwork, plan: PassPlan) -> None:
    fabric = network.fabric
    broken = fabric.broken
    if broken is None:
        return
    when = f"pass {plan.passing.name}, after {fabric.now_ns / 1e9:.6f} s"
    if fabric.overflowed_node is None:
        raise LabError(f"{when}: the fabric model has a fault: {broken}")
    names = {number: name for name, number in network.nodes.items()}
    raise LabError(
        f"{when}: the memory of switch {names[fabric.overflowed_node]} overflowed, "
        f"{plan.fabric.buffer_cells} cells are too few to lose none",
        remedy="a larger fabric.buffer_cells, or a smaller fabric.input_stop_cells",
    )
