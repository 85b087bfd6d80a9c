"""Up-down routing.

A path climbs and then descends and never climbs again. Give every directed link a rank -
links that climb below links that descend - and a circuit only ever waits for buffers of a
higher rank, so no cycle of circuits can wait for each other. Which of several equally short
paths is taken is drawn from a seed, or pinned by the scenario.
"""

import random
from collections.abc import Iterator, Sequence
from functools import cached_property
from itertools import pairwise

from lab.errors import LabError
from lab.topology import Topology


class Router:
    """Finds up-down paths in one topology, remembering what it found."""

    def __init__(self, topology: Topology) -> None:
        self._topology = topology
        self._paths: dict[tuple[str, str], tuple[tuple[str, ...], ...]] = {}

    @cached_property
    def _rank(self) -> dict[str, tuple[int, int]]:
        """A total order of the switches: by layer, and by place within a layer.

        Switches of one layer may be linked in other topologies than the fat tree; any
        total order keeps such links from closing a cycle.
        """
        return {
            switch: (self._topology.layer[switch], -place)
            for place, switch in enumerate(self._topology.switches)
        }

    @cached_property
    def _up(self) -> dict[str, tuple[str, ...]]:
        return {switch: self._beside(switch, climbing=True) for switch in self._rank}

    @cached_property
    def _down(self) -> dict[str, tuple[str, ...]]:
        return {switch: self._beside(switch, climbing=False) for switch in self._rank}

    def _beside(self, switch: str, *, climbing: bool) -> tuple[str, ...]:
        rank = self._rank
        return tuple(
            other
            for other in self._topology.neighbours(switch)
            if other in rank and (rank[other] > rank[switch]) is climbing
        )

    def switch_of(self, host: str) -> str:
        """Return the switch that a host hangs on."""
        if host not in self._topology.hosts:
            raise LabError(
                f"{host} is not a host of {self._topology.name}",
                remedy=f"its hosts are {self._topology.hosts[0]}..{self._topology.hosts[-1]}",
            )
        return self._topology.neighbours(host)[0]

    def paths(self, first: str, last: str) -> tuple[tuple[str, ...], ...]:
        """Return all up-down paths between two switches that pass no switch twice."""
        key = (first, last)
        if key not in self._paths:
            above = self._above(last)
            found = self._climb((first,), last, above)
            self._paths[key] = tuple(sorted(found, key=lambda path: (len(path), path)))
        return self._paths[key]

    def _above(self, last: str) -> frozenset[str]:
        """Return the switches from which one can descend to ``last``, itself included."""
        found = {last}
        fresh = [last]
        while fresh:
            higher = [up for switch in fresh for up in self._up[switch] if up not in found]
            found.update(higher)
            fresh = higher
        return frozenset(found)

    def _climb(
        self, path: tuple[str, ...], last: str, above: frozenset[str]
    ) -> Iterator[tuple[str, ...]]:
        if path[-1] in above:
            yield from self._descend(path, last, above)
        if path[-1] != last:
            for higher in self._up[path[-1]]:
                yield from self._climb((*path, higher), last, above)

    def _descend(
        self, path: tuple[str, ...], last: str, above: frozenset[str]
    ) -> Iterator[tuple[str, ...]]:
        if path[-1] == last:
            yield path
            return
        for lower in self._down[path[-1]]:
            if lower in above and lower not in path:
                yield from self._descend((*path, lower), last, above)

    def route(
        self, src: str, dst: str, via: Sequence[str] | None, rng: random.Random
    ) -> tuple[str, ...]:
        """Return the nodes of a path, host to host; see :func:`route`."""
        first, last = self.switch_of(src), self.switch_of(dst)
        if src == dst:
            raise LabError(f"a circuit from {src} to itself has no path")
        pins = tuple(via or ())
        fitting = [path for path in self.paths(first, last) if _in_order(pins, path)]
        if not fitting:
            raise self._impossible(src, dst, pins)
        shortest = [path for path in fitting if len(path) == len(fitting[0])]
        return (src, *rng.choice(shortest), dst)

    def _impossible(self, src: str, dst: str, pins: Sequence[str]) -> LabError:
        """Say which pair of pinned switches breaks the rule of up, then down."""
        what = f"route {src} -> {dst}" + (f" via {', '.join(pins)}" if pins else "")
        for pin in pins:
            if pin not in self._rank:
                switches = self._topology.switches
                return LabError(
                    f"{what}: {pin} is not a switch of {self._topology.name}",
                    remedy=f"its switches are {switches[0]}..{switches[-1]}",
                )
        first, last = self.switch_of(src), self.switch_of(dst)
        stops = [first, *(pins[1:] if pins[:1] == (first,) else pins)]
        if stops[-1] != last or len(stops) == 1:
            stops.append(last)
        may_climb = {True}
        for here, there in pairwise(stops):
            reached = set().union(*(self._arrivals(here, there, climb) for climb in may_climb))
            if not reached:
                why = "the path came down before" if True not in may_climb else "none exists"
                return LabError(
                    f"{what}: no path that goes up and then down leads from {here} to {there}"
                    f" ({why})",
                    remedy="name the switches in the order of the path: upwards, then downwards",
                )
            may_climb = reached
        return LabError(f"{what}: the path would pass a switch twice")

    def _arrivals(self, here: str, there: str, climbing: bool) -> set[bool]:
        """Return in which phases (True: still climbing) ``there`` is reached from ``here``."""
        seen = {(here, climbing)}
        fresh = [(here, climbing)]
        while fresh:
            switch, may_climb = fresh.pop()
            steps = [(lower, False) for lower in self._down[switch]]
            if may_climb:
                steps += [(higher, True) for higher in self._up[switch]]
            new = [step for step in steps if step not in seen]
            seen.update(new)
            fresh.extend(new)
        return {phase for switch, phase in seen if switch == there}


def _in_order(pins: Sequence[str], path: Sequence[str]) -> bool:
    rest = iter(path)
    return all(pin in rest for pin in pins)


def route(
    topology: Topology, src: str, dst: str, via: Sequence[str] | None, rng: random.Random
) -> tuple[str, ...]:
    """Find the nodes that a circuit passes, host to host.

    The shortest up-down paths that pass the switches of ``via`` in that order are equally
    likely. ``via`` may name some of the switches or all of them, so a path may be made to
    turn higher up than it must. LabError names the pair of switches that cannot be joined.
    """
    return Router(topology).route(src, dst, via, rng)
