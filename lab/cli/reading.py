"""Commands that only read: scenarios, claims, verdicts, reports, the machine's fitness."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lab.cli.output import note, print_json, print_table
from lab.errors import LabError

if TYPE_CHECKING:
    from lab.scenarios import AnyScenario

Json = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
Overrides = Annotated[
    list[str],
    typer.Option("--set", metavar="PATH=VALUE", help="Override a value of the scenario file."),
]


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command("list")(list_command)
    app.command("show")(show)
    app.command("doctor")(doctor)
    app.command("report")(report)
    app.command("scorecard")(scorecard)
    app.command("claims")(claims)


def list_command(json_output: Json = False) -> None:
    """List the scenarios that can be run.

    Example:

    \b
      lab list
      lab list --json
    """
    from lab.scenarios import list_scenarios

    entries = list_scenarios()
    if json_output:
        print_json(
            [
                {
                    "name": entry.name,
                    "title": entry.title,
                    "source": entry.source,
                    "stack": entry.stack,
                    "engines": list(entry.engines),
                    "claims": entry.claims,
                    "real_s": round(entry.real_s, 1),
                    "path": str(entry.path),
                }
                for entry in entries
            ]
        )
        return
    print_table(
        ("name", "title", "source", "about", "engines", "claims"),
        [
            (e.name, e.title, e.source, e.stack or "fabric", "+".join(e.engines), e.claims)
            for e in entries
        ],
    )


def show(
    name: Annotated[str, typer.Argument(help="A scenario's name, or the path of a YAML file.")],
    overrides: Overrides = [],  # noqa: B006 - typer's way to say "may be repeated"
    engine: Annotated[
        str | None, typer.Option(help="As it would run there: emulation or simulation.")
    ] = None,
    json_output: Json = False,
) -> None:
    """Show a scenario as it would run, defaults included.

    Example:

    \b
      lab show switch-port-contention
      lab show switch-port-contention --set timeline.measure_s=0.02 --json
      lab show mscs-heartbeat --engine emulation
    """
    from lab.engine.prepare import parse_overrides, resolve

    scenario, chosen = resolve(name, parse_overrides(overrides), engine=engine)
    if json_output:
        print_json(scenario.plain())
        return
    import yaml

    typer.echo(yaml.safe_dump(scenario.plain(), sort_keys=False, allow_unicode=True), nl=False)
    for sentence in _about(scenario, chosen):
        note(sentence)


def _about(scenario: "AnyScenario", engine: str) -> list[str]:
    """How long a scenario takes, and what is known of it on this machine."""
    from lab.engine.calibration import about
    from lab.engine.engines import SIMULATION
    from lab.scenarios import StackScenario
    from lab.scenarios.cases import planned_cases, virtual_s
    from lab.scenarios.plan import pass_s, real_s

    if isinstance(scenario, StackScenario):
        length_s, cases = virtual_s(scenario), len(planned_cases(scenario))
        told = f"{cases} cases of at most {length_s:.0f} virtual s in all"
        took_s = length_s * scenario.dilation
        where = "" if engine == SIMULATION else f", {took_s:.0f} s in containers"
        return [f"{told} on engine {engine}{where}"]
    if engine == SIMULATION:
        passes = len(scenario.passes)
        return [f"{passes} passes of {pass_s(scenario):g} virtual s on engine {engine}"]
    took = f"takes about {real_s(scenario):.0f} s of driving at dilation {scenario.dilation:g}"
    return [sentence for sentence in (took, about(scenario)) if sentence]


def doctor(json_output: Json = False) -> None:
    """Check what this machine can do.

    Names the remedy for each thing that is missing; exit code 1 when something is.

    Example:

    \b
      lab doctor
      lab doctor --json
    """
    from lab.doctor import render, run_checks, to_json

    checks = run_checks()
    typer.echo(to_json(checks) if json_output else render(checks))
    if not all(check.ok for check in checks):
        raise typer.Exit(1)


def _find_run(name: str | None) -> Path:
    """The named run, or the newest one of all."""
    from lab.results.runs import find_run, list_runs

    if name is not None:
        return find_run(name)
    runs = list_runs()
    if not runs:
        raise LabError(
            "there is no run yet", remedy="start one with `lab run NAME`; see `lab list`"
        )
    return runs[-1]


def _newest_verdicts() -> list[dict[str, Any]]:
    """The newest verdict of every claim that was ever tested on this machine."""
    import json

    from lab.paths import RESULTS

    path = RESULTS / "scorecard.json"
    if not path.is_file():
        return []
    rows: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))["claims"]
    return rows


def report(
    run: Annotated[
        str | None,
        typer.Argument(help="A run's directory, SCENARIO/RUN, or SCENARIO for its latest run."),
    ] = None,
    json_output: Json = False,
) -> None:
    """Build the report of a run again.

    Takes the newest run of all when none is named.

    Example:

    \b
      lab report
      lab report switch-port-contention
      lab report results/switch-port-contention/20261121-093000-seed1
    """
    from lab.report.page import write_report

    path = write_report(_find_run(run))
    if json_output:
        print_json({"report": str(path)})
    else:
        typer.echo(str(path))


def scorecard(
    run: Annotated[
        str | None,
        typer.Argument(help="A run as for `lab report`; `all` for the newest verdict per claim."),
    ] = None,
    json_output: Json = False,
) -> None:
    """Show how the claims fared in a run or in all.

    Example:

    \b
      lab scorecard
      lab scorecard switch-port-contention --json
      lab scorecard all
    """
    import json

    if run == "all":
        rows = [row for row in _newest_verdicts() if row["run"] is not None]
    else:
        path = _find_run(run) / "scorecard.json"
        if not path.is_file():
            raise LabError(f"{path.parent} has no scorecard", remedy="its run did not complete")
        rows = json.loads(path.read_text(encoding="utf-8"))
    if json_output:
        print_json(rows)
        return

    from lab.report.terminal import render_scorecard, summary_console

    summary_console().print(render_scorecard(rows))


def claims(
    system: Annotated[
        str | None, typer.Option(help="Only this system's claims: fabric, unet, isis, ...")
    ] = None,
    verdict: Annotated[
        str | None,
        typer.Option(help="Only claims with this newest verdict, such as deviates or untested."),
    ] = None,
    json_output: Json = False,
) -> None:
    """List the claims of the documents.

    Each is one testable statement, shown with its newest verdict.

    Example:

    \b
      lab claims
      lab claims --system fabric --verdict deviates
    """
    from lab.claims import SYSTEMS, load_registry
    from lab.results.scorecard import NOT_TESTED, VERDICTS

    if system is not None and system not in SYSTEMS:
        raise LabError(
            f"there is no system {system!r}", remedy=f"choose one of {', '.join(SYSTEMS)}"
        )
    if verdict is not None and verdict not in VERDICTS:
        raise LabError(
            f"there is no verdict {verdict!r}", remedy=f"choose one of {', '.join(VERDICTS)}"
        )
    verdicts = {str(row["claim"]): str(row["verdict"]) for row in _newest_verdicts()}
    rows = [
        {
            "id": claim.id,
            "system": claim.system,
            "kind": claim.kind,
            "role": claim.role,
            "expected": claim.expected_text,
            "source": claim.source,
            "claim": claim.claim,
            "verdict": verdicts.get(claim.id, NOT_TESTED),
        }
        for claim in load_registry()
        if system is None or claim.system == system
    ]
    if verdict is not None:
        rows = [row for row in rows if row["verdict"] == verdict]
    if json_output:
        print_json(rows)
        return
    print_table(
        ("id", "kind", "role", "expected", "verdict"),
        [(row["id"], row["kind"], row["role"], row["expected"], row["verdict"]) for row in rows],
    )
    note(f"{len(rows)} claims")
