"""The doctor: each capability can be found missing, and each names its remedy."""

import json
import os
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from lab.doctor import Check, judge, render, to_json
from lab.doctor.checks import CLOCK_READ_NS, DISK_BYTES, MEMORY_BYTES, OPEN_FILES
from lab.doctor.facts import (
    BASE_IMAGE,
    Clock,
    Engine,
    Facts,
    Unavailable,
    command_output,
    gather,
    works,
)
from lab.doctor.leftovers import Remains, alive, tell_apart
from lab.emulation.cleanup import Inventory, Thing
from lab.emulation.state import LabState

ABLE = Facts(
    system="Linux 6.1.0",
    euid=0,
    namespaces="works",
    veth="works",
    packet_sockets="works",
    sealed_memory="works",
    ovs="3.1.0",
    datapath_types=("netdev", "system"),
    mnexec="/usr/bin/mnexec",
    engine=Engine("20.10.24", "1", BASE_IMAGE, ()),
    native="loads",
    memory_bytes=MEMORY_BYTES,
    cores=2,
    clock=Clock(source="tsc", resolution_ns=1, read_ns=60),
    open_files=OPEN_FILES,
    disk_bytes=DISK_BYTES,
    remains=Remains(standing="", leftovers=()),
)
GONE = Unavailable("it is not there")

# check -> a machine on which just that one fails
CRIPPLED = {
    "linux": replace(ABLE, system="Darwin 23"),
    "root": replace(ABLE, euid=1000),
    "namespaces": replace(ABLE, namespaces=GONE),
    "veth": replace(ABLE, veth=GONE),
    "packet sockets": replace(ABLE, packet_sockets=GONE),
    "shared memory": replace(ABLE, sealed_memory=GONE),
    "open vswitch": replace(ABLE, ovs=GONE),
    "datapath": replace(ABLE, datapath_types=("system",)),
    "mnexec": replace(ABLE, mnexec=None),
    "docker": replace(ABLE, engine=Engine("20.10.24", "?", BASE_IMAGE, ())),
    "base image": replace(ABLE, engine=Engine("20.10.24", "2", None, ())),
    "stack images": replace(ABLE, engine=Engine("20.10.24", "2", BASE_IMAGE, ("lab-mscs:1",))),
    "native part": replace(ABLE, native=GONE),
    "memory": replace(ABLE, memory_bytes=MEMORY_BYTES - 1),
    "cores": replace(ABLE, cores=1),
    "clock": replace(ABLE, clock=Clock("acpi_pm", 1, CLOCK_READ_NS + 1)),
    "open files": replace(ABLE, open_files=OPEN_FILES - 1),
    "disk": replace(ABLE, disk_bytes=DISK_BYTES - 1),
    "leftovers": replace(ABLE, remains=Remains("", ("bridge lab-s1",))),
}


@pytest.fixture
def sleeper_of_lab() -> Iterator[int]:
    """Process number of a process that bears a lab's label."""
    with subprocess.Popen(["sleep", "60"], env={**os.environ, "LAB_ID": "lab-1a2b3c"}) as process:
        yield process.pid
        process.kill()


def failed(checks: list[Check]) -> list[Check]:
    return [check for check in checks if not check.ok]


def test_an_able_machine_passes_every_check():
    checks = judge(ABLE)
    assert not failed(checks)
    assert {check.name for check in checks} == set(CRIPPLED)


@pytest.mark.parametrize("name", CRIPPLED)
def test_each_check_can_fail_alone_and_names_its_remedy(name: str):
    (check,) = failed(judge(CRIPPLED[name]))
    assert check.name == name
    assert check.remedy
    assert check.needed in check.detail
    assert f"remedy: {check.remedy}" in render([check])


def test_without_the_engine_it_and_its_images_are_missing():
    names = [check.name for check in failed(judge(replace(ABLE, engine=GONE)))]
    assert names == ["docker", "base image", "stack images"]


@pytest.mark.parametrize("clock", [Clock("jiffies", 4_000_000, 50), Clock("hpet", 1, 3000)])
def test_a_coarse_or_a_costly_clock_is_refused(clock: Clock):
    assert [check.name for check in failed(judge(replace(ABLE, clock=clock)))] == ["clock"]


def test_leftovers_that_cannot_be_seen_are_no_clean_bill():
    (check,) = failed(judge(replace(ABLE, remains=GONE)))
    assert check.name == "leftovers"
    assert "cannot tell: it is not there" in check.detail


def test_a_standing_lab_is_told_but_is_no_fault():
    (check,) = [
        each
        for each in judge(replace(ABLE, remains=Remains("lab-1a2b3c", ())))
        if each.name == "leftovers"
    ]
    assert check.ok
    assert "lab-1a2b3c is standing" in check.detail


def test_many_leftovers_are_counted():
    remains = Remains("", tuple(f"bridge lab-s{n}" for n in range(1, 41)))
    (check,) = failed(judge(replace(ABLE, remains=remains)))
    assert check.value == "bridge lab-s1, bridge lab-s2, bridge lab-s3 and 37 more"


def test_rendering_ends_with_a_verdict():
    assert render(judge(ABLE)).splitlines()[-1] == "this machine can run labs"
    assert render(judge(CRIPPLED["cores"])).splitlines()[-1] == "1 of 19 checks failed"


def test_json_holds_what_a_program_needs():
    checks = judge(CRIPPLED["root"])
    rows = json.loads(to_json(checks))
    assert rows == [check.as_dict() for check in checks]
    assert set(rows[0]) == {"name", "ok", "value", "needed", "remedy"}


def test_a_command_that_fails_is_unavailable_with_its_complaint():
    assert command_output("sh", "-c", "echo first >&2; echo why >&2; exit 3") == Unavailable("why")
    assert command_output("sh", "-c", "exit 3") == Unavailable("sh exited 3")
    missing = command_output("no-such-command-anywhere")
    assert missing == Unavailable("no-such-command-anywhere is not installed")


def test_a_silent_success_is_shown_as_a_word():
    assert works(command_output("true")) == "works"
    assert works(GONE) is GONE


def test_looking_never_raises_where_nothing_is_installed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/docker.sock")
    facts = gather()
    assert isinstance(facts.ovs, Unavailable)
    assert isinstance(facts.engine, Unavailable)
    assert facts.mnexec is None
    assert {"open vswitch", "datapath", "mnexec", "docker", "base image"} <= {
        check.name for check in failed(judge(facts))
    }


def test_a_lab_stands_while_its_line_cards_live(sleeper_of_lab: int):
    state = LabState("lab-1a2b3c", "fat_tree", 100.0, 1, 0.0, linecards_pid=sleeper_of_lab)
    assert alive(state) == "lab-1a2b3c"


@pytest.mark.parametrize("pid", [0, 1, 2**22 + 1])
def test_a_lab_without_live_line_cards_does_not_stand(pid: int):
    assert alive(LabState("lab-1a2b3c", "fat_tree", 100.0, 1, 0.0, linecards_pid=pid)) == ""
    assert alive(None) == ""


def test_only_what_the_standing_lab_does_not_own_is_left_over():
    found = Inventory(
        bridges=[Thing("bridge", "lab-s1", "lab-1a2b3c"), Thing("bridge", "lab-s2", "lab-000000")],
        directories=[Thing("directory", "/run/lab/lab-000000", "lab-000000")],
    )
    left = ("bridge lab-s2", "directory /run/lab/lab-000000")
    assert tell_apart(found, "lab-1a2b3c") == Remains("lab-1a2b3c", left)
    assert len(tell_apart(found, "").leftovers) == 3
