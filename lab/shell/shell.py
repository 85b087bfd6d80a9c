"""One life of one node in a process: puts the parts of a shell together, runs and ends them."""

from __future__ import annotations

import asyncio
import signal
import sys
import traceback
from asyncio import AbstractEventLoop
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from lab.errors import LabError
from lab.shell.addresses import Addresses
from lab.shell.client import SOCKET, Control
from lab.shell.clock import Clock
from lab.shell.control import ControlSocket
from lab.shell.datagrams import Datagrams
from lab.shell.disks import Disk, OwnVolume
from lab.shell.effects import Effects
from lab.shell.faults import read_faults
from lab.shell.instruments import Instruments
from lab.shell.journal import Header, Journal, journal_path
from lab.shell.log import EventLog
from lab.shell.loop import watched_loop
from lab.shell.node import Node
from lab.shell.plan import EXIT_FAILED, EXIT_HALTED, EXIT_STOPPED, ShellPlan
from lab.shell.programs import Programs
from lab.shell.quorum import QuorumVolume
from lab.shell.station import Station
from lab.shell.streams import Streams
from lab.stacks.core import (
    DiskCall,
    DiskDone,
    Effect,
    Emit,
    Multicast,
    Output,
    Reply,
    Request,
    Send,
    Stack,
    Start,
    StreamClose,
    StreamOpen,
    StreamSend,
    Volume,
)
from lab.stacks.events import HALTED, REPLY, REQUEST, STARTED
from lab.stacks.plan import program_of

INCARNATION = "incarnation"


@dataclass(frozen=True)
class Places:
    """Where a node's things are."""

    directory: Path
    quorum: Path | None = None
    keeper: Path | None = None
    """The socket of the keeper of addresses."""
    socket: Path | None = None

    @property
    def control(self) -> Path:
        """Where the shell listens."""
        return self.socket or self.directory / SOCKET


def core_seed(seed: int, node: int, incarnation: int) -> int:
    """Return the seed of one life of one node."""
    return Random(f"{seed} {node} {incarnation}").getrandbits(63)  # noqa: S311 - repeatable


def next_incarnation(directory: Path) -> int:
    """Count a start of the node."""
    path = directory / INCARNATION
    try:
        incarnation = int(path.read_text()) + 1
    except FileNotFoundError:
        incarnation = 1
    half = directory / f".{INCARNATION}"
    half.write_text(f"{incarnation}\n")
    half.replace(path)
    return incarnation


class Shell:
    """One life of one node.

    Raises:
        LabError: the plan has no such node, or the stack does not take its options.
    """

    def __init__(self, plan: ShellPlan, node: int, stack: Stack, places: Places) -> None:
        if not 1 <= node <= plan.nodes:
            raise LabError(f"the plan has nodes 1 to {plan.nodes}, not {node}")
        # First what can be refused, so that a wrong plan is no start of the node.
        name, options = program_of(plan, node)
        stack.make(node, options, plan.seed)
        self._places = places
        incarnation = next_incarnation(places.directory)
        self._station = station = Station(plan, node, incarnation, stack.channels)
        self._clock = Clock(plan.epoch_ns, plan.dilation)
        self._log = EventLog(places.directory, node, incarnation, self._clock)
        self._instruments = Instruments(self._clock, self._log)
        self._loop: AbstractEventLoop = watched_loop(self._idle)
        self._tasks: set[asyncio.Task[None]] = set()
        self._ended: asyncio.Future[int] = self._loop.create_future()
        self._early: list[Request] | None = []
        """Requests that came before the node began; None once it has."""

        seed = core_seed(plan.seed, node, incarnation)
        self._journal: Journal | None = None
        if plan.journal:
            header = Header(name, node, incarnation, options, seed)
            self._journal = Journal(journal_path(places.directory, node, incarnation), header)
        core = stack.make(node, options, seed)
        self._node = Node(
            self._loop,
            core,
            self._clock,
            self._journal,
            carry_out=self._carry_out,
            on_halt=self._halted,
            on_failure=self._failed,
        )
        self._build(station)

    def _build(self, station: Station) -> None:
        """Make the parts that outputs go to and inputs come from."""
        loop, clock, places, enter = self._loop, self._clock, self._places, self._node.enter
        self._datagrams = Datagrams(loop, station, clock, self._log, on_received=enter)
        self._streams = Streams(loop, station, enter=enter, spawn=self._spawn)
        self._own = OwnVolume(places.directory / "disk")
        self._disks: dict[Volume, Disk] = {"own": Disk(loop, self._own, clock, enter)}
        self._quorum: QuorumVolume | None = None
        if places.quorum is not None:
            reservation_s = station.plan.reservation_s
            self._quorum = QuorumVolume(places.quorum, station.node, clock, reservation_s)
            self._disks["quorum"] = Disk(loop, self._quorum, clock, enter)
        self._programs = Programs(station, self._spawn)
        addresses = Addresses(station, self._datagrams, self._streams, places.keeper)
        self._effects = Effects(
            addresses, self._programs, clock.dilation, on_done=enter, spawn=self._spawn
        )
        self._control = ControlSocket(
            loop, places.control, on_request=self._request, on_control=self._do_control
        )
        self._ways: dict[type, Callable[[Any], None]] = {
            Send: self._datagrams.send,
            Multicast: self._datagrams.multicast,
            Reply: self._reply,
            StreamOpen: self._streams.open,
            StreamSend: self._streams.send,
            StreamClose: self._streams.end,
            DiskCall: self._disk_call,
            Effect: self._effects.start,
            Emit: self._emit,
        }

    # --- life ----------------------------------------------------------------------------

    def run(self) -> int:
        """Run to the end and return the status to exit with.

        Raises:
            LabError: the node is not on its networks.
        """
        asyncio.set_event_loop(self._loop)
        self._loop.set_exception_handler(self._part_failed)
        for number in (signal.SIGTERM, signal.SIGINT):
            self._loop.add_signal_handler(number, self._end, EXIT_STOPPED)
        try:
            self._loop.run_until_complete(self._open())
            return self._loop.run_until_complete(self._live())
        finally:
            self._loop.run_until_complete(self._close())
            self._loop.close()

    async def _open(self) -> None:
        own = self._station.own_addresses
        try:
            self._datagrams.open()
            await self._streams.listen_at("", own)
            await self._control.open()
        except OSError as error:
            raise LabError(
                f"node {self._station.node} cannot open its sockets: {error}",
                remedy=f"it must be at {' and '.join(own.values())}, "
                f"and {self._places.control} must be a path of its own",
            ) from error
        self._heed_faults()

    async def _live(self) -> int:
        wait_s = -self._clock.now_s() * self._clock.dilation
        await asyncio.wait([self._ended], timeout=max(0.0, wait_s))
        if not self._ended.done():
            self._begin()
        return await self._ended

    def _begin(self) -> None:
        self._log.event(STARTED)
        self._node.begin(Start(self._station.incarnation, self._own.store.contents()))
        self._datagrams.begin()
        early, self._early = self._early or [], None
        for request in early:
            self._request(request)
        self._spawn(self._instruments.tell_regularly(self._node, self._datagrams, self._streams))

    def _end(self, status: int) -> None:
        self._node.end()
        if not self._ended.done():
            self._ended.set_result(status)

    def _halted(self, reason: str) -> None:
        self._log.event(HALTED, cause=reason)
        self._end(EXIT_HALTED)

    def _failed(self, error: BaseException) -> None:
        """The core failed, or the shell itself: the run is no evidence of anything."""
        why = "".join(traceback.format_exception(error))
        self._log.event(HALTED, "failed", cause=why)
        print(f"error: node {self._station.node} failed\n{why}", file=sys.stderr)
        self._end(EXIT_FAILED)

    def _part_failed(self, _: AbstractEventLoop, context: dict[str, Any]) -> None:
        self._failed(context.get("exception") or RuntimeError(context["message"]))

    async def _close(self) -> None:
        self._control.close()
        for disk in self._disks.values():
            disk.close()
        await self._programs.close()
        self._instruments.tell("end", self._node, self._datagrams, self._streams)
        self._datagrams.close()
        self._streams.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._journal is not None:
            failed = not self._ended.done() or self._ended.result() == EXIT_FAILED
            self._journal.close(None if failed else self._node.core)
        self._log.close()

    def _idle(self, busy_s: float) -> None:
        """Write what was collected, before the loop waits."""
        self._instruments.note_busy(busy_s)
        self._log.flush()
        if self._journal is not None:
            self._journal.flush()

    def _spawn(self, what: Coroutine[Any, Any, None]) -> None:
        task = self._loop.create_task(what)
        self._tasks.add(task)
        task.add_done_callback(self._task_done)

    def _task_done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None:
            self._failed(error)

    # --- what goes in and out ------------------------------------------------------------

    def _carry_out(self, output: Output) -> None:
        self._ways[type(output)](output)

    def _request(self, request: Request) -> None:
        if self._early is not None:
            self._early.append(request)
            return
        fields = {"id": request.id, "name": request.name, "arguments": request.arguments}
        self._log.event(REQUEST, fields=fields)
        self._node.enter(request)

    def _reply(self, reply: Reply) -> None:
        fields = {"id": reply.id, "ok": reply.ok, "value": reply.value}
        self._log.event(REPLY, fields=fields)
        self._control.reply(reply)

    def _emit(self, emit: Emit) -> None:
        self._log.event(emit.kind, emit.phase, emit.cause, emit.fields)

    def _disk_call(self, call: DiskCall) -> None:
        disk = self._disks.get(call.volume)
        if disk is None:
            self._node.enter(DiskDone(call.token, ok=False))
        else:
            disk.call(call)

    def _do_control(self, control: Control) -> None:
        if control == "stop":
            self._end(EXIT_STOPPED)
        else:
            self._heed_faults()

    def _heed_faults(self) -> None:
        faults = read_faults(self._places.directory)
        if faults.clock_ahead_s != self._clock.ahead_s:
            self._node.step_clock(faults.clock_ahead_s)
        for disk in self._disks.values():
            disk.delay_s = faults.disk_delay_s
        if self._quorum is not None:
            self._quorum.cut = faults.quorum_cut
