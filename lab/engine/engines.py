"""Which engine runs a scenario: what the user asked for, or the first that this machine can."""

import os
import platform
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from lab.errors import LabError

EMULATION = "emulation"
SIMULATION = "simulation"
ENGINES = (EMULATION, SIMULATION)


@dataclass(frozen=True)
class Choice:
    """An engine, and a sentence when it is not the one that the scenario prefers."""

    engine: str
    why: str = ""


def emulation_obstacle() -> str | None:
    """Why no network can be built on this machine by this user; None when one can."""
    if platform.system() != "Linux":
        return f"emulation needs Linux, this is {platform.system()}"
    if os.geteuid() != 0:
        return "emulation needs root"
    if shutil.which("ovs-vswitchd", path=_system_path()) is None:
        return "emulation needs Open vSwitch, which is not installed"
    return None


def _system_path() -> str:
    """Where programs are, those of the system's administration too."""
    return os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin"])


# What stands in the way of an engine; simulation needs nothing but the compiled model.
OBSTACLES: Mapping[str, Callable[[], str | None]] = {EMULATION: emulation_obstacle}


def choose_engine(name: str, offered: Sequence[str], asked: str | None) -> Choice:
    """Choose the engine of a run.

    Args:
        name: the scenario's.
        offered: its engines, preferred first.
        asked: the user's wish; None takes the first that is possible here.

    Raises:
        LabError: the scenario does not run on the engine that was asked for.
    """
    if asked is not None:
        if asked not in offered:
            raise LabError(
                f"scenario {name} does not run on engine {asked!r}",
                remedy=f"its engines: {', '.join(offered)}",
            )
        return Choice(asked)
    reasons: list[str] = []
    for engine in offered:
        obstacle = OBSTACLES.get(engine, lambda: None)()
        if obstacle is None:
            why = f"{'; '.join(reasons)}: running the {engine} instead" if reasons else ""
            return Choice(engine, why)
        reasons.append(obstacle)
    return Choice(offered[0])
