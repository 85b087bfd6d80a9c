"""Programs that a core starts on its node, such as the HTTP service of a resource group.

``program-start`` has the arguments ``name`` (of this instance), ``program`` (a key of ``PROGRAMS``)
and ``options`` (the program's own, passed as ``--key value``). A program tells that it is ready by
a line on its output, and ends when its input does, so that it never outlives the shell.
"""

from __future__ import annotations

import asyncio
import sys
from asyncio.subprocess import PIPE, Process
from collections import defaultdict
from collections.abc import Callable, Coroutine, Mapping
from pathlib import Path
from typing import Any

from lab.errors import LabError
from lab.shell.station import Station

PROGRAMS = {"http": "http_service.py"}
_READY_TIMEOUT_S = 20.0
_STOP_TIMEOUT_S = 5.0


class Programs:
    """The programs that run on a node.

    Args:
        spawn: runs something beside the rest.
    """

    def __init__(
        self, station: Station, spawn: Callable[[Coroutine[Any, Any, None]], None]
    ) -> None:
        self._station = station
        self._spawn = spawn
        self._running: dict[str, Process] = {}
        self._turns: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        """By name: a start is over before the stop that came after it begins."""

    async def start(self, arguments: Mapping[str, Any], on_end: Callable[[str], None]) -> None:
        """Start a program and wait until it is ready; ``on_end`` is told if it ends by itself.

        Raises:
            LabError: it cannot be started, or ended before it was ready; says why.
        """
        name, argv = self._command(arguments)
        async with self._turns[name]:
            await self._start(name, argv, on_end)

    async def _start(self, name: str, argv: list[str], on_end: Callable[[str], None]) -> None:
        if name in self._running:
            raise LabError(f"a program {name!r} runs already")
        process = await asyncio.create_subprocess_exec(*argv, stdin=PIPE, stdout=PIPE, stderr=PIPE)
        self._running[name] = process
        assert process.stdout is not None  # noqa: S101 - it is a pipe
        try:
            ready = await asyncio.wait_for(process.stdout.readline(), _READY_TIMEOUT_S)
        except TimeoutError:
            ready = b""
        if not ready:
            why = await self._end(name, process)
            raise LabError(f"{name} did not start: {why}")
        self._spawn(self._watch(name, process, on_end))

    async def stop(self, name: str) -> None:
        """Stop a program, if it runs."""
        async with self._turns[name]:
            process = self._running.get(name)
            if process is not None:
                await self._end(name, process)

    async def close(self) -> None:
        """End all programs at once."""
        processes = [*self._running.values()]
        self._running.clear()
        for process in processes:
            process.kill()
            await process.wait()

    def _command(self, arguments: Mapping[str, Any]) -> tuple[str, list[str]]:
        name, program = str(arguments.get("name", "")), arguments.get("program")
        if not name or program not in PROGRAMS:
            raise LabError(
                f"there is no program {program!r} to start as {name!r}",
                remedy=f"there are: {', '.join(PROGRAMS)}",
            )
        options = {"name": name, "node": self._station.node, **arguments.get("options", {})}
        if "address" in options:
            # A client reaches it on the first network that the address is on.
            addresses = self._station.plan.moving_address(str(options["address"]))
            options["address"] = addresses[min(addresses)]
        path = Path(__file__).with_name(PROGRAMS[program])
        words = [word for key, value in options.items() for word in (f"--{key}", str(value))]
        return name, [sys.executable, "-S", "-E", str(path), *words]

    async def _watch(self, name: str, process: Process, on_end: Callable[[str], None]) -> None:
        await process.wait()
        if self._running.get(name) is process:
            del self._running[name]
            on_end(f"{name} ended with status {process.returncode}")

    async def _end(self, name: str, process: Process) -> str:
        """End a program and return the last thing it complained of."""
        if self._running.get(name) is process:
            del self._running[name]
        if process.returncode is None:
            process.terminate()
        try:
            _, complaint = await asyncio.wait_for(process.communicate(), _STOP_TIMEOUT_S)
        except TimeoutError:
            process.kill()
            return "it did not end when told to"
        lines = complaint.decode(errors="replace").splitlines()
        return lines[-1] if lines else f"it ended with status {process.returncode}"
