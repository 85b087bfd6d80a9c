"""What the messages of a stream contain, and how a receiver checks it. Pure.

A message of 12 bytes or more is: u32 tag of the stream (CRC-32 of its name), u32 sequence
number, a pattern that follows from the tag, u32 sequence number again. All of it is compared,
so a message that is cut, mixed from two, of another stream, or changed anywhere counts as
corrupted. Shorter ones say less: from 4 bytes on the sequence number, masked with the tag, and
as many bytes of the pattern as there is room for; below that the lowest bytes of the number
alone, from which the number is completed by what is expected next.
"""

from __future__ import annotations

import struct
import zlib

TYPE_CHECKING = False  # importing typing would cost start-up time
if TYPE_CHECKING:
    import mmap
    from collections.abc import Iterable

    Memory = mmap.mmap | bytearray | bytes | memoryview

FULL_BYTES = 12  # from here on everything is checked
NUMBER_BYTES = 4  # from here on the whole number is there
_HEADER = struct.Struct("<II")
_WORD = struct.Struct("<I")
_MASK32 = 0xFFFFFFFF
CORRUPTED = -1


def stream_tag(stream: str) -> int:
    """Return the number that marks the messages of a stream."""
    return zlib.crc32(stream.encode())


class Payload:
    """The messages of one stream.

    Args:
        stream: its name.
        sizes: lengths that its messages have; any other counts as corrupted.
    """

    def __init__(self, stream: str, sizes: Iterable[int]) -> None:
        self._tag = stream_tag(stream)
        pattern = bytes((i * 29 + self._tag) & 0xFF for i in range(256))
        self._bodies: dict[int, bytes] = {}
        for size in sizes:
            length = max(0, size - (FULL_BYTES if size >= FULL_BYTES else NUMBER_BYTES))
            self._bodies[size] = (pattern * (length // 256 + 1))[:length]
        self._templates = {
            size: bytes(8) + body + bytes(4)
            for size, body in self._bodies.items()
            if size >= FULL_BYTES
        }

    def fill(self, memory: mmap.mmap | bytearray, position: int, length: int, seq: int) -> None:
        """Write message number ``seq`` of that length at ``position``."""
        end = position + length
        if length >= FULL_BYTES:
            memory[position:end] = self._templates[length]
            _HEADER.pack_into(memory, position, self._tag, seq & _MASK32)
            _WORD.pack_into(memory, end - 4, seq & _MASK32)
        else:
            number = ((seq ^ self._tag) & _MASK32).to_bytes(4, "little")
            memory[position:end] = (number + self._bodies[length])[:length]

    def check(self, memory: Memory, position: int, length: int, expected: int = 0) -> int:
        """Return the sequence number of the message at ``position``, or `CORRUPTED`.

        ``expected`` is the number that should come next; it completes short numbers.
        """
        body = self._bodies.get(length)
        if body is None:
            return CORRUPTED
        end = position + length
        if length < FULL_BYTES:
            return self._check_short(bytes(memory[position:end]), body, expected)
        tag: int
        seq: int
        tag, seq = _HEADER.unpack_from(memory, position)
        if (
            tag != self._tag
            or _WORD.unpack_from(memory, end - 4)[0] != seq
            or memory[position + 8 : end - 4] != body
        ):
            return CORRUPTED
        return seq

    def _check_short(self, data: bytes, body: bytes, expected: int) -> int:
        number = data[:NUMBER_BYTES]
        if data[NUMBER_BYTES:] != body:
            return CORRUPTED
        bits = 8 * len(number)
        low = (int.from_bytes(number, "little") ^ self._tag) & ((1 << bits) - 1)
        if bits == 8 * NUMBER_BYTES:
            return low
        # The nearest number with these low bits; half of the range may lie behind.
        half = 1 << (bits - 1)
        distance = ((low - expected + half) & ((1 << bits) - 1)) - half
        return max(0, expected + distance)


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
