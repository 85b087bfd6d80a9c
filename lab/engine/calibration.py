"""The dilations that were found on this machine, kept in ``results/calibration.json``.

An entry counts for one scenario on one machine, and only as long as the scenario's load is the
one that was tried: a change of its streams or of its fabric makes the entry stale, a longer
timeline or another seed does not.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from lab.engine.engines import EMULATION
from lab.errors import LabError
from lab.paths import RESULTS
from lab.results.files import read_json, write_json
from lab.results.manifest import host_facts
from lab.scenarios import Scenario, load_scenario

CALIBRATION_FILE = "calibration.json"
AUTO = "auto"
_LOAD = (
    *("topology", "hosts", "fabric", "adapter", "exact_timing"),
    *("workload", "streams", "layouts", "passes"),
)


@dataclass(frozen=True)
class Trial:
    """One trial: the dilation, what the certificate said, and how long it took."""

    dilation: float
    valid: bool
    why: str
    real_s: float


@dataclass(frozen=True)
class Calibration:
    """The smallest valid dilation of a scenario on this machine, and how it was found."""

    scenario: str
    dilation: float
    fingerprint: str
    trials: tuple[Trial, ...]
    when: str = ""


def machine() -> str:
    """This machine in words; another processor or number of cores is another machine."""
    facts = host_facts()
    return f"{facts['processor']}, {facts['cores']} cores"


def fingerprint(scenario: Scenario) -> str:
    """A digest of all that the load depends on."""
    plain: dict[str, Any] = scenario.plain()
    load = {key: plain[key] for key in _LOAD}
    load["course"] = {key: plain["timeline"][key] for key in ("sweep", "steps")}
    text = json.dumps(load, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def remember(found: Calibration, results: Path = RESULTS) -> None:
    """Note a calibration; it takes the place of an earlier one of the same scenario."""
    entries = _read(results)
    when = datetime.now(UTC).isoformat(timespec="seconds")
    entries.setdefault(machine(), {})[found.scenario] = {**asdict(found), "when": when}
    write_json(results / CALIBRATION_FILE, entries)


def recall(scenario: Scenario, results: Path = RESULTS) -> Calibration | None:
    """What was found for this scenario and load on this machine; None when nothing was."""
    entry = _read(results).get(machine(), {}).get(scenario.name)
    if entry is None:
        return None
    found = Calibration(**{**entry, "trials": tuple(Trial(**one) for one in entry["trials"])})
    return found if found.fingerprint == fingerprint(scenario) else None


def _read(results: Path) -> dict[str, dict[str, dict[str, Any]]]:
    path = results / CALIBRATION_FILE
    if not path.is_file():
        return {}
    data = read_json(path)
    if not isinstance(data, dict):
        raise LabError(f"{path} is not what `lab calibrate` writes", remedy="remove the file")
    return data


def warning(scenario: Scenario, results: Path = RESULTS) -> str:
    """A sentence when the scenario would run faster than this machine is known to follow."""
    found = recall(scenario, results)
    if found is None or scenario.dilation >= found.dilation:
        return ""
    return (
        f"dilation {scenario.dilation:g} is below {found.dilation:g}, the smallest that was valid "
        "on this machine: the run may be invalid (--dilation auto takes the calibrated one)"
    )


def about(scenario: Scenario, results: Path = RESULTS) -> str:
    """What is known of the scenario's dilation on this machine, in a sentence."""
    if EMULATION not in scenario.engines:
        return ""
    found = recall(scenario, results)
    if found is None:
        return f"not calibrated on this machine: `lab calibrate {scenario.name}`"
    relation = "valid here" if scenario.dilation >= found.dilation else "too small here"
    return (
        f"smallest valid dilation on this machine: {found.dilation:g}, found {found.when} by "
        f"{len(found.trials)} trials; dilation {scenario.dilation:g} is {relation}"
    )


def dilation_of(text: str | None, name: str, overrides: Mapping[str, str]) -> float | None:
    """The number that ``--dilation`` stands for; None leaves the scenario its own.

    Raises:
        LabError: neither a number nor ``auto``, or ``auto`` without a calibration.
    """
    if text is None:
        return None
    if text != AUTO:
        try:
            return float(text)
        except ValueError:
            raise LabError(
                f"--dilation {text!r} is neither a number nor {AUTO}", remedy="for example 200"
            ) from None
    found = recall(load_scenario(name, overrides))
    if found is None:
        raise LabError(
            f"the dilation of {name} is not calibrated on this machine, or its load has changed",
            remedy=f"lab calibrate {name}",
        )
    return found.dilation
