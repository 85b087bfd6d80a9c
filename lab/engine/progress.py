"""Progress of a run: events in ``progress.jsonl``, for whoever wants to follow them.

The phases append events; they know nothing of bars and terminals. A subscriber (the
command line, a nightly job, a test) tails the file. Fractions and remaining time refer to
the whole run and are computed from the expected length of each phase in real seconds.
"""

import json
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

PROGRESS_FILE = "progress.jsonl"


@dataclass(frozen=True)
class Event:
    """One line of ``progress.jsonl``.

    ``fraction`` is the share of the whole run that is done (0..1), ``eta_s`` the real
    seconds left. ``remedy`` is only set on ``kind == "error"``.
    """

    phase: str
    message: str
    fraction: float
    eta_s: float
    kind: str = "progress"
    remedy: str = ""
    t: float = 0.0


@dataclass(frozen=True)
class Schedule:
    """The phases of a run in order, each with its expected length in real seconds."""

    phases: Mapping[str, float] = field(default_factory=dict)

    def position(self, phase: str, fraction: float) -> tuple[float, float]:
        """Return (share of the whole run done, real seconds left) inside ``phase``."""
        total_s = sum(self.phases.values())
        done_s = 0.0
        for name, length_s in self.phases.items():
            if name == phase:
                done_s += length_s * min(max(fraction, 0.0), 1.0)
                break
            done_s += length_s
        else:
            done_s = 0.0
        if total_s <= 0:
            return 0.0, 0.0
        return done_s / total_s, total_s - done_s


class Reporter:
    """Appends events of one run; every phase of the run makes its own."""

    def __init__(
        self, run_dir: Path, schedule: Schedule, clock: Callable[[], float] = time.time
    ) -> None:
        self._path = run_dir / PROGRESS_FILE
        self._schedule = schedule
        self._clock = clock

    def report(
        self, phase: str, message: str, fraction: float, *, left_s: float | None = None
    ) -> None:
        """Say where ``phase`` stands.

        Args:
            phase: its name in the schedule.
            message: what is being done.
            fraction: share of this phase that is done, 0..1.
            left_s: real seconds that it will still take, where that is known better than from
                the schedule.
        """
        overall, eta_s = self._schedule.position(phase, fraction)
        if left_s is not None:
            eta_s = left_s + self._schedule.position(phase, 1.0)[1]
        self._append(phase, message, overall, eta_s=round(eta_s, 1))

    def error(self, phase: str, message: str, remedy: str) -> None:
        """Record why the run is failing, for the command line to repeat to the user."""
        overall, _ = self._schedule.position(phase, 0.0)
        self._append(phase, message, overall, eta_s=0.0, kind="error", remedy=remedy)

    def _append(self, phase: str, message: str, fraction: float, **more: object) -> None:
        line = {
            "t": round(self._clock(), 3),
            "phase": phase,
            "message": message,
            "fraction": round(fraction, 4),
            **more,
        }
        # One write of one line in append mode: several processes may report at once.
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")


class Follower:
    """Reads the events that were added since the last look."""

    def __init__(self, run_dir: Path) -> None:
        self._path = run_dir / PROGRESS_FILE
        self._offset = 0

    def new_events(self) -> Iterator[Event]:
        """Yield complete events added since the last call; half-written lines wait."""
        if not self._path.exists():
            return
        with self._path.open("rb") as file:
            file.seek(self._offset)
            data = file.read()
        end = data.rfind(b"\n") + 1
        self._offset += end
        for line in data[:end].splitlines():
            yield Event(**json.loads(line))
