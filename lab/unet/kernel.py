"""Kernel-emulated endpoints: many processes on one real endpoint (thesis section 2.3.5).

    python3 kernel.py emu1.a:3 emu2.a:4

Queues and segments that the adapter serves are scarce. For processes that can do without their
speed, a host's kernel keeps one real endpoint and serves any number of emulated ones, which look
the same to their processes: the same segment, queues and calls. Every message is looked at and
copied once more, by this process, which stands for the kernel of a host. What that costs in
virtual time (``kernel_ns``) the endpoint programs add; what it costs really, dilation hides.

The real endpoint is claimed when all emulated ones are: whoever sees it claimed knows that the
host is ready. The process ends when all of them have been given back.
"""

from __future__ import annotations

import argparse
import os
import select
import signal
import socket
import sys
from collections import deque
from pathlib import Path

if not __package__:  # started as a file: make relative imports work from this directory
    __package__ = "_unet"
    _home = type(sys)(__package__)
    _home.__path__ = [str(Path(__file__).resolve().parent)]
    sys.modules[__package__] = _home

from .emulated import Emulated
from .endpoint import Endpoint
from .errors import UNetError
from .handshake import grant, peer_netns_inode, read_request, refuse
from .kernel_path import KERNEL_ENDPOINT, kernel_socket

TYPE_CHECKING = False  # importing typing would cost start-up time
if TYPE_CHECKING:
    from collections.abc import Mapping

    from .rings import Descriptor

LOOK_MS = 10.0  # real; how soon a new pass is passed on
BATCH = 64


class Kernel:
    """The service of a host's emulated endpoints, and their adapter.

    Args:
        path: the socket to serve.
        channels: channels of each emulated endpoint, by its name.
    """

    def __init__(self, path: str, channels: Mapping[str, list[int]]) -> None:
        self._channels = channels
        self._home = {number: name for name, own in channels.items() for number in own}
        self._path = Path(path)
        self._path.unlink(missing_ok=True)
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._listener.bind(path)
        self._path.chmod(0o666)
        self._listener.listen(64)
        self._poll = select.poll()
        self._poll.register(self._listener, select.POLLIN)
        self._connections: dict[int, socket.socket] = {}
        self._claims: dict[int, Emulated] = {}  # by the descriptor of the connection
        self._claimed: set[str] = set()
        self._under_way: dict[int, deque[tuple[Emulated, int]]] = {}  # sent, by channel
        self._real: Endpoint | None = None
        self.stopping = False

    def run(self) -> None:
        """Serve until every endpoint has been claimed and given back, or `stopping`."""
        while not self.stopping and (self._claims or len(self._claimed) < len(self._channels)):
            self._serve(self._poll.poll(LOOK_MS))
            if self._real is None and self._claimed >= set(self._channels):
                self._real = Endpoint.attach(KERNEL_ENDPOINT)
                self._real.on_injected(self._injected)
                self._poll.register(self._real.fileno(), select.POLLIN)
            if self._real is not None:
                self._move(self._real)

    def close(self) -> None:
        """Give the real endpoint back; the processes of emulated ones see their service end."""
        if self._real is not None:
            self._real.close()
        for connection in self._connections.values():
            connection.close()
        for emulated in self._claims.values():
            emulated.close()
        self._listener.close()
        self._path.unlink(missing_ok=True)

    # Claims

    def _serve(self, ready: list[tuple[int, int]]) -> None:
        for fd, _ in ready:
            if fd == self._listener.fileno():
                connection = self._listener.accept()[0]
                self._connections[connection.fileno()] = connection
                self._poll.register(connection, select.POLLIN)
            elif fd in self._connections:
                self._talk(self._connections[fd])

    def _talk(self, connection: socket.socket) -> None:
        request = read_request(connection)
        if request is None:
            self._gone(connection)
            return
        name = str(request.get("endpoint"))
        own = Path("/proc/self/ns/net").stat().st_ino
        try:
            if name not in self._channels:
                refuse(connection, f"the kernel emulates no endpoint {name}")
            elif any(emulated.name == name for emulated in self._claims.values()):
                refuse(connection, "the endpoint is in use by another process")
            elif peer_netns_inode(connection) != own:
                refuse(connection, "the caller is no process of this host")
            else:
                self._grant(connection, name)
        except OSError:
            self._gone(connection)

    def _grant(self, connection: socket.socket, name: str) -> None:
        emulated = Emulated(name, frozenset(self._channels[name]))
        self._claims[connection.fileno()] = emulated
        self._claimed.add(name)
        self._poll.register(emulated.doorbell, select.POLLIN)
        grant(connection, self._channels[name], emulated.segment_bytes, emulated.fds)

    def _gone(self, connection: socket.socket) -> None:
        fd = connection.fileno()
        self._poll.unregister(connection)
        emulated = self._claims.get(fd)
        if emulated is not None:
            self._take_from(emulated)
            if self._real is not None:
                self._real.reclaim()
            del self._claims[fd]
            self._poll.unregister(emulated.doorbell)
            emulated.close()
        del self._connections[fd]
        connection.close()

    # Messages

    def _move(self, real: Endpoint) -> None:
        """Move everything that can be moved, both ways."""
        real.acknowledge()
        for emulated in self._claims.values():
            emulated.follow(real.epoch_ns, real.dilation)
        while True:
            for emulated in self._claims.values():
                self._take_from(emulated)
            self._deliver_all(real)
            real.reclaim()
            for emulated in self._claims.values():
                emulated.heed_wishes()
            # Say that we sleep, then look a last time: nobody's news may fall between.
            idle = [emulated.announce_sleep() for emulated in self._claims.values()]
            if real.arm() and not any(idle):
                return

    def _take_from(self, emulated: Emulated) -> None:
        """Hand what a process sent to the real endpoint, while that has room."""
        emulated.wake_up()
        while self._real is not None and (item := emulated.next_to_send()) is not None:
            counter, channel, data, not_before_ns = item
            if not self._real.try_send(channel, data, not_before_ns=not_before_ns):
                return
            emulated.taken(counter)
            self._under_way.setdefault(channel, deque()).append((emulated, counter))

    def _injected(self, descriptors: list[Descriptor]) -> None:
        """The adapter has sent messages: their processes' descriptors get the flag."""
        for descriptor in descriptors:
            emulated, counter = self._under_way[descriptor[0]].popleft()
            emulated.injected(counter, descriptor[5])

    def _deliver_all(self, real: Endpoint) -> None:
        by_name = {emulated.name: emulated for emulated in self._claims.values()}
        while (message := real.poll()) is not None:
            with message:
                emulated = by_name.get(self._home.get(message.channel, ""))
                if emulated is not None:
                    emulated.deliver(message)


def main(arguments: list[str] | None = None) -> int:
    """Command line; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="kernel.py", description="Serve a host's kernel-emulated endpoints."
    )
    parser.add_argument("endpoints", nargs="+", metavar="NAME:CHANNEL", help="for example emu.a:3")
    options = parser.parse_args(arguments)
    channels: dict[str, list[int]] = {}
    for text in options.endpoints:
        name, _, number = text.rpartition(":")
        if not name or not number.isdecimal():
            parser.error(f"{text} is not of the form NAME:CHANNEL")
        channels.setdefault(name, []).append(int(number))
    try:
        kernel = Kernel(kernel_socket(), channels)

        def stop(*_: object) -> None:
            kernel.stopping = True

        signal.signal(signal.SIGTERM, stop)
        signal.signal(signal.SIGINT, stop)
        try:
            kernel.run()
        finally:
            kernel.close()
    except (UNetError, OSError) as error:
        print(f"kernel.py: {os.environ.get('LAB_HOST', '')}: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
