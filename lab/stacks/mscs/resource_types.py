"""The resource controllers: how each type of resource is brought online and taken offline.

Thesis part II, table 8.1. A controller knows one type. It is told to bring a resource online at
most once at a time, and offline whatever it last came to.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol, TypeAlias

from lab.errors import LabError
from lab.stacks.core import EffectDone
from lab.stacks.mscs.context import Context
from lab.stacks.mscs.objects import Resource
from lab.stacks.mscs.quorum import UNNAMED, Quorum
from lab.stacks.mscs.quorum_log import QuorumLog

Online: TypeAlias = Callable[[float], None]
Offline: TypeAlias = Callable[[float], None]
Failed: TypeAlias = Callable[[float, str], None]
"""Told why: it could not be brought online, or is no longer so."""

ClusterOf: TypeAlias = Callable[[], str]
"""Tells the name of the cluster that this node is a member of."""


class Controller(Protocol):
    """One type of resource."""

    parameters: Mapping[str, str]
    """The parameters that a resource of the type has, each with its help."""

    def bring_online(
        self, now_s: float, resource: Resource, online: Online, failed: Failed
    ) -> None:
        """Bring it online; tell when it is, and if it fails, then or any time later."""

    def take_offline(self, now_s: float, resource: Resource, offline: Offline) -> None:
        """Take it offline; tell when it is."""


def check_resource(controllers: Mapping[str, Controller], resource: Resource) -> None:
    """Raise LabError when there is no such type, or its parameters are others."""
    if resource.type not in controllers:
        raise LabError(
            f"resource {resource.name!r} is of type {resource.type!r}",
            remedy=f"there are: {', '.join(controllers)}",
        )
    parameters = controllers[resource.type].parameters
    expected, given = set(parameters), set(resource.parameters)
    if expected != given:
        shape = "; ".join(f"{name}: {text}" for name, text in parameters.items())
        raise LabError(
            f"resource {resource.name!r} of type {resource.type} has the parameters "
            f"{', '.join(sorted(given)) or 'none'}",
            remedy=f"give exactly: {shape or 'none'}",
        )


class IpAddress:
    """An address that moves with its group, so that clients find the group wherever it is."""

    parameters: Mapping[str, str] = {
        "address": "a name that datagrams can be sent to, or an IP address"
    }

    def __init__(self, ctx: Context) -> None:
        self._ctx = ctx

    def bring_online(
        self, now_s: float, resource: Resource, online: Online, failed: Failed
    ) -> None:
        """Take the address over."""

        def done(at_s: float, outcome: EffectDone) -> None:
            if outcome.ok:
                online(at_s)
            else:
                failed(at_s, outcome.detail)

        self._ctx.effect("address-up", self._arguments(resource), done)

    def take_offline(self, now_s: float, resource: Resource, offline: Offline) -> None:
        """Give the address up."""
        self._ctx.effect(
            "address-down", self._arguments(resource), lambda at_s, outcome: offline(at_s)
        )

    def _arguments(self, resource: Resource) -> dict[str, Any]:
        return {"name": resource.parameters["address"]}


class HttpService:
    """A program that answers HTTP at an address of its group."""

    parameters: Mapping[str, str] = {
        "address": "where it listens; depend on the resource that brings it online",
        "port": "the TCP port",
    }

    def __init__(self, ctx: Context) -> None:
        self._ctx = ctx
        self._current: dict[str, object] = {}
        """The start that counts, by resource: what an earlier one comes to is of no interest."""

    def bring_online(
        self, now_s: float, resource: Resource, online: Online, failed: Failed
    ) -> None:
        """Start the program; it counts as online unless it ends."""
        this_start = self._current[resource.name] = object()

        def ended(at_s: float, outcome: EffectDone) -> None:
            if self._current.get(resource.name) is this_start:
                del self._current[resource.name]
                failed(at_s, outcome.detail or "the program ended")

        options = dict(resource.parameters)
        arguments = {"name": resource.name, "program": "http", "options": options}
        self._ctx.effect("program-start", arguments, ended)
        online(now_s)

    def take_offline(self, now_s: float, resource: Resource, offline: Offline) -> None:
        """Stop the program."""
        self._current.pop(resource.name, None)
        self._ctx.effect(
            "program-stop", {"name": resource.name}, lambda at_s, outcome: offline(at_s)
        )


class ClusterName:
    """The name under which the cluster is administered: it goes where the cluster's address is."""

    parameters: Mapping[str, str] = {"name": "the cluster's name"}

    def bring_online(
        self, now_s: float, resource: Resource, online: Online, failed: Failed
    ) -> None:
        """A name has no state of its own."""
        online(now_s)

    def take_offline(self, now_s: float, resource: Resource, offline: Offline) -> None:
        """A name has no state of its own."""
        offline(now_s)


class QuorumDisk:
    """The quorum resource; its owner also keeps the checkpoint and the log on it."""

    parameters: Mapping[str, str] = {}

    def __init__(self, ctx: Context, quorum: Quorum, log: QuorumLog, cluster: ClusterOf) -> None:
        self._ctx = ctx
        self._quorum = quorum
        self._log = log
        self._cluster = cluster
        self._failed: Failed | None = None
        """Whom to tell when it is lost, while it is online."""
        quorum.on_lost.append(self._lost)

    def bring_online(
        self, now_s: float, resource: Resource, online: Online, failed: Failed
    ) -> None:
        """Win the arbitration, see that it is still this cluster's, and begin to log."""

        def arbitrated(at_s: float, owns: bool) -> None:
            if owns:
                self._quorum.last_formed(at_s, found)
            else:
                failed(at_s, "another node holds the quorum volume, or it cannot be reached")

        def found(at_s: float, last: str | None) -> None:
            if last is None:
                failed(at_s, "the quorum volume cannot be read")
            elif last in ("", UNNAMED):
                self._quorum.note_formed(at_s, self._cluster(), noted)
            elif last == self._cluster():
                noted(at_s, True)
            else:
                self._ctx.halt("another cluster was formed with the quorum volume")

        def noted(at_s: float, durable: bool) -> None:
            if durable and self._quorum.owned(at_s):
                self._failed = failed
                self._log.open(at_s)
                online(at_s)
            else:
                failed(at_s, "the quorum volume was lost again")

        self._quorum.arbitrate(now_s, arbitrated)

    def take_offline(self, now_s: float, resource: Resource, offline: Offline) -> None:
        """Let another node have it."""
        self._failed = None
        self._log.close(now_s)
        self._quorum.release(now_s)
        offline(now_s)

    def _lost(self, now_s: float) -> None:
        failed, self._failed = self._failed, None
        self._log.close(now_s)
        if failed is not None:
            failed(now_s, "the reservation of the quorum volume has lapsed")


def make_controllers(
    ctx: Context, quorum: Quorum, log: QuorumLog, cluster: ClusterOf
) -> dict[str, Controller]:
    """Return the controller of each type."""
    return {
        "ip-address": IpAddress(ctx),
        "http-service": HttpService(ctx),
        "cluster-name": ClusterName(),
        "quorum-disk": QuorumDisk(ctx, quorum, log, cluster),
    }
