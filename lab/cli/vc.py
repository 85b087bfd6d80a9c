"""``lab vc``: the virtual circuits of the standing lab."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from lab.cli.output import note, print_json, print_table
from lab.cli.reading import Json

if TYPE_CHECKING:
    from lab.signalling import Vc

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Virtual circuits: list, trace, ping, open, close.\n\nExamples:\n\n\b\n"
    "  lab vc open n1 n64\n  lab vc list\n  lab vc trace 1",
)

Number = Annotated[int, typer.Argument(help="Number of a circuit, as `lab vc list` shows it.")]


def _row(vc: "Vc") -> dict[str, Any]:
    return {
        "id": vc.id,
        "name": vc.name,
        "group": vc.group,
        "a": vc.a,
        "b": vc.b,
        "path": list(vc.path),
    }


@app.command("list")
def list_command(json_output: Json = False) -> None:
    """List the open circuits.

    Example:

    \b
      lab vc list
      lab vc list --json
    """
    from lab.emulation import net
    from lab.emulation.state import load_state

    rows = [
        {**_row(listed.vc), "entries": listed.entries_installed, "whole": listed.whole}
        for listed in net.list_vcs(load_state())
    ]
    if json_output:
        print_json(rows)
        return
    columns = ("id", "name", "group", "a", "b", "whole", "path")
    cells = [
        {**r, "whole": "yes" if r["whole"] else "NO", "path": " ".join(r["path"])} for r in rows
    ]
    print_table(columns, [[row[column] for column in columns] for row in cells])


@app.command()
def trace(number: Number, json_output: Json = False) -> None:
    """Show every hop of a circuit, both ways.

    Ports and labels are compared with what the switches have; `frames` counts the data
    frames that they forwarded so far.

    Example:

    \b
      lab vc trace 1
    """
    from lab.emulation import net
    from lab.emulation.state import load_state

    state = load_state()
    rows = [
        {
            "direction": traced.direction,
            "node": traced.hop.node,
            "in_port": _known(traced.hop.in_port),
            "in_label": _known(traced.hop.in_label),
            "out_port": _known(traced.hop.out_port),
            "out_label": _known(traced.hop.out_label),
            "installed": traced.installed,
            "frames": traced.packets if traced.installed is not None else None,
            "quench_cells": traced.quench_cells if traced.installed is not None else None,
            "problem": traced.problem or None,
        }
        for traced in net.trace(state, number)
    ]
    if json_output:
        print_json({**_row(state.vc(number)), "hops": rows})
        return
    columns = list(rows[0])
    texts = {None: "-", True: "yes", False: "NO"}
    print_table(
        columns,
        [
            [texts[value] if value is None or isinstance(value, bool) else value for value in cells]
            for cells in ([row[column] for column in columns] for row in rows)
        ],
    )


def _known(number: int) -> int | None:
    """A port or label, None where a circuit has none (before its source, after its end)."""
    return number if number >= 0 else None


@app.command("open")
def open_command(
    a: Annotated[str, typer.Argument(help="Host at one end.")],
    b: Annotated[str, typer.Argument(help="Host at the other end.")],
    via: Annotated[str, typer.Option(metavar="s20,s40", help="Switches to cross, in order.")] = "",
    name: Annotated[str, typer.Option(help="Its name; by default made of the hosts'.")] = "",
    json_output: Json = False,
) -> None:
    """Open a duplex circuit between two hosts.

    Example:

    \b
      lab vc open n1 n64
      lab vc open n3 n60 --via s40 --name across
    """
    from lab.emulation import net
    from lab.emulation.state import load_state
    from lab.signalling import VcRequest

    state = load_state()
    switches = tuple(switch.strip() for switch in via.split(",") if switch.strip())
    taken = {vc.name for vc in state.vcs}
    first = name or f"{a}-{b}"
    chosen = first
    while not name and chosen in taken:
        chosen = f"{first}-{1 + sum(other.startswith(first) for other in taken)}"
    vc = net.open_vcs(state, [VcRequest(chosen, "hand", a, b, via=switches)])[0]
    if json_output:
        print_json(_row(vc))
    else:
        note(f"circuit {vc.id} ({vc.name}) is open: {' '.join(vc.path)}")


@app.command()
def ping(
    number: Number,
    count: Annotated[int, typer.Option(min=1, help="Messages to send.")] = 10,
    length: Annotated[int, typer.Option("--bytes", min=4, max=8192, help="Of each.")] = 4,
) -> None:
    """Send messages over a circuit and back, and show the round trips in virtual time.

    Its endpoints must not be in use by other programs.

    Example:

    \b
      lab vc ping 1
      lab vc ping 1 --count 3 --bytes 2048
    """
    from lab.emulation.net import exec_in_host, popen_in_host
    from lab.emulation.programs import unet_program
    from lab.emulation.state import load_state

    state = load_state()
    vc = state.vc(number)

    def command(host: str, endpoint: str) -> list[str]:
        program = unet_program(state.host(host), "ping")
        return [*program, "--endpoint", endpoint, "--channel", str(vc.id)]

    answering = popen_in_host(state, vc.b, [*command(vc.b, vc.b_endpoint), "--serve"])
    try:
        options = ["--count", str(count), "--bytes", str(length)]
        status = exec_in_host(state, vc.a, [*command(vc.a, vc.a_endpoint), *options])
    finally:
        answering.kill()
    raise typer.Exit(status)


@app.command()
def close(number: Number, json_output: Json = False) -> None:
    """Close a circuit and remove its entries from the switches.

    Example:

    \b
      lab vc close 1
    """
    from lab.emulation import net
    from lab.emulation.state import load_state

    state = load_state()
    vc = state.vc(number)
    net.close_vcs(state, [vc.id])
    if json_output:
        print_json({"closed": [vc.id]})
    else:
        note(f"circuit {vc.id} ({vc.name}) is closed")
