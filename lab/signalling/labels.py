"""Labels (VCIs) of each directed link.

A VCI is the MPLS label of 20 bits, and means something on one direction of one link only:
two circuits may bear the same number on different links. 0..15 are reserved (RFC 3032).
"""

import heapq
from dataclasses import dataclass, field

from lab.errors import LabError
from lab.topology import PortRef

FIRST_LABEL = 16
LAST_LABEL = 2**20 - 1


@dataclass
class _LinkLabels:
    next_fresh: int = FIRST_LABEL
    freed: list[int] = field(default_factory=list)
    in_use: set[int] = field(default_factory=set)


class LabelSpace:
    """Which labels are taken on which directed link, named by the port that transmits."""

    def __init__(self) -> None:
        self._links: dict[PortRef, _LinkLabels] = {}

    def allocate(self, transmitter: PortRef) -> int:
        """Take the lowest free label of the link that leaves ``transmitter``."""
        link = self._links.setdefault(transmitter, _LinkLabels())
        while link.freed:
            label = heapq.heappop(link.freed)
            if label not in link.in_use:
                link.in_use.add(label)
                return label
        while link.next_fresh in link.in_use:
            link.next_fresh += 1
        if link.next_fresh > LAST_LABEL:
            raise LabError(f"all labels of the link out of {transmitter} are taken")
        label = link.next_fresh
        link.next_fresh += 1
        link.in_use.add(label)
        return label

    def take(self, transmitter: PortRef, label: int) -> None:
        """Mark a label that a standing circuit already bears; an error when it is taken."""
        if not FIRST_LABEL <= label <= LAST_LABEL:
            raise LabError(f"label {label} is outside {FIRST_LABEL}..{LAST_LABEL}")
        link = self._links.setdefault(transmitter, _LinkLabels())
        if label in link.in_use:
            raise LabError(f"label {label} of the link out of {transmitter} is taken twice")
        link.in_use.add(label)

    def free(self, transmitter: PortRef, label: int) -> None:
        """Give a label back; it may be handed out again at once."""
        link = self._links.get(transmitter)
        if link is None or label not in link.in_use:
            raise LabError(f"label {label} of the link out of {transmitter} is not taken")
        link.in_use.remove(label)
        heapq.heappush(link.freed, label)

    def used(self, transmitter: PortRef) -> frozenset[int]:
        """Return the labels taken on the link that leaves ``transmitter``."""
        link = self._links.get(transmitter)
        return frozenset(link.in_use) if link else frozenset()
