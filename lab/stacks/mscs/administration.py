"""Carries out the administrator's commands, on whichever member they are given.

What only looks is answered from this node's replica. What changes something is a change of the
database; the managers of the nodes concerned then do what follows from it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, TypeAlias

import msgspec

from lab.errors import LabError
from lab.stacks.core import NodeId
from lab.stacks.mscs.commands import COMMANDS, check
from lab.stacks.mscs.database_manager import DatabaseManager
from lab.stacks.mscs.failover import FailoverManager
from lab.stacks.mscs.gup import Gup
from lab.stacks.mscs.node_manager import NodeManager
from lab.stacks.mscs.objects import (
    CLUSTER_GROUP,
    Draft,
    Group,
    GroupState,
    Network,
    Node,
    Objects,
    Resource,
)
from lab.stacks.mscs.placement import dependency_order
from lab.stacks.mscs.requests import Reply, Requests
from lab.stacks.mscs.resource_types import Controller, check_resource
from lab.stacks.mscs.resources import ResourceManager
from lab.stacks.mscs.rpc import Rpc, RpcResult
from lab.stacks.mscs.rpc_server import Respond

_Values: TypeAlias = dict[str, Any]
_FAIL = "resource fail"


class Administration:
    """The commands of one node."""

    def __init__(
        self,
        *,
        node: NodeId,
        rpc: Rpc,
        gup: Gup,
        databases: DatabaseManager,
        nodes: NodeManager,
        resources: ResourceManager,
        failover: FailoverManager,
        controllers: Mapping[str, Controller],
    ) -> None:
        self._node = node
        self._rpc = rpc
        self._gup = gup
        self._databases = databases
        self._nodes = nodes
        self._resources = resources
        self._failover = failover
        self._controllers = controllers
        self._objects = Objects(databases.database)
        self._looks: dict[str, Callable[[_Values], Any]] = {
            "status": self._status,
            "nodes": self._list_nodes,
            "networks": lambda values: _plain(self._objects.all(Network)),
            "groups": self._list_groups,
            "resources": self._list_resources,
            "database": self._list_database,
        }
        self._changes: dict[str, Callable[[Draft, _Values], None]] = {
            "create-group": self._create_group,
            "delete-group": self._delete_group,
            "create-resource": self._create_resource,
            "delete-resource": self._delete_resource,
            "move": self._move,
            "online": self._online,
            "offline": self._offline,
            "pause": lambda draft, values: nodes.pause(draft, values["node"]),
            "resume": lambda draft, values: nodes.resume(draft, values["node"]),
            "evict": lambda draft, values: nodes.evict(draft, values["node"]),
        }
        rpc.serve(_FAIL, self._serve_fail)

    def serve(self, requests: Requests) -> None:
        """Take the commands from among a node's requests."""
        for command in COMMANDS:
            requests.serve(command.name, partial(self._handle, command.name))

    def _handle(self, name: str, now_s: float, arguments: dict[str, Any], reply: Reply) -> None:
        """Carry out a command."""
        values = check(name, arguments)
        if not self._gup.within:
            raise LabError(
                f"node {self._node} is not a member of the cluster",
                remedy="wait until it has joined, or ask another node",
            )
        if name in self._looks:
            reply(True, self._looks[name](values))
        elif name == "fail":
            self._fail(now_s, values, reply)
        else:
            describe = self._changes[name]
            self._databases.change(
                now_s,
                lambda draft: describe(draft, values),
                lambda at_s, why: reply(not why, why or None),
            )

    # --- what looks ------------------------------------------------------------------------

    def _status(self, values: _Values) -> Any:
        states = self._objects.all(GroupState)
        online = sum(state.phase == "online" for state in states)
        return {
            "node": self._node,
            "members": sorted(self._gup.member.circle.members),
            "access_point": self._objects.state_of(CLUSTER_GROUP).owner,
            "locker": self._gup.member.circle.locker,
            "database_version": self._databases.database.version,
            "groups_online": f"{online} of {len(self._objects.all(Group))}",
        }

    def _list_nodes(self, values: _Values) -> Any:
        members = self._gup.member.circle.members
        rows = []
        for node in sorted(self._objects.all(Node), key=lambda node: int(node.name)):
            number = int(node.name)
            up = number in members
            state = node.state if up or node.state == "evicted" else "down"
            owns = [s.name for s in self._objects.all(GroupState) if s.owner == number and up]
            rows.append({"node": number, "state": state, "groups": owns})
        return rows

    def _list_groups(self, values: _Values) -> Any:
        rows = []
        for group in self._objects.all(Group):
            state = self._objects.state_of(group.name)
            row = {"group": group.name, "state": state.phase, "owner": state.owner}
            rows.append({**row, "target": state.target, "preferred": list(group.preferred)})
        return rows

    def _list_resources(self, values: _Values) -> Any:
        rows = []
        for resource in self._objects.all(Resource):
            state = self._objects.state_of(resource.group)
            row = {"resource": resource.name, "type": resource.type, "group": resource.group}
            phase = state.resources.get(resource.name, "offline")
            rows.append({**row, "state": phase, "depends_on": list(resource.depends_on)})
        return rows

    def _list_database(self, values: _Values) -> Any:
        database = self._databases.database
        return [
            {"key": key, "version": database.key_version(key), "value": database.get(key)}
            for key in database.keys(values.get("prefix", ""))
        ]

    # --- groups and resources --------------------------------------------------------------

    def _create_group(self, draft: Draft, values: _Values) -> None:
        name = values["group"]
        if draft.find(Group, name) is not None:
            raise LabError(f"there is a group {name!r} already")
        options = {key: value for key, value in values.items() if key != "group"}
        draft.put(Group(name=name, **options))

    def _delete_group(self, draft: Draft, values: _Values) -> None:
        group = draft.get(Group, values["group"])
        _refuse_cluster_group(group.name)
        left = [resource.name for resource in draft.resources_of(group.name)]
        if left:
            raise LabError(
                f"group {group.name!r} has resources", remedy=f"delete {', '.join(left)}"
            )
        draft.delete(group)

    def _create_resource(self, draft: Draft, values: _Values) -> None:
        options = {key: value for key, value in values.items() if key != "resource"}
        resource = Resource(name=values["resource"], **options)
        group = draft.get(Group, resource.group)
        if draft.find(Resource, resource.name) is not None:
            raise LabError(f"there is a resource {resource.name!r} already")
        check_resource(self._controllers, resource)
        dependency_order([*draft.resources_of(group.name), resource])
        draft.put(group)
        draft.put(resource)

    def _delete_resource(self, draft: Draft, values: _Values) -> None:
        resource = draft.get(Resource, values["resource"])
        _refuse_cluster_group(resource.group)
        rest = [other for other in draft.resources_of(resource.group) if other != resource]
        dependency_order(rest)
        draft.put(draft.get(Group, resource.group))
        draft.delete(resource)

    def _move(self, draft: Draft, values: _Values) -> None:
        group = draft.get(Group, values["group"])
        state = draft.state_of(group.name)
        target = values.get("to") or self._failover.best_target(group)
        if state.owner is None or target is None:
            raise LabError(f"no node is up that group {group.name!r} can move to")
        if not self._nodes.is_up(target):
            raise LabError(f"node {target} is not up", remedy="see: nodes")
        if target != state.owner:
            members = tuple(sorted(self._gup.member.circle.members))
            draft.put(msgspec.structs.replace(state, target=target, away_from=members))

    def _online(self, draft: Draft, values: _Values) -> None:
        group = draft.get(Group, values["group"])
        draft.put(msgspec.structs.replace(group, online=True, starts=group.starts + 1))

    def _offline(self, draft: Draft, values: _Values) -> None:
        group = draft.get(Group, values["group"])
        _refuse_cluster_group(group.name)
        draft.put(msgspec.structs.replace(group, online=False))

    # --- a failure on purpose --------------------------------------------------------------

    def _fail(self, now_s: float, values: _Values, reply: Reply) -> None:
        """Have the owner treat a resource as failed."""
        resource = self._objects.get(Resource, values["resource"])
        owner = self._objects.state_of(resource.group).owner

        def told(failed: bool) -> None:
            reply(failed, None if failed else f"resource {resource.name!r} is not online")

        def returned(at_s: float, result: RpcResult) -> None:
            told(result.ok and bool(result.value["failed"]))

        arguments = {"group": resource.group, "resource": resource.name}
        if owner is None:
            told(False)
        elif owner == self._node:
            told(self._fail_here(now_s, arguments))
        else:
            self._rpc.call(now_s, owner, _FAIL, arguments, returned)

    def _fail_here(self, now_s: float, arguments: _Values) -> bool:
        group, name = arguments["group"], arguments["resource"]
        return self._resources.fail(now_s, group, name, "an administrator said so")

    def _serve_fail(self, now_s: float, source: NodeId, arguments: Any, answer: Respond) -> None:
        answer(now_s, {"failed": self._fail_here(now_s, arguments)})


def _plain(things: list[Network]) -> Any:
    return [{"network": thing.name} for thing in things]


def _refuse_cluster_group(name: str) -> None:
    if name == CLUSTER_GROUP:
        raise LabError("the cluster's own group cannot be taken offline or changed")
