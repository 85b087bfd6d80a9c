"""How fast the simulated world is: 32 MSCS nodes that exchange heartbeats, on one core."""

from __future__ import annotations

import time
from dataclasses import dataclass

from lab.stacks.plan import CasePlan
from lab.world import run_case

NODES = 32
OVER_S = 60.0


@dataclass(frozen=True)
class WorldSpeed:
    """What one measurement found.

    Attributes:
        virtual_s: time that passed in the world.
        seconds: processor time that it took.
        datagrams: that the nodes sent.
    """

    virtual_s: float
    seconds: float
    datagrams: int


def heartbeat_speed() -> WorldSpeed:
    """Run a formed cluster in which nothing goes wrong, without keeping its traffic."""
    options = {"nodes": NODES, "members": list(range(1, NODES + 1))}
    plan = CasePlan(name="bench", stack="mscs", nodes=NODES, over_s=OVER_S, options=options)
    began_s = time.process_time()
    result = run_case(plan, traffic=False)
    return WorldSpeed(result.virtual_s, time.process_time() - began_s, result.sent)
