"""Random cases: which faults, when, to whom, and with which options, all drawn from one seed.

Each case draws first which kinds of faults it may have at all ("swarm testing", Groce et al. 2012):
a case with two kinds in many combinations finds what a case with a little of everything hides.
Times are whole tenths of seconds and values come from short lists, for the readers of traces.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

import msgspec

from lab.errors import LabError
from lab.ethernet.chance import chance
from lab.stacks.checking import Violation
from lab.stacks.core import Stack
from lab.stacks.exercise import Exercise
from lab.stacks.plan import Action, CasePlan, Fault, FaultKind, LoadLevel, NetworkPlan
from lab.world.shrink import shrink
from lab.world.world import CaseResult, World

RESTART_EVERY_S = 5.0
"""In the end, whatever does not run is started so often."""
_MOST_FAULTS = 10
_SPARE_S = 10.0
"""With fewer actions an invariant may break this much later, and still counts."""
_SLOW_BYTES_PER_S = 1.25e6
"""Of hubs: Ethernet of 10 Mbit/s."""
_VALUES: dict[FaultKind, tuple[float, ...]] = {
    "loss": (0.02, 0.1, 0.3, 0.6),
    "duplicate": (0.1, 0.5),
    "delay": (0.005, 0.05, 0.5, 2.0),
    "jitter": (0.005, 0.05, 0.5),
    "slow-disk": (0.05, 0.5, 3.0),
    "clock-step": (-1.0, 0.5, 5.0),
}
_UNDOING: dict[FaultKind, FaultKind] = {"kill": "restart", "wipe": "restart", "pause": "resume"}
"""What ends a fault; all others are healed."""
_ENDED: frozenset[FaultKind] = frozenset({"restart", "resume", "heal"})
_PAIRED: frozenset[FaultKind] = frozenset(
    {"cut", "one-way-cut", "loss", "duplicate", "delay", "jitter", "clog"}
)
_LEVELS: tuple[LoadLevel, ...] = ("moderate", "heavy")


@dataclass(frozen=True)
class SwarmCase:
    """A random case."""

    plan: CasePlan
    healed_s: float
    """From when on nothing is wrong any more."""


def swarm_case(
    stack: str, exercise: Exercise, seed: int, *, nodes: int | None = None, faults: bool = True
) -> SwarmCase:
    """Draw a case.

    Args:
        stack: the stack's name.
        exercise: what the case may contain.
        seed: of everything, the world's chances included.
        nodes: how many nodes, instead of drawing it.
        faults: whether anything goes wrong.
    """
    random = chance(f"swarm {seed}")
    drawn = random.randint(*exercise.nodes)
    nodes = drawn if nodes is None else nodes
    healed_s = exercise.calm_s + exercise.faults_s
    actions = _requests(random, exercise, nodes)
    networks = _networks(random)
    options = exercise.options(random, nodes)
    if faults:
        actions += _faults(random, exercise, nodes, len(networks))
    actions.sort(key=lambda action: action.at_s)
    actions += _ending(healed_s, exercise.converge_s)
    # The world starts only those at 0 that no restart names, and the ending names all.
    actions.insert(0, Action(0.0, Fault("restart")))
    plan = CasePlan(
        name=f"{stack}-{seed}",
        stack=stack,
        nodes=nodes,
        over_s=healed_s + exercise.converge_s,
        options=options,
        networks=networks,
        actions=tuple(actions),
        seed=seed,
    )
    return SwarmCase(plan, healed_s)


def run_swarm_case(
    plan: CasePlan, exercise: Exercise, *, stack: Stack | None = None, traffic: bool = False
) -> CaseResult:
    """Run a random case, or what shrinking made of it, up to its first violation."""
    started_s = time.monotonic()
    checkers = (*exercise.checkers, *exercise.converged)
    world = World(plan, stack=stack, checkers=checkers, traffic=traffic)
    world.run(stop_at_violation=True)
    return world.result(time.monotonic() - started_s)


def first_violation(result: CaseResult) -> Violation | None:
    """Return the violation that came first, if there was one."""
    return min(result.violations, key=lambda found: found.t_s, default=None)


def shrink_case(
    case: SwarmCase,
    exercise: Exercise,
    violation: Violation,
    *,
    stack: Stack | None = None,
    most_runs: int,
) -> CasePlan:
    """Return the shortest case found that breaks an invariant which a case was seen to break.

    A case that failed to converge keeps its healing; any other ends soon after it failed.
    """

    def fails(plan: CasePlan) -> bool:
        try:
            found = first_violation(run_swarm_case(plan, exercise, stack=stack))
        except LabError:  # what was left out was needed
            return False
        return found is not None and found.checker == violation.checker

    converging = violation.t_s >= case.plan.over_s
    return shrink(
        case.plan if converging else _cut_short(case.plan, violation.t_s + _SPARE_S),
        fails,
        ending_from_s=case.healed_s if converging else None,
        least_nodes=exercise.nodes[0],
        most_runs=most_runs,
    )


def _cut_short(plan: CasePlan, end_s: float) -> CasePlan:
    actions = tuple(action for action in plan.actions if action.at_s < end_s)
    return msgspec.structs.replace(plan, actions=actions, over_s=min(end_s, plan.over_s))


def _networks(random: Random) -> tuple[NetworkPlan, ...]:
    fast, slow = NetworkPlan(), NetworkPlan("hub", rate_bytes_per_s=_SLOW_BYTES_PER_S)
    network = random.choice((fast, fast, fast, slow))
    delay_s = random.choice((50e-6, 50e-6, 1e-3, 20e-3))
    return (msgspec.structs.replace(network, delay_s=delay_s),) * 2


def _requests(random: Random, exercise: Exercise, nodes: int) -> list[Action]:
    end_s = exercise.calm_s + exercise.faults_s
    return [
        Action(_tenths(random, 0.0, end_s), exercise.request(random, nodes))
        for _ in range(random.randint(0, exercise.most_requests))
    ]


def _faults(random: Random, exercise: Exercise, nodes: int, networks: int) -> list[Action]:
    kinds = [kind for kind in exercise.faults if random.random() < 0.4]
    if not kinds:
        kinds = [random.choice(exercise.faults)]
    actions: list[Action] = []
    begin_s, end_s = exercise.calm_s, exercise.calm_s + exercise.faults_s
    for _ in range(random.randint(1, _MOST_FAULTS)):
        fault = _fault(random, random.choice(kinds), nodes, networks)
        at_s = _tenths(random, begin_s, end_s)
        actions.append(Action(at_s, fault))
        if random.random() < 0.6:
            undoing = Fault(_UNDOING.get(fault.fault, "heal"), nodes=fault.nodes)
            actions.append(Action(_tenths(random, at_s, end_s), undoing))
    return actions


def _fault(random: Random, kind: FaultKind, nodes: int, networks: int) -> Fault:
    some = _some(random, range(1, nodes + 1))
    peers: tuple[int, ...] = ()
    if kind in _PAIRED:
        others = [node for node in range(1, nodes + 1) if node not in some]
        peers = tuple(others) if random.random() < 0.5 else _some(random, others)
    return Fault(
        kind,
        nodes=some,
        peers=peers,
        network=random.choice((None, None, *range(networks))),
        value=random.choice(_VALUES.get(kind, (0.0,))),
        level=random.choice(_LEVELS) if kind in ("cpu-load", "network-load") else "idle",
    )


def _some(random: Random, of: Sequence[int]) -> tuple[int, ...]:
    """Draw some nodes, mostly few; none of none."""
    if not of:
        return ()
    most = len(of) if random.random() < 0.3 else max(1, len(of) // 3)
    return tuple(sorted(random.sample(list(of), random.randint(1, most))))


def _tenths(random: Random, begin_s: float, end_s: float) -> float:
    return random.randint(round(begin_s * 10), round(end_s * 10)) / 10


def _ending(healed_s: float, converge_s: float) -> list[Action]:
    restarts = int(converge_s / RESTART_EVERY_S)
    return [
        Action(healed_s, Fault("heal")),
        *(
            Action(healed_s + RESTART_EVERY_S * number, Fault("restart"))
            for number in range(restarts)
        ),
    ]
