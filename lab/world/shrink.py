"""Makes a failing case short: as few actions, nodes and options as still fail in the same way.

Delta debugging (Zeller and Hildebrandt 2002) over what the case is made of. Because a case follows
from its plan bit for bit, trying a smaller one is all it takes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias, TypeVar

import msgspec

from lab.stacks.plan import Action, Ask, CasePlan, Fault, NetworkPlan

T = TypeVar("T")
Fails: TypeAlias = Callable[[CasePlan], bool]


def shrink(
    plan: CasePlan,
    fails: Fails,
    *,
    ending_from_s: float | None = None,
    least_nodes: int = 1,
    most_runs: int = 400,
) -> CasePlan:
    """Return a plan that still fails and is as short as so many runs could make it.

    Args:
        plan: fails.
        fails: runs a plan and tells whether it fails as the first one did.
        ending_from_s: actions from then on are what has to make a case converge, and stay.
        least_nodes: so many nodes remain.
        most_runs: how often a plan may be tried.
    """
    shrinker = _Shrinker(fails, most_runs)
    while True:
        before = plan
        plan = _fewer_actions(shrinker, plan, ending_from_s)
        plan = _fewer_nodes(shrinker, plan, least_nodes)
        plan = _simpler_actions(shrinker, plan, ending_from_s)
        plan = _simpler_surroundings(shrinker, plan)
        if plan == before or shrinker.left == 0:
            return plan


@dataclass
class _Shrinker:
    fails: Fails
    left: int
    _known: dict[bytes, bool] = field(default_factory=dict)

    def still_fails(self, plan: CasePlan) -> bool:
        """Try a plan, unless it was tried before or there were too many."""
        key = msgspec.json.encode(plan)
        if key not in self._known:
            if self.left == 0:
                return False
            self.left -= 1
            self._known[key] = self.fails(plan)
        return self._known[key]

    def first(self, plan: CasePlan, simpler: Sequence[CasePlan]) -> CasePlan:
        """Return the first of some simpler plans that fails, or the plan itself."""
        return next((p for p in simpler if p != plan and self.still_fails(p)), plan)


def _fewest(items: Sequence[T], fail: Callable[[Sequence[T]], bool]) -> list[T]:
    """Leave out as many items as possible, in ever smaller pieces."""
    kept = list(items)
    piece = len(kept)
    while piece:
        begin, left_out = 0, False
        while begin < len(kept):
            rest = kept[:begin] + kept[begin + piece :]
            if fail(rest):
                kept, left_out = rest, True
            else:
                begin += piece
        if not (left_out and piece == 1):
            piece //= 2
    return kept


def _split(plan: CasePlan, ending_from_s: float | None) -> tuple[list[Action], list[Action]]:
    """Return the actions that may go, and those that stay."""
    if ending_from_s is None:
        return list(plan.actions), []
    ending = [action for action in plan.actions if action.at_s >= ending_from_s]
    return [action for action in plan.actions if action.at_s < ending_from_s], ending


def _fewer_actions(shrinker: _Shrinker, plan: CasePlan, ending_from_s: float | None) -> CasePlan:
    actions, ending = _split(plan, ending_from_s)

    def having(kept: Sequence[Action]) -> CasePlan:
        return msgspec.structs.replace(plan, actions=(*kept, *ending))

    return having(_fewest(actions, lambda kept: shrinker.still_fails(having(kept))))


def _fewer_nodes(shrinker: _Shrinker, plan: CasePlan, least: int) -> CasePlan:
    """Leave out one node after the other, as far as that works."""
    for leaving in range(plan.nodes, 0, -1):
        if plan.nodes > least:
            plan = shrinker.first(plan, [_without_node(plan, leaving)])
    return plan


def _without_node(plan: CasePlan, leaving: int) -> CasePlan:
    """Leave out a node; those of higher numbers move up."""
    options = {key: _renumbered(value, leaving) for key, value in plan.options.items()}
    if "nodes" in options:
        options["nodes"] = plan.nodes - 1
    actions = tuple(
        msgspec.structs.replace(action, does=does)
        for action in plan.actions
        if (does := _does_without_node(action.does, leaving)) is not None
    )
    return msgspec.structs.replace(plan, nodes=plan.nodes - 1, actions=actions, options=options)


def _does_without_node(does: Fault | Ask, leaving: int) -> Fault | Ask | None:
    """Return what remains of an action; None if it named that node alone."""
    for names in _names_of_nodes(does):
        nodes = getattr(does, names)
        kept = tuple(_renumbered(list(nodes), leaving))
        if nodes and not kept:
            return None
        does = msgspec.structs.replace(does, **{names: kept})
    return does


def _names_of_nodes(does: Fault | Ask) -> tuple[str, ...]:
    return ("nodes", "peers") if isinstance(does, Fault) else ("nodes",)


def _renumbered(value: Any, leaving: int) -> Any:
    """Leave a node out of a list of nodes; whatever else it is stays as it is."""
    if not isinstance(value, list) or not all(isinstance(item, int) for item in value):
        return value
    return [item - (item > leaving) for item in value if item != leaving]


def _simpler_actions(shrinker: _Shrinker, plan: CasePlan, ending_from_s: float | None) -> CasePlan:
    for index, action in enumerate(plan.actions):
        if ending_from_s is not None and action.at_s >= ending_from_s:
            break
        simpler = [_with_action(plan, index, changed) for changed in _simpler(action)]
        plan = shrinker.first(plan, simpler)
    return plan


def _with_action(plan: CasePlan, index: int, action: Action) -> CasePlan:
    actions = (*plan.actions[:index], action, *plan.actions[index + 1 :])
    return msgspec.structs.replace(plan, actions=actions)


def _simpler(action: Action) -> list[Action]:
    """Return an action made simpler in one way each: earlier round times, fewer nodes."""
    found = [
        msgspec.structs.replace(action, at_s=at_s)
        for at_s in (float(int(action.at_s / 10) * 10), float(int(action.at_s)))
        if at_s < action.at_s
    ]
    does = action.does
    for names in _names_of_nodes(does):
        nodes = getattr(does, names)
        if len(nodes) > 1:
            fewer = [tuple(n for n in nodes if n != leaving) for leaving in nodes]
            found += [
                msgspec.structs.replace(action, does=msgspec.structs.replace(does, **{names: less}))
                for less in fewer
            ]
    if isinstance(does, Fault) and does.network is not None:
        everywhere = msgspec.structs.replace(does, network=None)
        found.append(msgspec.structs.replace(action, does=everywhere))
    return found


def _simpler_surroundings(shrinker: _Shrinker, plan: CasePlan) -> CasePlan:
    """Leave out options, and take plain networks."""
    plain = (NetworkPlan(),) * len(plan.networks)
    plan = shrinker.first(plan, [msgspec.structs.replace(plan, networks=plain)])
    for key in list(plan.options):
        options = {name: value for name, value in plan.options.items() if name != key}
        plan = shrinker.first(plan, [msgspec.structs.replace(plan, options=options)])
    return plan
