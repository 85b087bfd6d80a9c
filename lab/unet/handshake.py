"""Claiming an endpoint: the few words exchanged with a host's U-Net service.

The service is the part of the operating system in U-Net's picture: it decides who may use
which endpoint and which channels that endpoint has (thesis section 2.3.2). One connection is
one claim; closing it gives the endpoint back.

    client: {"op": "attach", "endpoint": "bg2.a"}
    server: {"ok": true, "channels": [1], "segment_bytes": N}   with three descriptors:
            the segment, the doorbell (written by the process), the wake-up (read by it)
        or: {"ok": false, "error": "..."}

Both sides are here, so that they cannot drift apart.
"""

from __future__ import annotations

import json
import os
import socket
import struct
from pathlib import Path

from .errors import NoService, Refused

TYPE_CHECKING = False  # importing typing would cost start-up time
if TYPE_CHECKING:
    from collections.abc import Sequence

MAX_BYTES = 65536
ANSWER_TIMEOUT_S = 10.0


def claim(socket_path: str, endpoint: str) -> tuple[socket.socket, list[int], tuple[int, int, int]]:
    """Ask for an endpoint; return the connection, its channels and the three descriptors.

    Raises:
        NoService: nobody listens at the path, or what listens does not speak this language.
        Refused: the service says no, and why.
    """
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    connection.settimeout(ANSWER_TIMEOUT_S)
    descriptors: list[int] = []
    try:
        connection.connect(socket_path)
        connection.send(json.dumps({"op": "attach", "endpoint": endpoint}).encode())
        answer, descriptors, _, _ = socket.recv_fds(
            connection, MAX_BYTES, 3, socket.MSG_CMSG_CLOEXEC
        )
        reply = json.loads(answer)
        channels = [int(channel) for channel in reply.get("channels", ())]
    except (OSError, ValueError) as error:
        _discard(connection, descriptors)
        raise NoService(f"no U-Net service answers at {socket_path}: {error}") from error
    if not reply.get("ok") or len(descriptors) != 3:
        _discard(connection, descriptors)
        raise Refused(f"endpoint {endpoint}: {reply.get('error', 'the service sent no segment')}")
    segment, doorbell, wake = descriptors
    return connection, channels, (segment, doorbell, wake)


def _discard(connection: socket.socket, descriptors: list[int]) -> None:
    connection.close()
    for fd in descriptors:
        os.close(fd)


def read_request(connection: socket.socket) -> dict[str, object] | None:
    """Server: read one request; None when the client has gone, {} when it is not one."""
    try:
        packet = connection.recv(MAX_BYTES)
    except BlockingIOError:
        return {}
    except OSError:
        return None
    if not packet:
        return None
    try:
        request = json.loads(packet)
    except ValueError:
        return {}
    return request if isinstance(request, dict) else {}


def grant(
    connection: socket.socket,
    channels: Sequence[int],
    segment_bytes: int,
    fds: tuple[int, int, int],
) -> None:
    """Server: hand over segment, doorbell and wake-up descriptors. OSError if the client left."""
    reply = {"ok": True, "channels": list(channels), "segment_bytes": segment_bytes}
    socket.send_fds(connection, [json.dumps(reply).encode()], list(fds))


def refuse(connection: socket.socket, error: str) -> None:
    """Server: say no. OSError if the client left."""
    connection.send(json.dumps({"ok": False, "error": error}).encode())


def peer_netns_inode(connection: socket.socket) -> int | None:
    """Server: return the network namespace (inode) of the process that connected.

    This tells hosts apart: a socket file may be reachable from elsewhere, but a process of
    another host lives in another network namespace. None when the process has ended.
    """
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
    pid = struct.unpack("iII", credentials)[0]
    try:
        return Path(f"/proc/{pid}/ns/net").stat().st_ino
    except OSError:
        return None
