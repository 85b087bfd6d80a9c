"""Set-up of this machine: the second call changes nothing, and the base image can do its work."""

import os
import re
import subprocess
import time
from collections.abc import Iterator

import docker
import pytest

from lab.doctor import run_checks
from lab.emulation.stack_images import make_stack_image, stacks_with_image
from lab.paths import PLAYBOOKS, PROJECT

pytestmark = pytest.mark.emulation

SECOND_CALL_S = 5.0
# What U-Net's endpoint programs use inside a container.
IMPORTS = """
import array, ctypes, json, mmap, os, select, signal, socket, struct, time
doorbell = os.eventfd(0)
memory = os.memfd_create("segment")
os.truncate(memory, 4096)
segment = mmap.mmap(memory, 4096)
left, right = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
socket.send_fds(left, [b"x"], [doorbell])
print(os.getuid(), len(socket.recv_fds(right, 1, 1)[1]))
"""


@pytest.fixture
def engine() -> Iterator[docker.DockerClient]:
    client = docker.from_env()
    yield client
    client.close()


def run(*argv: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        argv,
        cwd=PROJECT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=120,
        check=False,
    )


def daemon_pids() -> set[str]:
    return set(run("pgrep", "-x", "ovs-vswitchd|ovsdb-server|dockerd").stdout.split())


def test_a_second_call_says_so_and_is_quick():
    assert run("make", "setup").returncode == 0  # sources edited since the last one count as news
    start_s = time.monotonic()
    done = run("make", "setup")
    assert done.returncode == 0, done.stderr
    assert time.monotonic() - start_s < SECOND_CALL_S
    assert "everything is in place" in done.stdout


def test_the_playbook_changes_nothing_on_a_machine_that_is_set_up():
    before = daemon_pids()
    done = run(
        str(PROJECT / ".venv/bin/ansible-playbook"),
        *("-i", "localhost,"),
        str(PLAYBOOKS / "setup.yml"),
        ANSIBLE_CONFIG=str(PLAYBOOKS / "ansible.cfg"),
        LC_ALL="C.UTF-8",
    )
    assert done.returncode == 0, done.stdout + done.stderr
    recap = re.search(r"ok=(\d+)\s+changed=(\d+)", done.stdout)
    assert recap is not None
    assert int(recap[1]) > 0
    assert int(recap[2]) == 0, done.stdout
    assert daemon_pids() == before


def test_this_machine_passes_what_set_up_provides():
    provided = {"open vswitch", "datapath", "mnexec", "docker", "native part"}
    provided |= {"base image", "stack images"}
    failed = [check.detail for check in run_checks() if check.name in provided and not check.ok]
    assert not failed


def test_the_base_image_is_small_and_not_root(engine: docker.DockerClient):
    image = engine.images.get("lab-base:latest")
    assert image.labels["lab.image"] == "base"
    assert image.attrs["Size"] < 150e6
    assert image.attrs["Config"]["User"] == "lab"
    assert any(re.fullmatch(r"lab-base:[0-9a-f]{12}", tag) for tag in image.tags)


def test_endpoint_programs_find_their_modules_in_the_base_image(engine: docker.DockerClient):
    output = engine.containers.run(
        "lab-base:latest", ["python3", "-c", IMPORTS], network_mode="none", remove=True
    )
    assert output.split() == [b"1000", b"1"]


@pytest.mark.parametrize("stack", stacks_with_image())
def test_the_image_of_a_stack_is_small_and_starts_its_shell(
    engine: docker.DockerClient, stack: str
):
    image = engine.images.get(make_stack_image(stack))
    assert image.attrs["Size"] < 150e6
    assert image.attrs["Config"]["User"] == "lab"
    output = engine.containers.run(
        image.id,
        ["python3", "-S", "-m", "lab.shell", "--help"],
        network_mode="none",
        read_only=True,
        cap_drop=["ALL"],
        remove=True,
    )
    assert b"Runs one node of a stack" in output


def test_set_up_refuses_whoever_is_not_root():
    done = run("setpriv", "--reuid=65534", "--clear-groups", "sh", "playbooks/bootstrap.sh")
    assert done.returncode == 1
    assert "remedy: become root" in done.stderr


def test_make_alone_lists_every_target_with_a_line():
    listed = set(re.findall(r"make (\w+) +\S", run("make").stdout))
    phony = re.search(r"^\.PHONY: (.*)$", (PROJECT / "Makefile").read_text(), re.MULTILINE)
    assert phony is not None
    assert listed == set(phony[1].split())


def test_a_scenario_without_a_name_says_what_to_type():
    done = run("make", "scenario")
    assert done.returncode != 0
    assert "make scenario NAME=" in done.stdout + done.stderr
