"""Sets of nodes as bitmasks: what regroup's state is made of (thesis 7.7.2). Bit 0 is node 1."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from lab.stacks.core import NodeId


def bit(node: NodeId) -> int:
    """Return the set of one node."""
    return 1 << (node - 1)


def mask(nodes: Iterable[NodeId]) -> int:
    """Return the set of some nodes."""
    together = 0
    for node in nodes:
        together |= bit(node)
    return together


def nodes_in(members: int) -> Iterator[NodeId]:
    """Yield the nodes of a set, in order."""
    while members:
        lowest = members & -members
        yield lowest.bit_length()
        members ^= lowest


def lowest(members: int) -> NodeId:
    """Return the lowest node of a set; 0 if it is empty."""
    return (members & -members).bit_length()


def merged(rows: Sequence[int], others: Sequence[int]) -> list[int]:
    """Return the unions of two rows of sets."""
    return [row | other for row, other in zip(rows, others, strict=True)]
