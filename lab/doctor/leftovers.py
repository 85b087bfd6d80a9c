"""What of a lab is on this machine: one that stands, or what a dead one left behind."""

from dataclasses import dataclass

from lab.emulation.cleanup import Inventory, inventory
from lab.emulation.labels import ENV_LAB_ID
from lab.emulation.processes import environment_of
from lab.emulation.state import LabState, standing_lab
from lab.errors import LabError


@dataclass(frozen=True, slots=True)
class Remains:
    """Identifier of the lab that stands ("" for none), and what no standing lab owns."""

    standing: str
    leftovers: tuple[str, ...]


def alive(state: LabState | None) -> str:
    """The recorded lab's id when its line cards still run, or else an empty string."""
    if state is None or not state.linecards_pid:
        return ""
    # Process numbers are used again: the environment tells whether it is still ours.
    owner = environment_of(state.linecards_pid).get(ENV_LAB_ID)
    return state.lab_id if owner == state.lab_id else ""


def tell_apart(found: Inventory, standing: str) -> Remains:
    """Split what bears a label into the standing lab's and the leftovers."""
    return Remains(
        standing, tuple(str(thing) for thing in found.things if thing.lab_id != standing)
    )


def find_remains() -> Remains | str:
    """Everything that bears a lab's label; where it cannot be seen, the reason."""
    try:
        return tell_apart(inventory(), alive(standing_lab()))
    except (OSError, LabError) as error:
        return str(error)
