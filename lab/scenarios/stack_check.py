"""What a schema cannot say of a stack's scenario: names and nodes that must exist. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from lab.errors import LabError
from lab.scenarios.cases import PlanError, planned_cases
from lab.scenarios.check import Problem, known, twice
from lab.scenarios.stack_model import PLAIN, StackScenario
from lab.stacks.addresses import LAST_MOVING, MOST_NODES, moving_network, prefixes
from lab.stacks.core import Stack
from lab.stacks.registry import STACKS, find_stack


def first_stack_problem(scenario: StackScenario, claim_ids: Sequence[str]) -> Problem | None:
    """The first thing that is wrong with a stack's scenario, or None."""
    return next(_problems(scenario, claim_ids), None)


def _problems(scenario: StackScenario, claim_ids: Sequence[str]) -> Iterator[Problem]:
    yield from known(("stack",), "stack", scenario.stack, STACKS)
    names = [variant.name for variant in scenario.variants]
    if PLAIN in names:
        what = f"{PLAIN!r} is the variant that changes nothing"
        yield Problem(("variants", names.index(PLAIN), "name"), what)
    yield from twice(("variants",), names, "name")
    yield from _client_problems(scenario)
    yield from _case_problems(scenario)
    for index, claim in enumerate(scenario.claims):
        yield from known(("claims", index), "claim", claim, tuple(claim_ids))
    yield from twice(("claims",), scenario.claims)


def _client_problems(scenario: StackScenario) -> Iterator[Problem]:
    networks = prefixes(len(scenario.networks))
    for number, client in enumerate(scenario.clients):
        if moving_network(client.address, networks) is None:
            yield Problem(
                ("clients", number, "address"),
                f"{client.address!r} is no address that moves between nodes",
                remedy=f"use one from {networks[0]}.{MOST_NODES + 1} to .{LAST_MOVING}, "
                "or of another network",
            )


def _case_problems(scenario: StackScenario) -> Iterator[Problem]:
    try:
        cases = planned_cases(scenario)
    except PlanError as error:
        yield Problem(error.loc, error.what, error.allowed, error.given)
        return
    stack = find_stack(scenario.stack)
    tried: list[dict[str, object]] = []
    for planned in cases:
        if planned.plan.options not in tried:
            tried.append(planned.plan.options)
            yield from _option_problems(scenario, stack, planned.variant, planned.plan.options)


def _option_problems(
    scenario: StackScenario, stack: Stack, variant: str, options: dict[str, object]
) -> Iterator[Problem]:
    """What the stack itself says to its options."""
    try:
        stack.make(1, options, 1)
    except LabError as error:
        names = [known.name for known in scenario.variants]
        place = ("variants", names.index(variant), "options") if variant in names else ("options",)
        yield Problem(place, error.message, remedy=error.remedy)
