"""The endpoint processes of one pass: started in their hosts, watched, gathered.

Every end of a stream is a process of its own inside a host or container (thesis 4.4: user
processes send and receive through U-Net). It finds its orders in a plan file in the host's
directory, which a container sees under the same path.
"""

import json
import shutil
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from lab.emulation.labels import host_dir
from lab.emulation.net import HostProcess, popen_in_host
from lab.emulation.programs import unet_program
from lab.emulation.state import LabState
from lab.engine.kernels import claimed_as
from lab.engine.watch import Watch, Watched, log_tail
from lab.errors import LabError
from lab.scenarios import EndpointPlan


@dataclass
class Endpoint:
    """One endpoint process and its files."""

    plan: EndpointPlan
    folder: Path
    log: Path
    handle: HostProcess | None = None
    expendable: bool = False
    """A fault of the experiment ends it: then neither its death nor its silence is an error."""

    @property
    def pid(self) -> int:
        """The number of its process on this machine, 0 when there is none."""
        return 0 if self.handle is None else self.handle.pid

    @property
    def label(self) -> str:
        """What the user calls it."""
        return f"the {self.plan.role} endpoint {self.plan.endpoint} on {self.plan.host}"

    def path(self, pass_name: str, kind: str) -> Path:
        """Its plan or its output for a pass, in the host's directory."""
        return self.folder / f"{pass_name}-{self.plan.endpoint}.{kind}.json"

    def failure(self, what: str) -> LabError:
        """The error that says what went wrong with this process, with the end of its log."""
        return LabError(f"{self.label} {what}{log_tail(self.log)}")

    def ended_well(self) -> bool:
        """Whether the process is done and content; waits shortly for its exit code."""
        if self.expendable:
            return True
        deadline_s = time.monotonic() + 2.0
        while self.handle is not None and self.handle.poll() is None:
            if time.monotonic() > deadline_s:
                return False
            time.sleep(0.01)
        return self.handle is None or self.handle.poll() == 0


@dataclass
class EndpointSet:
    """All endpoint processes of one pass; leaving the context ends those that still run."""

    state: LabState
    pass_name: str
    raw: Path
    endpoints: list[Endpoint] = field(default_factory=list)

    def __enter__(self) -> "EndpointSet":
        return self

    def __exit__(self, *_: object) -> None:
        for endpoint in self.endpoints:
            if endpoint.handle is not None and endpoint.handle.poll() is None:
                with suppress(OSError, LabError):
                    endpoint.handle.kill()

    def start(self, plans: Sequence[EndpointPlan]) -> None:
        """Write every plan and start every process; LabError when a host refuses."""
        for plan in plans:
            folder = host_dir(self.state.lab_id, plan.host)
            log = self.raw / f"{self.pass_name}-{plan.endpoint}.log"
            endpoint = Endpoint(plan, folder, log)
            path = endpoint.path(self.pass_name, "plan")
            path.write_text(json.dumps(plan.plan, indent=1), encoding="utf-8")
            endpoint.path(self.pass_name, "out").unlink(missing_ok=True)
            self.endpoints.append(endpoint)
        with ThreadPoolExecutor(max_workers=4) as pool:
            list(pool.map(self._start_one, self.endpoints))

    def _start_one(self, endpoint: Endpoint) -> None:
        plan = endpoint.plan
        argv = [
            *unet_program(self.state.hosts[plan.host], "stream"),
            plan.role,
            *("--endpoint", plan.endpoint),
            *("--plan", str(endpoint.path(self.pass_name, "plan"))),
            *("--out", str(endpoint.path(self.pass_name, "out"))),
        ]
        with endpoint.log.open("wb") as log:
            endpoint.handle = popen_in_host(self.state, plan.host, argv, stdout=log, stderr=log)

    def watch_all(self, watch: Watch) -> None:
        """Watch every process; its regular end after the pass is not a death."""
        for endpoint in self.endpoints:
            if endpoint.pid == 0:
                raise endpoint.failure("ended at once")
            watch.add(
                Watched(endpoint.label, endpoint.pid, endpoint.log, may_end=endpoint.ended_well)
            )

    @property
    def pids(self) -> list[int]:
        """Numbers of the processes."""
        return [endpoint.pid for endpoint in self.endpoints]

    def missing(self, attached: Sequence[Sequence[str]]) -> list[Endpoint]:
        """The endpoints that the line cards do not know as attached yet."""
        known = {(host, name) for host, name in attached}
        return [e for e in self.endpoints if (e.plan.host, claimed_as(e.plan)) not in known]

    def running(self) -> list[Endpoint]:
        """The endpoints whose process has not ended."""
        return [e for e in self.endpoints if e.handle is not None and e.handle.poll() is None]

    def gather(self) -> None:
        """Copy what the processes wrote into the run; LabError when one wrote nothing."""
        for endpoint in self.endpoints:
            path = endpoint.path(self.pass_name, "out")
            if endpoint.expendable and not path.is_file():
                continue
            if not path.is_file():
                raise endpoint.failure("left no result")
            shutil.copy(path, self.raw / path.name)
