"""``lab run``: one scenario from its file to its scorecard."""

from pathlib import Path
from typing import Annotated, Any

import typer

from lab.cli.output import note, print_json
from lab.cli.reading import Json, Overrides
from lab.errors import LabError

EXIT_INVALID = 3


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command("run")(run)


def run(
    *,
    name: Annotated[str, typer.Argument(help="A scenario's name, or the path of a YAML file.")],
    overrides: Overrides = [],  # noqa: B006 - typer's way to say "may be repeated"
    seed: Annotated[int | None, typer.Option(help="Seed of routes and ties.")] = None,
    dilation: Annotated[
        str | None,
        typer.Option(
            help="Real seconds per virtual second of the network; auto: the smallest that `lab "
            "calibrate` found valid on this machine."
        ),
    ] = None,
    engine: Annotated[
        str | None,
        typer.Option(
            help="emulation: a real network of Open vSwitch and containers. simulation: the same "
            "model in virtual time; needs neither root nor a network. Without it, the first of "
            "the scenario's engines that this machine can run."
        ),
    ] = None,
    until_valid: Annotated[
        bool,
        typer.Option(
            "--until-valid",
            help="Repeat an emulation whose certificate is invalid with a larger dilation, three "
            "times at most.",
        ),
    ] = False,
    json_output: Json = False,
) -> None:
    """Run a scenario and judge what came out.

    Ends with the scorecard, the fidelity verdict and the path of the report. Exit code: 0 when
    the run is complete and its certificate valid, 3 when the certificate is invalid, 1 on an
    error, 130 after Ctrl-C. The lab is removed in every case.

    Example:

    \b
      lab run switch-port-contention
      lab run switch-port-contention --seed 2 --set timeline.measure_s=0.02
      lab run switch-port-contention --engine simulation
      lab run switch-port-contention --dilation auto --until-valid
    """
    from lab.cli.progress import show_progress
    from lab.engine.calibration import dilation_of
    from lab.engine.prepare import parse_overrides
    from lab.engine.supervise import Request, run_scenario
    from lab.engine.until_valid import run_until_valid

    number = dilation_of(dilation, name, parse_overrides(overrides))
    request = Request(name, tuple(overrides), seed, number, engine)
    with show_progress() as on_event:
        outcome = (run_until_valid if until_valid else run_scenario)(request, on_event, note)
    if outcome.interrupted_by:
        raise typer.Exit(128 + outcome.interrupted_by)
    documents = summary(outcome.run_dir)
    if json_output:
        print_json(documents)
    else:
        _print(outcome.run_dir, documents)
    if not outcome.valid:
        raise typer.Exit(EXIT_INVALID)


def _print(run_dir: Path, documents: dict[str, Any]) -> None:
    """The scorecard, the certificate, and the whole in a sentence with the report's path."""

    from lab.report.terminal import (
        render_claims_summary,
        render_fidelity,
        render_scorecard,
        summary_console,
    )

    console = summary_console()
    manifest, fidelity, scorecard = (
        documents[name] for name in ("manifest", "fidelity", "scorecard")
    )
    console.print(render_scorecard(scorecard))
    console.print(render_fidelity(fidelity))
    console.print(render_claims_summary(manifest, fidelity, scorecard, run_dir / "report.html"))
    if manifest.get("digest"):
        console.print(f"Digest: {manifest['digest']} (the same inputs give the same anywhere)")


def summary(run_dir: Path) -> dict[str, Any]:
    """A finished run for programs: where it is, its manifest, certificate and scorecard.

    Raises:
        LabError: one of them is missing.
    """
    import json

    documents = {"run_dir": str(run_dir), "report": str(run_dir / "report.html")}
    for name in ("manifest", "fidelity", "scorecard"):
        path = run_dir / f"{name}.json"
        if not path.is_file():
            raise LabError(f"run {run_dir.name} has no {name}", remedy=f"see {run_dir}")
        documents[name] = json.loads(path.read_text(encoding="utf-8"))
    return documents
