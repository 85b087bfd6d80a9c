"""From a scenario of a stack to its cases and what a runtime has to do in each. Pure.

A case's seed follows from the scenario's seed and from all that describes the case but its variant
and its parameters, so that variants are compared under the same draws.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from lab.scenarios.stack_model import (
    NODE_ITEM,
    PLAIN,
    Case,
    Medium,
    ParameterValue,
    StackScenario,
    Sweep,
    TimelineEntry,
)
from lab.stacks.plan import (
    Action,
    Ask,
    CasePlan,
    ClientPlan,
    Fault,
    LoadLevel,
    NetworkPlan,
    Seen,
)

Loc = tuple[str | int, ...]
MAX_CASES = 20_000
MAX_ACTIONS = 100_000


class PlanError(Exception):
    """A scenario from which no plan follows; names the place in the file."""

    def __init__(self, loc: Loc, what: str, allowed: Sequence[str] = (), given: str = "") -> None:
        super().__init__(what)
        self.loc, self.what, self.allowed, self.given = loc, what, tuple(allowed), given


@dataclass(frozen=True)
class PlannedCase:
    """A case as tables and figures know it, and the plan that runtimes carry out."""

    name: str
    nodes: int
    """Of the stack; the plan counts clients, too."""
    plan: CasePlan
    load: LoadLevel = "idle"
    network_load: LoadLevel = "idle"
    medium: Medium = "switch"
    variant: str = PLAIN
    parameters: Mapping[str, ParameterValue] = field(default_factory=dict)
    repetition: int = 1
    sweep: str = ""
    """The name of the sweep that it belongs to, if that has one."""


@dataclass(frozen=True)
class _Wanted:
    """A case before it is planned: a written one, or one point of a sweep."""

    loc: Loc
    settings: Sweep | Case
    case: Case
    repetition: int = 1

    @property
    def name(self) -> str:
        """Unique among the cases."""
        return self.case.name + (f"-r{self.repetition}" if self.case.repetitions > 1 else "")

    @property
    def sweep(self) -> str:
        """The name of the sweep, empty when it is none or has none."""
        return (self.settings.name or "") if isinstance(self.settings, Sweep) else ""


def planned_cases(scenario: StackScenario) -> tuple[PlannedCase, ...]:
    """All cases of a scenario, in the order of the file: sweeps, then those written out.

    Raises:
        PlanError: a reference, a node or a variant does not exist, or a case is given twice.
    """
    found: dict[str, PlannedCase] = {}
    for wanted in _wanted(scenario):
        planned = _planned(scenario, wanted)
        if planned.name in found:
            raise PlanError(wanted.loc, f"case {planned.name!r} is given twice")
        if len(found) == MAX_CASES:
            raise PlanError(wanted.loc, f"more than {MAX_CASES} cases")
        found[planned.name] = planned
    return tuple(found.values())


def virtual_s(scenario: StackScenario) -> float:
    """The most virtual seconds that all cases take together."""
    return sum(planned.plan.over_s for planned in planned_cases(scenario))


def most_nodes(scenario: StackScenario) -> int:
    """The nodes of the largest case, its clients among them."""
    return max(planned.plan.nodes for planned in planned_cases(scenario))


# --- which cases ----------------------------------------------------------------------------


def _wanted(scenario: StackScenario) -> Iterator[_Wanted]:
    for number, sweep in enumerate(scenario.sweeps):
        for case in _points(sweep):
            yield from _repeated(_Wanted(("sweeps", number), sweep, case))
    for number, case in enumerate(scenario.cases):
        yield from _repeated(_Wanted(("cases", number), case, case))


def _repeated(wanted: _Wanted) -> Iterator[_Wanted]:
    return (replace(wanted, repetition=k + 1) for k in range(wanted.case.repetitions))


def _points(sweep: Sweep) -> Iterator[Case]:
    """The combinations of a sweep, the last named value varying fastest."""
    products = [
        dict(zip(sweep.parameters, values, strict=True))
        for values in itertools.product(*sweep.parameters.values())
    ]
    for nodes, load, network_load, medium, variant, parameters in itertools.product(
        sweep.nodes, sweep.load, sweep.network_load, sweep.medium, sweep.variant, products
    ):
        words = [
            sweep.name or "",
            f"n{nodes}",
            load if load != "idle" else "",
            f"net-{network_load}" if network_load != "idle" else "",
            medium if medium != "switch" else "",
            variant if variant != PLAIN else "",
            *(f"{key}{_word(value)}" for key, value in parameters.items()),
        ]
        yield Case.model_construct(
            name="-".join(word for word in words if word),
            nodes=nodes,
            load=load,
            network_load=network_load,
            medium=medium,
            variant=variant,
            parameters=parameters,
            options={},
            repetitions=sweep.repetitions,
        )


def _word(value: ParameterValue) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _seed(scenario: StackScenario, wanted: _Wanted) -> int:
    case = wanted.case
    what = (case.nodes, case.load, case.network_load, case.medium, wanted.repetition)
    text = " ".join(str(part) for part in (scenario.seed, *what))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big") >> 1


# --- what happens in a case -----------------------------------------------------------------


def _planned(scenario: StackScenario, wanted: _Wanted) -> PlannedCase:
    case = wanted.case
    parameters = {"nodes": case.nodes, **case.parameters}
    scope = _Scope(wanted.loc, case.nodes, parameters, clients=len(scenario.clients))
    over_s = _setting(scenario, wanted, "over_s")
    if over_s is None:
        raise PlanError(wanted.loc, f"case {wanted.name}: over_s is given nowhere")
    plan = CasePlan(
        name=wanted.name,
        stack=scenario.stack,
        nodes=case.nodes + len(scenario.clients),
        over_s=float(over_s),
        options=_options(scenario, wanted, scope),
        networks=tuple(
            NetworkPlan(case.medium, network.rate_bytes_per_s, network.delay_s)
            for network in scenario.networks
        ),
        actions=_actions(scenario, wanted, scope, float(over_s)),
        seed=_seed(scenario, wanted),
        dilation=scenario.dilation,
        settle_s=_setting(scenario, wanted, "settle_s"),
        clients=tuple(
            ClientPlan(client.address, client.port, client.every_s, client.timeout_s)
            for client in scenario.clients
        ),
    )
    return PlannedCase(
        name=wanted.name,
        nodes=case.nodes,
        plan=plan,
        load=case.load,
        network_load=case.network_load,
        medium=case.medium,
        variant=case.variant,
        parameters=case.parameters,
        repetition=wanted.repetition,
        sweep=wanted.sweep,
    )


def _setting(scenario: StackScenario, wanted: _Wanted, key: str) -> Any:
    own = getattr(wanted.settings, key)
    return getattr(scenario, key) if own is None else own


def _setting_loc(wanted: _Wanted, key: str) -> Loc:
    return (*wanted.loc, key) if getattr(wanted.settings, key) is not None else (key,)


def _options(scenario: StackScenario, wanted: _Wanted, scope: _Scope) -> dict[str, Any]:
    """Options of the stack: the scenario's, the variant's, the case's; the last one counts."""
    case = wanted.case
    options: dict[str, Any] = {"nodes": case.nodes}
    members = _setting(scenario, wanted, "members")
    if members is not None:
        options["members"] = list(scope.node_set(members, _setting_loc(wanted, "members")))
    options |= scope.filled(scenario.options, ("options",))
    if case.variant != PLAIN:
        names = [variant.name for variant in scenario.variants]
        if case.variant not in names:
            allowed = (PLAIN, *names)
            what = f"there is no variant {case.variant!r}"
            raise PlanError((*wanted.loc, "variant"), what, allowed, case.variant)
        number = names.index(case.variant)
        loc: Loc = ("variants", number, "options")
        options |= scope.filled(scenario.variants[number].options, loc)
    return options | scope.filled(case.options, (*wanted.loc, "options"))


def _actions(
    scenario: StackScenario, wanted: _Wanted, scope: _Scope, over_s: float
) -> tuple[Action, ...]:
    case = wanted.case
    timeline: Sequence[TimelineEntry] = _setting(scenario, wanted, "timeline") or ()
    base = _setting_loc(wanted, "timeline")
    loads_s = _setting(scenario, wanted, "load_from_s") or 0.0
    found: list[Action] = []
    if case.load != "idle":
        loaded = tuple(range(1, case.nodes + 1)) if scenario.clients else ()
        found.append(Action(loads_s, Fault("cpu-load", loaded, level=case.load)))
    if case.network_load != "idle":
        found.append(Action(loads_s, Fault("network-load", level=case.network_load)))
    driven: list[Action] = []
    for number, entry in enumerate(timeline):
        loc = (*base, number)
        if entry.network is not None and entry.network >= len(scenario.networks):
            known = tuple(str(index) for index in range(len(scenario.networks)))
            what = f"there is no network {entry.network}"
            raise PlanError((*loc, "network"), what, known, str(entry.network))
        driven += _of_entry(entry, scope.at(loc), over_s)
        if len(driven) > MAX_ACTIONS:
            raise PlanError(loc, f"more than {MAX_ACTIONS} actions")
    late = _setting(scenario, wanted, "late")
    first = () if late is None else scope.node_set(late, _setting_loc(wanted, "late"))
    return (*found, *_starts(case.nodes, first, driven, _setting_loc(wanted, "late")), *driven)


def _starts(
    nodes: int, late: Sequence[int], driven: Sequence[Action], loc: Loc
) -> tuple[Action, ...]:
    """Starts at 0 that a plan must name: those of nodes which the timeline starts once more."""
    again: set[int] = set()
    for action in driven:
        if isinstance(action.does, Fault) and action.does.fault == "restart":
            again.update(action.does.nodes or range(1, nodes + 1))
    never = [node for node in late if node not in again]
    if never:
        raise PlanError(loc, f"node {never[0]} is late, but no restart of the timeline starts it")
    now = tuple(node for node in range(1, nodes + 1) if node in again and node not in late)
    return (Action(0.0, Fault("restart", now)),) if now else ()


def _of_entry(entry: TimelineEntry, scope: _Scope, over_s: float) -> list[Action]:
    at_s = scope.number(entry.at_s, "at_s")
    nodes = scope.node_set(entry.nodes, (*scope.loc, "nodes"))
    peers = scope.node_set(entry.peers or [], (*scope.loc, "peers"))
    if not nodes or (entry.peers is not None and not peers):
        return []  # as 2..-1 in a case of one node; in a plan, none named would mean all
    if entry.one_by_one is not None:
        return _one_by_one(entry, scope, at_s, nodes)
    everybody = len(nodes) == scope.nodes and not scope.clients
    does = _does(entry, scope, () if everybody else nodes)
    if entry.every_s is None:
        return [Action(at_s, does)]
    every_s = scope.number(entry.every_s, "every_s")
    until_s = over_s if entry.until_s is None else scope.number(entry.until_s, "until_s")
    if every_s <= 0:
        raise PlanError((*scope.loc, "every_s"), "a series needs a time above 0 between its parts")
    count = max(0, int((until_s - at_s) / every_s + 1e-9) + 1)
    if count > MAX_ACTIONS:
        raise PlanError((*scope.loc, "every_s"), f"more than {MAX_ACTIONS} actions")
    return [Action(at_s + index * every_s, does) for index in range(count)]


def _one_by_one(
    entry: TimelineEntry, scope: _Scope, at_s: float, nodes: Sequence[int]
) -> list[Action]:
    series = entry.one_by_one
    if series is None:
        return []
    times = int(scope.number(entry.times, "times"))
    then_s = scope.at((*scope.loc, "one_by_one")).number(series.then_s, "then_s")
    order = list(nodes) * times
    found = [Action(at_s, _does(entry, scope, order[:1]))]
    for former, node in itertools.pairwise(order):
        seen = Seen(series.kind, series.phase, (former,), float(series.at_most_s))
        found.append(Action(then_s, _does(entry, scope, (node,)), after=seen))
    return found


def _does(entry: TimelineEntry, scope: _Scope, nodes: Sequence[int]) -> Fault | Ask:
    if entry.fault is None:
        arguments = scope.filled(entry.arguments, (*scope.loc, "arguments"))
        return Ask(entry.ask or "", tuple(nodes), arguments)
    peers = () if entry.peers is None else scope.node_set(entry.peers, (*scope.loc, "peers"))
    value = 0.0 if entry.value is None else scope.number(entry.value, "value")
    return Fault(entry.fault, tuple(nodes), peers, entry.network, value, entry.level or "idle")


# --- parameters and nodes -------------------------------------------------------------------


@dataclass(frozen=True)
class _Scope:
    """What names stand for in a case, at a place of the file."""

    loc: Loc
    nodes: int
    parameters: Mapping[str, ParameterValue]
    clients: int = 0

    def at(self, loc: Loc) -> _Scope:
        """The same at another place."""
        return replace(self, loc=loc)

    def value(self, name: str, loc: Loc) -> ParameterValue:
        """What ``$name`` stands for."""
        key = name.removeprefix("$")
        if key not in self.parameters:
            raise PlanError(loc, f"there is no parameter {key!r}", tuple(self.parameters), key)
        return self.parameters[key]

    def number(self, given: float | str, key: str) -> float:
        """A number, or what a reference stands for if that is one."""
        loc = (*self.loc, key)
        value = self.value(given, loc) if isinstance(given, str) else given
        if isinstance(value, str):
            raise PlanError(loc, f"{given} is {value!r} here, which is no number")
        return float(value)

    def filled(self, given: Mapping[str, object], loc: Loc) -> dict[str, Any]:
        """Plain data with all references replaced."""
        return {key: self._filled(value, (*loc, key)) for key, value in given.items()}

    def _filled(self, given: object, loc: Loc) -> object:
        if isinstance(given, str) and given.startswith("$"):
            return self.value(given, loc)
        if isinstance(given, Mapping):
            return self.filled(given, loc)
        if isinstance(given, list):
            return [self._filled(item, (*loc, index)) for index, item in enumerate(given)]
        return given

    def node_set(self, items: Sequence[str], loc: Loc) -> tuple[int, ...]:
        """The nodes of a set, in its order, each once."""
        found: list[int] = []
        for index, item in enumerate(items):
            first, last = self._ends(item, (*loc, index))
            empty = last == first - 1  # as 2..-1 is with a single node
            if not empty and not 1 <= first <= last <= self.nodes:
                what = f"{item} is not among the {self.nodes} nodes of the case"
                raise PlanError((*loc, index), what)
            found += range(first, last + 1)
        return tuple(dict.fromkeys(found))

    def _ends(self, item: str, loc: Loc) -> tuple[int, int]:
        """First and last node of an item, counted from 1."""
        match = NODE_ITEM.match(item)
        if match is None:
            raise PlanError(loc, f"{item!r} is neither a node nor a range of nodes")
        first = self._node(match[1], loc)
        return first, first if match[2] is None else self._node(match[2], loc)

    def _node(self, text: str, loc: Loc) -> int:
        value = self.value(text, loc) if text.startswith("$") else int(text)
        if not isinstance(value, int):
            raise PlanError(loc, f"{text} is {value!r} here, which is no node")
        return value if value > 0 else self.nodes + 1 + value
