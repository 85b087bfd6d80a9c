"""What can go wrong between a process and its endpoint."""

# These are conditions that a program meets in normal life, so they are named like the
# standard library's queue.Full and not as errors.
# ruff: noqa: N818


class UNetError(Exception):
    """Base of everything that this package raises for the caller to handle."""


class NoService(UNetError):
    """No U-Net service answers at the socket: the lab is down or this is not one of its hosts."""


class Refused(UNetError):
    """The service denies the endpoint: unknown, claimed already, or another host's."""


class ChannelRefused(UNetError):
    """The adapter rejected messages: their channel was not opened for this endpoint."""


class QueueFull(UNetError):
    """The send queue (or the pool of send buffers) has no room: the network pushes back."""


class MessageTooLong(UNetError):
    """The message does not fit one buffer of the segment."""


class NotAttached(UNetError):
    """The endpoint was detached, or the adapter that served it has gone."""


class BadSegment(UNetError):
    """The shared memory is not a segment that this version can use."""
