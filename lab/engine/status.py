"""What stands on this machine right now, for ``lab status``."""

from typing import Any

from lab.emulation.client import LineCards
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
    try:
        with LineCards(state.control_socket, timeout_s=5.0) as cards:
            stats = cards.call("stats")
        data |= {"linecards": "answer", "attached": len(stats["attached"])}
    except LabError as error:
        data["linecards"] = f"DEAD: {error.message}"
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
