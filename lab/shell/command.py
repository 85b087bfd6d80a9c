"""A stack's own command inside a node, such as ``cluster status``: asks the node's shell.

    python3 -m lab.shell.command STACK PROGRAM COMMAND ...

The socket is that of ``LAB_NODE_SOCKET``, or ``node.sock`` in the working directory. Prints a
table for people, or with ``--json`` the answer as it is; ends with status 1 when the node refuses.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from lab.errors import LabError
from lab.shell.client import SOCKET, NodeClient
from lab.stacks.commands import Argument, Command

ENV_SOCKET = "LAB_NODE_SOCKET"


def make_parser(program: str, commands: Iterable[Command]) -> argparse.ArgumentParser:
    """Return the parser of all commands of a stack."""
    parser = argparse.ArgumentParser(prog=program, description="Asks the node that it is run on.")
    every = argparse.ArgumentParser(add_help=False)
    every.add_argument("--json", action="store_true", help="print the answer as JSON")
    names = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for command in commands:
        own = names.add_parser(
            command.name, help=command.help, description=command.help, parents=[every]
        )
        for argument in command.arguments:
            _add(own, argument)
    return parser


def _add(parser: argparse.ArgumentParser, argument: Argument) -> None:
    option = f"--{argument.name.replace('_', '-')}"
    parser.add_argument(
        option if argument.optional else argument.name,
        help=argument.help,
        choices=argument.choices or None,
        metavar=None if argument.choices else argument.name.upper(),
    )


def render(value: Any, columns: Sequence[str] = ()) -> str:
    """Return an answer as a person reads it: a table, a list of names and values, or a sentence."""
    if isinstance(value, dict):
        return _table([(str(name), _cell(of)) for name, of in value.items()])
    if isinstance(value, list) and all(isinstance(row, dict) for row in value):
        if not value:
            return "none"
        heads = columns or list(value[0])
        rows = [[_cell(row.get(head, "")) for head in heads] for row in value]
        return _table([[head.upper().replace("_", " ") for head in heads], *rows])
    return _cell(value)


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return " ".join(map(_cell, value)) or "-"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _table(rows: Sequence[Sequence[str]]) -> str:
    widths = [max(len(row[at]) for row in rows) for at in range(len(rows[0]))] if rows else []
    lines = ("  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)) for row in rows)
    return "\n".join(line.rstrip() for line in lines)


def main(words: Sequence[str]) -> int:
    """Ask the node and print its answer; returns the status to exit with."""
    stack, program, *rest = words
    commands: Sequence[Command] = importlib.import_module(f"lab.stacks.{stack}.commands").COMMANDS
    given = vars(make_parser(program, commands).parse_args(rest))
    as_json, name = given.pop("json"), given.pop("command")
    command = next(command for command in commands if command.name == name)
    arguments = {key: value for key, value in given.items() if value is not None}
    try:
        with NodeClient(Path(os.environ.get(ENV_SOCKET, SOCKET))) as client:
            answer = client.request(command.name, arguments)
    except LabError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    if as_json:
        print(json.dumps({"ok": answer.ok, "value": answer.value}, indent=2))
    elif answer.ok:
        print("done" if answer.value is None else render(answer.value, command.columns))
    else:
        print(f"error: {answer.value}", file=sys.stderr)
    return 0 if answer.ok else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
