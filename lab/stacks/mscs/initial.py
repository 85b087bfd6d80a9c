"""What the database of a new cluster holds: its nodes, networks, own group, configured groups."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from lab.errors import LabError
from lab.stacks.core import NodeId
from lab.stacks.mscs.database import Database, Snapshot
from lab.stacks.mscs.objects import (
    CLUSTER_GROUP,
    Draft,
    Group,
    GroupState,
    Network,
    Node,
    Resource,
)

CLUSTER_ADDRESS = "cluster"
"""The address that its owner can always be reached at: the access point for administration."""
QUORUM = "quorum"
CLUSTER_NAME = "mscs"


class GroupOption(Group, frozen=True, kw_only=True, omit_defaults=True):
    """A group that a new cluster has from the start, with its resources."""

    resources: tuple[Resource, ...] = ()


def initial_database(
    nodes: int, networks: Iterable[int], groups: Iterable[GroupOption], owner: NodeId
) -> Snapshot:
    """Return the database of a new cluster, whose own group is owned by one of its first members.

    Raises:
        LabError: two groups or two resources have the same name.
    """
    database = Database()
    draft = Draft(database)
    for network in networks:
        draft.put(Network(name=str(network)))
    _put_nodes(draft, nodes)
    _put_cluster_group(draft, owner)
    for option in groups:
        _put_group(draft, option)
    database.apply(draft.update())
    return database.snapshot()


def reformed_database(recovered: Snapshot, nodes: int, owner: NodeId) -> Snapshot:
    """Return the database of a cluster that is formed again with what the quorum volume held."""
    database = Database()
    database.restore(recovered)
    draft = Draft(database)
    _put_nodes(draft, nodes)
    draft.put(GroupState(name=CLUSTER_GROUP, owner=owner))
    database.apply(draft.update())
    return database.snapshot()


def _put_nodes(draft: Draft, nodes: int) -> None:
    for node in range(1, nodes + 1):
        if draft.find(Node, str(node)) is None:
            draft.put(Node(name=str(node)))


def _put_cluster_group(draft: Draft, owner: NodeId) -> None:
    """Put the group that always moves as a whole, and never gives up."""
    group = CLUSTER_GROUP
    draft.put(Group(name=group, failover_threshold=1_000_000))
    draft.put(Resource(name=QUORUM, group=group, type="quorum-disk", restart_threshold=0))
    draft.put(
        Resource(
            name="cluster-address",
            group=group,
            type="ip-address",
            parameters={"address": CLUSTER_ADDRESS},
            depends_on=(QUORUM,),
        )
    )
    draft.put(
        Resource(
            name="cluster-name",
            group=group,
            type="cluster-name",
            parameters={"name": CLUSTER_NAME},
            depends_on=("cluster-address",),
        )
    )
    draft.put(GroupState(name=group, owner=owner))


def _put_group(draft: Draft, option: GroupOption) -> None:
    if draft.find(Group, option.name) is not None:
        raise LabError(f"there is a group {option.name!r} already")
    fields = {name: getattr(option, name) for name in Group.__struct_fields__}
    draft.put(Group(**fields))
    for resource in option.resources:
        if draft.find(Resource, resource.name) is not None:
            raise LabError(f"there is a resource {resource.name!r} already")
        draft.put(msgspec.structs.replace(resource, group=option.name))
