"""All benchmarks, one after the other, and the file that they are written to.

Both halves of a ratio are measured in the same run, on the same machine, minutes apart.
"""

import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from lab.bench import chain, kernel, switches, world
from lab.emulation import net
from lab.errors import LabError
from lab.paths import PLAYBOOKS, PROJECT, RESULTS
from lab.results.files import write_json
from lab.results.runs import list_runs
from lab.scenarios import FabricParams
from lab.topology import load_topology

FILE = RESULTS / "bench.json"
TREE = "fat_tree"

OnStart = Callable[[str], None]


class Figure(msgspec.Struct, frozen=True):
    """One benchmark's figure; ``ratio`` is ``value`` over the figure it is compared with."""

    value: float
    unit: str
    compared_with: str | None = None
    ratio: float | None = None


Figures = dict[str, Figure]


def forwarding() -> Figures:
    """Open vSwitch through a chain of five switches, bare and with line cards."""
    speed = switches.measure()
    if not speed.bare or not speed.with_cards:
        raise LabError(
            "frames were lost even at the lowest load: the machine is too busy to be measured",
            remedy="end what else runs on it and call `lab bench` again",
        )
    hops = chain.SWITCHES
    return {
        "ovs_bare": Figure(speed.bare * hops, "packet-hops/s"),
        "ovs_with_line_cards": Figure(
            speed.with_cards * hops, "packet-hops/s", "ovs_bare", speed.with_cards / speed.bare
        ),
    }


def simulation() -> Figures:
    """The simulator on the 64-node tree with flow control on, one core."""
    cells, packets = kernel.cell_speed(), kernel.packet_speed()
    return {
        "simulator_cells": Figure(cells.hops_per_s, "cell-hops/s"),
        "simulator_messages": Figure(packets.hops_per_s, "packet-hops/s"),
        "simulator_cells_speed": _against_real_time(cells),
        "simulator_messages_speed": _against_real_time(packets),
    }


def _against_real_time(speed: kernel.KernelSpeed) -> Figure:
    passed = speed.virtual_s / speed.seconds
    return Figure(passed, "virtual s/s", "real time", passed)


def stacks() -> Figures:
    """The simulated world with 32 MSCS nodes that exchange heartbeats, one core."""
    speed = world.heartbeat_speed()
    passed = speed.virtual_s / speed.seconds
    return {
        "world_speed": Figure(passed, "virtual s/s", "real time", passed),
        "world_datagrams": Figure(speed.datagrams / speed.seconds, "datagrams/s"),
    }


def building() -> Figures:
    """The 64-node tree built and removed."""
    began_s = time.monotonic()
    net.up(
        net.Site(load_topology(TREE), dilation=100.0),
        fabric=FabricParams().model_dump(),
        on_progress=lambda _message, _fraction: None,
    )
    stands_s = time.monotonic()
    net.down()
    return {
        "lab_up": Figure(stands_s - began_s, "s"),
        "lab_down": Figure(time.monotonic() - stands_s, "s"),
    }


def setting_up() -> Figures:
    """A set-up that finds everything in place."""
    began_s = time.monotonic()
    done = subprocess.run(
        ["sh", str(PLAYBOOKS / "bootstrap.sh")],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise LabError("the set-up fails", remedy="call `make setup` and see what it says")
    return {"setup_again": Figure(time.monotonic() - began_s, "s")}


def reporting() -> Figures:
    """The report of the newest run; nothing where there is no run yet."""
    from lab.report.page import render
    from lab.report.rundata import load_run

    runs = list_runs()
    if not runs:
        return {}
    began_s = time.monotonic()
    page = render(load_run(runs[-1]))
    return {
        "report": Figure(time.monotonic() - began_s, "s"),
        "report_size": Figure(len(page.encode()) / 1e6, "MByte"),
    }


PARTS: dict[str, Callable[[], Figures]] = {
    "simulation": simulation,
    "world": stacks,
    "forwarding": forwarding,
    "building": building,
    "setup": setting_up,
    "report": reporting,
}


def measure(parts: list[str], on_start: OnStart) -> Iterator[tuple[str, Figure]]:
    """Measure the named parts (all when none is named) and yield figure after figure.

    LabError for a part that does not exist, or that cannot be measured now.
    """
    for part in parts:
        if part not in PARTS:
            raise LabError(
                f"there is no benchmark {part!r}", remedy=f"there are {', '.join(PARTS)}"
            )
    for part in parts or list(PARTS):
        on_start(part)
        yield from PARTS[part]().items()


def write(figures: Figures, path: Path | None = None) -> None:
    """Write the figures; those of other parts in the file stay."""
    path = path or FILE
    known: dict[str, object] = {}
    if path.is_file():
        known = msgspec.json.decode(path.read_bytes(), type=dict[str, object])
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(path, known | {name: msgspec.to_builtins(f) for name, f in figures.items()})
