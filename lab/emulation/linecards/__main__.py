"""``python -m lab.emulation.linecards --dir DIR``: run the line cards of the lab in DIR.

Started by the lab inside the line cards' network namespace; not meant to be called by hand.
"""

import argparse
import os
import resource
import selectors
import sys
from pathlib import Path

from lab._native import lib
from lab.emulation.linecards.control import Control
from lab.emulation.serving import run_process, serve
from lab.errors import LabError

SOCKET_NAME = "linecards.sock"


def wait_for_control(control: Control, selector: selectors.EpollSelector) -> None:
    """Run the fabric until there is control work; only wait while there is no fabric yet."""
    if control.network is None:
        selector.select()
        return
    error = lib.lc_run(control.network.cards, selector.fileno())
    if error:
        raise LabError(f"the line cards' loop broke: {os.strerror(-error)}")


def allow_many_files() -> None:
    """Every attached endpoint costs four descriptors; take all that the machine grants."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def main() -> int:
    """Run until told to stop."""
    parser = argparse.ArgumentParser(prog="lab.emulation.linecards", description=__doc__)
    parser.add_argument("--dir", type=Path, required=True, help="the lab's directory")
    arguments = parser.parse_args()
    selector = selectors.EpollSelector()
    control = Control(selector)

    def serving() -> None:
        allow_many_files()
        path = arguments.dir / SOCKET_NAME
        serve(path, control, selector, lambda: wait_for_control(control, selector))

    return run_process(serving)


if __name__ == "__main__":
    sys.exit(main())
