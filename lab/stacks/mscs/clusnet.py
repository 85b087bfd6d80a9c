"""ClusNet, the cluster's network and failure detector in the kernel (thesis 7.6).

Every ``heartbeat_s`` a node sends a sequenced heartbeat to each node that it watches: n-1
datagrams, n(n-1)/1.2 a second in the cluster. As the thesis counts one datagram to a node and
heartbeat, redundant networks are used in turns: the figure does not depend on how many there are,
each is tested, and one that fails costs every other heartbeat, never six in a row.

A heartbeat tells its receiver over which networks it was heard lately, and which of its heartbeats
was the newest, so that a node also knows who has last heard it when. Networks that it was not heard
over carry nothing but an extra heartbeat, by which their return is noticed: that is fail-over, for
each pair of nodes and each direction by itself.

Every ``check_s`` a node looks at how long each watched node has been silent. A heartbeat that is
``heartbeat_grace_s`` late has been missed; a silence of six periods is a suspicion. What passes
between two checks beyond twice their period is nobody's silence: this node stood still, or its
clock was set ahead; one period of it counts. How lately others have heard this node is not excused
in that way.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from typing import Any

import msgspec

from lab.stacks.core import NodeId, Received
from lab.stacks.mscs.clusnet_port import (
    Alive,
    Command,
    Filter,
    NodeNotice,
    Notice,
    Suspected,
    Unwatch,
    Watch,
)
from lab.stacks.mscs.config import Config
from lab.stacks.mscs.context import Context
from lab.stacks.mscs.timers import next_turn_s

CHANNEL = "clusnet"
LABEL = "heartbeat"
_HEARTBEAT, _CHECK = "heartbeat", "heartbeat check"


class Heard(msgspec.Struct, frozen=True, array_like=True):
    """What a node says to another of that one's heartbeats."""

    networks: tuple[int, ...]
    """Over which they come."""
    sequence: int
    """Of the newest."""


class Heartbeat(msgspec.Struct, frozen=True, array_like=True):
    """What nodes send each other."""

    incarnation: int
    sequence: int
    heard: dict[NodeId, Heard]
    """How the sender hears its receivers."""


@dataclass
class Peer:
    """What a node knows of another that it watches."""

    incarnation: int
    heard_s: float
    """When its newest heartbeat came, or when it was first watched."""
    networks_s: dict[int, float]
    """When a heartbeat came over each network."""
    hears_us: tuple[int, ...]
    """The networks over which it hears this node, as it says."""
    hears_us_s: float
    """When this node sent the newest heartbeat that it has heard, or when it was first watched."""
    sequence: int = 0
    """Of its newest heartbeat; 0 before the first."""
    announced: bool = False
    misses: int = 0
    """Heartbeats missed in a row."""
    suspicions: int = 0
    """Detection periods of silence."""
    heard: tuple[int, ...] = ()
    """The networks over which it is heard."""


class ClusNet:
    """The kernel's part of a node."""

    def __init__(self, ctx: Context, config: Config) -> None:
        self.on_suspected: list[NodeNotice] = []
        """Other parts of the kernel; the service is told anyway."""
        self.peers: dict[NodeId, Peer] = {}
        self._ctx = ctx
        self._config = config
        self._filtered: dict[NodeId, int] = {}
        """The newest incarnation of each node that is not let in."""
        turns_s = config.network_misses * len(config.networks) * config.heartbeat_s
        self._longest_turn_s = turns_s + config.heartbeat_grace_s
        """A network that works is not silent for longer."""
        self._turns: dict[NodeId | str, int] = {}
        self._sequence = 0
        self._checked_s = 0.0
        self._sent_s: dict[int, float] = {}
        """When the latest heartbeats were sent, by sequence number."""

    def start(self, now_s: float) -> None:
        """Begin to beat and to check, each node at a moment of its own."""
        self._checked_s = now_s
        for name, period_s, callback in (
            (_HEARTBEAT, self._config.heartbeat_s, self._beat),
            (_CHECK, self._config.check_s, self._check),
        ):
            self._repeat(name, now_s + period_s * self._ctx.random.random(), period_s, callback)

    def state(self) -> dict[str, Any]:
        """Return the state as plain data."""
        return {
            "sequence": self._sequence,
            "filtered": {str(node): number for node, number in sorted(self._filtered.items())},
            "peers": {str(node): _plain(peer) for node, peer in sorted(self.peers.items())},
        }

    # --- the datagram service ----------------------------------------------------------------

    def pick(self, node: NodeId | str) -> int:
        """Choose the network for the next datagram to a node: those that work take turns."""
        peer = self.peers.get(node) if isinstance(node, int) else None
        return self._turn(node, self._usable([peer] if peer else []))

    def pick_for_all(self, nodes: Collection[NodeId]) -> int:
        """Choose the network for the next multicast to these nodes."""
        peers = [self.peers[node] for node in sorted(nodes) if node in self.peers]
        return self._turn("all", self._usable(peers))

    def accepts(self, node: NodeId, incarnation: int) -> bool:
        """Tell whether a node's datagrams are let in."""
        return incarnation > self._filtered.get(node, 0)

    def suspected(self) -> list[NodeId]:
        """Return the watched nodes that have been silent for the detection period."""
        return [node for node, peer in sorted(self.peers.items()) if peer.suspicions]

    def heard_by(self, since_s: float) -> list[NodeId]:
        """Return the watched nodes that have heard a heartbeat of this node sent since then."""
        return [node for node, peer in sorted(self.peers.items()) if peer.hears_us_s >= since_s]

    def _usable(self, peers: Iterable[Peer]) -> tuple[int, ...]:
        """Return the networks over which all of these hear this node, or all when none is left."""
        networks = self._config.networks
        for peer in peers:
            if peer.hears_us != networks:
                networks = tuple(network for network in networks if network in peer.hears_us)
        return networks or self._config.networks

    def _turn(self, whom: NodeId | str, networks: tuple[int, ...]) -> int:
        turn = self._turns.get(whom, 0)
        self._turns[whom] = turn + 1
        return networks[turn % len(networks)]

    # --- from the service --------------------------------------------------------------------

    def command(self, now_s: float, command: Command) -> None:
        """Do what the service posts."""
        match command:
            case Watch(node, incarnation):
                known = self.peers.get(node)
                if known is None or known.incarnation != incarnation:
                    self.peers[node] = self._new_peer(now_s, incarnation)
            case Unwatch(node):
                self.peers.pop(node, None)
            case Filter(node, incarnation):
                self._filtered[node] = max(incarnation, self._filtered.get(node, 0))

    def _new_peer(self, now_s: float, incarnation: int) -> Peer:
        networks = self._config.networks
        heard_s = dict.fromkeys(networks, now_s)
        return Peer(incarnation, now_s, heard_s, networks, now_s, heard=networks)

    # --- heartbeats --------------------------------------------------------------------------

    def receive(self, now_s: float, item: Received) -> None:
        """Take a datagram of ClusNet's channel."""
        heartbeat = self._ctx.decode(item, _decoder)
        peer = self.peers.get(item.source)
        if heartbeat is None or peer is None or peer.incarnation != heartbeat.incarnation:
            return
        if not self.accepts(item.source, heartbeat.incarnation):
            return
        peer.networks_s[item.network] = now_s
        if heartbeat.sequence > peer.sequence:
            peer.sequence = heartbeat.sequence
            peer.heard_s = now_s
            peer.misses = peer.suspicions = 0
            heard = heartbeat.heard.get(self._ctx.node)
            peer.hears_us = () if heard is None else heard.networks
            if heard is not None:
                peer.hears_us_s = self._sent_s.get(heard.sequence, peer.hears_us_s)

    def _beat(self, now_s: float) -> None:
        self._sequence += 1
        self._sent_s[self._sequence] = now_s
        self._sent_s.pop(self._sequence - 2 * self._config.heartbeat_misses, None)
        if self._config.heartbeat_multicast:
            self._beat_to_all()
            return
        for node, peer in self.peers.items():
            data = self._heartbeat({node: Heard(peer.heard, peer.sequence)})
            for network in self._ways([peer]):
                self._ctx.send(node, network, CHANNEL, data, LABEL)

    def _beat_to_all(self) -> None:
        if self.peers:
            data = self._heartbeat(
                {node: Heard(peer.heard, peer.sequence) for node, peer in self.peers.items()}
            )
            live = [peer for peer in self.peers.values() if not peer.suspicions]
            for network in self._ways(live):
                self._ctx.multicast(network, CHANNEL, data, LABEL)

    def _ways(self, peers: list[Peer]) -> list[int]:
        """Return the networks for a heartbeat: one that works, and all that do not."""
        usable, networks = self._usable(peers), self._config.networks
        turn = usable[self._sequence % len(usable)]
        if usable == networks:
            return [turn]
        return [turn, *(network for network in networks if network not in usable)]

    def _heartbeat(self, heard: dict[NodeId, Heard]) -> bytes:
        return _encoder.encode(Heartbeat(self._ctx.incarnation, self._sequence, heard))

    # --- checks ------------------------------------------------------------------------------

    def _check(self, now_s: float) -> None:
        elapsed_s, self._checked_s = now_s - self._checked_s, now_s
        if elapsed_s > 2 * self._config.check_s:
            self._excuse(now_s, elapsed_s - self._config.check_s)
        for node, peer in list(self.peers.items()):
            peer.heard_s = min(peer.heard_s, now_s)  # the clock may have been set back
            peer.hears_us_s = min(peer.hears_us_s, now_s)
            if peer.sequence and not peer.announced:
                peer.announced = True
                self._tell(Alive(node))
            self._check_networks(now_s, node, peer)
            self._check_silence(now_s, node, peer)

    def _excuse(self, now_s: float, excess_s: float) -> None:
        """Leave a time out of all silences in which this node could have heard nobody."""
        for peer in self.peers.values():
            peer.heard_s = min(peer.heard_s + excess_s, now_s)
            for network, heard_s in peer.networks_s.items():
                peer.networks_s[network] = min(heard_s + excess_s, now_s)

    def _check_silence(self, now_s: float, node: NodeId, peer: Peer) -> None:
        config = self._config
        silence_s = now_s - peer.heard_s
        if silence_s < config.heartbeat_s:
            return
        missed = int((silence_s - config.heartbeat_grace_s) // config.heartbeat_s)
        while peer.misses < missed:
            peer.misses += 1
            self._ctx.emit("heartbeat-miss", peer=node, misses=peer.misses, silence_s=silence_s)
        if silence_s >= (peer.suspicions + 1) * config.detection_s:
            peer.suspicions += 1
            self._ctx.emit("suspicion", peer=node, silence_s=silence_s)
            for listener in self.on_suspected:
                listener(now_s, node)
            self._tell(Suspected(node))

    def _check_networks(self, now_s: float, node: NodeId, peer: Peer) -> None:
        """Note over which networks a node is no longer heard, or is heard again."""
        longest_s = self._longest_turn_s
        for network, heard_s in peer.networks_s.items():
            failed = now_s - heard_s > longest_s
            if failed and network in peer.heard:
                peer.heard = tuple(other for other in peer.heard if other != network)
                self._ctx.emit("network", phase="failed", peer=node, network=network)
            elif not failed and network not in peer.heard:
                peer.heard = (*peer.heard, network)
                self._ctx.emit("network", phase="restored", peer=node, network=network)

    def _tell(self, notice: Notice) -> None:
        self._ctx.post("service", msgspec.msgpack.encode(notice))

    def _repeat(
        self, name: str, at_s: float, period_s: float, callback: Callable[[float], None]
    ) -> None:
        """Call regularly."""

        def due(now_s: float) -> None:
            self._repeat(name, next_turn_s(at_s, now_s, period_s), period_s, callback)
            callback(now_s)

        self._ctx.set_timer("kernel", name, at_s, due)


def _plain(peer: Peer) -> dict[str, Any]:
    return {
        "incarnation": peer.incarnation,
        "heard_s": peer.heard_s,
        "hears_us": list(peer.hears_us),
        "hears_us_s": peer.hears_us_s,
        "sequence": peer.sequence,
        "misses": peer.misses,
        "suspicions": peer.suspicions,
        "heard": list(peer.heard),
    }


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Heartbeat)
