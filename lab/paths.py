"""Where the project's own folders are: scenarios, topologies, playbooks, results."""

from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
SCENARIOS = PROJECT / "scenarios"
TOPOLOGIES = PROJECT / "topologies"
PLAYBOOKS = PROJECT / "playbooks"
RESULTS = PROJECT / "results"


def shown(path: Path) -> str:
    """The path as a user would type it: relative to the working directory where that is shorter."""
    try:
        return str(path.resolve().relative_to(Path.cwd()))
    except ValueError:
        return str(path)
