"""Analysing a run: certificate, measurements, verdicts."""

from __future__ import annotations

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
from lab.analysis.observations import Observations
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
