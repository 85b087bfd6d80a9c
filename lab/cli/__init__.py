"""The one command of the project, ``lab``.

One module per group of commands; each imports what it needs when it is called, so that
``lab --help`` answers at once.
"""

from lab.cli.app import main

__all__ = ["main"]
