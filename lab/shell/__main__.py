"""The command line of a shell; see the package."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from lab.errors import LabError
from lab.shell.plan import EXIT_REFUSED, read_plan
from lab.shell.shell import Places, Shell
from lab.stacks.plan import program_of
from lab.stacks.registry import find_stack


def main() -> int:
    """Run the node that the command line names, to its end."""
    parser = argparse.ArgumentParser(
        prog="python3 -m lab.shell", description="Runs one node of a stack."
    )
    parser.add_argument("plan", type=Path, help="the plan, a file that is the same for all nodes")
    parser.add_argument("--node", type=int, required=True, help="which of them this one is")
    parser.add_argument("--directory", type=Path, required=True, help="the node's own files")
    parser.add_argument("--quorum", type=Path, help="the directory that is the quorum volume")
    parser.add_argument("--address-keeper", type=Path, help="socket of the keeper of addresses")
    parser.add_argument("--socket", type=Path, help="where to take requests")
    options = parser.parse_args()
    places = Places(options.directory, options.quorum, options.address_keeper, options.socket)
    try:
        plan = read_plan(options.plan)
        stack = find_stack(program_of(plan, options.node)[0])
        return Shell(plan, options.node, stack, places).run()
    except LabError as error:
        print(f"error: {error.message}", file=sys.stderr)
        if error.remedy:
            print(f"remedy: {error.remedy}", file=sys.stderr)
    except OSError as error:
        print(f"error: {error}", file=sys.stderr)
    return EXIT_REFUSED


if __name__ == "__main__":
    status = main()
    sys.stderr.flush()
    # At once: a disk call that a slow disk still holds up would be waited for.
    os._exit(status)
