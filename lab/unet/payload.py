"""What the messages of a stream contain, and how a receiver checks it. Pure.

A message is: u32 tag of the stream (CRC-32 of its name), u32 sequence number, a pattern that
follows from the tag, u32 sequence number again. All of it is compared, so a message that is
cut, mixed from two, of another stream, or changed anywhere counts as corrupted.
"""

from __future__ import annotations

import struct
import zlib

TYPE_CHECKING = False  # importing typing would cost start-up time
if TYPE_CHECKING:
    import mmap

MIN_BYTES = 12
_HEADER = struct.Struct("<II")
_TRAILER = struct.Struct("<I")
CORRUPTED = -1


def stream_tag(stream: str) -> int:
    """Return the number that marks the messages of a stream."""
    return zlib.crc32(stream.encode())


class Payload:
    """The messages of one stream.

    Args:
        stream: its name.
        message_bytes: length of every message, `MIN_BYTES` or more.
    """

    def __init__(self, stream: str, message_bytes: int) -> None:
        self._tag = stream_tag(stream)
        self._length = message_bytes
        body = bytes((i * 29 + self._tag) & 0xFF for i in range(message_bytes - MIN_BYTES))
        self._body = body
        self._template = bytes(8) + body + bytes(4)

    def fill(self, memory: mmap.mmap | bytearray, position: int, seq: int) -> None:
        """Write message number ``seq`` at ``position``."""
        end = position + self._length
        memory[position:end] = self._template
        _HEADER.pack_into(memory, position, self._tag, seq & 0xFFFFFFFF)
        _TRAILER.pack_into(memory, end - 4, seq & 0xFFFFFFFF)

    def check(self, memory: mmap.mmap | bytearray, position: int, length: int) -> int:
        """Return the sequence number of the message at ``position``, or `CORRUPTED`."""
        if length != self._length:
            return CORRUPTED
        end = position + length
        tag: int
        seq: int
        tag, seq = _HEADER.unpack_from(memory, position)
        if (
            tag != self._tag
            or _TRAILER.unpack_from(memory, end - 4)[0] != seq
            or memory[position + 8 : end - 4] != self._body
        ):
            return CORRUPTED
        return seq


class SequenceCheck:
    """Judges the order in which sequence numbers arrive; they should be 0, 1, 2, ...

    Attributes:
        expected: the next number in sequence.
        duplicates: numbers that had arrived before.
        out_of_order: numbers that arrived after a later one.
    """

    def __init__(self) -> None:
        self.expected = 0
        self.duplicates = 0
        self.out_of_order = 0
        self._gaps: list[tuple[int, int]] = []

    @property
    def missing(self) -> int:
        """Numbers before the last one that have not arrived."""
        return sum(end - start for start, end in self._gaps)

    def arrived(self, seq: int) -> None:
        """Take note of one number."""
        if seq == self.expected:
            self.expected = seq + 1
        elif seq > self.expected:
            self._gaps.append((self.expected, seq))
            self.expected = seq + 1
        else:
            self._late(seq)

    def _late(self, seq: int) -> None:
        for i, (start, end) in enumerate(self._gaps):
            if start <= seq < end:
                parts = ((start, seq), (seq + 1, end))
                self._gaps[i : i + 1] = [part for part in parts if part[0] < part[1]]
                self.out_of_order += 1
                return
        self.duplicates += 1
