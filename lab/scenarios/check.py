"""What a schema cannot say: names that must exist, routes that must be possible. Pure."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from lab.errors import LabError
from lab.scenarios.model import Scenario, Stream
from lab.signalling import route
from lab.topology import Topology


@dataclass(frozen=True)
class Problem:
    """Something wrong at a place of the file."""

    loc: tuple[str | int, ...]
    what: str
    allowed: tuple[str, ...] = ()
    given: str = ""


def first_problem(
    scenario: Scenario, topology: Topology, claim_ids: Sequence[str]
) -> Problem | None:
    """The first thing that is wrong with a scenario on that topology, or None."""
    return next(problems(scenario, topology, claim_ids), None)


def problems(scenario: Scenario, topology: Topology, claim_ids: Sequence[str]) -> Iterator[Problem]:
    """Everything that is wrong with a scenario on that topology, in the order of the file."""
    hosts = tuple(topology.hosts)
    for index, host in enumerate(scenario.hosts.containers):
        yield from _known(("hosts", "containers", index), "host", host, hosts)
    yield from _twice(("hosts", "containers"), scenario.hosts.containers)
    yield from _twice(("streams",), [s.name for s in scenario.streams], "name")
    for index, stream in enumerate(scenario.streams):
        yield from _stream_problems(("streams", index), stream, topology)
    yield from _twice(("passes",), [p.name for p in scenario.passes], "name")
    groups = tuple(dict.fromkeys(s.group for s in scenario.streams))
    yield from _known(
        ("timeline", "sweep", "group"), "group of streams", scenario.timeline.sweep.group, groups
    )
    yield from _observe_problems(scenario, topology)
    for index, claim in enumerate(scenario.claims):
        yield from _known(("claims", index), "claim", claim, tuple(claim_ids))
    yield from _twice(("claims",), scenario.claims)


def _stream_problems(
    loc: tuple[str | int, ...], stream: Stream, topology: Topology
) -> Iterator[Problem]:
    found = [
        *_known((*loc, "from"), "host", stream.source, tuple(topology.hosts)),
        *_known((*loc, "to"), "host", stream.to, tuple(topology.hosts)),
    ]
    for index, switch in enumerate(stream.via):
        found += _known((*loc, "via", index), "switch", switch, tuple(topology.switches))
    if not found and stream.source == stream.to:
        found.append(Problem((*loc, "to"), f"stream {stream.name} ends where it begins"))
    yield from found
    if found:
        return
    try:
        route(topology, stream.source, stream.to, stream.via, random.Random(0))  # noqa: S311
    except LabError as error:
        yield Problem((*loc, "via"), error.message)


def _observe_problems(scenario: Scenario, topology: Topology) -> Iterator[Problem]:
    observe = scenario.observe
    found = list(_known(("observe", "switch"), "switch", observe.switch, tuple(topology.switches)))
    yield from found
    if found:
        return
    ports = sorted(
        end.port
        for link in topology.links
        for end in (link.a, link.b)
        if end.node == observe.switch
    )
    if observe.contended_port not in ports:
        yield Problem(
            ("observe", "contended_port"),
            f"{observe.switch} has no port {observe.contended_port}",
            tuple(str(port) for port in ports),
        )


def _known(
    loc: tuple[str | int, ...], kind: str, given: str, allowed: tuple[str, ...]
) -> Iterator[Problem]:
    if given not in allowed:
        yield Problem(loc, f"there is no {kind} {given!r}", allowed, given)


def _twice(
    loc: tuple[str | int, ...], names: Sequence[str], field: str | None = None
) -> Iterator[Problem]:
    for index, name in enumerate(names):
        first = names.index(name)
        if first != index:
            place = (*loc, index) if field is None else (*loc, index, field)
            yield Problem(place, f"{name!r} is given twice (first as number {first + 1})")
