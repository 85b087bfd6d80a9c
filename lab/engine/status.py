"""What stands on this machine right now, for ``lab status``."""

from typing import Any

from lab.emulation.client import LineCards, MediumClient
from lab.emulation.state import LabState
from lab.engine.cluster.faults import read_standing
from lab.engine.lifecycle import standing_lab
from lab.engine.run import process_started
from lab.errors import LabError


def lab_status() -> dict[str, Any]:
    """The standing lab as plain data; ``{"standing": False}`` when there is none."""
    state = standing_lab()
    if state is None:
        return {"standing": False}
    data: dict[str, Any] = {
        "standing": True,
        "lab_id": state.lab_id,
        "topology": state.topology,
        "dilation": state.dilation,
        "made_by": state.owner,
        "run_dir": state.run_dir,
        "vcs": len(state.vcs),
    }
    data |= _medium(state) if state.medium_pid else _line_cards(state)
    data["hosts"] = [
        {
            "name": name,
            "kind": host.kind,
            "pid": host.pid,
            "alive": process_started(host.pid) is not None,
        }
        for name, host in sorted(state.hosts.items(), key=lambda item: (len(item[0]), item[0]))
    ]
    return data


def _line_cards(state: LabState) -> dict[str, Any]:
    try:
        with LineCards(state.control_socket, timeout_s=5.0) as cards:
            stats = cards.call("stats")
    except LabError as error:
        return {"linecards": f"DEAD: {error.message}"}
    return {"linecards": "answer", "attached": len(stats["attached"])}


def _medium(state: LabState) -> dict[str, Any]:
    """What an Ethernet lab has in place of line cards, and the faults that stand."""
    data: dict[str, Any] = {"stack": state.stack or "none", "faults": len(read_standing(state))}
    try:
        with MediumClient(state.medium_socket, timeout_s=5.0) as medium:
            stats = medium.call("stats")
    except LabError as error:
        return data | {"medium": f"DEAD: {error.message}"}
    kinds = ", ".join(network["kind"] for network in stats["networks"])
    return data | {"medium": "answers", "networks": kinds}
