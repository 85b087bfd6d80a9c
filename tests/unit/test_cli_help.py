"""Every command explains itself, with an example, and quickly."""

import re
import resource
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from lab.cli.app import app
from lab.paths import PROJECT
from lab.scenarios.cases import planned_cases
from lab.scenarios.loader import load_any
from lab.scenarios.stack_model import StackScenario

LAB = Path(sys.executable).with_name("lab")
COMMANDS = [
    ("list",),
    ("show",),
    ("run",),
    ("compare",),
    ("up",),
    ("down",),
    ("status",),
    ("exec",),
    ("doctor",),
    ("watch",),
    ("bench",),
    ("report",),
    ("scorecard",),
    ("claims",),
    ("simulate",),
    ("replay",),
    ("vc",),
    ("vc", "list"),
    ("vc", "trace"),
    ("vc", "open"),
    ("vc", "close"),
]
WITH_JSON = [words for words in COMMANDS if words not in {("exec",), ("vc",)}]


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_help_has_an_example(words: tuple[str, ...]) -> None:
    result = CliRunner().invoke(app, [*words, "--help"])
    assert result.exit_code == 0
    assert "Example" in result.output
    assert f"lab {words[0]}" in result.output.split("Example", 1)[1]


@pytest.mark.parametrize("words", WITH_JSON, ids=" ".join)
def test_commands_that_print_data_offer_json(words: tuple[str, ...]) -> None:
    assert "--json" in CliRunner().invoke(app, [*words, "--help"]).output


def test_alone_it_shows_the_help() -> None:
    done = subprocess.run([LAB], capture_output=True, text=True, check=False)
    assert done.returncode == 0
    assert "Examples:" in done.stdout
    assert done.stderr == ""


def test_help_is_quick() -> None:
    def cpu_s() -> float:
        """Its own time, for the machine may be busy with other things."""
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([LAB, "--help"], capture_output=True, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    assert min(cpu_s() for _ in range(3)) < 0.5


def test_help_loads_nothing_heavy() -> None:
    code = "import sys, lab.cli; print([m for m in HEAVY if m in sys.modules])".replace(
        "HEAVY", "('pandas', 'pydantic', 'networkx', 'plotly', 'docker', 'yaml', 'numpy')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_cases_that_examples_name_exist() -> None:
    """``lab events SCENARIO --case CASE`` in help and documents."""
    texts = [
        *(PROJECT / "docs").glob("*.md"),
        PROJECT / "README.md",
        *(PROJECT / "lab" / "cli").glob("*.py"),
    ]
    named = {
        found
        for path in texts
        for found in re.findall(r"lab events (mscs-\S+) --case (\S+)", path.read_text())
    }
    assert named
    for scenario, case in named:
        loaded = load_any(scenario)
        assert isinstance(loaded, StackScenario)
        assert case in {planned.name for planned in planned_cases(loaded)}, (scenario, case)
