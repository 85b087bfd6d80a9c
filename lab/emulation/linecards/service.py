"""The U-Net service of every host: the operating system's part (thesis 2.3.2).

A process asks its host's service for an endpoint. The service looks whether it may have it,
makes the segment, opens it to the adapter, and hands segment and wake-up descriptors over. A
connection is a claim: when it closes, the endpoint is free again. Processes never see another
endpoint's segment, and channels are opened by the lab alone.
"""

import os
import selectors
import socket
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lab._native import lib
from lab.emulation.linecards.network import EndpointKey, Network
from lab.unet import handshake
from lab.unet.segment import Geometry, create_segment

SOCKET_NAME = "unet.sock"


@dataclass
class Host:
    """A host's service socket, and which network namespace its processes live in."""

    name: str
    netns_inode: int | None
    listener: socket.socket


@dataclass
class Claim:
    """An endpoint in the hands of a process."""

    key: EndpointKey
    connection: socket.socket
    fds: tuple[int, int, int]


@dataclass
class Service:
    """All hosts' services; the selector calls back what is readable."""

    network: Network
    selector: selectors.BaseSelector
    hosts: dict[str, Host] = field(default_factory=dict)
    geometry: dict[EndpointKey, Geometry] = field(default_factory=dict)
    claims: dict[EndpointKey, Claim] = field(default_factory=dict)

    def open_host(self, name: str, netns_inode: int | None, directory: Path) -> None:
        """Listen for the processes of a host at ``directory/unet.sock``."""
        path = directory / SOCKET_NAME
        path.unlink(missing_ok=True)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        listener.bind(str(path))
        path.chmod(0o666)  # who may attach is decided by the caller's network namespace
        listener.listen(64)
        listener.setblocking(False)
        host = Host(name, netns_inode, listener)
        self.hosts[name] = host
        self.selector.register(listener, selectors.EVENT_READ, lambda: self._accept(host))

    def _accept(self, host: Host) -> None:
        connection, _ = host.listener.accept()
        connection.setblocking(False)
        self.selector.register(
            connection, selectors.EVENT_READ, lambda: self._request(host, connection)
        )

    def _request(self, host: Host, connection: socket.socket) -> None:
        request = handshake.read_request(connection)
        if request is None:
            self._gone(connection)
            return
        try:
            problem = self._attach(host, connection, request)
            if problem:
                handshake.refuse(connection, problem)
        except OSError:
            self._gone(connection)

    def _attach(
        self, host: Host, connection: socket.socket, request: dict[str, object]
    ) -> str | None:
        """Hand the endpoint over, or return why not."""
        key = EndpointKey(host.name, str(request.get("endpoint")))
        if request.get("op") != "attach":
            return "the only request is attach"
        inode = handshake.peer_netns_inode(connection)
        if host.netns_inode is not None and inode != host.netns_inode:
            return f"the caller is no process of host {host.name}"
        if key not in self.network.endpoints:
            names = sorted(k.name for k in self.network.endpoints if k.host == host.name)
            return f"host {host.name} has no endpoint {key.name}; it has {names}"
        if key in self.claims:
            return "the endpoint is in use by another process"
        geometry = self.geometry.get(key) or Geometry()
        fds = self._make_segment(key, geometry)
        self.claims[key] = Claim(key, connection, fds)
        handshake.grant(connection, self.network.channels[key], geometry.segment_bytes, fds)
        return None

    def _make_segment(self, key: EndpointKey, geometry: Geometry) -> tuple[int, int, int]:
        segment = create_segment(key.name, geometry, self.network.dilation)
        doorbell = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        wake = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        index = self.network.endpoints[key]
        if lib.lc_attach(self.network.cards, index, segment, doorbell, wake) < 0:
            for fd in (segment, doorbell, wake):
                os.close(fd)
            raise OSError("the adapter refuses the segment")
        return segment, doorbell, wake

    def _gone(self, connection: socket.socket) -> None:
        """A process has closed its connection, or died."""
        self.selector.unregister(connection)
        connection.close()
        for key, claim in list(self.claims.items()):
            if claim.connection is connection:
                lib.lc_detach(self.network.cards, self.network.endpoints[key])
                for fd in claim.fds:
                    os.close(fd)
                del self.claims[key]

    def attached(self) -> list[list[str]]:
        """Return host and name of every endpoint that a process holds."""
        return [[key.host, key.name] for key in self.claims]

    def counters(self, key: EndpointKey) -> dict[str, Any]:
        """Return the adapter's own counters of an endpoint since it was attached."""
        native = self.network.endpoint_native(key)
        names = (
            "sent_msgs",
            "sent_bytes",
            "recv_msgs",
            "recv_bytes",
            "drop_no_buffer",
            "drop_recv_full",
            "rejected",
            "wakes",
        )
        return {name: getattr(native, name) for name in names}
