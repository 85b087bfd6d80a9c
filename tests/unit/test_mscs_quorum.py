"""The quorum resource: challenge and defence, time, the grace before a cluster is formed."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lab.stacks.mscs.config import make_config
from lab.stacks.mscs.quorum import Quorum

from mscs_desk import Agenda, Desk, Volume  # isort: skip

CONFIG = make_config(1, {"nodes": 2})


class Nodes:
    """Some nodes and their volume."""

    def __init__(self, count: int = 2) -> None:
        self.agenda = Agenda()
        self.volume = Volume(self.agenda, CONFIG.quorum_reservation_s)
        self.desks = [Desk(self.agenda, self.volume, node) for node in range(1, count + 1)]
        self.quorums = [Quorum(desk, CONFIG) for desk in self.desks]
        self.told = {}

    def arbitrate(self, node: int) -> None:
        self.told.pop(node, None)
        self.quorums[node - 1].arbitrate(
            self.agenda.now_s, lambda at_s, owns: self.told.update({node: (at_s, owns)})
        )

    def owners(self):
        now_s = self.agenda.now_s
        return [n for n, quorum in enumerate(self.quorums, 1) if quorum.owned(now_s)]

    def run(self, for_s: float):
        self.agenda.run_until(self.agenda.now_s + for_s)


def test_of_two_that_challenge_one_wins_and_defends_for_ever():
    nodes = Nodes()
    nodes.arbitrate(1)
    nodes.arbitrate(2)
    nodes.run(100)
    assert nodes.told[1][1] is True
    assert nodes.told[2] == (pytest.approx(12.0), False)
    assert nodes.owners() == [1]
    nodes.arbitrate(1)
    nodes.run(0.1)
    assert nodes.told[1][1] is True


def test_who_challenges_a_dead_owner_wins_when_its_reservation_has_ended():
    nodes = Nodes()
    nodes.arbitrate(1)
    nodes.run(4)
    nodes.desks[0].paused = True  # it renewed at 3 s
    nodes.arbitrate(2)
    nodes.run(13)
    at_s, owns = nodes.told[2]
    assert owns
    assert 13 < at_s < 15


def test_an_owner_that_was_paused_knows_at_once_that_it_lost():
    nodes = Nodes()
    lost = []
    nodes.quorums[0].on_lost.append(lost.append)
    nodes.arbitrate(1)
    nodes.run(4)
    nodes.desks[0].paused = True
    nodes.run(30)
    assert not nodes.quorums[0].owned(nodes.agenda.now_s)
    nodes.desks[0].resume()
    assert lost == [nodes.agenda.now_s]
    assert nodes.desks[0].phases("quorum") == ["owned", "lost"]
    nodes.run(30)
    assert nodes.owners() == []  # it does not take it back by itself


def test_an_owner_that_is_cut_off_loses_it_before_another_can_have_it():
    nodes = Nodes()
    times = []
    nodes.quorums[0].on_lost.append(times.append)
    nodes.arbitrate(1)
    nodes.run(4)
    nodes.volume.cut.add(1)
    nodes.arbitrate(2)
    nodes.run(20)
    assert times[0] < nodes.told[2][0]
    assert nodes.owners() == [2]


def test_a_short_cut_does_not_cost_the_ownership():
    nodes = Nodes()
    nodes.arbitrate(1)
    nodes.run(2.5)
    nodes.volume.cut.add(1)
    nodes.run(5)
    nodes.volume.cut.clear()
    nodes.run(60)
    assert nodes.owners() == [1]
    assert nodes.desks[0].phases("quorum") == ["owned"]


def test_what_was_released_is_free_at_once_and_waiters_are_told():
    nodes = Nodes()
    nodes.arbitrate(1)
    nodes.run(1)
    nodes.arbitrate(1)
    nodes.quorums[0].release(nodes.agenda.now_s)
    assert nodes.told[1] == (1.0, False)
    nodes.arbitrate(2)
    nodes.run(1)
    assert nodes.owners() == [2]


def test_the_owner_writes_down_which_cluster_was_formed():
    nodes = Nodes()
    nodes.arbitrate(1)
    nodes.run(1)
    told: list[Any] = []
    quorum = nodes.quorums[0]
    quorum.last_formed(nodes.agenda.now_s, lambda at_s, last: told.append(last))
    nodes.run(1)
    quorum.note_formed(nodes.agenda.now_s, "1.1.1", lambda at_s, durable: told.append(durable))
    nodes.run(1)
    quorum.last_formed(nodes.agenda.now_s, lambda at_s, last: told.append(last))
    nodes.run(1)
    nodes.volume.cut.add(1)
    quorum.last_formed(nodes.agenda.now_s, lambda at_s, last: told.append(last))
    nodes.run(1)
    assert told == ["", True, "1.1.1", None]


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(
                ["arbitrate", "arbitrate", "release", "pause", "resume", "cut", "heal"]
            ),
            st.integers(1, 2),
            st.sampled_from([0.0, 0.5, 4.0, 12.0]),
        ),
        min_size=10,
        max_size=25,
    )
)
def test_never_two_nodes_that_own_it_whatever_happens(steps: Any):
    nodes = Nodes()
    for what, node, then_s in steps:
        desk = nodes.desks[node - 1]
        match what:
            case "arbitrate" if not desk.paused:
                nodes.arbitrate(node)
            case "release" if not desk.paused:
                nodes.quorums[node - 1].release(nodes.agenda.now_s)
            case "pause":
                desk.paused = True
            case "resume":
                desk.resume()
            case "cut":
                nodes.volume.cut.add(node)
            case "heal":
                nodes.volume.cut.discard(node)
        for _ in range(12):
            nodes.run(then_s / 12)
            assert len(nodes.owners()) <= 1
            assert set(nodes.owners()) <= {nodes.volume.holder}
