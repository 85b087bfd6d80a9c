"""``lab events``: what the nodes of a stack logged, live or of a run that is over."""

import json
import time
from collections.abc import Iterable
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated

import typer

from lab.cli.output import note
from lab.stacks.words import listed

if TYPE_CHECKING:
    from lab.results.event_logs import Wanted
    from lab.stacks.events import Event

LIVE = "live"
LOOK_S = 0.2
_MOST_CHARACTERS = 60
_COLOURS = {"fault": "red", "halted": "red", "started": "green", "view": "yellow"}


def register(app: typer.Typer) -> None:
    """Add the command of this module."""
    app.command("events")(events)


def events(
    *,
    run: Annotated[
        str,
        typer.Argument(
            help="live: the run under way, or the nodes of a standing lab. Else a run that is "
            "over: its directory, SCENARIO/RUN, or SCENARIO for its latest run."
        ),
    ] = LIVE,
    case: Annotated[
        str | None, typer.Option(help="Only this case; without it all, one after the other.")
    ] = None,
    node: Annotated[
        list[int],
        typer.Option(help="Only this node, 0 being the runtime; may be repeated."),
    ] = [],  # noqa: B006 - typer's way to say "may be repeated"
    kind: Annotated[
        list[str], typer.Option(help="Only events of this kind; may be repeated.")
    ] = [],  # noqa: B006
    phase: Annotated[
        list[str], typer.Option(help="Only events of this phase; may be repeated.")
    ] = [],  # noqa: B006
    messages: Annotated[
        bool, typer.Option("--messages", help="Also every datagram sent and received.")
    ] = False,
    json_output: Annotated[
        bool, typer.Option("--json", help="Print one JSON document a line.")
    ] = False,
) -> None:
    """Show what nodes and runtime logged, in the order of time.

    `lab events` follows what is under way; a simulated case is told when it has ended. Times are
    virtual seconds since the case began.

    Example:

    \b
      lab events
      lab events mscs-regroup --case one-n4 --kind view --kind regroup
      lab events mscs-heartbeat --node 3 --messages --json
    """
    from lab.results.event_logs import Wanted

    wanted = Wanted(frozenset(node), frozenset(kind), frozenset(phase), messages)
    with suppress(KeyboardInterrupt):  # the way to end it
        if run == LIVE:
            _follow(wanted, case, json_output=json_output)
        else:
            _tell(run, wanted, case, json_output=json_output)


def _tell(run: str, wanted: "Wanted", only: str | None, *, json_output: bool) -> None:
    """All events of a run that is over."""
    from lab.engine.run import load_stack_run
    from lab.results.event_logs import events_of_case
    from lab.results.runs import find_run

    found = load_stack_run(find_run(run))
    cases = [found.case(only)] if only is not None else found.cases
    count = 0
    for case in cases:
        chosen = events_of_case(found.case_dir(case.name), wanted)
        count += _print(case.name, chosen, json_output=json_output)
    if not json_output:
        note(f"{count:,} events of {len(cases)} cases")


def _follow(wanted: "Wanted", only: str | None, *, json_output: bool) -> None:
    """Events as they are written, case after case."""
    from lab.engine.live_events import find_source

    live = find_source()
    if not json_output:
        note(f"following {live.name}; Ctrl-C ends it")
    more = True
    while more:
        more = live.under_way()
        for case, found in live.look(wanted):
            if only in (None, case):
                _print(case, found, json_output=json_output)
        if more:
            time.sleep(LOOK_S)


def _print(case: str, found: "Iterable[Event]", *, json_output: bool) -> int:
    """Print events; returns how many."""
    tell = _print_json if json_output else _print_line
    count = 0
    for event in found:
        tell(case, event)
        count += 1
    return count


def _print_json(case: str, event: "Event") -> None:
    import msgspec

    line = {"case": case, **msgspec.to_builtins(event)}
    typer.echo(msgspec.json.encode(line).decode())


def _print_line(case: str, event: "Event") -> None:
    """One event a line, its kind in a colour where the terminal has colours."""
    who = "runtime" if event.node == 0 else f"node {event.node}"
    what = f"{event.kind} {event.phase}".rstrip()
    told = "  ".join(f"{key}={_short(value)}" for key, value in event.fields.items())
    cause = f"  <- {event.cause}" if event.cause else ""
    colour = _COLOURS.get(event.kind, "cyan")
    padded = typer.style(f"{what:<26}", fg=colour)
    typer.echo(f"{case:<16} {event.t_s:>11.4f}  {who:<8} {padded} {told}{cause}".rstrip())


def _short(value: object) -> str:
    if isinstance(value, list) and value and all(type(item) is int for item in value):
        return listed(value)
    text = value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))
    return text if len(text) <= _MOST_CHARACTERS else f"{text[: _MOST_CHARACTERS - 3]}..."
