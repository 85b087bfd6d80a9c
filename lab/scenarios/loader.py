"""Reading scenario files: schema, then what only the rest of the project can judge.

A file with a key ``stack`` is an experiment on a protocol stack, any other one on the fabric. Every
complaint is a ``LabError`` that names file, line and field and lists what is allowed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from lab.claims.registry import load_registry
from lab.errors import LabError
from lab.located_yaml import Document, allowed_text, apply_options, read, validate
from lab.paths import PLAYBOOKS, SCENARIOS, TOPOLOGIES, shown
from lab.scenarios.cases import PlanError, virtual_s
from lab.scenarios.check import Problem, first_problem
from lab.scenarios.model import Engine, Scenario
from lab.scenarios.plan import real_s
from lab.scenarios.stack_check import first_stack_problem
from lab.scenarios.stack_model import StackScenario
from lab.topology import load_topology

REGISTRY_FILE = "claims.yaml"
AnyScenario = Scenario | StackScenario


@dataclass(frozen=True)
class ScenarioEntry:
    """One line of ``lab list``; ``real_s`` is what driving a whole emulation takes."""

    name: str
    stack: str | None
    """The protocol stack it is about; None: the fabric."""
    title: str
    source: str
    engines: tuple[str, ...]
    claims: int
    real_s: float
    path: Path


def scenario_path(name: str, folder: Path = SCENARIOS) -> Path:
    """The file of a scenario given by name, or by the path of a YAML file.

    Raises:
        LabError: when there is none; lists the names that there are.
    """
    as_path = Path(name)
    if as_path.suffix in (".yaml", ".yml"):
        if as_path.is_file():
            return as_path
        raise LabError(f"there is no scenario file {name}")
    path = folder / f"{name}.yaml"
    names = scenario_names(folder)
    if name not in names:
        raise LabError(f"there is no scenario {name!r}", remedy=allowed_text(names, name))
    return path


def load_any(
    name: str,
    overrides: Mapping[str, str] | None = None,
    *,
    engine: str | None = None,
    folder: Path = SCENARIOS,
) -> AnyScenario:
    """Read, override and check one scenario.

    Args:
        name: a scenario's name, or the path of a YAML file.
        overrides: dotted path -> YAML text, as given by ``--set``.
        engine: what the file says for that engine applies; overrides come last.
        folder: where named scenarios and the claims registry are.

    Raises:
        LabError: naming file, line and field (or the option) of the first thing that is wrong.
    """
    document = read(scenario_path(name, folder))
    if not isinstance(document.data, dict):
        raise document.error((), "a scenario file is a mapping of keys")
    if engine is not None and isinstance(document.data.get(engine), dict):
        _merge(document.data, document.data[engine])
    _not_for_an_engine(overrides or {})
    apply_options(document, overrides or {})
    if is_of_stack(document.data):
        of_stack = validate(StackScenario, document)
        _check(of_stack, document)
        return of_stack
    scenario = validate(Scenario, document)
    _check(scenario, document)
    return scenario


def load_scenario(
    name: str,
    overrides: Mapping[str, str] | None = None,
    *,
    engine: str | None = None,
    folder: Path = SCENARIOS,
) -> Scenario:
    """Read a scenario as :func:`load_any` does, if it is one of the fabric.

    Raises:
        LabError: it is none, or something is wrong with it.
    """
    scenario = load_any(name, overrides, engine=engine, folder=folder)
    if isinstance(scenario, StackScenario):
        raise LabError(
            f"{scenario.name} is an experiment on the stack {scenario.stack}, not on the fabric"
        )
    return scenario


def is_of_stack(data: Mapping[str, Any]) -> bool:
    """Whether plain data of a scenario is that of an experiment on a stack."""
    return "stack" in data


def _not_for_an_engine(overrides: Mapping[str, str]) -> None:
    """What a file says for an engine has been taken over; to set it there would change nothing."""
    for path, value in overrides.items():
        engine, _, rest = path.partition(".")
        if engine in get_args(Engine):
            raise LabError(
                f"option --set {path}={value}: options apply to the engine that runs",
                remedy=f"say --set {rest or 'PATH'}={value} --engine {engine}",
            )


def _merge(into: dict[str, Any], other: Mapping[str, Any]) -> None:
    for key, value in other.items():
        if isinstance(value, dict) and isinstance(into.get(key), dict):
            _merge(into[key], value)
        else:
            into[key] = value


def list_scenarios(folder: Path = SCENARIOS) -> list[ScenarioEntry]:
    """All scenarios of the folder by name; reads the schema only, not topology or registry."""
    return [_entry(folder / f"{name}.yaml") for name in scenario_names(folder)]


def _entry(path: Path) -> ScenarioEntry:
    document = read(path)
    scenario: AnyScenario
    if isinstance(document.data, dict) and is_of_stack(document.data):
        _merge(document.data, document.data.get("emulation") or {})
        scenario = validate(StackScenario, document)
        took_s = _cases_s(scenario, document)
    else:
        scenario = validate(Scenario, document)
        took_s = real_s(scenario)
    return ScenarioEntry(
        name=scenario.name,
        stack=scenario.stack if isinstance(scenario, StackScenario) else None,
        title=scenario.title,
        source=scenario.source,
        engines=tuple(scenario.engines),
        claims=len(scenario.claims),
        real_s=took_s,
        path=path,
    )


def _cases_s(scenario: StackScenario, document: Document) -> float:
    try:
        return virtual_s(scenario) * scenario.dilation
    except PlanError as error:
        raise document.error(
            error.loc, error.what, allowed=error.allowed, given=error.given
        ) from None


def scenario_names(folder: Path = SCENARIOS) -> list[str]:
    """The names of all scenarios of the folder, without reading them."""
    return sorted(p.stem for p in folder.glob("*.yaml") if p.name != REGISTRY_FILE)


def _check(scenario: AnyScenario, document: Document) -> None:
    if scenario.name != document.path.stem:
        raise document.error(("name",), f"the file is called {document.path.name}")
    topologies = sorted(p.stem for p in TOPOLOGIES.glob("*.py") if not p.stem.startswith("_"))
    if scenario.topology not in topologies:
        raise document.error(
            ("topology",),
            f"there is no topology {scenario.topology!r}",
            allowed=topologies,
            given=scenario.topology,
        )
    playbook = PLAYBOOKS / scenario.playbook
    if playbook.name != scenario.playbook or not playbook.is_file():
        raise document.error(
            ("playbook",),
            f"there is no {scenario.playbook!r} in {shown(PLAYBOOKS)}",
            allowed=sorted(p.name for p in PLAYBOOKS.glob("*.yml")),
            given=scenario.playbook,
        )
    problem = _problem(scenario)
    if problem is not None:
        raise document.error(
            problem.loc,
            problem.what,
            allowed=problem.allowed,
            given=problem.given,
            remedy=problem.remedy,
        )


def _problem(scenario: AnyScenario) -> Problem | None:
    claims = [claim.id for claim in load_registry()]
    if isinstance(scenario, StackScenario):
        return first_stack_problem(scenario, claims)
    return first_problem(scenario, load_topology(scenario.topology), claims)
