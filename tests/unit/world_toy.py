"""A small stack for tests of the world: nodes that tell each other facts, and beat.

A fact is asked for by the request ``say`` and acknowledged when it is on disk. Every second each
node beats at kernel level; every two seconds it tells somebody all that it knows. So in the end
every running node knows every acknowledged fact, and learns it once, if no bug is asked for.
"""

from __future__ import annotations

import json
from random import Random
from typing import Any, get_args

from lab.errors import LabError
from lab.ethernet.chance import chance
from lab.stacks import core
from lab.stacks.checking import Running
from lab.stacks.events import Event
from lab.stacks.exercise import Exercise
from lab.stacks.plan import Ask, CasePlan, FaultKind

BEAT_S, TELL_S = 1.0, 2.0
BUGS = ("twice", "amnesia", "raise", "spin")
"""Learns a fact again that comes twice; acknowledges and does not write; raises when told of 13;
wants to be woken for ever once it knows 13."""


class ToyCore:
    def __init__(self, node: int, options: dict[str, Any], seed: int) -> None:
        self.node = node
        if "nodes" not in options:
            raise LabError("toy: the option nodes is missing")
        self.nodes = int(options["nodes"])
        self.multicast = bool(options.get("multicast"))
        self.bug = options.get("bug")
        self.facts: set[int] = set()
        self.beats: dict[int, int] = {}
        self.random = chance(seed)
        self.outputs: list[core.Output] = []
        self.timers: dict[str, float | None] = {"kernel": None, "service": None}
        self.writing: dict[int, int] = {}

    def next_timer_s(self, level: core.Level) -> float | None:
        if self.bug == "spin" and 13 in self.facts:
            return 0.0
        return self.timers[level]

    def take_outputs(self) -> list[core.Output]:
        outputs, self.outputs = self.outputs, []
        return outputs

    def state(self) -> dict[str, Any]:
        return {"facts": sorted(self.facts), "beats": dict(self.beats)}

    def handle(self, now_s: float, item: core.Input) -> None:
        match item:
            case core.Start(disk=disk):
                self.facts = set()
                self._learn([int(key) for key in disk], "disk")
                self.timers = {"kernel": now_s + BEAT_S, "service": now_s + TELL_S}
            case core.TimerDue(level="kernel"):
                self.timers["kernel"] = now_s + BEAT_S
                self._beat()
            case core.TimerDue(level="service"):
                self.timers["service"] = now_s + TELL_S
                others = [n for n in range(1, self.nodes + 1) if n != self.node]
                self._tell(self.random.choice(others), sorted(self.facts))
            case core.Received(channel="beat", source=source):
                self.beats[source] = self.beats.get(source, 0) + 1
            case core.Received(channel="fact", data=data, message=message):
                self._learn(json.loads(data), message)
            case core.Request(name="say", arguments=arguments, id=id):
                self._say(int(arguments["fact"]), id)
            case core.Request(name="halt"):
                self.outputs += [core.Halt("was asked to"), core.Emit("after halt")]
            case core.DiskDone(token=token) if token in self.writing:
                self.outputs.append(core.Reply(token, ok=True, value=self.writing[token]))
            case _:
                pass

    def _beat(self) -> None:
        if self.multicast:
            self.outputs.append(core.Multicast(0, "beat", b"beat" * 16, "beat"))
            return
        for to in range(1, self.nodes + 1):
            if to != self.node:
                self.outputs.append(core.Send(to, 0, "beat", b"beat" * 16, "beat"))

    def _tell(self, to: int, facts: list[int]) -> None:
        self.outputs.append(core.Send(to, 0, "fact", json.dumps(facts).encode(), "fact"))

    def _say(self, fact: int, id: int) -> None:
        self._learn([fact], "said")
        if self.bug == "amnesia":
            self.outputs.append(core.Reply(id, ok=True, value=fact))
            return
        self.outputs.append(core.DiskCall(id, "own", "write", str(fact), b"."))
        self.writing[id] = fact

    def _learn(self, facts: list[int], cause: str) -> None:
        for fact in facts:
            if fact == 13 and self.bug == "raise":
                raise ValueError("thirteen")
            if fact not in self.facts or (self.bug == "twice" and cause != "said"):
                self.facts.add(fact)
                self.outputs.append(core.Emit("learned", cause=cause, fields={"fact": fact}))


class ToyStack:
    name = "toy"
    channels: dict[str, core.Level] = {"beat": "kernel", "fact": "service"}  # noqa: RUF012

    def make(self, node: int, options: dict[str, Any], seed: int) -> core.Core:
        return ToyCore(node, options, seed)


class LearnsOnce:
    """No incarnation of a node learns a fact twice."""

    name = "learns once"
    kinds = frozenset({"learned"})

    def __init__(self) -> None:
        self._learned: set[tuple[int, int, int]] = set()

    def feed(self, event: Event) -> str | None:
        what = (event.node, event.incarnation, event.fields["fact"])
        if what in self._learned:
            return f"node {event.node} learned {event.fields['fact']} again"
        self._learned.add(what)
        return None

    def finish(self, now_s: float) -> str | None:
        return None


def toy_plan(nodes: int = 3, over_s: float = 20.0, **more: Any) -> CasePlan:
    options = {"nodes": nodes, **more.pop("options", {})}
    return CasePlan(name="toy", stack="toy", nodes=nodes, over_s=over_s, options=options, **more)


class KnowsAll:
    """In the end every running node knows every acknowledged fact."""

    name = "knows all"
    kinds = Running.KINDS | {"learned", "reply"}

    def __init__(self) -> None:
        self._running = Running()
        self._knows: dict[int, set[int]] = {}
        self._acknowledged: set[int] = set()

    def feed(self, event: Event) -> str | None:
        if event.kind == "learned":
            self._knows.setdefault(event.node, set()).add(event.fields["fact"])
        elif event.kind == "reply":
            self._acknowledged.add(event.fields["value"])
        else:
            self._running.feed(event)
            if event.kind == "started":
                self._knows[event.node] = set()
        return None

    def finish(self, now_s: float) -> str | None:
        for node in sorted(self._running.nodes):
            missing = self._acknowledged - self._knows.get(node, set())
            if missing:
                return f"node {node} does not know {sorted(missing)}"
        return None


NEVER = ("wipe", "restart", "resume", "heal")
"""The first makes the toy forget what it acknowledged, the others end faults."""


def toy_exercise(bug: str | None = None) -> Exercise:
    def options(random: Random, nodes: int) -> dict[str, Any]:
        drawn = {"nodes": nodes, "multicast": random.random() < 0.5}
        return drawn if bug is None else {**drawn, "bug": bug}

    def request(random: Random, nodes: int) -> Ask:
        who = random.randint(1, nodes)
        return Ask("say", nodes=(who,), arguments={"fact": random.randint(1, 20)})

    return Exercise(
        nodes=(2, 5),
        faults=tuple(kind for kind in get_args(FaultKind) if kind not in NEVER),
        options=options,
        request=request,
        checkers=(LearnsOnce,),
        converged=(KnowsAll,),
        calm_s=2.0,
        faults_s=20.0,
        converge_s=40.0,
    )
