"""One scenario simulated in several orders of simultaneous events.

In virtual time many things happen at the very same instant, and which comes first is nobody's
choice: a seed draws the order, documented in ``lab/native/events.h``. What a figure varies by when
nothing but that seed changes is not a result.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from lab.analysis.compare import TieEffect, figures, tie_effects
from lab.analysis.run import MEASURES, observe
from lab.engine.engines import SIMULATION
from lab.engine.playbook import interrupts_raise
from lab.engine.prepare import make_run, parse_overrides, resolve
from lab.engine.progress import Event, Follower
from lab.engine.simulate import simulate_passes
from lab.errors import LabError
from lab.results import collect as tables
from lab.scenarios import Scenario


def simulate_ties(
    name: str, overrides: Sequence[str], count: int, on_event: Callable[[Event], None]
) -> tuple[TieEffect, ...]:
    """Simulate a scenario with the tie seeds 1 to ``count``; returns the effect on each figure.

    Nothing of it is kept.

    Raises:
        LabError: the scenario cannot be simulated.
        Interrupted: a signal arrived.
    """
    options = parse_overrides(overrides)
    scenario, engine = resolve(name, options, engine=SIMULATION)
    if not isinstance(scenario, Scenario):
        raise LabError(
            f"{name} is an experiment on a stack, whose ties follow the seed of each case",
            remedy=f"lab run {name} --engine {SIMULATION} --seed 2",
        )
    started_s = time.monotonic()
    each = []
    with interrupts_raise(), TemporaryDirectory(prefix="lab-ties-") as folder:
        for number in range(count):
            run = make_run(name, options, (scenario, engine), results=Path(folder))
            follower = Follower(run.dir)

            def tell(number: int = number, follower: Follower = follower) -> None:
                for event in follower.new_events():
                    part = (number + event.fraction) / count
                    left_s = (time.monotonic() - started_s) * (1 - part) / part if part else 0.0
                    message = f"order {number + 1} of {count}: {event.message}"
                    on_event(replace(event, message=message, fraction=part, eta_s=left_s))

            simulate_passes(run, tell, tie_seed=number + 1)
            tables.collect(run.dir, run.scenario)
            each.append(figures(observe(run.dir), MEASURES))
    return tie_effects(each)
