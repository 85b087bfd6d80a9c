"""Short kernel grace periods while a lab is built or removed.

Closing a packet socket waits for a grace period, about 10 ms, and Open vSwitch closes 360 of
them one after the other when a tree of 40 switches goes: 5 s of waiting. Asking the kernel to
expedite grace periods meanwhile makes it 1 s. The setting that was there is put back, and is
kept in a file meanwhile so that the next clean-up can do it if this process is killed.
"""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from lab.emulation.labels import RUN_ROOT

KNOB = Path("/sys/kernel/rcu_expedited")
RECORD = RUN_ROOT / "rcu_expedited"


def restore() -> bool:
    """Put back what a killed process left changed; return whether there was anything."""
    try:
        before = RECORD.read_text()
    except FileNotFoundError:
        return False
    with contextlib.suppress(OSError):
        KNOB.write_text(before or "0")
    RECORD.unlink()
    return True


@contextlib.contextmanager
def expedited() -> Iterator[None]:
    """Expedite grace periods for a while. Call under the machine lock only."""
    restore()
    try:
        RECORD.write_text(KNOB.read_text())
        KNOB.write_text("1")
    except OSError:
        # A kernel without the setting, or a container that may not change it: only slower.
        RECORD.unlink(missing_ok=True)
        yield
        return
    try:
        yield
    finally:
        restore()
