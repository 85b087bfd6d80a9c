"""What a scenario asks of each link, and what each stream would get in an ideal fabric. Pure.

A link has a second a second to give. A message takes its cells' time of it, and on the links of a
host no less than the adapter's time for one message. Streams that ask for more than there is share
max-min fairly: no stream can get more without one that has no more than it getting less. That is
the yardstick for "streams off the congested link keep their throughput" (thesis 4.8), where the
text gives no number: a fabric with neither tree saturation nor head-of-line blocking reaches it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from lab.analysis.observations import MissingDataError, Observations
from lab.fabric.params import FabricParams
from lab.scenarios.model import Pass, Stream
from lab.scenarios.plan import stream_rates, stream_sizes

Port = tuple[str, int]
Floats = NDArray[np.float64]
_EPSILON = 1e-9


@dataclass(frozen=True)
class Loads:
    """Demands of one step of a pass.

    Attributes:
        streams: who sends in this step (streams that wait for echoes are left out).
        ports: every transmitter that they use.
        demand: messages/s that each stream would send if nothing stood in its way.
        greedy: whether it sends as fast as it can.
        service_s: time that one message of a stream takes at a port; 0 where it does not pass.
        payload_bytes: of one message of each stream.
    """

    streams: tuple[str, ...]
    ports: tuple[Port, ...]
    demand: Floats
    greedy: NDArray[np.bool_]
    service_s: Floats
    payload_bytes: Floats

    @property
    def offered(self) -> dict[Port, float]:
        """How much of each port's time is asked for; more than 1 makes it contended."""
        return dict(zip(self.ports, (self.demand @ self.service_s).tolist(), strict=True))

    @property
    def contended(self) -> frozenset[Port]:
        """Ports that are asked for more time than there is."""
        return frozenset(port for port, load in self.offered.items() if load > 1 + 1e-6)

    @cached_property
    def _filled(self) -> tuple[Floats, dict[str, Port]]:
        return _max_min(self)

    @property
    def fair_messages_per_s(self) -> dict[str, float]:
        """What each stream gets when all share max-min fairly."""
        return dict(zip(self.streams, self._filled[0].tolist(), strict=True))

    @property
    def fair_mbyte_per_s(self) -> dict[str, float]:
        """The same in payload, MByte/s."""
        rates = self._filled[0] * self.payload_bytes / 1e6
        return dict(zip(self.streams, rates.tolist(), strict=True))

    @property
    def bottleneck(self) -> dict[str, Port]:
        """The port that holds a stream below its demand; streams that get it all are left out."""
        return self._filled[1]

    def unhindered(self, margin: float) -> tuple[str, ...]:
        """Paced streams that must reach their rate, with some room, even under link control.

        Each asks for less than an equal share of every port that it uses, and no two greedy
        streams meet anywhere, so that no link is ever stopped for long.
        """
        uses = np.asarray(self.service_s > 0)
        if (uses[self.greedy].sum(axis=0) > 1).any():
            return ()
        offered = self.demand @ self.service_s
        share = np.where(offered <= margin, np.inf, margin / np.maximum(uses.sum(axis=0), 1))
        fits = (self.demand[:, None] * self.service_s <= share[None, :]).all(axis=1)
        return tuple(
            name
            for name, paced, ok in zip(self.streams, ~self.greedy, np.asarray(fits), strict=True)
            if paced and ok
        )


@dataclass(frozen=True)
class _Routes:
    """Ports, and for each stream the indices of those that it uses and which are of a host."""

    ports: tuple[Port, ...]
    crossing: dict[str, list[tuple[int, bool]]]


def loads(run: Observations, passing: Pass) -> dict[int, Loads]:
    """The demands of every step of a pass, by the step's number.

    Raises:
        MissingDataError: the routes are not on record.
    """
    streams = [s for s in run.scenario.streams_of(passing) if not s.echo]
    routes = _routes(run, passing)
    lacking = [s.name for s in streams if s.name not in routes.crossing]
    if lacking:
        raise MissingDataError(f"the route of {lacking[0]} is missing")
    rates = {s.name: stream_rates(run.scenario, s) for s in streams}
    sizes = {s.name: stream_sizes(run.scenario, s) for s in streams}
    found = {}
    for step in run.rows("steps", passing.name)["step"].astype(int):
        active = [s for s in streams if rates[s.name][step] > 0]
        orders = [(s, rates[s.name][step], sizes[s.name][step]) for s in active]
        found[int(step)] = _loads(run.scenario.fabric_of(passing), routes, orders)
    return found


def _routes(run: Observations, passing: Pass) -> _Routes:
    ends = {s.name: (s.source, s.to) for s in run.scenario.all_streams}
    number: dict[Port, int] = {}
    crossing: dict[str, list[tuple[int, bool]]] = {}
    hops = run.links_in(passing)[["stream", "node", "port", "next"]].to_numpy().tolist()
    for stream, node, port, following in hops:
        source, sink = ends[stream]
        index = number.setdefault((node, int(port)), len(number))
        crossing.setdefault(stream, []).append((index, node == source or following == sink))
    return _Routes(tuple(number), crossing)


def _loads(fabric: FabricParams, routes: _Routes, orders: list[tuple[Stream, float, int]]) -> Loads:
    service = np.zeros((len(orders), len(routes.ports)))
    for row, (stream, _, size) in enumerate(orders):
        link_s = fabric.service_time_ns(size) / 1e9
        host_s = max(link_s, 1 / fabric.host_messages_per_s)
        for port, of_host in routes.crossing[stream.name]:
            service[row, port] = host_s if of_host else link_s
    return Loads(
        tuple(stream.name for stream, _, _ in orders),
        routes.ports,
        np.array([rate * fabric.full_messages_per_s(size) for _, rate, size in orders]),
        np.array([rate >= 1 for _, rate, _ in orders], dtype=np.bool_),
        service,
        np.array([size for _, _, size in orders], dtype=np.float64),
    )


def _max_min(asked: Loads) -> tuple[Floats, dict[str, Port]]:
    """Settle the scarcest port at each turn: that with the lowest level of time for a stream."""
    rates = asked.demand.copy()
    held: dict[str, Port] = {}
    open_ = np.ones(len(asked.streams), dtype=np.bool_)
    wanted = asked.demand[:, None] * asked.service_s
    while open_.any():
        taken = rates[~open_] @ asked.service_s[~open_]
        levels = [_level(wanted[open_, port], 1 - taken[port]) for port in range(len(asked.ports))]
        scarcest = int(np.argmin(levels))
        level = levels[scarcest]
        settled = np.flatnonzero(open_ & (wanted[:, scarcest] > level * (1 + _EPSILON)))
        if math.isinf(level) or not settled.size:
            break
        for row in settled:
            rates[row] = level / asked.service_s[row, scarcest]
            held[asked.streams[row]] = asked.ports[scarcest]
        open_[settled] = False
    return rates, held


def _level(wanted: Floats, left: float) -> float:
    """The most time that each may take of what is left; infinite when there is enough for all."""
    times = np.sort(wanted[wanted > 0])
    if not times.size or times.sum() <= left * (1 + _EPSILON):
        return math.inf
    # Those who want least get it, as long as that is below an equal share of the rest.
    rest = left - np.concatenate(([0.0], np.cumsum(times)[:-1]))
    shares = rest / np.arange(len(times), 0, -1)
    return float(max(shares[int(np.argmax(times > shares))], 0.0))
