"""What the command line prints: data on stdout, messages on stderr."""

import json
import os
import sys
from collections.abc import Iterable, Sequence
from contextlib import suppress

import typer

from lab.errors import LabError


def print_json(data: object) -> None:
    """Print one JSON document on stdout and nothing else."""
    typer.echo(json.dumps(data, indent=2, ensure_ascii=False, default=str))


def print_table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print rows under column heads, as wide as they need to be; no lines, easy to grep."""
    texts = [[str(cell) for cell in row] for row in rows]
    widths = [
        max([len(column), *(len(row[index]) for row in texts)])
        for index, column in enumerate(columns)
    ]
    for row in ([column.upper() for column in columns], *texts):
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
        typer.echo("  ".join(cells).rstrip())


def note(message: str) -> None:
    """Print a message for the reader on stderr."""
    typer.echo(message, err=True)


def print_error(error: LabError) -> None:
    """Tell what is wrong and what to do about it."""
    note(f"error: {error.message}")
    if error.remedy:
        note(f"remedy: {error.remedy}")


def silence_stdout() -> None:
    """The reader of our output has gone: let the interpreter end without complaint."""
    with suppress(OSError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
