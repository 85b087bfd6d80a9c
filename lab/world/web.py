"""HTTP in the world: the programs that answer at moving addresses, and the clients that ask them.

A program takes no part in the processor's queue of the node's own stack; it waits for the processor
as any process does. A paused node's program answers nobody: what asks it meanwhile has given up
by the time it goes on, since clients are less patient than pauses are long.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from lab.ethernet.agenda import Agenda, to_ns
from lab.stacks.addresses import moving_network
from lab.stacks.core import EffectDone, Input, StreamClosed, StreamData, StreamOpen, StreamOpened
from lab.world.host import Host
from lab.world.streams import Streams

_CHANNEL = "http "
_FIRST_STREAM = 1 << 32
"""Streams of clients are numbered from here, above those that cores open."""
Done: TypeAlias = Callable[[EffectDone], None]


def is_web(channel: str) -> bool:
    """Tell whether a stream's channel is one of HTTP."""
    return channel.startswith(_CHANNEL)


class Web:
    """All programs that answer HTTP, and all requests to them.

    Args:
        holder: tells which node has a moving address, if any.
        networks: the first three numbers of the addresses of each network.
    """

    def __init__(
        self,
        agenda: Agenda,
        streams: Streams,
        holder: Callable[[str], int | None],
        networks: tuple[str, ...],
    ) -> None:
        self._agenda = agenda
        self._streams = streams
        self._holder = holder
        self._networks = networks
        self._programs: dict[tuple[int, str], str] = {}
        """By node and name of the program, the channel that it answers on."""
        self._asked: dict[tuple[int, int], tuple[int, Done]] = {}
        """By node and stream of a client, the effect's token and whom to tell."""
        self._served: dict[tuple[int, int], str] = {}
        """Streams that a client opened to a program, by node and number: the program."""
        self._last = _FIRST_STREAM

    # --- programs ------------------------------------------------------------------------

    def start(self, node: int, arguments: Mapping[str, Any]) -> None:
        """A program of a node begins to answer."""
        options = arguments["options"]
        channel = _channel(str(options["address"]), int(options["port"]))
        self._programs[node, str(arguments["name"])] = channel

    def stop(self, node: int, name: str) -> None:
        """A program ends, if it runs."""
        self._programs.pop((node, name), None)

    def drop(self, node: int) -> None:
        """All programs of a node have ended."""
        for program in [key for key in self._programs if key[0] == node]:
            del self._programs[program]
        for stream in [key for key in self._served if key[0] == node]:
            del self._served[stream]

    # --- clients -------------------------------------------------------------------------

    def get(self, host: Host, token: int, arguments: Mapping[str, Any], done: Done) -> None:
        """Ask once; ``done`` is told the answer, or that there was none in time."""
        address, port = str(arguments["address"]), int(arguments["port"])
        self._last += 1
        key = host.number, self._last
        self._asked[key] = token, done
        timeout_ns = to_ns(float(arguments["timeout_s"]))
        self._agenda.at(self._agenda.now_ns + timeout_ns, self._give_up, key)
        network, peer = moving_network(address, self._networks), self._holder(address)
        if network is not None and peer is not None:  # else nobody hears the question
            asked = StreamOpen(self._last, peer, network, _channel(address, port))
            self._streams.open(host.number, asked, peer)

    def _give_up(self, key: tuple[int, int]) -> None:
        self._end(key, ok=False, detail="no answer in time")

    def _end(self, key: tuple[int, int], *, ok: bool, detail: str) -> None:
        asked = self._asked.pop(key, None)
        if asked is not None:
            token, done = asked
            self._streams.close(*key)
            done(EffectDone(token, ok=ok, detail=detail))

    # --- what streams bring --------------------------------------------------------------

    def take(self, host: Host, channel: str, item: Input) -> None:
        """Take what a stream of HTTP brings to either end."""
        match item:
            case StreamOpened(inward=True):
                self._accept(host, channel, item.stream)
            case StreamOpened():
                self._streams.send(host.number, item.stream, b"GET /")
            case StreamData() if item.stream < 0:
                self._answer(host, item.stream)
            case StreamData():
                self._end((host.number, item.stream), ok=True, detail=item.data.decode())
            case StreamClosed() if item.stream > 0:
                self._end((host.number, item.stream), ok=False, detail="refused, or broken off")
            case StreamClosed():
                self._served.pop((host.number, item.stream), None)

    def _accept(self, host: Host, channel: str, stream: int) -> None:
        for (node, name), answers in self._programs.items():
            if node == host.number and answers == channel:
                self._served[node, stream] = name
                return
        self._streams.close(host.number, stream)

    def _answer(self, host: Host, stream: int) -> None:
        name = self._served.pop((host.number, stream), None)
        if name is None or host.paused:
            return
        data = json.dumps({"name": name, "node": host.number}).encode()
        at_ns = self._agenda.now_ns + to_ns(host.processor.wake_s())
        self._agenda.at(at_ns, self._send, (host.number, stream, data))

    def _send(self, what: tuple[int, int, bytes]) -> None:
        self._streams.send(*what)


def _channel(address: str, port: int) -> str:
    return f"{_CHANNEL}{address}:{port}"
