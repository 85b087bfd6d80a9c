"""Fail-over: what becomes of groups when nodes or resources fail, move, pause, leave and return."""

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lab.stacks.mscs.database import Database, Update
from lab.stacks.mscs.failover import FailoverManager
from lab.stacks.mscs.objects import GroupState
from lab.stacks.mscs.quorum_log import QuorumLog

import mscs_desk  # isort: skip
from mscs_little_cluster import DETECTION_S, LittleCluster  # isort: skip

WEB = {
    "name": "web",
    "preferred": (2, 3),
    "resources": (
        {
            "name": "web-address",
            "type": "ip-address",
            "parameters": {"address": "10.1.0.201"},
        },
        {
            "name": "web-service",
            "type": "http-service",
            "parameters": {"address": "10.1.0.201", "port": 80},
            "depends_on": ("web-address",),
        },
    ),
}


def cluster_of(count: int, **options: Any):
    cluster = LittleCluster(count, [{**WEB, **options}])
    cluster.run(1)
    return cluster


def test_groups_start_at_their_preferred_owners_and_the_clusters_own_somewhere():
    cluster = cluster_of(3)
    assert (cluster.owner("web"), cluster.owner("cluster")) == (2, 1)
    assert cluster.online("web-service") == [2]
    assert cluster.online("cluster-address") == [1]
    assert cluster.volume.holder == 1


def test_groups_of_a_node_that_fails_go_to_the_next_one():
    cluster = cluster_of(3)
    cluster.kill(2)
    cluster.run(DETECTION_S + 1)
    assert cluster.owner("web") == 3
    assert cluster.online("web-service") == [3]


def test_the_quorum_resource_follows_when_the_reservation_of_a_failed_owner_has_ended():
    cluster = cluster_of(3)
    cluster.kill(1)
    cluster.run(DETECTION_S + 12)
    new = cluster.owner("cluster")
    assert cluster.volume.holder == new
    assert cluster.online("cluster-address") == [new]


@pytest.mark.parametrize(("failback", "owner"), [(True, 2), (False, 3)])
def test_a_group_fails_back_only_if_it_is_to(failback: bool, owner: int | None):
    cluster = cluster_of(3, failback=failback)
    cluster.kill(2)
    cluster.run(DETECTION_S + 1)
    cluster.join(2)
    cluster.run(1)
    assert cluster.owner("web") == owner
    assert cluster.online("web-service") == [owner]


def test_a_group_that_was_moved_fails_back_only_when_its_node_comes_up_again():
    cluster = cluster_of(3, failback=True)
    assert cluster.ask(1, "move", group="web", to=3) == (True, None)
    cluster.run(1)
    assert cluster.online("web-service") == [3]
    cluster.kill(2)
    cluster.run(DETECTION_S + 1)
    assert cluster.online("web-service") == [3]
    cluster.join(2)
    cluster.run(1)
    assert cluster.online("web-service") == [2]


def test_a_group_that_failed_on_its_preferred_node_is_not_sent_back_there():
    cluster = cluster_of(3, failback=True)
    for _ in range(4):
        cluster.desks[2].running["web-service"](False, "killed")
        cluster.run(1)
    assert cluster.online("web-service") == [3]
    assert len(cluster.state("web").failovers_s) == 1


def test_a_group_moves_after_its_resource_failed_too_often_and_not_for_ever():
    cluster = cluster_of(3, failover_threshold=1)
    for desk in cluster.desks.values():
        desk.refuse.add(("address-up", "10.1.0.201"))
    cluster.desks[2].refuse.clear()
    for _ in range(4):
        cluster.desks[2].running["web-service"](False, "killed")
        cluster.run(1)
    assert cluster.owner("web") == 3
    assert cluster.state("web").phase == "failed"
    for desk in cluster.desks.values():
        desk.refuse.clear()
    assert cluster.ask(1, "online", group="web") == (True, None)
    cluster.run(1)
    assert cluster.online("web-service") == [3]


def test_commands_are_answered_by_any_member():
    cluster = cluster_of(3)
    assert cluster.ask(3, "move", group="web", to=1) == (True, None)
    cluster.run(1)
    assert cluster.online("web-service") == [1]
    assert cluster.ask(2, "offline", group="web") == (True, None)
    cluster.run(1)
    assert cluster.online("web-service") == []
    ok, groups = cluster.ask(2, "groups")
    assert ok
    assert [(g["group"], g["state"], g["owner"]) for g in groups] == [
        ("cluster", "online", 1),
        ("web", "offline", 1),
    ]
    assert cluster.ask(1, "status")[1]["groups_online"] == "1 of 2"
    assert cluster.ask(1, "nodes")[1][0] == {
        "node": 1,
        "state": "up",
        "groups": ["cluster", "web"],
    }
    assert cluster.ask(1, "database", prefix="group/web")[1][0]["value"]["online"] is False


def test_groups_and_resources_are_created_and_deleted_by_command():
    cluster = cluster_of(2)
    assert cluster.ask(1, "create-group", group="db", preferred="2")[0]
    address = {"type": "ip-address", "parameters": "address=10.1.0.202"}
    assert cluster.ask(1, "create-resource", resource="ip", group="db", **address)[0]
    cluster.run(1)
    assert cluster.online("ip") == [2]
    assert cluster.ask(1, "delete-group", group="db") == (
        False,
        "group 'db' has resources (delete ip)",
    )
    assert cluster.ask(1, "delete-resource", resource="ip")[0]
    cluster.run(1)
    assert cluster.online("ip") == []
    assert cluster.ask(1, "delete-group", group="db")[0]
    cluster.run(1)
    assert all("db" not in key for key in cluster.managers[2].databases.database.keys(""))


def test_a_paused_node_keeps_its_groups_and_gets_no_more():
    cluster = cluster_of(3)
    assert cluster.ask(1, "pause", node=3)[0]
    cluster.kill(2)
    cluster.run(DETECTION_S + 1)
    assert cluster.owner("web") == 1
    assert cluster.ask(1, "resume", node=3)[0]
    assert cluster.ask(1, "move", group="web")[0]
    cluster.run(1)
    assert cluster.owner("web") == 3


def test_an_evicted_node_loses_its_groups_first_then_halts_and_may_not_join():
    cluster = cluster_of(3)
    assert cluster.ask(1, "evict", node=2)[0]
    cluster.run(1)
    assert cluster.owner("web") == 3
    assert 2 not in cluster.alive
    assert cluster.online("web-service") == [3]
    assert cluster.managers[1].nodes.why_not_join(2) == "node 2 was evicted"
    cluster.run(DETECTION_S)
    assert cluster.ask(1, "resume", node=2)[0]
    assert cluster.managers[1].nodes.why_not_join(2) == ""


def test_a_cluster_without_its_quorum_resource_ends():
    cluster = cluster_of(3)
    cluster.volume.cut.update({1, 2, 3})
    cluster.run(10 + 49 + 13)  # the reservation, the patience of 3 nodes, and a challenge
    assert cluster.alive == set()


def test_a_node_that_loses_the_volume_hands_the_clusters_group_over():
    cluster = cluster_of(3)
    cluster.volume.cut.add(1)
    cluster.run(30)
    assert cluster.alive == {1, 2, 3}
    assert cluster.owner("cluster") == cluster.volume.holder != 1
    assert cluster.online("cluster-address") == [cluster.volume.holder]


def test_the_only_node_that_reaches_the_volume_is_found():
    cluster = cluster_of(3)
    cluster.volume.cut.update({1, 3})
    cluster.run(40)
    assert cluster.alive == {1, 2, 3}
    assert cluster.owner("cluster") == cluster.volume.holder == 2


ACTIONS = st.tuples(
    st.sampled_from(["move", "offline", "online", "fail", "kill", "join", "pause", "resume"]),
    st.integers(1, 4),
    st.integers(1, 4),
    st.sampled_from([0.0, 0.004, 0.02, 1.0, 12.0]),
)


@settings(max_examples=80, deadline=None)
@given(st.lists(ACTIONS, max_size=20))
def test_a_resource_is_on_one_node_at_a_time_and_all_agree_whatever_happens(actions: Any):
    cluster = cluster_of(4)
    down = set()
    for action, node, other, then_s in actions:
        asked = min(cluster.alive)
        match action:
            case "move" if cluster.managers[asked].nodes.is_up(other):
                cluster.tell(asked, "move", group="web", to=other)
            case "offline" | "online":
                cluster.tell(asked, action, group="web")
            case "fail":
                cluster.tell(asked, "fail", resource="web-service")
            case "kill" if node in cluster.alive and len(cluster.alive) > 2:
                cluster.kill(node)
                down.add(node)
            case "join" if node in down and all(
                node not in cluster.gups[n].member.circle.members for n in cluster.alive
            ):
                cluster.join(node)
                down.discard(node)
            case "pause" | "resume":
                cluster.tell(asked, action, node=node)
        cluster.run(then_s)
    cluster.run(5)  # commands that are under way may come into effect in any order
    cluster.tell(min(cluster.alive), "online", group="web")
    for node in range(1, 5):
        cluster.tell(min(cluster.alive), "resume", node=node)
    cluster.run(60)
    digests = {cluster.managers[n].databases.database.digest() for n in cluster.alive}
    assert len(digests) == 1
    assert cluster.online("web-service") == [cluster.owner("web")]
    assert cluster.online("cluster-address") == [cluster.owner("cluster")]
    assert cluster.violations(at_rest=True) == []


# --- seeded bugs: the checkers can fail -----------------------------------------------------


def moves(cluster: LittleCluster) -> None:
    """Move a group back and forth, with failures in between."""
    for number in range(6):
        cluster.tell(1 + number % 3, "move", group="web", to=1 + (number + 1) % 3)
        cluster.tell(1 + (number + 1) % 3, "move", group="web", to=1 + (number + 2) % 3)
        cluster.tell(1, "fail", resource="web-service")
        cluster.run(0.3)


def test_moving_back_and_forth_breaks_nothing():
    cluster = cluster_of(3)
    moves(cluster)
    assert cluster.violations() == []


def test_an_owner_that_hands_over_too_soon_is_caught(monkeypatch: pytest.MonkeyPatch):
    as_it_is = FailoverManager._as_it_is

    def hasty(self: FailoverManager, state: GroupState) -> GroupState:
        return msgspec.structs.replace(as_it_is(self, state), phase="offline")

    monkeypatch.setattr(mscs_desk, "EFFECT_S", 0.05)
    monkeypatch.setattr(FailoverManager, "_as_it_is", hasty)
    cluster = cluster_of(3)
    moves(cluster)
    assert [v.checker for v in cluster.violations()] == ["a resource is on one node at a time"]


def test_a_replica_that_ignores_versions_is_caught(monkeypatch: pytest.MonkeyPatch):
    cluster = cluster_of(3)
    database = cluster.managers[3].databases.database

    def careless(update: Update) -> bool:
        return Database.apply(database, msgspec.structs.replace(update, expect={}))

    monkeypatch.setattr(database, "apply", careless)
    moves(cluster)
    assert "replicas of the database agree" in [v.checker for v in cluster.violations()]


@pytest.mark.parametrize("hasty", [False, True])
def test_a_log_that_promises_too_much_is_caught(monkeypatch: pytest.MonkeyPatch, hasty: bool):
    cluster = cluster_of(2)
    if hasty:
        promise = lambda self, now_s, version, done: done(now_s, True)  # noqa: E731
        monkeypatch.setattr(QuorumLog, "when_durable", promise)
        monkeypatch.setattr(QuorumLog, "append", lambda self, now_s, update: None)
    assert cluster.ask(2, "create-group", group="db") == (True, None)
    for node in (1, 2):
        cluster.kill(node)
    cluster.volume.holder = 1
    cluster.make(1)
    cluster.managers[1].recover(cluster.agenda.now_s, lambda at_s, ok: None)
    cluster.run(1)
    found = [v.checker for v in cluster.violations()]
    assert found == (["what is durable is recovered"] if hasty else [])
