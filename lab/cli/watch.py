"""``lab watch``: the standing fabric, live."""

import signal
import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from lab.cli.output import note
from lab.errors import LabError

if TYPE_CHECKING:
    from lab.watch.source import StandingLab
    from lab.watch.view import View


def register(app: typer.Typer) -> None:
    """Add the command of this module."""
    app.command("watch")(watch)


def watch(
    *,
    wait: Annotated[
        bool, typer.Option("--wait", help="Wait for a lab, and for the next one after it.")
    ] = False,
    every: Annotated[
        float, typer.Option(min=0.1, max=60.0, metavar="SECONDS", help="Time between two looks.")
    ] = 0.5,
    count: Annotated[
        int | None, typer.Option(min=1, help="End after so many looks; without it, at Ctrl-C.")
    ] = None,
    web: Annotated[bool, typer.Option("--web", help="Serve the view as a page.")] = False,
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Where the page is served; 0: any free port.")
    ] = 8064,
    bind: Annotated[
        str, typer.Option(metavar="ADDRESS", help="Address of this machine to serve it at.")
    ] = "127.0.0.1",
    json_output: Annotated[
        bool, typer.Option("--json", help="Print JSON for programs, one line a look.")
    ] = False,
) -> None:
    """Watch the standing fabric live.

    Utilisation of every link, congested ports, quenches and streams, all in virtual time.
    Works beside `lab run` in another terminal and does not disturb it. Ctrl-C ends it.

    Example:

    \b
      lab watch
      lab watch --wait --web
      lab watch --json --count 10
    """
    if web and json_output:
        raise LabError("--web and --json exclude each other", remedy="say one of them")
    # However it is ended, the terminal shall be as it was.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        if web:
            from lab.watch.web import serve

            serve(bind, port, every_s=every, wait=wait, on_ready=_tell_address)
        elif json_output:
            _print_json(wait, every, count)
        elif sys.stdout.isatty():
            _show(wait, every, count)
        else:
            _print_lines(wait, every, count)
    except KeyboardInterrupt:
        return  # the way to end a watch


def _tell_address(url: str) -> None:
    typer.echo(url)
    note("the page shows the lab as long as this command runs; Ctrl-C ends it")


def _sources(wait: bool) -> Iterator["StandingLab"]:
    """The lab that stands; with ``wait`` also every later one."""
    from lab.watch.source import StandingLab, wait_for_lab

    if not wait:
        yield StandingLab()
        return
    while True:
        yield wait_for_lab(lambda: note("no lab is standing yet; waiting for one"))


def _views(
    wait: bool, every_s: float, count: int | None, tidy: Callable[[], None] = lambda: None
) -> Iterator[tuple["StandingLab", "View"]]:
    """Views of lab after lab, each with where it comes from.

    ``tidy`` is called before anything is said on the terminal.
    """
    from lab.watch.source import LabGoneError, views

    seen = 0
    for source in _sources(wait):
        try:
            for view in views(source, every_s):
                yield source, view
                seen += 1
                if count is not None and seen >= count:
                    return
        except LabGoneError as gone:
            tidy()
            note(gone.message)
        finally:
            source.close()


def _print_json(wait: bool, every_s: float, count: int | None) -> None:
    import msgspec

    for _, view in _views(wait, every_s, count):
        typer.echo(msgspec.json.encode(view))


def _print_lines(wait: bool, every_s: float, count: int | None) -> None:
    from lab.watch.terminal import line

    for _, view in _views(wait, every_s, count):
        typer.echo(line(view))


def _show(wait: bool, every_s: float, count: int | None) -> None:
    """Redraw one screen; the terminal is as it was before at the end."""
    from rich.console import Console
    from rich.live import Live

    from lab.watch.history import History
    from lab.watch.terminal import draw

    console, history = Console(), History()
    live = Live(console=console, screen=True, auto_refresh=False)
    try:
        for source, view in _views(wait, every_s, count, live.stop):
            history.add(view)
            live.start()  # does nothing the second time
            live.update(draw(view, source.lab.topology, history, console), refresh=True)
    finally:
        live.stop()
