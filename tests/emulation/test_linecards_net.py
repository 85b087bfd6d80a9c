"""Messages of every size through real switches."""

import os
from collections.abc import Iterator
from pathlib import Path

import labnet
import pytest

from lab.emulation import net
from lab.emulation.client import LineCards
from lab.emulation.labels import host_dir
from lab.emulation.netlink import inside
from lab.emulation.state import LabState
from lab.signalling import VcRequest
from lab.topology import load_topology
from lab.unet.endpoint import Endpoint

pytestmark = pytest.mark.emulation

SIZES = (1, 40, 41, 44, 88, 2048, 8152, 8153, 16384, 65535, 65536)


@pytest.fixture(scope="module")
def lab() -> Iterator[LabState]:
    assert not net.inventory().things, "a lab stands on this machine; run `lab down` first"
    state = labnet.build(load_topology("fat_tree"), line_cards=True)
    try:
        net.open_vcs(state, [VcRequest("x", "g", "n17", "n33")])
        yield state
    finally:
        assert net.down().left == []


def attach(lab: LabState, host: str, name: str) -> Endpoint:
    with inside(Path(f"/proc/{lab.hosts[host].pid}/ns/net")):
        return Endpoint.attach(name, str(host_dir(lab.lab_id, host) / "unet.sock"))


def test_messages_of_every_size_arrive_unharmed(lab: LabState) -> None:
    with (
        LineCards(lab.control_socket) as cards,
        attach(lab, "n17", "x.a") as a,
        attach(lab, "n33", "x.b") as b,
    ):
        for size in SIZES:
            data = os.urandom(size)
            a.send_wait(1, data, timeout_s=10)
            message = b.receive(10)
            assert message is not None
            assert message.data == data
            message.release()
        stats = cards.call("stats")
        assert stats["delivered"] == len(SIZES)
        assert stats["in_flight"] == stats["in_switches"] == 0
