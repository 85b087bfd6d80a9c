"""Every knob of the stack, with where its value comes from and what turning it costs."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec

from lab.errors import LabError
from lab.stacks.core import NodeId
from lab.stacks.mscs.initial import GroupOption

Seconds = Annotated[float, msgspec.Meta(gt=0.0)]
Count = Annotated[int, msgspec.Meta(ge=1)]
NodeCount = Annotated[int, msgspec.Meta(ge=1, le=64)]
"""Regroup's bitmasks have 64 bits."""


class Config(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Options of one node; all nodes of a cluster are given the same."""

    node: NodeId
    nodes: NodeCount
    """The nodes 1..nodes are configured: known to each other, running or not."""
    members: tuple[NodeId, ...] = ()
    """These start as members of one formed cluster, in their first incarnation; without it, nodes
    look for a cluster and join it, or form one."""
    networks: tuple[int, ...] = (0, 1)
    """The networks that are marked for internal communication (thesis 7.6.1)."""

    # --- ClusNet (thesis 7.6) ---------------------------------------------------------------
    heartbeat_s: Seconds = 1.2
    """Between two heartbeats to a node. Shorter finds failures sooner, for n(n-1)/heartbeat_s
    datagrams a second in the cluster."""
    heartbeat_misses: Count = 6
    """A node is suspected after a silence of so many periods: 7.2 s. Fewer finds failures sooner,
    and mistakes slow nodes for failed ones more often."""
    check_s: Seconds = 0.6
    """Between two looks at who was heard (thesis 7.7.1): so much later, at most, is a silence
    noticed."""
    heartbeat_grace_s: Seconds = 0.3
    """So late a heartbeat may be before it counts as missed; half a check, so that a lost one is
    always noticed before the next comes. Of no influence on suspicions."""
    network_misses: Count = 2
    """A network to a node counts as failed after so many of its turns without a heartbeat."""

    # --- RPC ---------------------------------------------------------------------------------
    rpc_resend_s: Seconds = 0.5
    """A call is sent again after so long without an answer, and then after twice as long each time,
    up to ``rpc_keepalive_s``. Shorter mends losses sooner, and doubles the calls of slow nodes."""
    rpc_keepalive_s: Seconds = 4.0
    """Between two questions to a server whether it still works at a call."""
    rpc_silence_s: Seconds = 30.0
    """A call fails when its server has given no sign of life for so long (thesis 7.7.1)."""

    # --- regroup (thesis 7.7.2) --------------------------------------------------------------
    regroup_period_s: Seconds = 0.3
    """Between two broadcasts of the state: n(n-1)/regroup_period_s datagrams a second."""
    regroup_hurry_s: Seconds = 0.1
    """A change of phase brings the next broadcast forward to at most so much later. The thesis has
    no such number; with the period alone the last four phases take four of them, and a single
    failure more than the 3 s that it tells."""
    regroup_min_s: Seconds = 2.4
    """Phase 1 lasts so long when one member is silent."""
    regroup_max_s: Seconds = 9.6
    """Phase 1 lasts so long when several are; a later phase that takes as long has failed."""
    regroup_connect_s: Seconds = 1.0
    """So much longer the tie-breaker waits for incomplete connectivity information."""
    regroup_early_s: Seconds = 1.0
    """With ``regroup_detector``: phase 1 lasts so long when the detectors suspect all that are
    silent. In all observed cases the membership was known by then (thesis 7.9.3)."""

    # --- join (thesis 7.7.1) -----------------------------------------------------------------
    discovery_timeout_s: Seconds = 30.0
    """RPC's time-out for nodes that are not up; can be set to 10 s."""
    cluster_address_timeout_s: Seconds = 1.0
    """With ``cluster_address_first``: the address counts as held by nobody after so long."""
    interfaces: Count = 1
    """The interfaces that each node's RPC listens on. ClusNet is one, however many networks lie
    below it; a joiner makes one RPC for each to each node: phase 3 takes 5 + (2 + interfaces) n."""
    join_timeout_s: Seconds = 60.0
    """A sponsor gives a join up when phase 3, which it does not control, lasts longer."""
    join_progress_s: Seconds = 10.0
    """With ``join_progress``: so often, at most, a joiner tells its sponsor that it gets on, and
    the sponsor's time begins anew."""
    join_retry_s: Seconds = 5.0
    """A joiner tries again after so long, and up to as long again: two do not meet each time."""

    # --- quorum resource ---------------------------------------------------------------------
    quorum_reservation_s: Seconds = 10.0
    """A reservation of the volume lasts so long; a property of the volume, not of the stack."""
    quorum_renew_s: Seconds = 3.0
    """Between two renewals; three of them may fail before the reservation is lost."""
    quorum_retry_s: Seconds = 1.0
    """Between two attempts of a challenger or of a defender that was not answered."""
    quorum_challenge_s: Seconds = 12.0
    """A challenger tries for so long: longer than a reservation lasts."""
    quorum_patience_s: Seconds = 25.0
    """A cluster ends when none of its members can own the resource for so long: time for two of
    them to try, one after the other."""
    quorum_patience_node_s: Annotated[float, msgspec.Meta(ge=0.0)] = 8.0
    """So much longer for each node that is known. Members learn of a new owner by global updates,
    which are a series of RPCs of up to 3 s each way under load: a minute and more with 32 nodes
    (thesis 7.8), and it takes two of them. Less, and load ends large clusters."""
    quorum_grace_s: Seconds = 20.0
    """Before a cluster is formed where another has been, that one's members are given time to
    notice that its owner is gone (detection, regroup); then their patience must have ended."""
    quorum_probe_s: Seconds = 2.0
    """Between two attempts to find them meanwhile."""

    # --- what the cluster is for (thesis part II) --------------------------------------------
    groups: tuple[GroupOption, ...] = ()
    """Resource groups that a new cluster has from the start, each with its ``resources``; the
    cluster's own group is always there. See the commands ``create-group``, ``create-resource``."""

    # --- what the thesis recommends (7.9) ----------------------------------------------------
    heartbeat_multicast: bool = False
    """One multicast heartbeat a period instead of n-1 datagrams (7.9.1)."""
    regroup_multicast: bool = False
    """One multicast state broadcast a period instead of n-1 datagrams (7.9.3)."""
    regroup_detector: bool = False
    """What the failure detectors know ends phase 1 earlier (7.9.3)."""
    regroup_level: Literal["service", "kernel"] = "service"
    """Where the membership engine runs; in the kernel it needs no crossing a message (7.9.3)."""
    cluster_address_first: bool = False
    """A joiner asks the cluster's address before it probes all nodes (7.7.1)."""
    join_progress: bool = False
    """A joiner tells its sponsor how far it is, who then waits for it (7.9.2)."""
    gup_concurrent: bool = False
    """An update is sent to all receivers at once (7.9.4)."""

    @property
    def detection_s(self) -> float:
        """The silence after which a node is suspected."""
        return self.heartbeat_misses * self.heartbeat_s

    @property
    def patience_s(self) -> float:
        """How long a cluster goes on without the quorum resource."""
        return self.quorum_patience_s + self.nodes * self.quorum_patience_node_s

    @property
    def grace_s(self) -> float:
        """How long a node with the quorum resource waits before it forms another cluster."""
        return self.patience_s + self.quorum_grace_s

    @property
    def others(self) -> tuple[NodeId, ...]:
        """All other nodes that are known."""
        return tuple(node for node in range(1, self.nodes + 1) if node != self.node)


def make_config(node: NodeId, options: dict[str, Any]) -> Config:
    """Make the configuration of a node from a plan's options.

    Raises:
        LabError: an option is unknown or out of range; says which, and what is allowed.
    """
    try:
        config = msgspec.convert({**options, "node": node}, Config)
    except msgspec.ValidationError as error:
        known = ", ".join(name for name in Config.__struct_fields__ if name != "node")
        raise LabError(f"mscs: option: {error}", remedy=f"the options are: {known}") from error
    strangers = sorted(member for member in config.members if not 1 <= member <= config.nodes)
    if strangers:
        raise LabError(
            f"mscs: option members: there is no node {strangers[0]}",
            remedy=f"the nodes are 1 to {config.nodes}",
        )
    if not config.networks or any(network < 0 for network in config.networks):
        raise LabError(
            "mscs: option networks: at least one is needed, counted from 0",
            remedy="leave it out for two networks",
        )
    return config
