"""The resource manager: this node's part of groups, their resources online in order (thesis 8).

It is told which groups to run and which to stop, and does what leads there: a resource comes online
when all that it depends on is online, and goes offline before that does. One that fails is
restarted where it is, after what depends on it has been taken offline, so often within a period as
its policy allows. What happens to a group beyond that is for the fail-over manager to say.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from lab.stacks.mscs.context import Context
from lab.stacks.mscs.objects import GroupPhase, Resource, ResourcePhase
from lab.stacks.mscs.placement import dependency_order, recent
from lab.stacks.mscs.resource_types import Controller

Changed: TypeAlias = Callable[[float, str], None]
"""Told the name of a group of which something has changed on this node."""

_AT_REST: frozenset[ResourcePhase] = frozenset({"offline", "failed"})


@dataclass
class _Instance:
    """A resource on this node."""

    resource: Resource
    phase: ResourcePhase = "offline"
    restarts_s: tuple[float, ...] = ()
    exhausted: bool = False
    """It has failed more often than its policy allows."""
    attempt: int = 0
    """Counts up whenever it is brought online or taken offline: outdated outcomes do not count."""


@dataclass
class _LocalGroup:
    """A group on this node."""

    wanted: bool = False
    starts: int = 0
    instances: dict[str, _Instance] = field(default_factory=dict)
    removed: set[str] = field(default_factory=set)
    """Resources that are no longer configured, and still to be taken offline."""
    stepping: bool = False
    changed: bool = False

    def needs(self, instance: _Instance) -> list[_Instance]:
        """Return what a resource depends on."""
        names = instance.resource.depends_on
        return [self.instances[name] for name in names if name in self.instances]

    def lacks(self, instance: _Instance) -> bool:
        """Tell whether anything that a resource depends on, directly or not, is not online."""
        return any(need.phase != "online" or self.lacks(need) for need in self.needs(instance))

    def is_free(self, instance: _Instance) -> bool:
        """Tell whether nothing that depends on a resource is online, or on its way."""
        name = instance.resource.name
        return all(
            other.phase in _AT_REST
            for other in self.instances.values()
            if name in other.resource.depends_on
        )

    def is_stuck(self, instance: _Instance) -> bool:
        """Tell whether a resource, or one that it depends on, may not be started again."""
        return instance.exhausted or any(self.is_stuck(need) for need in self.needs(instance))

    def may_start(self, instance: _Instance) -> bool:
        """Tell whether a resource can be brought online now, and is meant to be."""
        wanted = self.wanted and instance.resource.name not in self.removed
        startable = instance.phase in _AT_REST and not instance.exhausted
        return wanted and startable and not self.lacks(instance) and self.is_free(instance)

    def may_stop(self, instance: _Instance) -> bool:
        """Tell whether a resource can be taken offline now, and is meant to be."""
        wanted = self.wanted and instance.resource.name not in self.removed
        return (
            instance.phase == "online"
            and (not wanted or self.lacks(instance))
            and self.is_free(instance)
        )


class ResourceManager:
    """Runs resources on this node."""

    def __init__(
        self, ctx: Context, controllers: Mapping[str, Controller], changed: Changed
    ) -> None:
        self._ctx = ctx
        self._controllers = controllers
        self._changed = changed
        self._groups: dict[str, _LocalGroup] = {}

    # --- what the fail-over manager asks for ------------------------------------------------

    def run(self, now_s: float, group: str, resources: list[Resource], starts: int = 0) -> None:
        """Bring a group's resources online and keep them so.

        Failures from before it was last stopped, or with fewer ``starts``, do not count any more.
        """
        local = self._groups.setdefault(group, _LocalGroup())
        if not local.wanted or local.starts != starts:
            for instance in local.instances.values():
                instance.restarts_s, instance.exhausted = (), False
        local.wanted, local.starts = True, starts
        self._configure(local, resources)
        self._step(now_s, group)

    def stop(self, now_s: float, group: str) -> None:
        """Take a group's resources offline."""
        local = self._groups.get(group)
        if local is not None:
            local.wanted = False
            self._step(now_s, group)

    def fail(self, now_s: float, group: str, name: str, reason: str) -> bool:
        """Treat a resource as failed; False when it is not online here."""
        local = self._groups.get(group)
        instance = None if local is None else local.instances.get(name)
        if instance is None or instance.phase != "online":
            return False
        self._take_offline(now_s, group, instance, reason)
        self._step(now_s, group)
        return True

    # --- how it stands ---------------------------------------------------------------------

    @property
    def groups(self) -> list[str]:
        """Groups that have anything online here, or are meant to."""
        return [n for n, g in self._groups.items() if g.wanted or self.phase(n) != "offline"]

    def phase(self, group: str) -> GroupPhase:
        """Return how a group fares here."""
        local = self._groups.get(group)
        if local is None:
            return "offline"
        instances = local.instances.values()
        if not local.wanted:
            at_rest = all(instance.phase in _AT_REST for instance in instances)
            return "offline" if at_rest else "pending"
        if any(i.exhausted and i.resource.affects_group for i in instances):
            return "failed"
        if all(instance.phase == "online" for instance in instances):
            return "online"
        moving = any(self._may_move(local, instance) for instance in instances)
        return "pending" if moving else "partial"

    def phases(self, group: str) -> dict[str, ResourcePhase]:
        """Return how each resource of a group fares here."""
        local = self._groups.get(group, _LocalGroup())
        return {name: instance.phase for name, instance in sorted(local.instances.items())}

    def _may_move(self, local: _LocalGroup, instance: _Instance) -> bool:
        """Tell whether a resource of a wanted group has not come to rest yet."""
        if instance.phase in _AT_REST:
            return not local.is_stuck(instance)
        return instance.phase != "online" or local.lacks(instance)

    # --- getting there ---------------------------------------------------------------------

    def _configure(self, local: _LocalGroup, resources: list[Resource]) -> None:
        """Take over the configuration; it may have changed since."""
        ordered = {resource.name: resource for resource in dependency_order(resources)}
        gone = {name: old for name, old in local.instances.items() if name not in ordered}
        instances = {
            name: local.instances.get(name, _Instance(resource))
            for name, resource in ordered.items()
        }
        for name, resource in ordered.items():
            instances[name].resource = resource
        local.instances = {**instances, **gone}
        local.removed = set(gone)

    def _step(self, now_s: float, group: str) -> None:
        """Do whatever can be done now."""
        local = self._groups[group]
        if local.stepping:
            return  # the loop below goes on
        local.stepping = True
        while self._advance(now_s, group, local):
            pass
        local.stepping = False
        if local.changed:
            local.changed = False
            self._changed(now_s, group)

    def _advance(self, now_s: float, group: str, local: _LocalGroup) -> bool:
        """Do one thing; False when there is nothing to do but wait."""
        for instance in list(local.instances.values()):
            name = instance.resource.name
            if name in local.removed and instance.phase in _AT_REST:
                del local.instances[name]
                local.removed.discard(name)
                return True
            if local.may_stop(instance):
                self._take_offline(now_s, group, instance, None)
                return True
            if local.may_start(instance):
                self._bring_online(now_s, group, instance)
                return True
        return False

    def _bring_online(self, now_s: float, group: str, instance: _Instance) -> None:
        instance.attempt += 1
        attempt = instance.attempt
        self._set(instance, "online-pending")

        def online(at_s: float) -> None:
            if instance.attempt == attempt and instance.phase == "online-pending":
                self._set(instance, "online")
                self._step(at_s, group)

        def failed(at_s: float, reason: str) -> None:
            if instance.attempt == attempt:
                self._failed(at_s, group, instance, reason)

        controller = self._controllers[instance.resource.type]
        controller.bring_online(now_s, instance.resource, online, failed)

    def _take_offline(
        self, now_s: float, group: str, instance: _Instance, failure: str | None
    ) -> None:
        """Take a resource offline, because that is wanted or because it has failed."""
        instance.attempt += 1
        attempt = instance.attempt
        self._set(instance, "offline-pending")

        def offline(at_s: float) -> None:
            if instance.attempt != attempt:
                return
            if failure is None:
                self._set(instance, "offline")
                self._step(at_s, group)
            else:
                self._failed(at_s, group, instance, failure)

        controller = self._controllers[instance.resource.type]
        controller.take_offline(now_s, instance.resource, offline)

    def _failed(self, now_s: float, group: str, instance: _Instance, reason: str) -> None:
        """Note a failure, and whether its policy allows another start here."""
        instance.attempt += 1
        policy = instance.resource
        restarts_s = recent(instance.restarts_s, now_s, policy.restart_period_s)
        instance.exhausted = len(restarts_s) >= policy.restart_threshold
        instance.restarts_s = restarts_s if instance.exhausted else (*restarts_s, now_s)
        self._set(instance, "failed", reason)
        self._step(now_s, group)

    def _set(self, instance: _Instance, phase: ResourcePhase, reason: str = "") -> None:
        instance.phase = phase
        resource = instance.resource
        self._groups[resource.group].changed = True
        self._ctx.emit(
            "resource",
            phase=phase,
            resource=resource.name,
            group=resource.group,
            type=resource.type,
            **({"reason": reason} if reason else {}),
        )
