"""``python -m lab.emulation.medium --dir DIR``: run the medium of the Ethernet lab in DIR.

Started by the lab inside the medium's network namespace; not meant to be called by hand.
"""

import argparse
import gc
import selectors
import sys
from pathlib import Path

from lab.emulation.medium.control import Control
from lab.emulation.serving import run_process, serve

SOCKET_NAME = "medium.sock"


def wait_for_control(control: Control, selector: selectors.EpollSelector) -> None:
    """Run the networks until there is control work; only wait while there are none yet."""
    if control.medium is None:
        selector.select()
        return
    while True:
        control.medium.turn()
        if control.medium.rest(selector.fileno()):
            return


def main() -> int:
    """Run until told to stop."""
    parser = argparse.ArgumentParser(prog="lab.emulation.medium", description=__doc__)
    parser.add_argument("--dir", type=Path, required=True, help="the lab's directory")
    arguments = parser.parse_args()
    selector = selectors.EpollSelector()
    control = Control(selector)

    def serving() -> None:
        gc.freeze()  # what was loaded stays: collections during the run are short
        path = arguments.dir / SOCKET_NAME
        serve(path, control, selector, lambda: wait_for_control(control, selector))

    return run_process(serving)


if __name__ == "__main__":
    sys.exit(main())
