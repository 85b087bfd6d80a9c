"""Views: who belongs to a cluster, as its members agree on it (thesis 7.7)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from lab.stacks.core import NodeId


class View(msgspec.Struct, frozen=True, array_like=True):
    """A membership. A view that follows another one has a higher number."""

    cluster: str
    """Names one formed cluster; nodes of different clusters have nothing to do with each other."""
    number: int
    attempt: int
    """The run of regroup that decided on it, or on the view that it came from by joins. Never
    falls; so of two views the one of the higher (attempt, number) is the newer one."""
    members: dict[NodeId, int]
    """The incarnation of every member."""
    tie_breaker: NodeId

    @property
    def order(self) -> tuple[int, int]:
        """Compares views of one cluster: the greater is the newer."""
        return (self.attempt, self.number)

    @property
    def nodes(self) -> tuple[NodeId, ...]:
        """The members, in order."""
        return tuple(sorted(self.members))

    def with_member(self, node: NodeId, incarnation: int) -> View:
        """Return the view after a join. The tie-breaker stays the one that was selected."""
        members = {**self.members, node: incarnation}
        return msgspec.structs.replace(self, number=self.number + 1, members=members)

    def reduced(self, survivors: Iterable[NodeId], attempt: int, tie_breaker: NodeId) -> View:
        """Return the view after a regroup."""
        members = {node: self.members[node] for node in sorted(survivors)}
        return View(self.cluster, self.number + 1, attempt, members, tie_breaker)

    def plain(self) -> dict[str, Any]:
        """Return it as plain data."""
        plain: dict[str, Any] = msgspec.to_builtins(self.as_dict())
        return plain

    def as_dict(self) -> dict[str, Any]:
        """Return the fields by name."""
        return {
            "cluster": self.cluster,
            "number": self.number,
            "attempt": self.attempt,
            "members": {str(node): self.members[node] for node in self.nodes},
            "tie_breaker": self.tie_breaker,
        }


def formed(cluster: str, members: dict[NodeId, int]) -> View:
    """Return the first view of a cluster; its tie-breaker is the lowest node."""
    return View(cluster, 1, 0, dict(sorted(members.items())), min(members))
