"""``lab calibrate``: how slowly a scenario has to run on this machine."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from lab.cli.output import note, print_json
from lab.cli.reading import Json, Overrides
from lab.errors import LabError

if TYPE_CHECKING:
    from lab.engine.calibration import Trial

_LINE = 160


def register(app: typer.Typer) -> None:
    """Add the command of this module."""
    app.command("calibrate")(calibrate)


def calibrate(
    name: Annotated[str, typer.Argument(help="A scenario's name, or the path of a YAML file.")],
    overrides: Overrides = [],  # noqa: B006 - typer's way to say "may be repeated"
    json_output: Json = False,
) -> None:
    """Find the smallest valid dilation of a scenario on this machine.

    Builds the network for a few seconds at one dilation after the other, with the heaviest part of
    the scenario, and asks the fidelity certificate. The answer is kept: `lab show` tells it, and
    `lab run --dilation auto` takes it.

    Example:

    \b
      lab calibrate switch-port-contention
      lab run switch-port-contention --dilation auto
    """
    from lab.engine.calibrate import calibrate as find
    from lab.engine.engines import EMULATION
    from lab.engine.playbook import Interrupted
    from lab.engine.prepare import parse_overrides
    from lab.scenarios import load_scenario

    scenario = load_scenario(name, parse_overrides(overrides))
    if EMULATION not in scenario.engines:
        raise LabError(
            f"{scenario.name} is not emulated, and virtual time costs a simulation nothing"
        )
    try:
        found = find(name, scenario, _tell)
    except Interrupted as interrupt:
        note("interrupted: the lab is removed, nothing was noted")
        raise typer.Exit(128 + interrupt.number) from None
    if json_output:
        print_json(asdict(found))
        return
    typer.echo(
        f"{found.scenario}: {found.dilation:g} is the smallest valid dilation on this machine; "
        f"the scenario's own is {scenario.dilation:g}"
    )


def _tell(trial: "Trial") -> None:
    verdict = "valid" if trial.valid else f"invalid: {trial.why}"
    line = f"dilation {trial.dilation:g}, {trial.real_s:.0f} s: {verdict}"
    note(line if len(line) <= _LINE else f"{line[: _LINE - 3]}...")
