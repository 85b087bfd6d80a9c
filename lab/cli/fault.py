"""``lab fault``: breaking a standing lab by hand, and healing it."""

from __future__ import annotations

from typing import Annotated, Any, get_args

import typer

from lab.cli.output import note, print_json, print_table
from lab.cli.reading import Json
from lab.stacks.plan import FaultKind

LIST = "list"
KINDS = (*get_args(FaultKind), LIST)


def register(app: typer.Typer) -> None:
    """Add the command of this module."""
    app.command("fault")(fault)


def fault(  # noqa: PLR0917 - options of a command
    kind: Annotated[str, typer.Argument(help=f"One of {', '.join(KINDS)}.", metavar="FAULT")],
    nodes: Annotated[
        str, typer.Argument(help="Nodes that it concerns, such as n1 or n1,n2; if left out all.")
    ] = "",
    peers: Annotated[
        str, typer.Argument(help="Of a fault between nodes: the others; if left out all others.")
    ] = "",
    network: Annotated[
        int | None, typer.Option(min=0, help="The network that it concerns; if not given all.")
    ] = None,
    value: Annotated[
        float | None,
        typer.Option(
            help="loss, duplicate: a part, 0 to 1; delay, jitter, slow-disk, clock-step: seconds."
        ),
    ] = None,
    level: Annotated[
        str | None, typer.Option(help="cpu-load, network-load: idle, moderate or heavy.")
    ] = None,
    json_output: Json = False,
) -> None:
    """Break something of the standing lab, heal it, or list what is broken.

    On nodes of a stack every fault of a scenario can be brought about: kill, wipe, restart, pause,
    resume; cut, one-way-cut, loss, duplicate, delay, jitter, clog between nodes; slow-disk,
    cpu-load, network-load, clock-step, quorum-cut; and heal, which undoes what is wrong but starts
    nothing. On a fabric there are kill, pause, resume of a host's programs, cut and heal of a link.
    Whatever is broken ends with `lab down`.

    Example:

    \b
      lab fault kill n3
      lab fault cut n1 n2 --network 0
      lab fault loss n1 --value 0.1
      lab fault cpu-load --level heavy
      lab fault list
      lab fault heal
    """
    from lab.emulation.state import load_state
    from lab.engine.hand_faults import HandFault, inject_by_hand, standing_by_hand

    state = load_state()
    if kind != LIST:
        wanted = HandFault(kind, _names(nodes), _names(peers), network, value, level)
        inject_by_hand(state, wanted)
    standing = standing_by_hand(state)
    if json_output:
        print_json({"standing": standing})
    elif kind == LIST and standing:
        columns = ("fault", "nodes", "peers", "network", "value", "level")
        print_table(columns, [[_cell(row[column]) for column in columns] for row in standing])
    else:
        note(f"{len(standing)} faults stand" if standing else "nothing is broken")


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())


def _cell(value: Any) -> str:
    if isinstance(value, list):
        return ",".join(value) or "all"
    return "-" if value is None else str(value)
