"""Faults that a shell carries out itself, because nobody outside it can.

They are a file in the node's directory, so that they outlast a restart and can be set while the
node is down; a running shell is told over its socket to read the file again (:func:`set_faults`).
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from lab.errors import LabError

FILE = "faults.json"


class NodeFaults(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is wrong with a node; the defaults are a healthy one."""

    clock_ahead_s: float = 0.0
    """How far the node's clock is ahead, in virtual seconds (all clock steps together)."""
    disk_delay_s: float = 0.0
    """Virtual seconds that each disk call takes longer."""
    quorum_cut: bool = False
    """The node cannot reach the quorum volume."""


HEALTHY = NodeFaults()


def read_faults(directory: Path) -> NodeFaults:
    """Read a node's faults; none where there is no file. LabError when the file is broken."""
    path = directory / FILE
    try:
        return msgspec.json.decode(path.read_bytes(), type=NodeFaults)
    except FileNotFoundError:
        return HEALTHY
    except (OSError, msgspec.DecodeError) as error:
        raise LabError(f"{path} does not say what faults the node has: {error}") from error


def write_faults(directory: Path, faults: NodeFaults) -> None:
    """Write a node's faults in one step."""
    half = directory / f".{FILE}"
    half.write_bytes(msgspec.json.encode(faults))
    half.replace(directory / FILE)
