"""Remote procedure calls over ClusNet's datagrams, in the manner of DCE RPC (thesis 7.6, 7.8).

A call is sent until its server gives a sign of life, and then again, more rarely, to ask whether it
still works at it: as long as it says so, the call waits, however long that takes ("no time bound on
the execution of an RPC ... as long as RPC keep-alives are being honored"). A server executes a call
at most once: it keeps the answer until the client says that it needs it no more.

A call fails when the membership says that its server is down, after a silence of
``rpc_silence_s``, or after the time that the caller gives it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

import msgspec

from lab.stacks.core import NodeId, Received
from lab.stacks.mscs.config import Config
from lab.stacks.mscs.context import Context
from lab.stacks.mscs.rpc_server import CHANNEL, Answer, Handler, Request, Server, Working

NO_ANSWER, DOWN, TIMEOUT, RESTARTED = "no answer", "down", "time-out", "restarted"


class RpcResult(msgspec.Struct, frozen=True):
    """What became of a call."""

    ok: bool
    value: Any = None
    """What the server answered."""
    source: NodeId = 0
    """The node that answered: news to who called an address."""
    error: str = ""
    """Why it failed."""


Done: TypeAlias = Callable[[float, RpcResult], None]


class Network(Protocol):
    """What RPC needs of ClusNet."""

    def pick(self, node: NodeId | str) -> int:
        """Choose the network for the next datagram to a node."""

    def accepts(self, node: NodeId, incarnation: int) -> bool:
        """Tell whether a node's datagrams are let in."""


@dataclass
class _Call:
    to: NodeId | str
    request: Request
    done: Done
    heard_s: float
    """When the server gave its last sign of life."""
    wait_s: float
    deadline_s: float | None
    incarnation: int = 0
    """Of the server that works at it; 0 as long as nothing was heard."""


class Rpc:
    """One node's calls, and those that it serves."""

    def __init__(self, ctx: Context, config: Config, network: Network) -> None:
        self.counts: Counter[str] = Counter()
        """Calls made, by method."""
        self._ctx = ctx
        self._config = config
        self._network = network
        self._server = Server(ctx, network)
        self._calls: dict[int, _Call] = {}
        self._number = 0

    def serve(self, method: str, handler: Handler) -> None:
        """Say what a method does."""
        self._server.serve(method, handler)

    def call(
        self,
        now_s: float,
        to: NodeId | str,
        method: str,
        arguments: dict[str, Any],
        done: Done,
        *,
        timeout_s: float | None = None,
    ) -> None:
        """Call a method of another node, or of the holder of an address; ``done`` is called once.

        Args:
            now_s: the time.
            to: whom.
            method: its name.
            arguments: plain data.
            done: gets an :class:`RpcResult`.
            timeout_s: fail after so long, whatever the server says.
        """
        self.counts[method] += 1
        self._number += 1
        number = self._number
        oldest = min(self._calls, default=number)
        request = Request(self._ctx.incarnation, number, oldest, method, arguments)
        self._calls[number] = _Call(
            to=to,
            request=request,
            done=done,
            heard_s=now_s,
            wait_s=self._config.rpc_resend_s,
            deadline_s=None if timeout_s is None else now_s + timeout_s,
        )
        self._transmit(now_s, number)

    def fail_calls(self, now_s: float, node: NodeId) -> None:
        """Fail what is called of a node: the membership says that it is down."""
        for number, call in list(self._calls.items()):
            if call.to == node:
                self._end(now_s, number, RpcResult(ok=False, error=DOWN))

    def receive(self, now_s: float, item: Received) -> None:
        """Take a datagram of RPC's channel."""
        message = self._ctx.decode(item, _decoder)
        if message is None or not self._network.accepts(item.source, message.incarnation):
            return
        if isinstance(message, Request):
            self._server.request(now_s, item.source, message)
        else:
            self._heard(now_s, item.source, message)

    def state(self) -> dict[str, Any]:
        """Return the state as plain data."""
        return {
            "counts": dict(sorted(self.counts.items())),
            "calls": {
                str(number): [call.to, call.request.method] for number, call in self._calls.items()
            },
            "server": self._server.state(),
        }

    # --- as a client -----------------------------------------------------------------------

    def _transmit(self, now_s: float, number: int, *, again: bool = False) -> None:
        call = self._calls[number]
        network = self._network.pick(call.to)
        label = f"rpc {call.request.method}{' again' if again else ''}"
        self._ctx.send(call.to, network, CHANNEL, _encoder.encode(call.request), label)
        next_s = now_s + call.wait_s
        if call.deadline_s is not None:
            next_s = min(next_s, call.deadline_s)
        self._ctx.set_timer(
            "service", f"rpc {number}", next_s, lambda at_s: self._due(at_s, number)
        )

    def _due(self, now_s: float, number: int) -> None:
        """Nothing was heard for a while: ask again, or give up."""
        call = self._calls[number]
        if call.deadline_s is not None and now_s >= call.deadline_s:
            self._end(now_s, number, RpcResult(ok=False, error=TIMEOUT))
        elif now_s - call.heard_s >= self._config.rpc_silence_s:
            self._end(now_s, number, RpcResult(ok=False, error=NO_ANSWER))
        else:
            call.wait_s = min(2 * call.wait_s, self._config.rpc_keepalive_s)
            self._transmit(now_s, number, again=True)

    def _heard(self, now_s: float, source: NodeId, message: Answer | Working) -> None:
        call = self._calls.get(message.call)
        if call is None or (isinstance(call.to, int) and call.to != source):
            return
        if message.client != self._ctx.incarnation:
            return
        call.heard_s = now_s
        if call.incarnation not in (0, message.incarnation):
            self._end(now_s, message.call, RpcResult(ok=False, source=source, error=RESTARTED))
        elif isinstance(message, Answer):
            result = RpcResult(message.ok, message.value, source, message.error)
            self._end(now_s, message.call, result)
        else:
            call.incarnation = message.incarnation
            call.request = msgspec.structs.replace(call.request, server=message.incarnation)

    def _end(self, now_s: float, number: int, result: RpcResult) -> None:
        call = self._calls.pop(number)
        self._ctx.cancel_timer(f"rpc {number}")
        call.done(now_s, result)


_encoder = msgspec.msgpack.Encoder()
_decoder: msgspec.msgpack.Decoder[Request | Answer | Working] = msgspec.msgpack.Decoder(
    Request | Answer | Working
)
