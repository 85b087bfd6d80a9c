"""User-level network interface of the lab's hosts (thesis section 2.3, base-level U-Net).

A process owns an endpoint: a shared-memory segment with a send, a receive and a free queue,
through which it exchanges messages with the host's adapter without a system call per message.
Python's standard library suffices, so the directory also works alone, inside a container.
"""

from .endpoint import Endpoint
from .errors import (
    BadSegment,
    ChannelRefused,
    MessageTooLong,
    NoService,
    NotAttached,
    QueueFull,
    Refused,
    UNetError,
)
from .message import Message

__all__ = [
    "BadSegment",
    "ChannelRefused",
    "Endpoint",
    "Message",
    "MessageTooLong",
    "NoService",
    "NotAttached",
    "QueueFull",
    "Refused",
    "UNetError",
]
