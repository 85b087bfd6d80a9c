"""A process's side of two endpoints, in bulk: keeps a send queue full and a receive queue empty.

The endpoints' own library handles one message at a time, as programs want it. Here only the
switches and line cards are to be measured, so the ends must cost next to nothing.
"""

import os
import socket
from pathlib import Path

import numpy as np
import numpy.typing as npt

from lab.emulation.labels import unet_socket
from lab.emulation.netlink import inside
from lab.emulation.state import LabState
from lab.unet import segment as layout
from lab.unet.handshake import claim
from lab.unet.segment import Segment

SEND_SLOTS = 1024
RECV_SLOTS = 2048
GEOMETRY = {
    "send_slots": SEND_SLOTS,
    "recv_slots": RECV_SLOTS,
    "free_slots": RECV_SLOTS,
    "buffers": RECV_SLOTS + 512,
    "buffer_bytes": 2048,
}
_WORDS = layout.DESCRIPTOR_BYTES // 4


class End:
    """One claimed endpoint."""

    def __init__(self, state: LabState, host: str, name: str) -> None:
        self._connection: socket.socket
        with inside(Path(f"/proc/{state.host(host).pid}/ns/net")):
            self._connection, channels, (memory, self._doorbell, wake) = claim(
                str(unet_socket(state.lab_id, host)), name
            )
        self.channel = channels[0]
        self.segment = Segment(memory)
        self._words = np.frombuffer(self.segment.data, np.uint32)
        os.close(memory)
        os.close(wake)

    def ring(self, offset: int, slots: int, words: int) -> npt.NDArray[np.uint32]:
        """Return a ring of the segment as rows of words."""
        first = offset // 4
        return self._words[first : first + slots * words].reshape(slots, words)

    def ring_doorbell(self) -> None:
        """Wake the adapter if it sleeps."""
        if self.segment.words[layout.NI_IDLE_AT // 4]:
            os.eventfd_write(self._doorbell, 1)

    def close(self) -> None:
        """Give the endpoint back."""
        self._connection.close()
        os.close(self._doorbell)


class Pump:
    """A sender that always has something to send, and a receiver that takes everything."""

    def __init__(self, sender: End, receiver: End, message_bytes: int) -> None:
        self._sender, self._receiver = sender, receiver
        shape = sender.segment.geometry
        self._send = sender.ring(shape.send_offset, shape.send_slots, _WORDS)
        # channel, length, offset, flags: the same buffer every time
        last = shape.buffer_offset(shape.buffers - 1)
        self._order = np.zeros(_WORDS, np.uint32)
        self._order[:4] = (sender.channel, message_bytes, last, 0)
        shape = receiver.segment.geometry
        self._recv = receiver.ring(shape.recv_offset, shape.recv_slots, _WORDS)
        self._free = receiver.ring(shape.free_offset, shape.free_slots, 1)

    def fill(self) -> None:
        """Fill the send queue."""
        words = self._sender.segment.words
        head, tail = words[layout.SEND_HEAD_AT // 4], words[layout.SEND_TAIL_AT // 4]
        room = len(self._send) - ((head - tail) & 0xFFFFFFFF)
        self._send[(head + np.arange(room)) % len(self._send)] = self._order
        words[layout.SEND_HEAD_AT // 4] = (head + room) & 0xFFFFFFFF
        self._sender.ring_doorbell()

    def drain(self) -> int:
        """Take what has come, give its buffers back; return how many messages that were."""
        words = self._receiver.segment.words
        head, tail = words[layout.RECV_HEAD_AT // 4], words[layout.RECV_TAIL_AT // 4]
        count = (head - tail) & 0xFFFFFFFF
        taken = self._recv[(tail + np.arange(count)) % len(self._recv), 2]
        free = words[layout.FREE_HEAD_AT // 4]
        self._free[(free + np.arange(count)) % len(self._free), 0] = taken
        words[layout.FREE_HEAD_AT // 4] = (free + count) & 0xFFFFFFFF
        words[layout.RECV_TAIL_AT // 4] = head
        return count
