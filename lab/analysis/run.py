"""Analysing a run: certificate, measurements, verdicts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
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
from lab.analysis.certificate import Certificate, CheckResult
from lab.analysis.compare import Figure, figures
from lab.analysis.fidelity import certify
from lab.analysis.mscs import MEASURES as MSCS_MEASURES
from lab.analysis.observations import Observations
from lab.analysis.stacks.fidelity import certify_stack
from lab.analysis.stacks.figures import stack_figures
from lab.analysis.stacks.observations import StackObservations
from lab.claims.judge import Measurement, Verdict, judge
from lab.claims.registry import find_claim
from lab.results.files import write_json
from lab.results.manifest import Manifest, read_manifest
from lab.results.runs import point_latest
from lab.results.scorecard import write_scorecard
from lab.results.tables import STACK_SCHEMAS, read_tables
from lab.scenarios import is_of_stack
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
STACK_MEASURES = MSCS_MEASURES


def observe(run_dir: Path, manifest: Manifest | None = None) -> Observations:
    """Read the tables and scenario of a run on the fabric.

    Raises:
        LabError: it has no readable manifest, or is a run of a stack.
    """
    manifest = manifest or read_manifest(run_dir)
    return Observations(
        manifest.resolved_scenario(),
        read_tables(run_dir),
        _cores(manifest),
        _engine(manifest),
        manifest.digest,
    )


def observe_stack(run_dir: Path, manifest: Manifest | None = None) -> StackObservations:
    """Read the tables and scenario of a run of a stack.

    Raises:
        LabError: it has no readable manifest, or is a run on the fabric.
    """
    manifest = manifest or read_manifest(run_dir)
    return StackObservations(
        manifest.stack_scenario(),
        read_tables(run_dir, STACK_SCHEMAS),
        _cores(manifest),
        _engine(manifest),
        manifest.digest,
    )


def _cores(manifest: Manifest) -> int:
    return int(manifest.host.get("cores", "0")) or 1


def _engine(manifest: Manifest) -> Engine:
    return "simulation" if manifest.engine == "simulation" else "emulation"


def figures_of(run_dir: Path) -> dict[str, Figure]:
    """The figures of a run of either kind, by which it can be compared with another.

    Raises:
        LabError: it has no readable manifest, or a table is broken.
    """
    manifest = read_manifest(run_dir)
    if is_of_stack(manifest.parameters):
        return stack_figures(observe_stack(run_dir, manifest), STACK_MEASURES)
    return figures(observe(run_dir, manifest), MEASURES)


def analyse(run_dir: Path) -> tuple[Certificate, tuple[Verdict, ...]]:
    """Judge a collected run; writes fidelity.json and scorecard.json, and points ``latest`` to it.

    Raises:
        LabError: the run has no readable manifest, or a table is broken.
    """
    manifest = read_manifest(run_dir)
    certificate, measure = _instruments(run_dir, manifest)
    if manifest.exit is not None and not manifest.exit.ok:
        broken = CheckResult(
            "run-ended-well", None, "yes", ok=False, why=manifest.exit.message or "it broke off"
        )
        certificate = Certificate((broken, *certificate.checks))
    verdicts = judged(manifest.any_scenario().claims, measure, certificate)
    write_json(run_dir / FIDELITY, certificate.plain())
    write_scorecard(run_dir, verdicts)
    point_latest(run_dir)
    return certificate, verdicts


def _instruments(
    run_dir: Path, manifest: Manifest
) -> tuple[Certificate, Callable[[str], Measurement]]:
    """The certificate of a run of either kind, and what measures a claim in it."""
    if is_of_stack(manifest.parameters):
        of_stack = observe_stack(run_dir, manifest)
        return certify_stack(of_stack), lambda claim: STACK_MEASURES.measure(claim, of_stack)
    observations = observe(run_dir, manifest)
    return certify(observations), lambda claim: MEASURES.measure(claim, observations)


def judged(
    claims: Sequence[str], measure: Callable[[str], Measurement], certificate: Certificate
) -> tuple[Verdict, ...]:
    """The verdicts on claims."""
    return tuple(
        judge(
            find_claim(claim),
            measure(claim),
            certificate_valid=certificate.valid,
            certificate_why=certificate.why,
            observed_well=certificate.observed_well,
        )
        for claim in claims
    )


def verdicts_of(observations: Observations, certificate: Certificate) -> tuple[Verdict, ...]:
    """The verdict on every claim that the scenario of a run on the fabric names."""
    return judged(
        observations.scenario.claims,
        lambda claim: MEASURES.measure(claim, observations),
        certificate,
    )
