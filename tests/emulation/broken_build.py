"""Build a lab and die by SIGKILL in the middle: ``broken_build.py STEP [lan]``.

STEP is ``module.function`` in ``lab.emulation``: the process dies when that has been done. The lab
is the small tree, or with ``lan`` an Ethernet lab.
"""

import importlib
import os
import signal
import sys
from typing import Any

import labnet


def die_after(step: str) -> None:
    """Replace a step of the building by one that does not survive its own success."""
    module_name, _, name = step.rpartition(".")
    module = importlib.import_module(f"lab.emulation.{module_name}")
    real = getattr(module, name)

    def last_deed(*args: Any, **kwargs: Any) -> None:
        real(*args, **kwargs)
        os.kill(os.getpid(), signal.SIGKILL)

    setattr(module, name, last_deed)


die_after(sys.argv[1])
if "lan" in sys.argv:
    labnet.build_lan("cluster_lan", 2)
else:
    labnet.build(labnet.small_tree(), ("n3",), line_cards=True)
