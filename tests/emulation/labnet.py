"""What the tests of the real network share."""

import subprocess
from pathlib import Path

from lab.emulation import docker_hosts, net
from lab.emulation.node_programs import node_box
from lab.emulation.state import LabState
from lab.emulation.tuning import RECORD, SETTINGS
from lab.engine.cluster import standing
from lab.topology import Topology, from_description, load_topology

ROOT = Path(__file__).resolve().parents[2]
START_OVS = ROOT / "playbooks" / "files" / "start-ovs.sh"
START_DOCKER = ROOT / "playbooks" / "files" / "start-docker.sh"


def run(*argv: str) -> str:
    """Run a command that must succeed and return what it printed."""
    return subprocess.run(argv, capture_output=True, text=True, check=True, timeout=60).stdout


def small_tree() -> Topology:
    """Two leaves below one core: enough of everything to be made and removed."""
    return from_description(
        {
            "name": "small_tree",
            "switches": ["s1", "s2", "s3"],
            "hosts": ["n1", "n2", "n3"],
            "links": [
                ("n1", 0, "s1", 1),
                ("n2", 0, "s1", 2),
                ("n3", 0, "s2", 1),
                ("s1", 3, "s3", 1),
                ("s2", 2, "s3", 2),
            ],
            "layer": {"n1": 0, "n2": 0, "n3": 0, "s1": 1, "s2": 1, "s3": 2},
        }
    )


def build(
    topology: Topology, containers: tuple[str, ...] = (), *, line_cards: bool = False
) -> LabState:
    """Build a lab without line cards unless they are asked for."""
    return net.up(
        net.Site(topology, containers, dilation=100.0),
        fabric={},
        on_progress=lambda _message, _fraction: None,
        line_cards=line_cards,
    )


def build_lan(name: str, nodes: int) -> LabState:
    """Build an Ethernet lab with containers n1.. of the base image, and the client."""
    hosts = [f"n{node}" for node in range(1, nodes + 1)]
    topology = load_topology(name)
    site = net.Site(topology, hosts, hosts=[*hosts, "client"], box=node_box(docker_hosts.IMAGE))
    return net.up_lan(
        site, standing.lan_plan(topology), on_progress=lambda _message, _fraction: None
    )


def traces() -> dict[str, object]:
    """Count what a lab could leave behind, without asking the lab's own code."""
    links = run("ip", "-o", "link").splitlines()
    return {
        "links": sorted(line.split()[1].split("@")[0] for line in links if "lab-" in line),
        "link count": sum(1 for line in links if ": ovs-netdev:" not in line),
        "bridges": [name for name in run("ovs-vsctl", "list-br").split() if "lab-" in name],
        "namespaces": run("ip", "netns").split(),
        "containers": run("docker", "ps", "-aq", "--filter", "label=lab").split(),
        "holders": _pgrep("-x", "-f", "sleep infinity"),
        "files": sorted(str(path) for path in Path("/run/lab").glob("*")),
        "settings": ([path.read_text() for path in SETTINGS], RECORD.exists()),
    }


def _pgrep(*argv: str) -> list[str]:
    done = subprocess.run(["pgrep", *argv], capture_output=True, text=True, check=False, timeout=10)
    return done.stdout.split()


def children_of(pid: str) -> list[str]:
    """Return the numbers of a process's children."""
    return _pgrep("-P", pid)
