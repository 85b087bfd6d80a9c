"""The programs of ``lab.unet`` as a host can start them.

They need no more than a Python interpreter, so that they run alike in a container, which sees
them under ``/opt/lab/unet``, and in a Mininet-style host, which shares this machine's files.
"""

import sys
from pathlib import Path

from lab.emulation.state import HostState

IN_CONTAINER = Path("/opt/lab/unet")
ON_THIS_MACHINE = Path(__file__).resolve().parents[1] / "unet"


def unet_program(host: HostState, name: str) -> list[str]:
    """Return the start of the command line that runs ``lab/unet/<name>.py`` on a host.

    Python's site packages and environment are left out: the programs do not use them, and
    start the sooner.
    """
    if host.kind == "container":
        return ["python3", "-S", "-E", str(IN_CONTAINER / f"{name}.py")]
    return [sys.executable, "-S", "-E", str(ON_THIS_MACHINE / f"{name}.py")]
