"""The playbooks and our Ansible modules, without a network."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from lab.paths import PLAYBOOKS

BIN = Path(sys.executable).parent
MODULES = sorted(path.stem for path in (PLAYBOOKS / "modules").glob("lab_*.py"))


def ansible(*words: str) -> "subprocess.CompletedProcess[str]":
    environment = {
        **os.environ,
        "ANSIBLE_CONFIG": str(PLAYBOOKS / "ansible.cfg"),
        "ANSIBLE_LIBRARY": str(PLAYBOOKS / "modules"),
        "LC_ALL": "C.UTF-8",
    }
    return subprocess.run(
        [str(BIN / words[0]), *words[1:]],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def documents() -> dict[str, Any]:
    done = ansible("ansible-doc", "--json", *MODULES)
    assert done.returncode == 0, done.stderr
    loaded: dict[str, Any] = json.loads(done.stdout)
    return loaded


def test_all_modules_are_there() -> None:
    wanted = {"lab_topology", "lab_vc", "lab_workload", "lab_fault", "lab_collect"}
    assert wanted <= set(MODULES)


@pytest.mark.parametrize("name", MODULES)
def test_a_module_is_documented_the_ansible_way(name: str, documents: dict[str, Any]) -> None:
    document = documents[name]
    assert document["doc"]["short_description"]
    assert f"{name}:" in document["examples"]
    assert all(value["description"] for value in document["return"].values())
    source = (PLAYBOOKS / "modules" / f"{name}.py").read_text(encoding="utf-8")
    options: dict[str, Any] = {}
    exec(compile(source, name, "exec"), {"__name__": name}, options_of := {})  # noqa: S102
    options = options_of["OPTIONS"]
    assert set(document["doc"]["options"]) == set(options)
    for option, specification in options.items():
        described = document["doc"]["options"][option]
        assert described.get("choices", []) == specification.get("choices", [])
        assert described.get("required", False) == specification.get("required", False)


@pytest.mark.parametrize("name", ["scenario", "down", "nightly"])
def test_a_playbook_is_sound(name: str) -> None:
    done = ansible("ansible-playbook", "--syntax-check", str(PLAYBOOKS / f"{name}.yml"))
    assert done.returncode == 0, done.stderr


def test_a_dry_run_checks_the_scenario() -> None:
    playbook = str(PLAYBOOKS / "scenario.yml")
    good = ansible("ansible-playbook", "--check", playbook, "-e", "scenario=switch-port-contention")
    assert good.returncode == 0, good.stdout
    bad = ansible("ansible-playbook", "--check", playbook, "-e", "scenario=no-such")
    assert bad.returncode != 0
    assert "no-such" in bad.stdout
    assert "remedy" in bad.stdout


# -- nightly -----------------------------------------------------------------------------

# Stands in for `lab`: notes how it was called, and answers from a table.
FAKE_LAB = """#!{python}
import json, sys
words = sys.argv[1:]
with open({log!r}, "a") as log:
    log.write(" ".join(words) + "\\n")
answers = json.load(open({answers!r}))
answer = answers.get(" ".join(words[:4]), answers.get(words[0], {{}}))
print(json.dumps(answer["out"]) if "out" in answer else "a line")
sys.exit(answer.get("rc", 0))
"""
SCENARIOS = [
    {"name": "quick", "engines": ["emulation", "simulation"], "real_s": 120.0},
    {"name": "slow", "engines": ["simulation", "emulation"], "real_s": 500.0},
    {"name": "virtual", "engines": ["simulation"], "real_s": 10.0},
]


def a_run(*, lost: int = 0, valid: bool = True) -> dict[str, Any]:
    checks = [
        {"name": "ovs-frames-lost", "bound": "<= 0 frames", "ok": not lost, "why": f"{lost} gone"},
        {"name": "switch-delay", "bound": "<= 100 us virtual", "ok": valid, "why": "slow"},
    ]
    return {"run_dir": "results/x/1", "fidelity": {"checks": checks}}


def nightly(
    folder: Path, answers: dict[str, Any], *extra: str
) -> tuple["subprocess.CompletedProcess[str]", list[str]]:
    """Run the playbook against the stand-in; also the runs that it asked for."""
    program, log, table = folder / "lab", folder / "log", folder / "answers.json"
    log.touch()
    table.write_text(json.dumps({"list": {"out": SCENARIOS}, "run": {"out": a_run()}, **answers}))
    program.write_text(
        FAKE_LAB.format(python=sys.executable, log=str(log), answers=str(table)), encoding="utf-8"
    )
    program.chmod(0o755)
    words = ("-i", "localhost,", str(PLAYBOOKS / "nightly.yml"), "-e", f"lab={program}", *extra)
    done = ansible("ansible-playbook", *words)
    return done, [line for line in log.read_text().splitlines() if line.startswith("run")]


def test_a_night_runs_everything_on_both_engines(tmp_path: Path) -> None:
    done, runs = nightly(tmp_path, {})
    assert done.returncode == 0, done.stdout
    emulation = "--engine emulation --seed {} --until-valid --json"
    assert sorted(runs) == sorted(
        [
            *(f"run quick {emulation.format(seed)}" for seed in (1, 2, 3)),
            f"run slow {emulation.format(1)}",
            *(f"run {name} --engine simulation --json" for name in ("quick", "slow", "virtual")),
        ]
    )
    assert "all 7 runs are complete and valid, and lost nothing" in done.stdout
    assert "simulate mscs --seeds 1..20000" in (tmp_path / "log").read_text()


def test_a_part_of_a_night(tmp_path: Path) -> None:
    done, runs = nightly(tmp_path, {}, "-e", 'scenarios="slow virtual"')
    assert done.returncode == 0, done.stdout
    assert {line.split()[1] for line in runs} == {"slow", "virtual"}
    assert "simulate" not in (tmp_path / "log").read_text()
    (tmp_path / "log").unlink()
    done, runs = nightly(tmp_path, {}, "-e", 'scenarios="slow nonsense"')
    assert done.returncode != 0
    assert "there is no scenario nonsense" in done.stdout
    assert runs == []


def test_a_failed_run_and_a_lost_frame_fail_the_night_and_no_other_run(tmp_path: Path) -> None:
    bad = {
        "run quick --engine emulation": {"rc": 1},
        "run virtual --engine simulation": {"rc": 3, "out": a_run(lost=3)},
    }
    done, runs = nightly(tmp_path, bad, "-e", 'scenarios="quick virtual"')
    assert done.returncode != 0
    assert len(runs) == 5
    assert "lost: 3 gone" in done.stdout
    last = done.stdout.split("TASK")[-1]
    assert "run quick --engine emulation --seed 2" in last
    assert "run virtual --engine simulation" in last
    assert "frames were lost" in last


def test_a_random_case_that_breaks_an_invariant_fails_the_night(tmp_path: Path) -> None:
    done, runs = nightly(tmp_path, {"simulate": {"rc": 1}})
    assert done.returncode != 0
    assert len(runs) == 7
    assert "a random case breaks an invariant" in done.stdout.split("TASK")[-1]
