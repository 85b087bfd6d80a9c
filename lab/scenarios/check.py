"""What a schema cannot say: names that must exist, routes that must be possible. Pure."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pydantic import ValidationError

from lab.errors import LabError
from lab.scenarios.model import Layout, Scenario, Stream
from lab.signalling import route
from lab.topology import Topology


@dataclass(frozen=True)
class Problem:
    """Something wrong at a place of the file."""

    loc: tuple[str | int, ...]
    what: str
    allowed: tuple[str, ...] = ()
    given: str = ""
    remedy: str = ""
    """What to do, where that is not to choose one of the allowed."""


def first_problem(
    scenario: Scenario, topology: Topology, claim_ids: Sequence[str]
) -> Problem | None:
    """The first thing that is wrong with a scenario on that topology, or None."""
    return next(problems(scenario, topology, claim_ids), None)


def problems(scenario: Scenario, topology: Topology, claim_ids: Sequence[str]) -> Iterator[Problem]:
    """Everything that is wrong with a scenario on that topology, in the order of the file."""
    hosts = tuple(topology.hosts)
    if topology.forwarding != "vc":
        yield Problem(
            ("topology",),
            f"{topology.name} has no VCs, which streams need",
            remedy="choose a topology of VC switches, or say which stack runs on it",
        )
    for index, host in enumerate(scenario.hosts.containers):
        yield from known(("hosts", "containers", index), "host", host, hosts)
    yield from twice(("hosts", "containers"), scenario.hosts.containers)
    yield from twice(("streams",), [s.name for s in scenario.streams], "name")
    for index, stream in enumerate(scenario.streams):
        yield from _stream_problems(("streams", index), stream, topology)
    yield from twice(("passes",), [p.name for p in scenario.passes], "name")
    for index, layout in enumerate(scenario.layouts):
        yield from _layout_problems(("layouts", index), layout, hosts)
    yield from _course_problems(scenario)
    yield from _pass_problems(scenario)
    yield from _observe_problems(scenario, topology)
    for index, claim in enumerate(scenario.claims):
        yield from known(("claims", index), "claim", claim, tuple(claim_ids))
    yield from twice(("claims",), scenario.claims)


def _stream_problems(
    loc: tuple[str | int, ...], stream: Stream, topology: Topology
) -> Iterator[Problem]:
    found = [
        *known((*loc, "from"), "host", stream.source, tuple(topology.hosts)),
        *known((*loc, "to"), "host", stream.to, tuple(topology.hosts)),
    ]
    for index, switch in enumerate(stream.via):
        found += known((*loc, "via", index), "switch", switch, tuple(topology.switches))
    if not found and stream.source == stream.to:
        found.append(Problem((*loc, "to"), f"stream {stream.name} ends where it begins"))
    yield from found
    if found:
        return
    try:
        route(topology, stream.source, stream.to, stream.via, random.Random(0))  # noqa: S311
    except LabError as error:
        yield Problem((*loc, "via"), error.message)


def _layout_problems(
    loc: tuple[str | int, ...], layout: Layout, hosts: tuple[str, ...]
) -> Iterator[Problem]:
    for key, names in (("from", layout.sources), ("to", layout.to)):
        for index, host in enumerate(names):
            yield from known((*loc, key, index), "host", host, hosts)
    if layout.kind == "permutation" and len(layout.to) < len(layout.sources):
        yield Problem((*loc, "to"), "a permutation needs as many destinations as sources")
    if len(set(layout.to)) < 2 and set(layout.to) <= set(layout.sources):
        yield Problem((*loc, "to"), "a source would be its own destination")


def _groups(scenario: Scenario) -> tuple[str, ...]:
    named = (*(s.group for s in scenario.streams), *(layout.group for layout in scenario.layouts))
    return tuple(dict.fromkeys(named))


def _course_problems(scenario: Scenario) -> Iterator[Problem]:
    groups = _groups(scenario)
    sweep = scenario.timeline.sweep
    if sweep is not None and sweep.group is not None:
        yield from known(("timeline", "sweep", "group"), "group of streams", sweep.group, groups)
    named = (*groups, *(s.name for s in scenario.all_streams))
    for index, step in enumerate(scenario.timeline.steps):
        for name in step.rates:
            yield from known(
                ("timeline", "steps", index, "rates", name), "group or stream", name, named
            )


def _pass_problems(scenario: Scenario) -> Iterator[Problem]:
    groups = _groups(scenario)
    for index, passing in enumerate(scenario.passes):
        for number, group in enumerate(passing.groups):
            yield from known(("passes", index, "groups", number), "group", group, groups)
        for key, build in (("fabric", scenario.fabric_of), ("adapter", scenario.adapter_of)):
            try:
                build(passing)
            except ValidationError as error:
                first = error.errors()[0]
                field = ".".join(str(part) for part in first["loc"])
                what = f"{field}: {first['msg']}" if field else str(first["msg"])
                yield Problem(("passes", index, key, *first["loc"][:1]), what)


def _observe_problems(scenario: Scenario, topology: Topology) -> Iterator[Problem]:
    observe = scenario.observe
    if observe is None:
        return
    found = list(known(("observe", "switch"), "switch", observe.switch, tuple(topology.switches)))
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


def known(
    loc: tuple[str | int, ...], kind: str, given: str, allowed: tuple[str, ...]
) -> Iterator[Problem]:
    """The problem that there is no such thing, if there is none."""
    if given not in allowed:
        yield Problem(loc, f"there is no {kind} {given!r}", allowed, given)


def twice(
    loc: tuple[str | int, ...], names: Sequence[str], field: str | None = None
) -> Iterator[Problem]:
    """The problem of every name that is given again."""
    for index, name in enumerate(names):
        first = names.index(name)
        if first != index:
            place = (*loc, index) if field is None else (*loc, index, field)
            yield Problem(place, f"{name!r} is given twice (first as number {first + 1})")
