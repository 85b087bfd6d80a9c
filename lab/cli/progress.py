"""Showing the progress of a run: a bar on a terminal, plain lines elsewhere."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from lab.cli.output import note
from lab.engine.progress import Event

OnEvent = Callable[[Event], None]
PLAIN_EVERY_S = 5.0


@contextmanager
def show_progress() -> Iterator[OnEvent]:
    """Give a function that shows events on stderr until the context ends."""
    if sys.stderr.isatty():
        with _bar() as on_event:
            yield on_event
    else:
        yield _plain()


def _plain() -> OnEvent:
    """One line per phase, and one every few seconds within a long phase."""
    last_phase = ""
    last_s = 0.0

    def on_event(event: Event) -> None:
        nonlocal last_phase, last_s
        now_s = time.monotonic()
        if event.phase == last_phase and now_s - last_s < PLAIN_EVERY_S:
            return
        last_phase, last_s = event.phase, now_s
        note(f"{event.fraction:4.0%}  {event.phase}: {event.message} ({_left(event.eta_s)} left)")

    return on_event


def _left(eta_s: float) -> str:
    minutes, seconds = divmod(round(eta_s), 60)
    return f"{minutes}:{seconds:02d}"


@contextmanager
def _bar() -> Iterator[OnEvent]:
    """One bar with the phase and the time left."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn

    columns = (
        TextColumn("{task.fields[phase]:<10}"),
        BarColumn(bar_width=30),
        TextColumn("{task.percentage:>3.0f} %"),
        TextColumn("{task.fields[left]} left"),
        TextColumn("[dim]{task.fields[message]}"),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("run", total=1.0, phase="prepare", left="-:--", message="")

        def on_event(event: Event) -> None:
            progress.update(
                task,
                completed=event.fraction,
                phase=event.phase,
                left=_left(event.eta_s),
                message=event.message,
            )

        yield on_event
