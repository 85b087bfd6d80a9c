"""Asking an HTTP service once, as a client of a cluster's service does."""

from __future__ import annotations

import asyncio

_MOST_BYTES = 1 << 16


async def http_get(address: str, port: int, timeout_s: float) -> str:
    """Return the body of what ``GET /`` is answered with.

    Args:
        address: an IP address.
        port: the TCP port.
        timeout_s: real seconds, for all of it.

    Raises:
        OSError: nobody answers there, or not in time, or not with success.
    """
    try:
        async with asyncio.timeout(timeout_s):
            answer = await _exchange(address, port)
    except TimeoutError:
        raise OSError("no answer in time") from None
    head, gap, body = answer.partition(b"\r\n\r\n")
    words = head.split(b"\r\n", 1)[0].split()
    if not gap or len(words) < 2 or words[1] != b"200":
        raise OSError("the answer is no success")
    return body.decode(errors="replace")


async def _exchange(address: str, port: int) -> bytes:
    reader, writer = await asyncio.open_connection(address, port)
    try:
        writer.write(f"GET / HTTP/1.0\r\nHost: {address}\r\n\r\n".encode())
        return await _to_end(reader)
    finally:
        writer.transport.abort()


async def _to_end(reader: asyncio.StreamReader) -> bytes:
    parts, size = [], 0
    while size < _MOST_BYTES and (part := await reader.read(_MOST_BYTES)):
        parts.append(part)
        size += len(part)
    return b"".join(parts)
