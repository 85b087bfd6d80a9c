"""What of a lab is on this machine: one that stands, or what a dead one left behind."""

import json
import subprocess
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import docker
import docker.errors

RUN = Path("/run/lab")
NAMESPACES = Path("/run/netns")
CARDS_NAMESPACE = "lab-cards"
CURRENT = "current"
LABEL = "lab"
TIMEOUT_S = 5


@dataclass(frozen=True, slots=True)
class Remains:
    """Identifier of the lab that stands ("" for none), and what no standing lab owns."""

    standing: str
    leftovers: tuple[str, ...]


def standing_lab(run: Path = RUN) -> str:
    """The lab whose line cards are alive, or an empty string."""
    try:
        state = json.loads((run / CURRENT / "state.json").read_text())
        environment = Path(f"/proc/{state['linecards_pid']}/environ").read_bytes()
        lab_id = str(state["lab_id"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""
    # Process numbers are used again: the environment tells whether it is still ours.
    return lab_id if f"LAB_ID={lab_id}".encode() in environment.split(b"\0") else ""


def run_directories(run: Path = RUN) -> dict[str, str]:
    """Run directories: what to show -> the lab it belongs to."""
    if not run.is_dir():
        return {}
    return {
        f"directory {path}": path.name
        for path in sorted(run.iterdir())
        if path.is_dir() and path.name != CURRENT
    }


def bridges() -> dict[str, str]:
    """Labelled Open vSwitch bridges: what to show -> the lab it belongs to."""
    argv = ("ovs-vsctl", "--timeout=3", "--no-wait", "--format=json")
    try:
        done = subprocess.run(
            (*argv, "--columns=name,external_ids", "list", "Bridge"),
            capture_output=True,
            timeout=TIMEOUT_S,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return {}
    rows = json.loads(done.stdout)["data"]
    labels = {name: dict(external_ids[1]).get(LABEL) for name, external_ids in rows}
    return {f"bridge {name}": lab for name, lab in labels.items() if lab}


def containers() -> dict[str, str]:
    """Labelled containers: what to show -> the lab it belongs to."""
    with suppress(docker.errors.DockerException, OSError):
        client = docker.from_env(timeout=TIMEOUT_S)
        try:
            found = client.containers.list(all=True, filters={"label": LABEL}, ignore_removed=True)
            return {f"container {each.name}": each.labels[LABEL] for each in found}
        finally:
            client.close()
    return {}


def find_remains() -> Remains:
    """Everything that bears a lab's label, as far as the daemons answer."""
    standing = standing_lab()
    found = {**run_directories(), **bridges(), **containers()}
    leftovers = [what for what, lab in found.items() if lab != standing]
    # The namespace's name says no lab: it is the standing one's when there is one.
    if not standing and (NAMESPACES / CARDS_NAMESPACE).exists():
        leftovers.append(f"namespace {CARDS_NAMESPACE}")
    return Remains(standing, tuple(leftovers))
