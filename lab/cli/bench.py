"""``lab bench``: how fast this machine does what the lab is made of."""

from typing import Annotated

import typer

from lab.cli.output import note, print_json, print_table
from lab.cli.reading import Json


def register(app: typer.Typer) -> None:
    """Add the command of this module."""
    app.command("bench")(bench)


def bench(
    parts: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[PART]...",
            help="simulation, world, forwarding, building, setup, report; all if none.",
        ),
    ] = None,
    json_output: Json = False,
) -> None:
    """Measure this machine and write results/bench.json.

    Needs root, and no lab may stand; keep the machine idle meanwhile, it takes about a minute.

    Example:

    \b
      lab bench
      lab bench forwarding --json
    """
    import msgspec

    from lab.bench.run import FILE, measure, write
    from lab.paths import shown

    figures = dict(measure(parts or [], lambda part: note(f"measuring: {part}")))
    write(figures)
    if json_output:
        print_json(msgspec.to_builtins(figures))
        return
    print_table(
        ("what", "value", "unit", "ratio", "compared with"),
        [
            (
                name,
                f"{figure.value:,.2f}" if figure.value < 1000 else f"{figure.value:,.0f}",
                figure.unit,
                "" if figure.ratio is None else f"{figure.ratio:.2f}",
                figure.compared_with or "",
            )
            for name, figure in figures.items()
        ],
    )
    note(f"written to {shown(FILE)}")
