"""The journal of a node: all that entered its core, in order, so that it can be played again.

A file of frames, each a length (four bytes, big-endian) and so many bytes of msgpack: a header
first, then for each input the input with its time, *before* the core handles it, and a digest of
what came out, after; now and then, and at a clean end, a digest of the core's whole state. A file
that ends anywhere, because the node was killed, is readable up to there.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import msgspec

from lab.errors import LabError
from lab.shell.log import write_all
from lab.stacks.core import Core, Input, Output

STATE_EVERY = 1000
"""Inputs between two digests of the state."""
_LENGTH_BYTES = 4
_DIGEST_BYTES = 8


class Header(msgspec.Struct, frozen=True, tag=True):
    """What the core was made with."""

    stack: str
    node: int
    incarnation: int
    options: dict[str, Any]
    seed: int


class Entered(msgspec.Struct, frozen=True, tag=True):
    """An input that the core is about to handle."""

    now_s: float
    item: Input


class Left(msgspec.Struct, frozen=True, tag=True):
    """The digest of all that the last input made the core put out."""

    digest: bytes


class StateSeen(msgspec.Struct, frozen=True, tag=True):
    """The digest of the core's state after the last input."""

    digest: bytes
    last: bool
    """The node was stopped, or halted; nothing entered its core any more."""


Record: TypeAlias = Header | Entered | Left | StateSeen

_decoder = msgspec.msgpack.Decoder(Record)
_encoder = msgspec.msgpack.Encoder()


def _digest(data: Any) -> bytes:
    return hashlib.blake2b(_encoder.encode(data), digest_size=_DIGEST_BYTES).digest()


def _in_order(data: Any) -> Any:
    """Return plain data in which equal dictionaries and sets are in the same order."""
    if isinstance(data, dict):
        pairs = sorted(data.items(), key=lambda pair: repr(pair[0]))
        return [(key, _in_order(value)) for key, value in pairs]
    if isinstance(data, set | frozenset):
        return sorted(map(_in_order, data), key=repr)
    if isinstance(data, list | tuple):
        return [_in_order(value) for value in data]
    return data


def outputs_digest(outputs: Sequence[Output]) -> bytes:
    """Return a digest of outputs."""
    return _digest(outputs)


def state_digest(core: Core) -> bytes:
    """Return a digest of a core's state."""
    return _digest(_in_order(core.state()))


class Journal:
    """Writes the journal of one life of a node, whenever the shell has nothing left to do."""

    def __init__(self, path: Path, header: Header) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
        self._frames: list[bytes] = []
        self._inputs = 0
        self._add(header)

    def entered(self, now_s: float, item: Input) -> None:
        """Note an input, before the core handles it."""
        self._add(Entered(now_s, item))

    def left(self, core: Core, outputs: Sequence[Output]) -> None:
        """Note what came out, and now and then the state."""
        self._add(Left(outputs_digest(outputs)))
        self._inputs += 1
        if self._inputs % STATE_EVERY == 0:
            self._add(StateSeen(state_digest(core), last=False))

    def flush(self) -> None:
        """Write what was collected."""
        if self._frames:
            write_all(self._file, b"".join(self._frames))
            self._frames.clear()

    def close(self, core: Core | None) -> None:
        """Note the last state, unless the core failed, and close the file."""
        if core is not None:
            self._add(StateSeen(state_digest(core), last=True))
        self.flush()
        os.close(self._file)

    def _add(self, record: Record) -> None:
        body = _encoder.encode(record)
        self._frames.append(len(body).to_bytes(_LENGTH_BYTES, "big"))
        self._frames.append(body)


def journal_path(directory: Path, node: int, incarnation: int) -> Path:
    """Return where the journal of a node's life is."""
    return directory / f"{node}.{incarnation}.journal"


def read_journal(path: Path) -> Iterator[Record]:
    """Read a journal up to its end, or to where a crash has cut it off; the header comes first.

    Raises:
        LabError: it cannot be read, is no journal, or is damaged; says at which byte.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise LabError(f"{path} cannot be read: {error.strerror}") from error
    at = 0
    while at + _LENGTH_BYTES <= len(data):
        begin = at + _LENGTH_BYTES
        end = begin + int.from_bytes(data[at:begin], "big")
        if end > len(data):
            break
        try:
            record = _decoder.decode(data[begin:end])
        except msgspec.DecodeError as error:
            raise LabError(f"{path} is no journal, or damaged at byte {at}: {error}") from error
        if (at == 0) != isinstance(record, Header):
            raise LabError(f"{path} is no journal: its header is not at its beginning")
        yield record
        at = end
    if at == 0:
        raise LabError(f"{path} is no journal: it has no header")
