"""Keeping idle processors awake while something has to happen on time.

A virtual machine's idle processor is given back to its host, and to get it again may take
milliseconds: on the machine that this was written on one wake-up in a thousand came 0.7 ms late and
the latest 4.6 ms, against 0.14 ms and 0.24 ms with processors that wait awake. On hardware deep
sleep does the same. The kernel holds its processors awake as long as a file is open, so a process
that is killed leaves nothing behind.
"""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

_LATENCY_FILE = Path("/dev/cpu_dma_latency")


@contextlib.contextmanager
def awake() -> Iterator[None]:
    """Keep the processors awake for a while, where the machine has that and allows it."""
    try:
        fd = os.open(_LATENCY_FILE, os.O_WRONLY | os.O_CLOEXEC)
    except OSError:
        yield
        return
    try:
        os.write(fd, (0).to_bytes(4, "little"))
        yield
    finally:
        os.close(fd)
