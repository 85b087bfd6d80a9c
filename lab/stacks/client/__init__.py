"""A client of a service that a cluster keeps available: what the people see for whom it is kept.

It is a node beside the cluster, knows nothing of its protocol, and asks for the service over HTTP
at an address that moves with it. In the shape of a core, it runs wherever the cluster does.
"""

from __future__ import annotations

from typing import Any, ClassVar

import msgspec

from lab.errors import LabError
from lab.stacks.client.core import Client
from lab.stacks.core import Core, Level, NodeId
from lab.stacks.plan import CLIENT, ClientPlan


class ClientStack:
    """What a runtime needs to know of clients; the options are those of a ``ClientPlan``."""

    name = CLIENT
    channels: ClassVar[dict[str, Level]] = {}

    def make(self, node: NodeId, options: dict[str, Any], seed: int) -> Core:
        """Make a client; LabError when an option is wrong."""
        try:
            return Client(msgspec.convert(options, ClientPlan))
        except msgspec.ValidationError as error:
            raise LabError(f"a client cannot be made so: {error}") from error


STACK = ClientStack()
