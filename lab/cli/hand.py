"""Hand work with a standing lab: up, down, status, exec."""

from dataclasses import asdict
from typing import Annotated

import typer

from lab.cli.output import note, print_json, print_table
from lab.cli.reading import Json

USAGE_ERROR = 2


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command("up")(up)
    app.command("down")(down)
    app.command("status")(status)
    app.command(
        "exec", context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False}
    )(exec_command)


def up(  # noqa: PLR0917 - options of a command
    topology: Annotated[str, typer.Argument(help="A topology, such as fat_tree.")],
    containers: Annotated[
        str, typer.Option(metavar="n1,n2", help="Hosts that are Docker containers.")
    ] = "",
    stack: Annotated[
        str, typer.Option(help="Protocol stack that nodes n1.. run, such as mscs.")
    ] = "",
    nodes: Annotated[int, typer.Option(min=1, help="With --stack: how many nodes.")] = 4,
    dilation: Annotated[
        float | None,
        typer.Option(
            min=1e-3, help="Real seconds per virtual second; if not given 100, or 1 on Ethernet."
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of all that is drawn.")] = 1,
    json_output: Json = False,
) -> None:
    """Build a network and leave it standing, with the nodes of a protocol stack if asked for.

    Its hosts are in an Ansible inventory, too: /run/lab/current/inventory.yml.

    Example:

    \b
      lab up fat_tree --containers n1,n2
      lab exec n1 -- ping -c 1 127.0.0.1
      lab up cluster_lan --stack mscs --nodes 4
      lab exec n1 -- cluster status
      lab fault cut n1 n2 --network 0
    """
    from lab.cli.progress import show_progress
    from lab.engine.lifecycle import ByHand, up_by_hand

    names = [name.strip() for name in containers.split(",") if name.strip()]
    wanted = ByHand(topology, names, stack, nodes, dilation, seed)
    with show_progress() as on_event:
        state = up_by_hand(wanted, on_event)
    if json_output:
        print_json(
            {
                "lab_id": state.lab_id,
                "topology": state.topology,
                "hosts": len(state.hosts),
                "stack": state.stack,
                "nodes": state.nodes,
            }
        )
    else:
        note(f"{state.lab_id}: {topology} stands with {len(state.hosts)} hosts; `lab down` ends it")


def down(json_output: Json = False) -> None:
    """Remove the standing lab, from any state.

    Everything that bears the label of a lab goes, nothing else is touched.

    Example:

    \b
      lab down
    """
    from lab.engine import lifecycle

    report = lifecycle.down()
    if json_output:
        print_json(asdict(report))
    elif report.removed:
        things = ", ".join(f"{count} {kind}" for kind, count in report.removed.items())
        note(f"removed in {report.duration_s:.1f} s: {things}")
    elif not report.left:
        note("nothing of a lab was there")
    for left in report.left:
        note(f"error: could not remove {left.what}\nremedy: {left.remedy}")
    if report.left:
        raise typer.Exit(1)


def status(json_output: Json = False) -> None:
    """Show what stands on this machine.

    Example:

    \b
      lab status
      lab status --json
    """
    from lab.engine.status import lab_status

    data = lab_status()
    if json_output:
        print_json(data)
        return
    if not data["standing"]:
        typer.echo("no lab is standing")
        return
    hosts = data.pop("hosts")
    print_table(("what", "value"), [(key, value) for key, value in data.items()])
    typer.echo("")
    print_table(
        ("host", "kind", "pid", "alive"),
        [(h["name"], h["kind"], h["pid"], "yes" if h["alive"] else "NO") for h in hosts],
    )


def exec_command(
    host: Annotated[str, typer.Argument(help="A host of the standing lab, such as n1.")],
    command: Annotated[list[str] | None, typer.Argument(metavar="-- CMD...")] = None,
) -> None:
    """Run a command inside a host.

    Its input, output and exit code are passed through.

    Example:

    \b
      lab exec n1 -- ip link
      lab exec n5 -- python3 -c 'print(1)'
    """
    from lab.emulation.net import exec_in_host
    from lab.emulation.state import load_state

    words = [word for index, word in enumerate(command or []) if index or word != "--"]
    if not words:
        note("error: no command is given\nremedy: lab exec HOST -- CMD...")
        raise typer.Exit(USAGE_ERROR)
    state = load_state()
    state.host(host)
    raise typer.Exit(exec_in_host(state, host, words))
