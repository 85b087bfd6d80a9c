"""What a person can ask a node of a stack on the command line, declared once.

A stack with a command of its own has ``lab.stacks.<name>.commands.COMMANDS``. Each command is a
:class:`~lab.stacks.core.Request` of the same name with the arguments by name; from this declaration
come the command's parser and help, and the table in which an answer is printed.
"""

from __future__ import annotations

import msgspec


class Argument(msgspec.Struct, frozen=True):
    """What a command needs to know."""

    name: str
    help: str
    optional: bool = False
    """Given as ``--name VALUE``, and absent from the request when it is not given."""
    choices: tuple[str, ...] = ()


class Command(msgspec.Struct, frozen=True):
    """A command, and the request that it becomes."""

    name: str
    help: str
    arguments: tuple[Argument, ...] = ()
    columns: tuple[str, ...] = ()
    """If the answer is a list of objects: what to show of each, in this order; empty: all."""
