"""Moments of the lab that stands, one after the other.

The line cards are asked for totals and nothing else, over a control connection of the
watcher's own: an answer costs them well under a millisecond, so watching disturbs no run.
Labs come and go; the next one is taken up as it comes.
"""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

from lab.emulation.client import LineCards
from lab.emulation.state import LabState, load_state, standing_lab
from lab.errors import LabError
from lab.topology import load_topology
from lab.watch.snapshot import Snapshot, decode
from lab.watch.view import Lab, View, compare

_ANSWER_TIMEOUT_S = 10.0
_RETRY_S = 0.3


class LabGoneError(LabError):
    """The lab that was watched does not stand any more."""


class Source(Protocol):
    """Where snapshots come from: a standing lab, or a stand-in for it."""

    @property
    def lab(self) -> Lab:
        """The lab that the snapshots are of."""

    def take(self) -> Snapshot:
        """Return the fabric as it is now; LabGoneError when the lab does not stand any more."""

    def close(self) -> None:
        """Let go of the lab."""


class StandingLab:
    """The lab that stands on this machine.

    LabError when none stands, or none that is complete and answers.
    """

    def __init__(self) -> None:
        state = load_state()
        state.check_fabric()
        self._cards = LineCards(state.control_socket, timeout_s=_ANSWER_TIMEOUT_S)
        self._topology = load_topology(state.topology)
        self._adopt(state)

    @property
    def lab(self) -> Lab:
        """The lab, with the circuits that were open at the last snapshot."""
        return self._lab

    def take(self) -> Snapshot:
        """Ask the line cards; read the circuits' names again when there are new ones."""
        try:
            snapshot = decode(self._cards.call("snapshot"))
        except LabError:
            if self._stands():
                raise
            raise LabGoneError(f"{self._lab.lab_id} does not stand any more") from None
        if any(abs(vc.vc) not in self._lab.vcs for vc in snapshot.vcs):
            state = standing_lab()
            if state is not None and state.lab_id == self._lab.lab_id:
                self._adopt(state)
        return snapshot

    def _stands(self) -> bool:
        """Whether the record still names this lab and its line cards still run."""
        state = standing_lab()
        return (
            state is not None
            and state.lab_id == self._lab.lab_id
            and Path(f"/proc/{state.linecards_pid}").exists()
        )

    def _adopt(self, state: LabState) -> None:
        self._lab = Lab(
            lab_id=state.lab_id,
            topology=self._topology,
            run="/".join(state.run_dir.split("/")[-2:]) if state.run_dir else "",
            dilation=state.dilation,
            vcs={vc.id: vc for vc in state.vcs},
        )

    def close(self) -> None:
        """Close the connection; the lab stays."""
        self._cards.close()


def wait_for_lab(on_waiting: Callable[[], None]) -> StandingLab:
    """Return the standing lab as soon as there is one.

    ``on_waiting`` is told once when there is none yet. LabError only for what waiting cannot
    mend: no right to look.
    """
    told = False
    while True:
        try:
            return StandingLab()
        except LabError as error:
            if error.remedy and "root" in error.remedy:
                raise
        if not told:
            on_waiting()
            told = True
        time.sleep(_RETRY_S)


def views(source: Source, every_s: float) -> Iterator[View]:
    """Compare a new snapshot with the one before, every so many real seconds, without end.

    The first view comes at once, without rates. LabGoneError when the lab has gone.
    """
    before: Snapshot | None = None
    next_s = time.monotonic()
    while True:
        now = source.take()
        yield compare(source.lab, before, now)
        before = now
        # Whoever was held up shows the present next, not what it has missed.
        next_s = max(next_s + every_s, time.monotonic())
        time.sleep(max(0.0, next_s - time.monotonic()))
