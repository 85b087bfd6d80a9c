"""Analysing a run: certificate, measurements, verdicts, and how runs compare."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from lab.analysis import (
    baseline,
    flow_control,
    front_to_back,
    general,
    multistage,
    saturation,
    slow_host,
    unet,
)
from lab.analysis.fidelity import Certificate, CheckResult, certify
from lab.analysis.observations import LINK, QUENCH, MissingDataError, Observations
from lab.analysis.saturation import hot_port_total, plateau, plateau_mean, step_totals
from lab.claims.judge import Verdict, judge
from lab.claims.registry import find_claim
from lab.results.files import write_json
from lab.results.manifest import Manifest, read_manifest
from lab.results.runs import point_latest
from lab.results.scorecard import write_scorecard
from lab.results.tables import read_tables
from lab.scenarios.model import Engine

FIDELITY = "fidelity.json"
MEASURES = general.MEASURES.merged(
    saturation.MEASURES,
    flow_control.MEASURES,
    baseline.MEASURES,
    front_to_back.MEASURES,
    slow_host.MEASURES,
    multistage.MEASURES,
    unet.MEASURES,
)


def observe(run_dir: Path, manifest: Manifest | None = None) -> Observations:
    """Read a run's tables and scenario; ``LabError`` when it has no readable manifest."""
    manifest = manifest or read_manifest(run_dir)
    cores = int(manifest.host.get("cores", "0")) or 1
    engine: Engine = "simulation" if manifest.engine == "simulation" else "emulation"
    return Observations(
        manifest.resolved_scenario(), read_tables(run_dir), cores, engine, manifest.digest
    )


def analyse(run_dir: Path) -> tuple[Certificate, tuple[Verdict, ...]]:
    """Judge a collected run; writes fidelity.json and scorecard.json, and points ``latest`` to it.

    Raises:
        LabError: the run has no readable manifest, or a table is broken.
    """
    manifest = read_manifest(run_dir)
    observations = observe(run_dir, manifest)
    certificate = certify(observations)
    if manifest.exit is not None and not manifest.exit.ok:
        broken = CheckResult(
            "run-ended-well", None, "yes", ok=False, why=manifest.exit.message or "it broke off"
        )
        certificate = Certificate((broken, *certificate.checks))
    verdicts = verdicts_of(observations, certificate)
    write_json(run_dir / FIDELITY, certificate.plain())
    write_scorecard(run_dir, verdicts)
    point_latest(run_dir)
    return certificate, verdicts


def verdicts_of(observations: Observations, certificate: Certificate) -> tuple[Verdict, ...]:
    """The verdict on every claim that the scenario names."""
    return tuple(
        judge(
            find_claim(claim),
            MEASURES.measure(claim, observations),
            certificate_valid=certificate.valid,
            certificate_why=certificate.why,
        )
        for claim in observations.scenario.claims
    )


@dataclass(frozen=True)
class Agreement:
    """One figure in several runs; ``spread`` is (largest - smallest) / mean."""

    figure: str
    values: tuple[float, ...]
    spread: float


def figures(observations: Observations) -> dict[str, float]:
    """The figures by which runs are compared, MByte/s; those that cannot be had are left out."""
    found = {}
    for mode, word in ((QUENCH, "on"), (LINK, "off")):
        for what, compute in _FIGURES.items():
            with suppress(MissingDataError):
                found[f"{what}, quench {word}"] = compute(observations, mode)
    return found


# Background streams undisturbed, and everything on the plateau.
_FIGURES: dict[str, Callable[[Observations, str], float]] = {
    "background alone": lambda run, mode: float(run.undisturbed(mode).mean()),
    "background": lambda run, mode: plateau_mean(run, mode, run.steady),
    "congestion": lambda run, mode: plateau_mean(run, mode, run.swept),
    "contended port": hot_port_total,
    "total": lambda run, mode: float(step_totals(plateau(run, mode, None)).mean()),
}


def compare_runs(runs: Sequence[Path]) -> tuple[Agreement, ...]:
    """How far runs of one scenario agree, figure by figure; largest disagreement first."""
    each = [figures(observe(run)) for run in runs]
    agreements = []
    for name in each[0] if each else ():
        if not all(name in one for one in each):
            continue
        values = tuple(one[name] for one in each)
        mean = sum(values) / len(values)
        spread = (max(values) - min(values)) / mean if mean else 0.0
        agreements.append(Agreement(name, values, spread))
    return tuple(sorted(agreements, key=lambda a: -a.spread))
