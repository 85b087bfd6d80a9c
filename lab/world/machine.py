"""What the simulated machines cost: every knob with where its value comes from.

The processor model, used for the ``service`` level (a process); ``kernel`` work costs nothing but
the timer lateness below. A process that sleeps and gets an input is woken, which takes a wake-up
and, when other programs compete (``cpu-load``), a wait for the processor. Awake, it takes what has
come, one input after the other, each for the cost of its handling, and sleeps when nothing is left.

An RPC between two processes needs two wake-ups, one at each end. Thesis 7.7.1: a series of RPCs to
30 nodes takes 100-150 ms, so 3.3-5 ms each on idle nodes; 3 ms to 3 s each under load. These are
inputs; how long a join, a regroup or a global update takes follows from them and the protocol.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random

from lab.stacks.plan import LoadLevel


@dataclass(frozen=True)
class Contention:
    """How long a woken process waits for the processor while other programs use it.

    The wait is ``shortest_s`` times 2 to the k, k drawn evenly from 0 to ``octaves`` - 1, and then
    evenly up to its double. Of the waits the thesis gives the range alone; that each order of
    magnitude is equally likely is the least that can be assumed, and makes it heavy-tailed.
    (No logarithm: its last bit differs between machines.)
    """

    shortest_s: float
    octaves: int

    def draw_s(self, random: Random) -> float:
        """Draw one wait."""
        return self.shortest_s * (1 << int(random.random() * self.octaves)) * (1 + random.random())


@dataclass(frozen=True)
class Machine:
    """The costs of a node's machine and of its disks."""

    wake_s: tuple[float, float] = (1.4e-3, 2.3e-3)
    """A wake-up, drawn evenly: two of them, the handling and the network make 3.3-5 ms an RPC."""
    input_s: float = 100e-6
    """To take in one input: the crossing from kernel to process, and the handling."""
    output_s: float = 50e-6
    """To put out one datagram or post: a crossing from process to kernel."""
    byte_s: float = 0.6e-6
    """For each byte of a datagram put out or taken in (marshalling, copies). No text gives it: it
    is what lies between 6 updates/s of 50 bytes and 4 of 2 KBytes (7.8), so the simulator cannot
    check that ratio."""
    contention: dict[LoadLevel, Contention] = field(
        default_factory=lambda: {
            "moderate": Contention(1.5e-3, 10),
            "heavy": Contention(3e-3, 10),
        }
    )
    """Two waits of the moderate level span the 3 ms to 3 s of an RPC under load; of the heavy
    level each alone does."""
    timer_lateness_s: dict[LoadLevel, float] = field(
        default_factory=lambda: {"moderate": 0.02, "heavy": 0.1}
    )
    """How late a kernel timer may be under load, drawn evenly from 0. One or two clock ticks
    (10 ms on NT); several when interrupts keep the processor busy. The thesis says only that
    sending periods vary under load (7.6.1)."""

    disk_s: float = 5e-3
    """A disk call: seek and half a turn of a disk of the time."""
    disk_bytes_per_s: float = 10e6
    effect_s: float = 1e-3
    """An effect, such as taking over an address."""
    reservation_s: float = 10.0
    """After so long without renewal the quorum volume may be taken by another node."""
    receive_buffer: int = 1000
    """Inputs that wait for a paused node; what comes then is lost, as in a full socket buffer."""


@dataclass
class Processor:
    """The processor of one node, as its service level sees it."""

    machine: Machine
    random: Random
    level: LoadLevel = "idle"

    def wake_s(self) -> float:
        """Return how long the process takes to run after something woke it."""
        shortest_s, longest_s = self.machine.wake_s
        took_s = shortest_s + (longest_s - shortest_s) * self.random.random()
        contention = self.machine.contention.get(self.level)
        return took_s if contention is None else took_s + contention.draw_s(self.random)

    def timer_lateness_s(self) -> float:
        """Return how late a kernel timer is."""
        most_s = self.machine.timer_lateness_s.get(self.level, 0.0)
        return most_s * self.random.random() if most_s else 0.0
