"""Settings of the kernel that are other ones while a lab is built or removed.

* Short grace periods. Closing a packet socket waits for one, about 10 ms, and Open vSwitch closes
  360 of them one after the other when a tree of 40 switches goes: 5 s of waiting, or 1 s.
* Room in sockets. Open vSwitch takes frames from a socket per port. The usual 200 KByte hold some
  270 small frames, which come in 25 ms when a link runs at full speed at a dilation of 200; on a
  machine with other work to do the switches pause for longer now and then, and lost what came.

What was set before is put back, and is kept in a file meanwhile so that the next clean-up can do it
if this process is killed.
"""

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path

from lab.emulation.labels import RUN_ROOT

SETTINGS = {
    Path("/sys/kernel/rcu_expedited"): "1",
    Path("/proc/sys/net/core/rmem_default"): str(4 << 20),
}
RECORD = RUN_ROOT / "kernel-settings.json"


def restore() -> bool:
    """Put back what a killed process left changed; return whether there was anything."""
    try:
        before = json.loads(RECORD.read_text())
    except FileNotFoundError:
        return False
    except ValueError:
        before = {}  # killed while it was written: nothing was changed yet
    for path, value in before.items():
        with contextlib.suppress(OSError):
            Path(path).write_text(value)
    RECORD.unlink()
    return True


@contextlib.contextmanager
def tuned() -> Iterator[None]:
    """Have the settings for a while. Call under the machine lock only."""
    restore()
    before: dict[str, str] = {}
    for path in SETTINGS:
        with contextlib.suppress(OSError):  # a kernel without the setting
            before[str(path)] = path.read_text()
    with contextlib.suppress(OSError):
        RECORD.write_text(json.dumps(before))
        for path, value in SETTINGS.items():
            with contextlib.suppress(OSError):  # or a container that may not change it
                path.write_text(value)
    try:
        yield
    finally:
        restore()
