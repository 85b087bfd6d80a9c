"""Whatever dies in mid-run: a clear error, and nothing of ours is left."""

import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from running_lab import Running, lab, run_words

from lab.emulation.net import inventory
from lab.emulation.state import load_state
from lab.paths import PLAYBOOKS
from lab.results.manifest import read_manifest

pytestmark = [pytest.mark.emulation, pytest.mark.timeout(200)]

SOON_S = 50.0  # it takes two to three on an idle machine
Start = Callable[..., Running]
Alive = Callable[[], dict[str, bool]]


def in_mid_run(start_run: Start) -> Running:
    """A run whose first pass is well under way."""
    running = start_run(dilation="300")  # long enough for whatever comes to come in mid-run
    running.wait_for("drive on", "step 1")
    return running


def check_failed(running: Running, code: int, *words: str) -> str:
    """The run ended soon with that code and these words, without a traceback, and left nothing."""
    began_s = time.monotonic()
    ended, out, err = running.end()
    assert time.monotonic() - began_s < SOON_S
    assert ended == code, err
    assert "Traceback" not in out + err
    for word in words:
        assert word in err
    assert inventory().things == []
    run_dir = running.run_dir()
    assert run_dir is not None
    ending = read_manifest(run_dir).exit
    assert ending is not None
    assert not ending.ok
    assert not (run_dir / "scorecard.json").exists()
    return err


def test_killed_line_cards(start_run: Start, bystanders: Alive) -> None:
    running = in_mid_run(start_run)
    pid = load_state().linecards_pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    check_failed(running, 1, "error: ", "line-card process", "remedy: ")
    assert all(bystanders().values()), bystanders()


def test_killed_endpoint(start_run: Start) -> None:
    running = in_mid_run(start_run)
    (pid, *_) = [
        int(thing.name.split()[0]) for thing in inventory().processes if "cong2.a" in thing.name
    ] or [0]
    assert pid
    os.kill(pid, signal.SIGKILL)
    check_failed(running, 1, "error: ", "endpoint", "died")


def test_killed_drive_process(start_run: Start, bystanders: Alive) -> None:
    running = in_mid_run(start_run)
    drivers = running.task_processes()
    assert drivers
    for pid in drivers:
        os.kill(pid, signal.SIGKILL)
    check_failed(running, 1, "error: ")
    assert all(bystanders().values()), bystanders()


@pytest.mark.slow
def test_killed_ansible(start_run: Start) -> None:
    running = in_mid_run(start_run)
    for pid in running.helpers("ansible-playbook"):
        os.kill(pid, signal.SIGKILL)
    check_failed(running, 1, "error: ", "ansible-playbook")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("daemon", "pid_file", "start"),
    [
        ("ovs-vswitchd", "/var/run/openvswitch/ovs-vswitchd.pid", "start-ovs.sh"),
        ("dockerd", "/var/run/docker.pid", "start-docker.sh"),
    ],
)
def test_a_dead_daemon(start_run: Start, daemon: str, pid_file: str, start: str) -> None:
    """The lab cannot be removed completely without the daemon; with it again, it can."""
    running = in_mid_run(start_run)
    os.kill(int(Path(pid_file).read_text()), signal.SIGKILL)
    try:
        code, out, err = running.end(timeout_s=120)
        assert code == 1
        assert "Traceback" not in out + err
        assert f"error: {daemon}" in err
        assert "remedy: " in err
    finally:
        subprocess.run(
            ["sh", str(PLAYBOOKS / "files" / start)],
            check=True,
            timeout=60,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
    assert lab("down").returncode == 0
    assert inventory().things == []


@pytest.mark.parametrize(
    "number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)]
)
def test_interrupted_by_the_user(start_run: Start, bystanders: Alive, number: int) -> None:
    running = in_mid_run(start_run)
    os.kill(running.process.pid, number)
    check_failed(running, 128 + number, "interrupted")
    assert all(bystanders().values()), bystanders()


def test_the_command_itself_is_killed(start_run: Start) -> None:
    """Nobody is left to remove the lab at once; the next command does."""
    running = in_mid_run(start_run)
    os.kill(running.process.pid, signal.SIGKILL)
    running.end()
    run_dir = running.run_dir()
    assert run_dir is not None
    done = lab("up", "fat_tree")
    if done.returncode != 0:  # the run's own clean-up was quicker to take the lock
        time.sleep(10)
        done = lab("up", "fat_tree")
    assert done.returncode == 0, done.stderr
    state = load_state()
    assert state.owner == "hand"
    assert len(inventory().lab_ids) == 1


def test_a_second_lab_is_refused(clean_machine: None) -> None:
    assert lab("up", "fat_tree", "--containers", "n1").returncode == 0
    standing = load_state().lab_id
    for words in (["up", "fat_tree"], run_words()):
        refused = lab(*words)
        assert refused.returncode == 1
        assert standing in refused.stderr
        assert "remedy: remove it with `lab down`" in refused.stderr
    assert load_state().lab_id == standing
    check_hand_work()
    assert lab("down").returncode == 0
    assert inventory().things == []


def check_hand_work() -> None:
    """Commands inside the hosts of a standing lab, and circuits between them."""
    for host in ("n1", "n2"):
        assert lab("exec", host, "--", "sh", "-c", "exit 7").returncode == 7
        assert "lo" in lab("exec", host, "--", "ip", "link").stdout
    assert lab("vc", "open", "n1", "n64").returncode == 0
    assert "n64" in lab("vc", "trace", "1").stdout
    assert '"whole": true' in lab("vc", "list", "--json").stdout
    assert lab("vc", "close", "1").returncode == 0
    assert lab("vc", "trace", "1").returncode == 1
    assert "n64" in lab("status").stdout


@pytest.mark.parametrize(
    "wrong", [{"timeline__settle_s": "-1"}, {"hosts__containers": "[n99]"}, {"topology": "ring"}]
)
def test_a_wrong_scenario_never_starts_a_lab(clean_machine: None, wrong: dict[str, str]) -> None:
    done = lab(*run_words(**wrong))
    assert done.returncode == 1
    assert "error: " in done.stderr
    assert inventory().things == []
