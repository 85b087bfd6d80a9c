"""What is wrong between nodes: cuts, loss, copies, delays and clogs, per direction and network."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from lab.ethernet.agenda import Agenda, to_ns
from lab.ethernet.chance import chance
from lab.ethernet.frames import Arrive, Frame
from lab.stacks.plan import Fault

Path = tuple[int, int, int]
"""Source, target, network."""

_ONE_WAY = ("one-way-cut", "clog")
PATH_FAULTS = ("cut", "one-way-cut", "loss", "duplicate", "delay", "jitter", "clog")


@dataclass
class _Condition:
    cut: bool = False
    loss: float = 0.0
    duplicate: float = 0.0
    delay_ns: int = 0
    jitter_ns: int = 0
    clogged: bool = False
    waiting: list[Frame] = field(default_factory=list)


class Paths:
    """Stands between the networks and the nodes; whatever arrives passes through here."""

    def __init__(self, agenda: Agenda, seed: int, deliver: Arrive) -> None:
        self.lost = 0
        self._agenda = agenda
        self._random = chance(seed)
        self._deliver = deliver
        self._conditions: dict[Path, _Condition] = {}

    def arrive(self, target: int, frame: Frame) -> None:
        """A frame has come through its network."""
        if not self._conditions:
            self._deliver(target, frame)
            return
        condition = self._conditions.get((frame.source, target, frame.network))
        if condition is None:
            self._deliver(target, frame)
        else:
            self._pass(condition, target, frame)

    def is_cut(self, source: int, target: int, network: int) -> bool:
        """Tell whether nothing gets from one node to another at present."""
        condition = self._conditions.get((source, target, network))
        return condition is not None and (condition.cut or condition.clogged)

    def set(self, fault: Fault, paths: Iterable[Path]) -> None:
        """Bring a fault about on some paths (of two-way faults: in both directions)."""
        for source, target, network in paths:
            both = [(source, target, network)]
            if fault.fault not in _ONE_WAY:
                both.append((target, source, network))
            for path in both:
                _set(self._conditions.setdefault(path, _Condition()), fault)

    def heal(self, touches: Callable[[int], bool]) -> None:
        """Undo all that is wrong on the paths from or to some nodes; what is clogged arrives."""
        for path in [p for p in self._conditions if touches(p[0]) or touches(p[1])]:
            condition = self._conditions.pop(path)
            for number, frame in enumerate(condition.waiting, 1):
                self._later(number * frame.wire_ns, path[1], frame)

    def _pass(self, condition: _Condition, target: int, frame: Frame) -> None:
        if condition.clogged:
            condition.waiting.append(frame)
            return
        draw = self._random.random
        if condition.cut or (condition.loss and draw() < condition.loss):
            self.lost += 1
            return
        copies = 2 if condition.duplicate and draw() < condition.duplicate else 1
        for _ in range(copies):
            # Evenly up to twice the mean: an exponential's last bit would depend on the machine.
            jitter_ns = int(2 * condition.jitter_ns * draw()) if condition.jitter_ns else 0
            self._later(condition.delay_ns + jitter_ns, target, frame)

    def _later(self, after_ns: int, target: int, frame: Frame) -> None:
        if after_ns == 0:
            self._deliver(target, frame)
        else:
            self._agenda.at(self._agenda.now_ns + after_ns, self._delayed, (target, frame))

    def _delayed(self, what: tuple[int, Frame]) -> None:
        self._deliver(*what)


def _set(condition: _Condition, fault: Fault) -> None:
    match fault.fault:
        case "cut" | "one-way-cut":
            condition.cut = True
        case "loss":
            condition.loss = fault.value
        case "duplicate":
            condition.duplicate = fault.value
        case "delay":
            condition.delay_ns = to_ns(fault.value)
        case "jitter":
            condition.jitter_ns = to_ns(fault.value)
        case "clog":
            condition.clogged = True
