"""The images that the nodes of stacks run in; ``images/build-stack.sh`` makes and names them."""

import subprocess

from lab.errors import LabError
from lab.paths import PROJECT

_SCRIPT = PROJECT / "images" / "build-stack.sh"
_TIMEOUT_S = 300


def stacks_with_image() -> list[str]:
    """Return the stacks that can run in containers."""
    return _script("--list").split()


def stack_image(stack: str) -> str:
    """Return the name of the image of a stack's present code; it need not have been made."""
    return _script(stack, "--tag").strip()


def make_stack_image(stack: str) -> str:
    """Make the image of a stack's present code if it is missing, and return its name.

    Raises:
        LabError: it cannot be made; says why.
    """
    _script(stack)
    return stack_image(stack)


def _script(*words: str) -> str:
    try:
        done = subprocess.run(
            ["sh", str(_SCRIPT), *words],
            capture_output=True,
            text=True,
            timeout=_TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise LabError(
            f"{_SCRIPT.name} {' '.join(words)}: {error}", remedy="`make setup`"
        ) from None
    if done.returncode:
        complaint = (done.stderr.strip().splitlines() or ["it says nothing"])[0]
        raise LabError(
            f"{_SCRIPT.name} {' '.join(words)}: {complaint.removeprefix('error: ')}",
            remedy="`make setup` provides what it needs",
        )
    return done.stdout
