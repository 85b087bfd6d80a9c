"""The addresses of nodes on the networks of a lab, and of what moves between them.

Node n is ``10.(k+1).0.n`` on network k. Numbers above those of nodes are of addresses that move.
"""

from __future__ import annotations

MOST_NODES = 199
LAST_MOVING = 254


def prefixes(networks: int) -> tuple[str, ...]:
    """Return the first three numbers of the addresses of so many networks."""
    return tuple(f"10.{k + 1}.0" for k in range(networks))


def moving_network(address: str, networks: tuple[str, ...]) -> int | None:
    """Return the network on which an address may move; None when it is no such address.

    Args:
        address: as it is written, such as ``10.1.0.201``.
        networks: the first three numbers of the addresses of each network.
    """
    prefix, _, last = address.rpartition(".")
    number = int(last) if last.isascii() and last.isdecimal() else 0
    if prefix in networks and MOST_NODES < number <= LAST_MOVING:
        return networks.index(prefix)
    return None
