"""Nodes in words, for people."""

from __future__ import annotations

from collections.abc import Iterable


def listed(nodes: Iterable[int]) -> str:
    """Return nodes as a reader wants them: ``[1, 2, 3, 5]`` -> ``1-3, 5``."""
    parts: list[list[int]] = []
    for node in sorted(nodes):
        if parts and node == parts[-1][-1] + 1:
            parts[-1].append(node)
        else:
            parts.append([node])
    return ", ".join(str(part[0]) if len(part) == 1 else f"{part[0]}-{part[-1]}" for part in parts)
