"""Reading scenario files: schema, then what only the rest of the project can judge.

Every complaint is a ``LabError`` that names file, line and field and lists what is allowed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lab.claims.registry import load_registry
from lab.errors import LabError
from lab.located_yaml import Document, allowed_text, apply_options, read, validate
from lab.paths import PLAYBOOKS, SCENARIOS, TOPOLOGIES, shown
from lab.scenarios.check import first_problem
from lab.scenarios.model import Scenario
from lab.scenarios.plan import real_s
from lab.topology import load_topology

REGISTRY_FILE = "claims.yaml"


@dataclass(frozen=True)
class ScenarioEntry:
    """One line of ``lab list``; ``real_s`` is what driving all passes of an emulation takes."""

    name: str
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
    names = _names(folder)
    if name not in names:
        raise LabError(f"there is no scenario {name!r}", remedy=allowed_text(names, name))
    return path


def load_scenario(
    name: str,
    overrides: Mapping[str, str] | None = None,
    *,
    engine: str | None = None,
    folder: Path = SCENARIOS,
) -> Scenario:
    """Read, override and check one scenario.

    Args:
        name: a scenario's name, or the path of a YAML file.
        overrides: dotted path -> YAML text, as given by ``--set``.
        engine: on ``simulation`` what the file says for that engine applies; overrides come last.
        folder: where named scenarios and the claims registry are.

    Raises:
        LabError: naming file, line and field (or the option) of the first thing that is wrong.
    """
    document = read(scenario_path(name, folder))
    if not isinstance(document.data, dict):
        raise document.error((), "a scenario file is a mapping of keys")
    if engine == "simulation" and isinstance(document.data.get("simulation"), dict):
        _merge(document.data, document.data["simulation"])
    apply_options(document, overrides or {})
    scenario = validate(Scenario, document)
    _check(scenario, document)
    return scenario


def _merge(into: dict[str, Any], other: Mapping[str, Any]) -> None:
    for key, value in other.items():
        if isinstance(value, dict) and isinstance(into.get(key), dict):
            _merge(into[key], value)
        else:
            into[key] = value


def list_scenarios(folder: Path = SCENARIOS) -> list[ScenarioEntry]:
    """All scenarios of the folder by name; reads the schema only, not topology or registry."""
    entries = []
    for name in _names(folder):
        path = folder / f"{name}.yaml"
        document = read(path)
        scenario = validate(Scenario, document)
        entries.append(
            ScenarioEntry(
                name=scenario.name,
                title=scenario.title,
                source=scenario.source,
                engines=tuple(scenario.engines),
                claims=len(scenario.claims),
                real_s=real_s(scenario),
                path=path,
            )
        )
    return entries


def _names(folder: Path) -> list[str]:
    return sorted(p.stem for p in folder.glob("*.yaml") if p.name != REGISTRY_FILE)


def _check(scenario: Scenario, document: Document) -> None:
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
    problem = first_problem(
        scenario, load_topology(scenario.topology), [claim.id for claim in load_registry()]
    )
    if problem is not None:
        raise document.error(
            problem.loc, problem.what, allowed=problem.allowed, given=problem.given
        )
