"""The administrator's commands, each declared once (thesis part II; ``cluster`` on any member).

A command is a request of the same name, with arguments by name. The command line of a node's
container is built from :data:`COMMANDS`, and :func:`check` reads what came, from there or from a
scenario, into values of the shapes that the declaration names.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from lab.errors import LabError
from lab.stacks.commands import Argument, Command


def _node(value: Any) -> int:
    number = int(str(value).removeprefix("n").removesuffix(".0"))
    if number < 1:
        raise ValueError
    return number


def _name(value: Any) -> str:
    if not isinstance(value, str) or not value or any(c.isspace() or c in "/," for c in value):
        raise ValueError
    return value


def _text(value: Any) -> str:
    return str(value)


def _list(value: Any) -> list[Any]:
    if isinstance(value, str):
        return [part for part in value.split(",") if part]
    return list(value) if isinstance(value, list | tuple) else [value]


def _nodes(value: Any) -> tuple[int, ...]:
    return tuple(_node(part) for part in _list(value))


def _names(value: Any) -> tuple[str, ...]:
    return tuple(_name(part) for part in _list(value))


def _mapping(value: Any) -> dict[str, Any]:
    if isinstance(value, dict):
        return dict(value)
    pairs = [part.partition("=") for part in _list(value)]
    if not all(equals for _, equals, _ in pairs):
        raise ValueError
    return {name: int(text) if text.isdecimal() else text for name, _, text in pairs}


def _count(value: Any) -> int:
    number = float(value)
    if number < 0 or number != int(number):
        raise ValueError
    return int(number)


def _seconds(value: Any) -> float:
    seconds = float(value)
    if not 0 < seconds < float("inf"):
        raise ValueError
    return seconds


def _flag(value: Any) -> bool:
    return {"yes": True, "no": False, True: True, False: False}[value]


_SHAPES: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "node": ("a node, such as 3 or n3", _node),
    "nodes": ("nodes, such as 3,1,2", _nodes),
    "name": ("a name without blanks, commas or slashes", _name),
    "names": ("names, such as address,disk", _names),
    "text": ("text", _text),
    "mapping": ("values by name, such as address=10.1.0.201,port=8080", _mapping),
    "count": ("a whole number, 0 or more", _count),
    "seconds": ("a positive number of seconds", _seconds),
    "flag": ("yes or no", _flag),
}


class ShapedArgument(Argument, frozen=True):
    """An argument of one of the shapes above."""

    shape: str = "text"


def _argument(name: str, shape: str, text: str, *, optional: bool = False) -> ShapedArgument:
    choices = ("yes", "no") if shape == "flag" else ()
    return ShapedArgument(name, text, optional=optional, choices=choices, shape=shape)


def _option(name: str, shape: str, text: str) -> ShapedArgument:
    return _argument(name, shape, text, optional=True)


_GROUP = _argument("group", "name", "the group")
_RESOURCE = _argument("resource", "name", "the resource")
_NODE = _argument("node", "node", "the node")

COMMANDS: tuple[Command, ...] = (
    Command("status", "how the cluster stands, as this node sees it"),
    Command("nodes", "the nodes: whether they run, whether they take groups, what they own"),
    Command("networks", "the networks between the nodes"),
    Command("groups", "the groups: where they are and how they fare"),
    Command("resources", "the resources of all groups"),
    Command(
        "database",
        "the replicated configuration database",
        (_option("prefix", "text", "only keys that begin so"),),
    ),
    Command(
        "create-group",
        "create a group, without resources yet",
        (
            _GROUP,
            _option("preferred", "nodes", "the nodes that should own it, best first"),
            _option("failback", "flag", "whether it goes back to a better node that comes up"),
            _option("failover_threshold", "count", "how often it may move for failures"),
            _option("failover_period_s", "seconds", "within this time"),
        ),
    ),
    Command("delete-group", "delete a group that has no resources", (_GROUP,)),
    Command(
        "create-resource",
        "create a resource in a group; it comes online when the group is",
        (
            _RESOURCE,
            _GROUP,
            _argument("type", "name", "ip-address or http-service"),
            _option("parameters", "mapping", "the parameters of its type"),
            _option("depends_on", "names", "resources of the group that must be online first"),
            _option("restart_threshold", "count", "how often it is restarted where it failed"),
            _option("restart_period_s", "seconds", "within this time"),
            _option("affects_group", "flag", "whether the group moves when that is exceeded"),
        ),
    ),
    Command("delete-resource", "take a resource offline and delete it", (_RESOURCE,)),
    Command("fail", "treat a resource as failed, to see what happens", (_RESOURCE,)),
    Command(
        "move",
        "hand a group over to another node",
        (_GROUP, _option("to", "node", "the node; else the best one")),
    ),
    Command("online", "bring a group online; past failures are forgotten", (_GROUP,)),
    Command("offline", "take a group offline", (_GROUP,)),
    Command("pause", "let a node keep its groups and get no more of them", (_NODE,)),
    Command("resume", "end a node's pause, or let an evicted node join again", (_NODE,)),
    Command("evict", "move a node's groups away, and remove it from the cluster", (_NODE,)),
)
_BY_NAME = {command.name: command for command in COMMANDS}


def check(name: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments of a command as values; options that are not given are left out.

    Raises:
        LabError: they are not what the command expects; says what it does.
    """
    command = _BY_NAME[name]
    known = {argument.name: argument for argument in command.arguments}
    needed = {argument.name for argument in command.arguments if not argument.optional}
    unknown, missing = set(arguments) - set(known), needed - set(arguments)
    if unknown or missing:
        wrong = [f"does not know {', '.join(sorted(unknown))}"] if unknown else []
        wrong += [f"needs {', '.join(sorted(missing))}"] if missing else []
        raise LabError(f"{name} {' and '.join(wrong)}", remedy=f"expected: {expected(command)}")
    values = {}
    for key, value in arguments.items():
        argument = known[key]
        shape, convert = _SHAPES[argument.shape if isinstance(argument, ShapedArgument) else "text"]
        try:
            values[key] = convert(value)
        except (ValueError, TypeError, KeyError, OverflowError):
            raise LabError(
                f"{name}: {key} is {value!r}, not {shape}", remedy=f"expected: {expected(command)}"
            ) from None
    return values


def expected(command: Command) -> str:
    """Return a command's shape, as in its help."""
    words = [f"[{a.name}]" if a.optional else a.name.upper() for a in command.arguments]
    return " ".join([command.name, *words])
