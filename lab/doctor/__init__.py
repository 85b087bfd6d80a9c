"""Whether this machine can run a lab, and what to do about each thing that is missing.

``facts`` looks at the machine, ``checks`` judges what it saw (pure), ``render`` shows it.
"""

from lab.doctor.checks import Check, judge
from lab.doctor.facts import gather
from lab.doctor.render import render, to_json

__all__ = ["Check", "judge", "render", "run_checks", "to_json"]


def run_checks() -> list[Check]:
    """Look at this machine and judge it; takes about a second, leaves nothing behind."""
    return judge(gather())
