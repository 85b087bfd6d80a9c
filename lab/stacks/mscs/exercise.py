"""How the cluster service is tried out in random cases."""

from __future__ import annotations

from random import Random
from typing import Any

from lab.stacks.exercise import Exercise
from lab.stacks.mscs.invariants import CHECKERS, CONVERGED
from lab.stacks.plan import Ask

_VARIANTS = (
    "heartbeat_multicast",
    "regroup_multicast",
    "regroup_detector",
    "cluster_address_first",
    "join_progress",
    "gup_concurrent",
)
_ADDRESS = "10.1.0.201"
_WEB: dict[str, Any] = {
    "name": "web",
    "resources": [
        {"name": "address", "type": "ip-address", "parameters": {"address": _ADDRESS}},
        {
            "name": "service",
            "type": "http-service",
            "parameters": {"address": _ADDRESS, "port": 80},
            "depends_on": ["address"],
        },
    ],
}


def draw_options(random: Random, nodes: int) -> dict[str, Any]:
    """Draw a cluster that stands already, or in part, or has yet to be formed; and variants."""
    options: dict[str, Any] = {
        "nodes": nodes,
        # As short as it can be made (thesis 7.7.1): cases converge sooner.
        "discovery_timeout_s": 10.0,
        # Few nodes get on with little patience, and form a cluster anew the sooner for it.
        "quorum_patience_node_s": 0.0,
        "groups": [_WEB] if random.random() < 0.5 else [],
    }
    standing = random.choice((nodes, nodes, random.randint(1, nodes), 0))
    if standing:
        options["members"] = sorted(random.sample(range(1, nodes + 1), standing))
    for variant in _VARIANTS:
        if random.random() < 0.25:
            options[variant] = True
    if random.random() < 0.25:
        options["regroup_level"] = "kernel"
    return options


def draw_request(random: Random, nodes: int) -> Ask:
    """Draw a command that changes something everywhere, or moves or breaks something."""
    asked = (random.randint(1, nodes),)
    other = random.randint(1, nodes)
    name, arguments = random.choice(
        (
            ("create-group", {"group": f"g{random.randint(1, 4)}"}),
            ("delete-group", {"group": f"g{random.randint(1, 4)}"}),
            ("move", {"group": "web", "to": other}),
            ("fail", {"resource": "service"}),
            ("offline", {"group": "web"}),
            ("online", {"group": "web"}),
            ("pause", {"node": other}),
            ("resume", {"node": other}),
        )
    )
    return Ask(name, asked, arguments)


EXERCISE = Exercise(
    nodes=(2, 6),
    faults=(
        "kill",
        "pause",
        "cut",
        "one-way-cut",
        "loss",
        "duplicate",
        "delay",
        "jitter",
        "clog",
        "slow-disk",
        "cpu-load",
        "network-load",
        "clock-step",
        "quorum-cut",
    ),
    options=draw_options,
    request=draw_request,
    checkers=CHECKERS,
    converged=CONVERGED,
    calm_s=20.0,
    faults_s=100.0,
    converge_s=240.0,
)
