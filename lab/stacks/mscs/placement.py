"""Decisions of the fail-over and resource managers, as pure functions (thesis part II, 7.5).

The thesis names the managers and not their rules; these are the rules that administrators of MSCS
set: preferred owners, dependencies, a restart threshold within a period.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

from lab.errors import LabError
from lab.stacks.core import NodeId
from lab.stacks.mscs.objects import Group, Resource


def choose_owner(
    group: Group, candidates: Collection[NodeId], load: Mapping[NodeId, int]
) -> NodeId | None:
    """Return which node should own a group; None when there is no candidate.

    The best preferred one, else the one that owns the fewest groups, else the lowest number.
    """
    for node in group.preferred:
        if node in candidates:
            return node
    return min(candidates, key=lambda node: (load.get(node, 0), node), default=None)


def should_fail_back(group: Group, owner: NodeId, candidates: Collection[NodeId]) -> NodeId | None:
    """Return the node that a group should go back to, if it should."""
    if not group.failback:
        return None
    for node in group.preferred:
        if node == owner:
            return None
        if node in candidates:
            return node
    return None


def dependency_order(resources: Iterable[Resource]) -> list[Resource]:
    """Return a group's resources so that each comes after all that it depends on.

    Raises:
        LabError: they depend on each other in a circle, or on one that is not in the group.
    """
    waiting = {resource.name: resource for resource in sorted(resources, key=lambda r: r.name)}
    names = set(waiting)
    ordered: list[Resource] = []
    for resource in waiting.values():
        missing = [name for name in resource.depends_on if name not in names]
        if missing:
            raise LabError(
                f"resource {resource.name!r} depends on {', '.join(missing)}, "
                f"not in group {resource.group!r}",
                remedy="depend on resources of the same group",
            )
    while waiting:
        ready = [r for r in waiting.values() if not any(name in waiting for name in r.depends_on)]
        if not ready:
            raise LabError(
                f"these resources depend on each other in a circle: {', '.join(waiting)}",
                remedy="leave out one of the dependencies",
            )
        for resource in ready:
            ordered.append(resource)
            del waiting[resource.name]
    return ordered


def dependents(name: str, ordered: Sequence[Resource]) -> list[Resource]:
    """Return all that depends on a resource, directly or not, in dependency order."""
    found: list[Resource] = []
    names = {name}
    for resource in ordered:
        if names.intersection(resource.depends_on):
            found.append(resource)
            names.add(resource.name)
    return found


def recent(times_s: Iterable[float], now_s: float, period_s: float) -> tuple[float, ...]:
    """Return those of the times that lie within the period before now."""
    return tuple(time_s for time_s in times_s if now_s - time_s < period_s)
