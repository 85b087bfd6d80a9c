"""The resource manager: dependency order, restart policy, groups that come and go at any time."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lab.stacks.mscs.objects import Resource
from lab.stacks.mscs.resource_types import HttpService, IpAddress
from lab.stacks.mscs.resources import ResourceManager

from mscs_desk import Agenda, Desk, Volume  # isort: skip


def address(name: str, *depends_on: str, **policy: Any):
    parameters = {"address": name}
    return Resource(
        name=name,
        group="g",
        type="ip-address",
        parameters=parameters,
        depends_on=depends_on,
        **policy,
    )


def service(name: str, *depends_on: str, **policy: Any):
    parameters = {"address": "a", "port": 80}
    return Resource(
        name=name,
        group="g",
        type="http-service",
        parameters=parameters,
        depends_on=depends_on,
        **policy,
    )


class OneNode:
    def __init__(self) -> None:
        self.agenda = Agenda()
        self.desk = Desk(self.agenda, Volume(self.agenda))
        controllers = {"ip-address": IpAddress(self.desk), "http-service": HttpService(self.desk)}
        self.changes = 0
        self.manager = ResourceManager(self.desk, controllers, self._changed)

    def _changed(self, now_s: float, group: str) -> None:
        self.changes += 1

    def run(self, *resources: Resource, starts: int = 0):
        self.manager.run(self.agenda.now_s, "g", list(resources), starts)
        self.settle()

    def stop(self):
        self.manager.stop(self.agenda.now_s, "g")
        self.settle()

    def settle(self, for_s: float = 1.0):
        self.agenda.run_until(self.agenda.now_s + for_s)

    @property
    def phase(self):
        return self.manager.phase("g")


def test_resources_come_online_after_what_they_need_and_go_offline_before():
    node = OneNode()
    web, first, second = service("web", "b"), address("a"), address("b", "a")
    node.run(web, second, first)
    assert node.phase == "online"
    assert node.desk.effects == [("address-up", "a"), ("address-up", "b"), ("program-start", "web")]
    node.desk.effects.clear()
    node.stop()
    assert node.phase == "offline"
    assert node.manager.groups == []
    assert node.desk.effects == [
        ("program-stop", "web"),
        ("address-down", "b"),
        ("address-down", "a"),
    ]


def test_a_failed_resource_is_restarted_after_what_depends_on_it_is_offline():
    node = OneNode()
    node.run(address("a"), service("web", "a"), service("log", "web"))
    node.desk.effects.clear()
    node.desk.running["web"](False, "killed")
    node.settle()
    assert node.desk.effects == [
        ("program-stop", "log"),
        ("program-start", "web"),
        ("program-start", "log"),
    ]
    assert node.phase == "online"


def test_a_resource_that_fails_too_often_within_the_period_fails_its_group():
    node = OneNode()
    node.run(service("web", restart_threshold=2, restart_period_s=100.0))
    for _ in range(2):
        node.desk.running["web"](False, "killed")
        node.settle(10)
        assert node.phase == "online"
    node.settle(100)  # those are forgotten
    for _ in range(2):
        node.desk.running["web"](False, "killed")
        node.settle(10)
        assert node.phase == "online"
    node.desk.running["web"](False, "killed")
    node.settle()
    assert node.phase == "failed"
    assert node.manager.phases("g") == {"web": "failed"}


@pytest.mark.parametrize(("affects_group", "phase"), [(True, "failed"), (False, "partial")])
def test_whether_a_failure_is_the_groups(affects_group: bool, phase: str):
    node = OneNode()
    node.desk.refuse.add(("address-up", "b"))
    bad = address("b", affects_group=affects_group)
    node.run(address("a"), bad, service("web", "b"))
    assert node.phase == phase
    assert node.manager.phases("g") == {"a": "online", "b": "failed", "web": "offline"}
    assert node.desk.effects.count(("address-up", "b")) == 1 + bad.restart_threshold


def test_failures_are_forgotten_when_somebody_asks_again_or_the_group_was_stopped():
    for again in (
        lambda node, r: node.run(r, starts=1),
        lambda node, r: (node.stop(), node.run(r)),
    ):
        node = OneNode()
        node.desk.refuse.add(("address-up", "a"))
        resource = address("a", restart_threshold=0)
        node.run(resource)
        node.run(resource)
        assert node.phase == "failed"
        node.desk.refuse.clear()
        again(node, resource)
        assert node.phase == "online"


def test_a_failure_on_purpose_stops_what_runs_before_it_is_restarted():
    node = OneNode()
    node.run(service("web"))
    node.desk.effects.clear()
    assert node.manager.fail(node.agenda.now_s, "g", "web", "on purpose")
    node.settle()
    assert node.desk.effects == [("program-stop", "web"), ("program-start", "web")]
    assert not node.manager.fail(node.agenda.now_s, "g", "nothing", "on purpose")


def test_resources_may_be_added_and_removed_while_the_group_is_online():
    node = OneNode()
    node.run(address("a"))
    node.run(address("a"), service("web", "a"))
    assert node.manager.phases("g") == {"a": "online", "web": "online"}
    node.run(address("a"))
    assert node.manager.phases("g") == {"a": "online"}
    assert node.desk.effects[-1] == ("program-stop", "web")


def test_nothing_is_told_when_nothing_changes():
    node = OneNode()
    node.run(address("a"))
    told = node.changes
    node.run(address("a"))
    assert node.changes == told


ACTIONS = st.tuples(
    st.sampled_from(["run", "stop", "kill web", "kill log", "fail a", "wait"]),
    st.sampled_from([0.0, 0.0005, 0.002, 1.0]),
)


@settings(max_examples=150, deadline=None)
@given(st.lists(ACTIONS, max_size=25))
def test_dependencies_hold_at_all_times_and_the_end_is_as_was_wanted(actions: Any):
    node = OneNode()
    policy = {"restart_threshold": 1000}
    resources = [
        address("a", **policy),
        service("web", "a", **policy),
        service("log", "web", **policy),
    ]
    needs = {resource.name: resource.depends_on for resource in resources}
    wanted = False
    for action, then_s in actions:
        now_s = node.agenda.now_s
        match action:
            case "run":
                wanted = True
                node.manager.run(now_s, "g", resources)
            case "stop":
                wanted = False
                node.manager.stop(now_s, "g")
            case "kill web" | "kill log" if action[5:] in node.desk.running:
                node.desk.running[action[5:]](False, "killed")
            case "fail a":
                node.manager.fail(now_s, "g", "a", "on purpose")
        node.settle(then_s)
    node.settle(5)
    assert node.phase == ("online" if wanted else "offline")
    phases = dict.fromkeys(needs, "offline")
    for event in node.desk.events:
        name = event.fields["resource"]
        if event.phase == "online-pending":
            assert all(phases[need] == "online" for need in needs[name])
            assert phases[name] in ("offline", "failed")
        phases[name] = event.phase
