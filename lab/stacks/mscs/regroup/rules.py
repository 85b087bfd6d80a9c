"""The rules of regroup, each as the thesis states it (7.7.2). Pure functions over bitmasks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from enum import IntEnum

from lab.stacks.core import NodeId
from lab.stacks.mscs.config import Config
from lab.stacks.mscs.regroup.masks import bit, lowest, mask, nodes_in
from lab.stacks.mscs.view import View

_ROUNDING_S = 1e-6
"""Ticks are counted from the activation, and n times 0.3 s may come out a little short."""


def reached(elapsed_s: float, timeout_s: float) -> bool:
    """Tell whether a time-out has come."""
    return elapsed_s >= timeout_s - _ROUNDING_S


# --- phase 1 --------------------------------------------------------------------------------


def why_activation_is_over(
    elapsed_s: float, *, missing: int, suspects: int, cautious: bool, config: Config
) -> str:
    """Return why phase 1 is over; nothing as long as it is not.

    Args:
        elapsed_s: since this node was activated.
        missing: the members that nobody has heard in this run.
        suspects: the members that failure detectors suspect.
        cautious: this run waits for the maximum in any case.
        config: the time-outs.
    """
    if reached(elapsed_s, config.regroup_max_s):
        return "maximum"
    if cautious:
        return ""
    if not missing:
        return "all active"
    if missing.bit_count() == 1 and reached(elapsed_s, config.regroup_min_s):
        return "single failure"
    early = config.regroup_detector and not missing & ~suspects
    if early and reached(elapsed_s, config.regroup_early_s):
        return "detectors"
    return ""


# --- phase 2: who survives ------------------------------------------------------------------


class Survival(IntEnum):
    """Whether a group may go on; of several answers the least counts."""

    NO = 0
    WITH_QUORUM = 1
    """If it can own the quorum resource."""
    YES = 2


def survival(group: int, members: int, tie_breaker: NodeId) -> Survival:
    """Tell whether a group survives out of an original membership: the three rules."""
    survivors, originals = (group & members).bit_count(), members.bit_count()
    if 2 * survivors > originals:
        return Survival.YES
    if 2 * survivors == originals and survivors >= 2 and group & bit(tie_breaker):
        return Survival.YES
    if originals == 2 and survivors == 1:
        return Survival.WITH_QUORUM
    return Survival.NO


def survival_of(group: int, origin: View, joining: Iterable[NodeId]) -> Survival:
    """Tell whether a group survives out of a view to which nodes are just being added.

    Such a node is a member for some already and for others not yet. Only a group that survives
    under both memberships may go on: then no other group does, whichever it knows.
    """
    members = mask(origin.members)
    verdicts = [survival(group, members, origin.tie_breaker)]
    for node in joining:
        verdicts.append(survival(group, members | bit(node), origin.tie_breaker))
    return min(verdicts)


def select_tie_breaker(group: int) -> NodeId:
    """Select the tie-breaker among the members of a group: the lowest node."""
    return lowest(group)


# --- phase 2: pruning -----------------------------------------------------------------------


def links(group: int, connectivity: Sequence[int]) -> Mapping[NodeId, int]:
    """Return for each node of a group with whom of it it has contact in both directions.

    Args:
        group: the nodes.
        connectivity: row n-1 is the set of nodes that node n has heard itself.
    """
    nodes = list(nodes_in(group))
    return {
        node: mask(
            other
            for other in nodes
            if other != node
            and connectivity[node - 1] & bit(other)
            and connectivity[other - 1] & bit(node)
        )
        for node in nodes
    }


def fully_connected(group: int, connectivity: Sequence[int]) -> int:
    """Return the part of a group that remains when it is pruned until all have contact with all.

    The largest such part would be a maximum clique, whose search may take exponential time. This
    takes out the node with the fewest links to those that remain, and of several the highest, until
    nobody lacks any. A node that has lost all others goes first; of two that have only lost each
    other, one goes.
    """
    links_of = links(group, connectivity)
    remaining = group
    while remaining:
        worst = min(
            nodes_in(remaining), key=lambda node: ((links_of[node] & remaining).bit_count(), -node)
        )
        if links_of[worst] & remaining == remaining & ~bit(worst):
            return remaining
        remaining &= ~bit(worst)
    return remaining
