"""The nodes of a standing lab: their programs, and where their files are.

========================= =========================================================
``shared/plan.json``      the plan of all shells
``shared/quorum/``        the quorum volume
``hosts/nN/node/``        the directory of a node's shell
``hosts/nN/node.sock``    where it takes requests, and the node's commands look for it
``hosts/nN/output``       what programs of the node wrote
========================= =========================================================
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from lab.emulation import docker_hosts, node_programs
from lab.emulation.labels import host_dir, shared_dir
from lab.emulation.medium.keeper import SOCKET as KEEPER_SOCKET
from lab.emulation.state import HostState, LabState
from lab.errors import LabError
from lab.results.logs import LOG_SUFFIX
from lab.shell.client import SOCKET
from lab.shell.plan import ShellPlan, write_plan
from lab.world.world import RUNTIME

PLAN_FILE = "plan.json"
NODE_DIR = "node"
_LOOK_S = 0.01
_PARALLEL = 4


def node_name(node: int) -> str:
    """Return the host that is a node."""
    return f"n{node}"


def runtime_log(directory: Path) -> Path:
    """Return where the runtime logs what it does itself: of a case, or of a lab built by hand."""
    return directory / f"{RUNTIME}{LOG_SUFFIX}"


class SlowStartError(LabError):
    """The machine was too slow for the time that was given."""


class Nodes:
    """Nodes 1..count of a lab."""

    def __init__(self, state: LabState, count: int) -> None:
        self.count = count
        self._state = state
        self._hosts = {node: state.host(node_name(node)) for node in self.all}
        self._shared = shared_dir(state.lab_id)

    @property
    def all(self) -> Sequence[int]:
        """The numbers of all nodes."""
        return range(1, self.count + 1)

    def host(self, node: int) -> HostState:
        """Return the host that is a node."""
        return self._hosts[node]

    def directory(self, node: int) -> Path:
        """Return the directory of a node's shell."""
        return host_dir(self._state.lab_id, node_name(node)) / NODE_DIR

    def socket(self, node: int) -> Path:
        """Return where a node takes requests."""
        return host_dir(self._state.lab_id, node_name(node)) / SOCKET

    @property
    def plan_file(self) -> Path:
        """Return where the plan of the shells is."""
        return self._shared / PLAN_FILE

    def reset(self, plan: ShellPlan) -> None:
        """End all programs, empty all disks, and write the plan of what comes next."""
        self.kill(self.all)
        for node in self.all:
            self.socket(node).unlink(missing_ok=True)
            for name in (node_programs.OUTPUT, node_programs.ENDED):
                (self.directory(node).parent / name).unlink(missing_ok=True)
            _make_empty(self.directory(node))
        _make_empty(self._shared / "quorum")
        write_plan(self.plan_file, plan)

    def start(self, node: int) -> None:
        """Start a node's program, unless it runs."""
        if self.runs(node):
            return
        home = self.directory(node).parent
        node_programs.start(
            self._state.lab_id,
            self._hosts[node],
            (
                *("python3", "-S", "-m", "lab.shell", str(self.plan_file)),
                *("--node", str(node), "--directory", str(self.directory(node))),
                *("--quorum", str(self._shared / "quorum")),
                *("--address-keeper", str(home / KEEPER_SOCKET)),
                *("--socket", str(self.socket(node))),
            ),
        )

    def runs(self, node: int) -> bool:
        """Tell whether any program runs on a node."""
        return bool(node_programs.programs(self._hosts[node]))

    def kill(self, nodes: Iterable[int]) -> None:
        """End all programs of some nodes at once."""
        with ThreadPoolExecutor(_PARALLEL) as pool:
            list(pool.map(lambda node: node_programs.kill(self._hosts[node]), nodes))

    def wipe(self, nodes: Iterable[int]) -> None:
        """End all programs of some nodes, and empty their disks."""
        chosen = list(nodes)
        self.kill(chosen)
        for node in chosen:
            shutil.rmtree(self.directory(node) / "disk", ignore_errors=True)

    def wait_until_ready(self, nodes: Iterable[int], until_s: float) -> None:
        """Wait until the programs of some nodes take requests.

        Args:
            nodes: which.
            until_s: the latest moment, monotonic.

        Raises:
            SlowStartError: one does not, though it may yet.
            LabError: one has ended, with what it wrote.
        """
        missing = set(nodes)
        while missing := {node for node in missing if not self.socket(node).exists()}:
            for node in missing:
                if (self.directory(node).parent / node_programs.ENDED).exists():
                    raise self._ended(node)
            if time.monotonic() > until_s:
                raise SlowStartError(
                    f"the programs of {len(missing)} nodes did not start in time",
                    remedy="is the machine busy? see `lab doctor`",
                )
            time.sleep(_LOOK_S)

    def _ended(self, node: int) -> LabError:
        said = node_programs.output_tail(self._state.lab_id, node_name(node))
        return LabError(f"the program of node {node} ended as soon as it was started:\n{said}")


def _make_empty(directory: Path) -> None:
    """Make a directory anew that the nodes may write into."""
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(mode=0o755)
    os.chown(directory, docker_hosts.UID, docker_hosts.UID)
