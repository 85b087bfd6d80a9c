"""Where the project's own folders are: scenarios, topologies, playbooks, results."""

import os
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
SCENARIOS = PROJECT / "scenarios"
TOPOLOGIES = PROJECT / "topologies"
PLAYBOOKS = PROJECT / "playbooks"
RESULTS = Path(os.environ.get("LAB_RESULTS", PROJECT / "results")).absolute()
"""Runs and scorecards; the environment can name another place, as the tests do."""


def shown(path: Path) -> str:
    """The path as a user would type it: relative to the working directory where that is shorter."""
    try:
        return str(path.resolve().relative_to(Path.cwd()))
    except ValueError:
        return str(path)
