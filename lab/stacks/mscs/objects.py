"""The object manager: the cluster's things as typed objects over the database (thesis table 8.1).

Every object has a handle, which is its key in the database: ``<kind>/<name>``. It is good on every
member for as long as the object exists, so that objects name each other by it or by the name alone.
Nothing is kept here: objects are read from the database each time, and a :class:`Draft` collects
changes to them into one update.
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal, TypeAlias, TypeVar

import msgspec

from lab.errors import LabError
from lab.stacks.core import NodeId
from lab.stacks.mscs.database import VOLATILE, Database, Update

NodeState = Literal["up", "paused", "evicting", "evicted"]
GroupPhase = Literal["offline", "pending", "online", "partial", "failed"]
"""Partial: some of its resources have failed for good, but none that affects the group."""
ResourcePhase = Literal["offline", "online-pending", "online", "offline-pending", "failed"]

CLUSTER_GROUP = "cluster"
"""The group of the quorum resource, the cluster's address and its name."""


class NoSuchObjectError(LabError):
    """There is no object of that kind and name."""


class _Object(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True
):
    kind: ClassVar[str]
    name: str

    @property
    def handle(self) -> str:
        """The object's key in the database."""
        return f"{self.kind}/{self.name}"


class Node(_Object, frozen=True, kw_only=True, omit_defaults=True):
    """A node that belongs to the cluster, running or not; the view tells which do run."""

    kind: ClassVar[str] = "node"
    state: NodeState = "up"
    """What its administrators want: paused nodes keep their groups and get no more of them;
    evicting ones are to lose their groups; evicted ones are no members and must not join."""


class Network(_Object, frozen=True, kw_only=True, omit_defaults=True):
    """A network between all nodes."""

    kind: ClassVar[str] = "network"


class Group(_Object, frozen=True, kw_only=True, omit_defaults=True):
    """Resources that live on one node together: the unit of fail-over."""

    kind: ClassVar[str] = "group"
    preferred: tuple[NodeId, ...] = ()
    """The nodes that should own it, best first; others may, when none of these can."""
    online: bool = True
    """Whether it is meant to be online."""
    starts: int = 0
    """How often somebody asked for it to be online; failures before the last time count no more."""
    failback: bool = False
    """Whether it goes back to the best preferred node as soon as that one is up again."""
    failover_threshold: int = 10
    """So often within ``failover_period_s`` it may move because of failed resources."""
    failover_period_s: float = 6 * 3600.0


class Resource(_Object, frozen=True, kw_only=True, omit_defaults=True):
    """Something that one node at a time provides."""

    kind: ClassVar[str] = "resource"
    group: str = ""
    type: str
    parameters: dict[str, Any] = {}
    depends_on: tuple[str, ...] = ()
    """Resources of the same group that must be online first, and offline last."""
    restart_threshold: int = 3
    """So often within ``restart_period_s`` it is restarted where it failed."""
    restart_period_s: float = 900.0
    affects_group: bool = True
    """Whether the group moves when it fails more often than that."""


class GroupState(_Object, frozen=True, kw_only=True, omit_defaults=True):
    """Where a group is and how it fares; all members agree on it."""

    kind: ClassVar[str] = f"{VOLATILE}group"
    owner: NodeId | None = None
    """The only node that may have any of its resources online."""
    target: NodeId | None = None
    """Where the owner is to hand it over, once all of its resources are offline."""
    phase: GroupPhase = "offline"
    resources: dict[str, ResourcePhase] = {}
    """The last that the owner reported."""
    away_from: tuple[NodeId, ...] = ()
    """The nodes that it does not fail back to until they have been down: those that were up when
    somebody moved it, or when it failed."""
    tried: tuple[NodeId, ...] = ()
    """The nodes where it has failed since it was online last."""
    failovers_s: tuple[float, ...] = ()
    """When it moved because of failed resources, lately."""


Thing: TypeAlias = Node | Network | Group | Resource | GroupState
T = TypeVar("T", Node, Network, Group, Resource, GroupState)


class Objects:
    """Finds objects in a database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def find(self, kind: type[T], name: str) -> T | None:
        """Return an object, if it is there."""
        value = self._value(f"{kind.kind}/{name}")
        return None if value is None else msgspec.convert(value, kind)

    def get(self, kind: type[T], name: str) -> T:
        """Return an object.

        Raises:
            NoSuchObjectError: it is not there; lists the ones there are.
        """
        found = self.find(kind, name)
        if found is None:
            there = ", ".join(thing.name for thing in self.all(kind)) or "none"
            raise NoSuchObjectError(
                f"there is no {kind.__name__.lower()} {name!r}", remedy=f"there are: {there}"
            )
        return found

    def all(self, kind: type[T]) -> list[T]:
        """Return all objects of a kind, by name."""
        prefix = f"{kind.kind}/"
        found = (self.find(kind, key[len(prefix) :]) for key in self._database.keys(prefix))
        return [thing for thing in found if thing is not None]

    def resources_of(self, group: str) -> list[Resource]:
        """Return a group's resources, by name."""
        return [resource for resource in self.all(Resource) if resource.group == group]

    def state_of(self, group: str) -> GroupState:
        """Return where a group is."""
        return self.find(GroupState, group) or GroupState(name=group)

    def _value(self, handle: str) -> Any:
        return self._database.get(handle)


class Draft(Objects):
    """Objects as they would be after some changes, which come to one update.

    The update is made only if what it changes, and what it :meth:`rests_on`, is then as it is now.
    """

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self._expect: dict[str, int] = {}
        self._put: dict[str, Any] = {}
        self._delete: set[str] = set()

    @property
    def changes(self) -> bool:
        """Whether anything is to be changed."""
        return bool(self._put or self._delete)

    def rests_on(self, thing: Thing) -> None:
        """Make the changes depend on an object staying as it is."""
        self._note(thing.handle)

    def put(self, thing: Thing) -> None:
        """Create an object or change it."""
        self._note(thing.handle)
        self._put[thing.handle] = msgspec.to_builtins(thing)
        self._delete.discard(thing.handle)

    def delete(self, thing: Thing) -> None:
        """Remove an object."""
        self._note(thing.handle)
        self._put.pop(thing.handle, None)
        self._delete.add(thing.handle)

    def update(self) -> Update:
        """Return the changes."""
        return Update(expect=self._expect, put=self._put, delete=tuple(sorted(self._delete)))

    def _note(self, handle: str) -> None:
        self._expect.setdefault(handle, self._database.key_version(handle))

    def _value(self, handle: str) -> Any:
        if handle in self._delete:
            return None
        return self._put[handle] if handle in self._put else super()._value(handle)
