"""The server's half of RPC: a call is executed at most once, and its answer kept for a while."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeAlias

import msgspec

from lab.stacks.core import NodeId
from lab.stacks.mscs.context import Context

CHANNEL = "rpc"

Respond: TypeAlias = Callable[[float, Any], None]
"""Answers a call with plain data, at once or later, once."""
Handler: TypeAlias = Callable[[float, NodeId, dict[str, Any], Respond], None]
"""Executes a call: time, caller, arguments, answer."""


class _Message(msgspec.Struct, frozen=True, array_like=True, tag=True):
    incarnation: int
    """Of the sender."""
    call: int
    """Numbers the calls of one incarnation of a client."""


class Request(_Message, frozen=True, array_like=True, tag=True):
    """A call, or the question whether it is still worked at."""

    oldest: int
    """The client waits for no call with a lower number."""
    method: str
    arguments: dict[str, Any]
    server: int = 0
    """The incarnation that works at it, as far as the client knows."""


class Answer(_Message, frozen=True, array_like=True, tag=True):
    """What came out of a call."""

    client: int
    """The client's incarnation."""
    ok: bool
    value: Any = None
    error: str = ""


class Working(_Message, frozen=True, array_like=True, tag=True):
    """A sign of life: the call is being worked at."""

    client: int


@dataclass
class _Client:
    """One incarnation of a node that calls."""

    incarnation: int
    oldest: int = 0
    answers: dict[int, Answer | None] = field(default_factory=dict)
    """None while a call is being worked at."""


class Network(Protocol):
    """What a server needs of ClusNet."""

    def pick(self, node: NodeId | str) -> int:
        """Choose the network for the next datagram to a node."""


class Server:
    """Executes the calls of other nodes."""

    def __init__(self, ctx: Context, network: Network) -> None:
        self._ctx = ctx
        self._network = network
        self._handlers: dict[str, Handler] = {}
        self._clients: dict[NodeId, _Client] = {}

    def serve(self, method: str, handler: Handler) -> None:
        """Say what a method does."""
        self._handlers[method] = handler

    def request(self, now_s: float, source: NodeId, request: Request) -> None:
        """Take a call, for the first time or again."""
        client = self._clients.get(source)
        if client is None or client.incarnation < request.incarnation:
            client = self._clients[source] = _Client(request.incarnation)
        if client.incarnation > request.incarnation or request.call < client.oldest:
            return
        self._forget(client, request.oldest)
        if request.call in client.answers:
            self._again(source, client, request)
        elif request.server not in (0, self._ctx.incarnation):
            self._answer(source, self._failure(request, "restarted"), request.method)
        else:
            self._execute(now_s, source, client, request)

    def state(self) -> dict[str, Any]:
        """Return the state as plain data."""
        return {
            str(node): {"incarnation": client.incarnation, "calls": sorted(client.answers)}
            for node, client in sorted(self._clients.items())
        }

    def _forget(self, client: _Client, oldest: int) -> None:
        """Forget what the client no longer asks for."""
        if oldest > client.oldest:
            client.oldest = oldest
            for number in [number for number in client.answers if number < oldest]:
                del client.answers[number]

    def _again(self, source: NodeId, client: _Client, request: Request) -> None:
        answer = client.answers[request.call]
        if answer is not None:
            self._answer(source, answer, request.method)
            return
        working = Working(self._ctx.incarnation, request.call, client.incarnation)
        self._send(source, working, f"rpc {request.method} working")

    def _execute(self, now_s: float, source: NodeId, client: _Client, request: Request) -> None:
        client.answers[request.call] = None
        handler = self._handlers.get(request.method)
        if handler is None:
            self._finish(source, client, request, self._failure(request, "no such method"))
            return

        def respond(at_s: float, value: Any) -> None:
            answer = Answer(self._ctx.incarnation, request.call, client.incarnation, True, value)
            self._finish(source, client, request, answer)

        try:
            handler(now_s, source, request.arguments, respond)
        except (KeyError, TypeError, ValueError) as error:
            # Arguments that no node of this stack sends must not stop this one.
            self._ctx.emit("rpc", phase="refused", method=request.method, error=repr(error))
            self._finish(source, client, request, self._failure(request, "bad arguments"))

    def _failure(self, request: Request, error: str) -> Answer:
        return Answer(
            self._ctx.incarnation, request.call, request.incarnation, ok=False, error=error
        )

    def _finish(self, source: NodeId, client: _Client, request: Request, answer: Answer) -> None:
        if request.call in client.answers and client.answers[request.call] is None:
            client.answers[request.call] = answer
        if self._clients.get(source) is client:
            self._answer(source, answer, request.method)

    def _answer(self, source: NodeId, answer: Answer, method: str) -> None:
        self._send(source, answer, f"rpc {method} answer")

    def _send(self, to: NodeId, message: Answer | Working, label: str) -> None:
        self._ctx.send(to, self._network.pick(to), CHANNEL, _encoder.encode(message), label)


_encoder = msgspec.msgpack.Encoder()
