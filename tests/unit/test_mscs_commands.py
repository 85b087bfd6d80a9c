"""The administrator's commands: declared once, arguments read and refused with the shape."""

from typing import Any

import pytest

from lab.errors import LabError
from lab.shell.command import make_parser
from lab.stacks.mscs.commands import COMMANDS, check


def test_the_command_line_gives_what_the_command_expects():
    parser = make_parser("cluster", COMMANDS)
    words = ["create-resource", "web", "g", "http-service", "--depends-on", "ip"]
    words += ["--parameters", "address=10.1.0.201,port=8080"]
    given = vars(parser.parse_args(words))
    arguments = {k: v for k, v in given.items() if v is not None and k not in ("json", "command")}
    assert check("create-resource", arguments) == {
        "resource": "web",
        "group": "g",
        "type": "http-service",
        "depends_on": ("ip",),
        "parameters": {"address": "10.1.0.201", "port": 8080},
    }


@pytest.mark.parametrize(
    ("name", "arguments", "values"),
    [
        ("status", {}, {}),
        ("move", {"group": "g", "to": 3.0}, {"group": "g", "to": 3}),
        ("move", {"group": "g", "to": "n3"}, {"group": "g", "to": 3}),
        ("create-group", {"group": "g", "preferred": "3,1"}, {"group": "g", "preferred": (3, 1)}),
        ("create-group", {"group": "g", "preferred": [3]}, {"group": "g", "preferred": (3,)}),
        ("create-group", {"group": "g", "failback": "yes"}, {"group": "g", "failback": True}),
    ],
)
def test_arguments_are_read(name: str, arguments: dict[str, Any], values: Any):
    assert check(name, arguments) == values


@pytest.mark.parametrize(
    ("name", "arguments", "complaint"),
    [
        ("move", {}, r"move needs group \(expected: move GROUP \[to\]\)"),
        ("move", {"group": "g", "from": 1}, "does not know from"),
        ("move", {"group": "g", "to": "x"}, "to is 'x', not a node"),
        ("move", {"group": "g", "to": 0}, "not a node"),
        ("move", {"group": "a b"}, "not a name"),
        ("create-group", {"group": "g", "failback": "perhaps"}, "not yes or no"),
        ("create-group", {"group": "g", "failback": []}, "not yes or no"),
        ("create-group", {"group": "g", "failover_threshold": -1}, "not a whole number"),
        ("create-group", {"group": "g", "failover_threshold": 1e400}, "not a whole number"),
        ("create-group", {"group": "g", "failover_period_s": "nan"}, "not a positive number"),
    ],
)
def test_wrong_arguments_are_answered_with_the_expected_shape(
    name: str, arguments: dict[str, Any], complaint: str
):
    with pytest.raises(LabError, match=complaint):
        check(name, arguments)
