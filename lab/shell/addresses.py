"""Addresses that move from node to node: asking the keeper for them, and listening there.

Giving an interface an address needs a right over the network that no container of a lab has. The
keeper of addresses (:mod:`lab.emulation.medium.keeper`), a part of the lab outside of the
containers, does just this for the node that asks, on a socket in the node's own directory, and
takes addresses back from a node that has ended.
"""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path

import msgspec

from lab.shell.datagrams import Datagrams
from lab.shell.station import Station
from lab.shell.streams import Streams


class KeeperAsk(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """A line to the keeper: one of the two is an address."""

    up: str = ""
    down: str = ""


class KeeperAnswer(msgspec.Struct, frozen=True, omit_defaults=True):
    """A line from the keeper."""

    ok: bool
    detail: str = ""


class Addresses:
    """The addresses that a node has taken over.

    Args:
        keeper: the keeper's socket; None where every address is there already (loopback).
    """

    def __init__(
        self, station: Station, datagrams: Datagrams, streams: Streams, keeper: Path | None
    ) -> None:
        self._station = station
        self._datagrams = datagrams
        self._streams = streams
        self._keeper = keeper
        self._connection: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self._one_at_a_time = asyncio.Lock()

    async def up(self, name: str) -> None:
        """Take over an address; OSError or LabError when that cannot be."""
        addresses = self._station.plan.moving_address(name)
        async with self._one_at_a_time:
            try:
                for address in addresses.values():
                    await self._ask(KeeperAsk(up=address))
                self._datagrams.listen_at(name, addresses)
                await self._streams.listen_at(name, addresses)
            except OSError:
                with contextlib.suppress(OSError):
                    await self._give_up(name, addresses)
                raise

    async def down(self, name: str) -> None:
        """Give an address up, if it is here; LabError when there is none of that name."""
        addresses = self._station.plan.moving_address(name)
        async with self._one_at_a_time:
            await self._give_up(name, addresses)

    async def _give_up(self, name: str, addresses: dict[int, str]) -> None:
        self._datagrams.leave(name)
        self._streams.leave(name)
        for address in addresses.values():
            await self._ask(KeeperAsk(down=address))

    async def _ask(self, ask: KeeperAsk) -> None:
        if self._keeper is None:
            return
        if self._connection is None:
            self._connection = await asyncio.open_unix_connection(self._keeper)
        reader, writer = self._connection
        writer.write(msgspec.json.encode(ask) + b"\n")
        line = await reader.readline()
        if not line:
            self._connection = None
            raise OSError("the keeper of addresses has ended")
        answer = msgspec.json.decode(line, type=KeeperAnswer)
        if not answer.ok:
            raise OSError(answer.detail)
