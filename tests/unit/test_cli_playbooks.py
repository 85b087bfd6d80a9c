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
