"""``lab replay``: what a container's node did, once more, outside of it."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lab.cli.output import note, print_json
from lab.cli.reading import Json

if TYPE_CHECKING:
    from lab.shell.replay import Difference, Replayed


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command("replay")(replay_command)


def replay_command(
    journal: Annotated[
        Path, typer.Argument(help="A node's journal, <node>.<incarnation>.journal.")
    ],
    json_output: Json = False,
) -> None:
    """Play a node's journal again, and compare.

    All that entered the node's core enters a new one, at the same times; it must put out the same
    and reach the same state. A node writes a journal when its scenario asks for journals. Exit
    code 1 when something differs.

    Example:

    \b
      lab replay results/mscs-regroup/latest/raw/CASE/3.1.journal
      lab replay 3.1.journal --json
    """
    import msgspec

    from lab.shell.replay import replay

    outcome = replay(journal)
    if json_output:
        print_json(msgspec.to_builtins(outcome))
    else:
        _tell(outcome)
    if outcome.difference is not None:
        raise typer.Exit(1)


def _tell(outcome: "Replayed") -> None:
    kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(outcome.by_kind.items()))
    note(
        f"{outcome.stack}, node {outcome.node}, incarnation {outcome.incarnation}: "
        f"{outcome.inputs} inputs from {outcome.from_s:.3f} to {outcome.to_s:.3f} s "
        f"({kinds or 'none'})"
    )
    if outcome.difference is not None:
        _tell_difference(outcome.difference)
        return
    end = "" if outcome.whole else "; the journal has no clean end"
    if outcome.failed:
        end = f"; at the last input the core fails as it did in the node: {outcome.failed}"
    typer.echo(f"same outputs, same state {outcome.state}{end}")


def _tell_difference(difference: "Difference") -> None:
    typer.echo(f"input {difference.input} at {difference.t_s:.6f} s: {difference.what}")
    for entered in difference.before:
        typer.echo(f"  before  {entered['now_s']:.6f} {_short(entered['item'])}")
    typer.echo(f"  input   {difference.t_s:.6f} {_short(difference.item)}")
    for output in difference.outputs:
        typer.echo(f"  output  {_short(output)}")
    note("remedy: was the stack's code changed since the journal was written?")


def _short(item: object, most: int = 160) -> str:
    text = str(item)
    return text if len(text) <= most else f"{text[:most]}..."
