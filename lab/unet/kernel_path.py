"""Where a host's kernel-emulated endpoints are to be had."""

from __future__ import annotations

import os
from pathlib import Path

from .errors import NoService

SOCKET_VARIABLE = "LAB_UNET_SOCKET"
KERNEL_ENDPOINT = "kernel"  # the real endpoint that the kernel keeps for all emulated ones
KERNEL_SOCKET_NAME = "kernel.sock"


def kernel_socket() -> str:
    """Return the path of the host's service of emulated endpoints, beside that of real ones.

    Raises:
        NoService: this is not a host of a lab.
    """
    path = os.environ.get(SOCKET_VARIABLE)
    if not path:
        raise NoService(f"{SOCKET_VARIABLE} is not set: this is not a host of a lab")
    return str(Path(path).with_name(KERNEL_SOCKET_NAME))
