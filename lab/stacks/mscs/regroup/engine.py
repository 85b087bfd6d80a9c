"""The five phases of regroup (thesis 7.7.2).

What the thesis leaves open is decided so that two partitions never both survive, whatever messages
are lost or late, wherever nodes pause:

- Runs are numbered by *attempts*, which never fall. A node in a run takes no part in earlier ones.
- In a run a node takes the decision of one tie-breaker only, the one that it chose when it came
  into phase 2, and a tie-breaker decides when all that are to survive have chosen it. As any two
  groups that survive have a node in common, there is at most one decision in a run.
- Who has accepted a decision (phase 3) judges survival by it from then on, be it installed or not,
  and tells everybody. Installed it is (phase 4) when all of its members have accepted it. So the
  next run finds, among those without whom nobody survives, one that knows what may be installed.

State is sent every ``regroup_period_s``; a change of phase brings the next broadcast forward.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from lab.stacks.core import Level, NodeId, Received
from lab.stacks.mscs.config import Config
from lab.stacks.mscs.context import Context
from lab.stacks.mscs.regroup.collaborators import Host, Network
from lab.stacks.mscs.regroup.masks import bit, mask, nodes_in
from lab.stacks.mscs.regroup.rules import (
    Survival,
    fully_connected,
    reached,
    select_tie_breaker,
    survival_of,
    why_activation_is_over,
)
from lab.stacks.mscs.regroup.state import Message, Phase, Run
from lab.stacks.mscs.timers import next_turn_s
from lab.stacks.mscs.view import View

CHANNEL, KERNEL_CHANNEL = "regroup", "regroup-kernel"
LABEL = "regroup"
_TICK = "regroup tick"


class Regroup:
    """One node's part in regroup."""

    def __init__(self, ctx: Context, config: Config, network: Network, host: Host) -> None:
        self.origin: View | None = None
        """The newest membership that this node knows to be decided, installed or not."""
        self.joining: dict[NodeId, int] = {}
        """Nodes that are about to be added to it."""
        self.run: Run | None = None
        self.on_begun: list[Callable[[float], None]] = []
        """Called when this node begins a run."""
        self._ctx = ctx
        self._config = config
        self._network = network
        self._host = host
        self._level: Level = config.regroup_level
        self._channel = KERNEL_CHANNEL if self._level == "kernel" else CHANNEL
        self._bit = bit(ctx.node)
        self._broadcast_s = 0.0
        """When the next broadcast is due."""
        self._last: Message | None = None
        """The last message of the last run, for who has not heard that it is over."""
        self._over_s = 0.0

    # --- what starts a run -------------------------------------------------------------------

    def suspect(self, now_s: float, node: NodeId) -> None:
        """Take a failure event of ClusNet."""
        if self.origin is None or node not in self.origin.members:
            return
        run = self.run
        if run is None:
            self._begin(now_s, self.origin.attempt + 1, cautious=False, cause=f"suspicion {node}")
        elif run.phase == Phase.ACTIVATE:
            run.suspects |= bit(node)
            self._evaluate(now_s)
        elif run.counted_on & bit(node):
            self._begin(now_s, run.attempt + 1, cautious=True, cause=f"suspicion {node}")

    def demand(self, now_s: float, cause: str) -> None:
        """Run for another reason: members may disagree on the view."""
        if self.origin is not None and self.run is None:
            self._begin(now_s, self.origin.attempt + 1, cautious=False, cause=cause)

    def leave(self) -> None:
        """Belong to no cluster any more."""
        self.origin, self.joining, self.run, self._last = None, {}, None, None
        self._ctx.cancel_timer(_TICK)

    def _begin(self, now_s: float, attempt: int, *, cautious: bool, cause: str) -> None:
        """Activate: nothing is sent or collected before the clock has ticked."""
        origin = self._known_origin()
        self.run = Run(
            attempt=attempt,
            cautious=cautious,
            started_s=now_s,
            nodes=self._config.nodes,
            members=mask(origin.members),
            suspects=mask(self._network.suspected()),
        )
        self._emit(Phase.ACTIVATE.label, cause=cause, cautious=cautious, members=origin.nodes)
        self._set_tick(now_s + self._config.regroup_period_s)
        for begun in self.on_begun:
            begun(now_s)

    def _known_origin(self) -> View:
        assert self.origin is not None  # noqa: S101 - without one, no run begins
        return self.origin

    # --- broadcasts --------------------------------------------------------------------------

    def _set_tick(self, at_s: float) -> None:
        self._broadcast_s = at_s
        self._ctx.set_timer(self._level, _TICK, at_s, self._tick)

    def _tick(self, now_s: float) -> None:
        run = self.run
        if run is None:
            return
        run.set_back(now_s)
        if not run.collecting:
            run.collecting = True
            run.note(self._ctx.node, Phase.ACTIVATE)
        late = run.phase > Phase.ACTIVATE and not run.asks_quorum
        if late and reached(now_s - run.entered_s, self._config.regroup_max_s):
            cause = f"stuck in {run.phase.label}"
            self._begin(now_s, run.attempt + 1, cautious=True, cause=cause)
            return
        due_s = self._broadcast_s
        self._evaluate(now_s)
        if self.run is run and not self._ctx.halted:
            self._broadcast(run)
            self._set_tick(next_turn_s(due_s, now_s, self._config.regroup_period_s))

    def _hurry(self, now_s: float) -> None:
        """Tell of a change of phase before the period is over."""
        at_s = now_s + self._config.regroup_hurry_s
        if at_s < self._broadcast_s:
            self._set_tick(at_s)

    def _broadcast(self, run: Run) -> None:
        data = _encoder.encode(self._message(run))
        run.told = run.heard_in(Phase.CLEANUP_2) & self._bit != 0
        nodes = list(nodes_in(run.audience & ~self._bit))
        if self._config.regroup_multicast:
            self._ctx.multicast(self._network.pick_for_all(nodes), self._channel, data, LABEL)
            return
        for node in nodes:
            self._ctx.send(node, self._network.pick(node), self._channel, data, LABEL)

    def _message(self, run: Run) -> Message:
        return Message(
            incarnation=self._ctx.incarnation,
            attempt=run.attempt,
            origin=self._known_origin(),
            joining=self.joining,
            cautious=run.cautious,
            phase=run.phase,
            heard=run.heard,
            connectivity=run.connectivity,
            suspects=run.suspects,
            tie_breaker=run.tie_breaker,
            decision=run.decision,
        )

    # --- what others tell --------------------------------------------------------------------

    def receive(self, now_s: float, item: Received) -> None:
        """Take a datagram of regroup's channel."""
        message = self._ctx.decode(item, _decoder)
        if message is None:
            return
        if not message.fits(self._config.nodes):
            self._ctx.count_garbage(item)
        elif self._concerns_us(item.source, message):
            self._take(now_s, item.source, message)

    def _concerns_us(self, source: NodeId, message: Message) -> bool:
        """Tell whether the sender is a member, as the newer of both origins has it."""
        origin = self.origin
        if origin is None or origin.cluster != message.origin.cluster:
            return False
        if not self._network.accepts(source, message.incarnation):
            return False
        newest = max(origin, message.origin, key=lambda view: view.order)
        return newest.members.get(source) == message.incarnation

    def _take(self, now_s: float, source: NodeId, message: Message) -> None:
        run = self.run
        attempt = self._known_origin().attempt if run is None else run.attempt
        if message.attempt > attempt:
            cautious = message.cautious or run is not None
            self._begin(now_s, message.attempt, cautious=cautious, cause=f"message {source}")
        elif run is None:
            self._tell_end(now_s, source, message)
        elif message.attempt == run.attempt and run.collecting:
            run.merge(now_s, self._ctx.node, source, message)
            self._take_decision(now_s, run, message)
            self._adopt(run, message)
            self._evaluate(now_s)

    def _tell_end(self, now_s: float, source: NodeId, message: Message) -> None:
        """Help a node that still waits in a run that is over."""
        last = self._last
        if last is None or last.attempt != message.attempt:
            return
        waits = message.heard[Phase.CLEANUP_2 - 1] != last.heard[Phase.CLEANUP_2 - 1]
        if waits and now_s - self._over_s >= self._config.regroup_period_s:
            data = _encoder.encode(last)
            self._ctx.send(source, self._network.pick(source), self._channel, data, LABEL)

    def _adopt(self, run: Run, message: Message) -> None:
        """Judge by the newest membership that anybody in this run knows to be decided."""
        origin = self._known_origin()
        if self._ctx.halted:
            return
        if message.origin.order > origin.order:
            self.origin, self.joining = message.origin, dict(message.joining)
            run.members = mask(message.origin.members)
            run.audience |= run.members
            self._check_included(message.origin)
        elif message.origin.order == origin.order:
            self.joining |= message.joining

    def _take_decision(self, now_s: float, run: Run, message: Message) -> None:
        if message.decision is None:
            return
        mine = message.tie_breaker == run.tie_breaker
        if run.phase == Phase.CLOSING and mine and run.decision is None:
            self._accept(now_s, run, message.decision)
        elif run.decision is None:
            self._check_included(message.decision)

    def _check_included(self, view: View) -> None:
        if view.members.get(self._ctx.node) != self._ctx.incarnation:
            self._halt("excluded by a regroup that went on without it")

    # --- the phases --------------------------------------------------------------------------

    def _evaluate(self, now_s: float) -> None:
        """Go on as far as what is known allows."""
        steps = {
            Phase.ACTIVATE: self._activate,
            Phase.CLOSING: self._close,
            Phase.PRUNING: self._prune,
            Phase.CLEANUP_1: self._clean_up_1,
            Phase.CLEANUP_2: self._clean_up_2,
        }
        run = self.run
        while run is not None and run is self.run and not self._ctx.halted:
            if not steps[run.phase](now_s, run):
                return
            self._hurry(now_s)

    def _activate(self, now_s: float, run: Run) -> bool:
        """Phase 1: find out who is active. Over by one of its rules."""
        if not run.collecting:
            return False
        active = run.heard_in(Phase.ACTIVATE) & run.members
        why = why_activation_is_over(
            now_s - run.started_s,
            missing=run.members & ~active,
            suspects=run.suspects,
            cautious=run.cautious,
            config=self._config,
        )
        if not why:
            return False
        run.enter(now_s, Phase.CLOSING)
        run.group = active
        run.tie_breaker = select_tie_breaker(active)
        run.note(self._ctx.node, Phase.CLOSING)
        known_s = run.known_s - run.started_s
        self._emit(Phase.CLOSING.label, cause=why, active=list(nodes_in(active)), known_s=known_s)
        if survival_of(active, self._known_origin(), self.joining) == Survival.NO:
            self._halt("its partition does not survive")
        return True

    def _close(self, now_s: float, run: Run) -> bool:
        """Phase 2: the tie-breaker decides who survives; the others wait for it."""
        if run.tie_breaker != self._ctx.node:
            return False
        origin = self._known_origin()
        group = run.group & run.members
        survivors = fully_connected(group, run.connectivity)
        waits = not reached(now_s - run.entered_s, self._config.regroup_connect_s)
        if survivors & ~run.heard_in(Phase.CLOSING) or (survivors != group and waits):
            return False
        verdict = survival_of(survivors, origin, self.joining)
        if verdict == Survival.NO:
            self._halt("no fully connected group survives")
        elif verdict == Survival.WITH_QUORUM and not run.has_quorum:
            if not run.asks_quorum:
                run.asks_quorum = True
                self._host.ask_quorum(now_s, run.attempt)
        else:
            tie_breaker = select_tie_breaker(survivors)
            self._accept(now_s, run, origin.reduced(nodes_in(survivors), run.attempt, tie_breaker))
            return True
        return False

    def quorum(self, now_s: float, attempt: int, owned: bool) -> None:
        """Take what became of the quorum resource."""
        run = self.run
        if run is None or run.attempt != attempt or not run.asks_quorum:
            return
        run.asks_quorum, run.has_quorum = False, owned
        if owned:
            self._evaluate(now_s)
        else:
            self._halt("it does not own the quorum resource")

    def _accept(self, now_s: float, run: Run, decision: View) -> None:
        run.decision = decision
        run.survivors = mask(decision.members)
        run.enter(now_s, Phase.PRUNING)
        self.origin, self.joining = decision, {}
        if self._ctx.node in decision.members:
            run.note(self._ctx.node, Phase.PRUNING)
        self._emit(Phase.PRUNING.label, members=decision.nodes, tie_breaker=decision.tie_breaker)
        self._hurry(now_s)

    def _prune(self, now_s: float, run: Run) -> bool:
        """Phase 3: the pruned halt, the others wait until all of them know the decision.

        A tie-breaker that pruned itself stays until a survivor can spread the decision.
        """
        knowing = run.heard_in(Phase.PRUNING) & run.survivors
        if not run.survivors & self._bit:
            if run.tie_breaker != self._ctx.node or knowing:
                self._halt("pruned")
            return False
        if knowing != run.survivors:
            return False
        run.enter(now_s, Phase.CLEANUP_1)
        run.audience = run.survivors
        self._emit(Phase.CLEANUP_1.label)
        self._host.clean_up(now_s, Phase.CLEANUP_1, run.decided)
        return True

    def _clean_up_1(self, now_s: float, run: Run) -> bool:
        """Phase 4: install the view; over when all members have done so."""
        if run.survivors & ~run.heard_in(Phase.CLEANUP_1):
            return False
        run.enter(now_s, Phase.CLEANUP_2)
        self._emit(Phase.CLEANUP_2.label)
        self._host.clean_up(now_s, Phase.CLEANUP_2, run.decided)
        return True

    def _clean_up_2(self, now_s: float, run: Run) -> bool:
        """Phase 5: over when all members have cleaned up; then nobody sends state any more."""
        if run.survivors & ~run.heard_in(Phase.CLEANUP_2):
            return False
        if not run.told:
            self._broadcast(run)
        members = list(nodes_in(run.survivors))
        self._emit("done", took_s=now_s - run.started_s, members=members)
        self._last, self._over_s = self._message(run), now_s
        self.run = None
        self._ctx.cancel_timer(_TICK)
        return False

    def cleaned(self, now_s: float, phase: Phase, attempt: int) -> None:
        """Take notice that a clean-up phase was executed here."""
        run = self.run
        if run is None or run.attempt != attempt:
            return
        run.note(self._ctx.node, phase)
        self._hurry(now_s)
        self._evaluate(now_s)

    def _halt(self, why: str) -> None:
        self._emit("halt", cause=why)
        self._ctx.halt(f"regroup: {why}")

    def _emit(self, phase: str, *, cause: str = "", **fields: Any) -> None:
        attempt = 0 if self.run is None else self.run.attempt
        self._ctx.emit("regroup", phase=phase, cause=cause, id=attempt, **fields)

    def state(self) -> dict[str, Any]:
        """Return the state as plain data."""
        return {
            "origin": None if self.origin is None else self.origin.plain(),
            "joining": {str(node): number for node, number in sorted(self.joining.items())},
            "run": None if self.run is None else self.run.state(),
        }


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Message)
