"""The application object: its commands, and how errors reach the user."""

import os
import signal
import sys
from typing import Any

import typer
from typer.core import TyperGroup

from lab.cli import (
    bench,
    calibrating,
    compare,
    events,
    fault,
    hand,
    reading,
    replay,
    running,
    simulate,
    vc,
    watch,
)
from lab.cli.output import note, print_error, silence_stdout
from lab.errors import LabError

EXIT_ERROR = 1
EXIT_INTERRUPTED = 128 + signal.SIGINT
DEBUG_VARIABLE = "LAB_DEBUG"


class LabGroup(TyperGroup):
    """Turns every error into two readable lines and an exit code; never a traceback."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command that was asked for."""
        try:
            return super().invoke(ctx)
        except LabError as error:
            print_error(error)
            raise typer.Exit(EXIT_ERROR) from None
        except KeyboardInterrupt:
            note("interrupted")
            raise typer.Exit(EXIT_INTERRUPTED) from None
        except BrokenPipeError:
            silence_stdout()
            raise typer.Exit(EXIT_ERROR) from None
        except Exception as error:
            # What typer raises to end a command or to complain of its usage has an exit code.
            ending = hasattr(error, "exit_code") or isinstance(error, typer.Abort)
            if ending or os.environ.get(DEBUG_VARIABLE):
                raise
            note(f"error: internal failure in {ctx.info_name}: {type(error).__name__}: {error}")
            note(f"remedy: please report it with the output of `{DEBUG_VARIABLE}=1 lab ...`")
            raise typer.Exit(EXIT_ERROR) from None


app = typer.Typer(
    name="lab",
    cls=LabGroup,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Re-run the published experiments of two cluster systems on a software network.\n\n"
    "Examples:\n\n\b\n"
    "  lab list                          what can be run\n"
    "  lab run switch-port-contention    run it and judge it against the publication\n"
    "  lab compare A B                   how far two runs agree, figure by figure\n"
    "  lab up fat_tree                   leave a network standing to play with\n"
    "  lab exec n1 -- ip link            run a command on one of its hosts\n"
    "  lab down                          remove everything of it",
)

for module in (
    reading,
    running,
    calibrating,
    compare,
    simulate,
    replay,
    hand,
    fault,
    watch,
    events,
    bench,
):
    module.register(app)
app.add_typer(vc.app, name="vc", cls=LabGroup)


def main() -> None:
    """Entry point of the ``lab`` command."""
    app(sys.argv[1:] or ["--help"], prog_name="lab")
