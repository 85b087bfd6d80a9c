"""The joins of a run: when each phase of each was over, and the calls that it was made of. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lab.analysis.observations import MissingDataError
from lab.analysis.stacks.observations import StackObservations

PHASES = ("discovery", "lock", "network", "petition", "database", "unlock")
"""The six phases, by the words of the event log; each event comes at the phase's end."""
_SERIAL = ("rpc join", "rpc gup")
"""How the labels of the RPCs begin that a join is made of, first sendings only."""


def grown(run: StackObservations) -> list[str]:
    """The cases in which a cluster grows node by node.

    Raises:
        MissingDataError: there is none.
    """
    return cases_of(run, "grow")


def cases_of(run: StackObservations, *beginnings: str) -> list[str]:
    """The cases whose names begin so.

    Raises:
        MissingDataError: there is none.
    """
    found = [name for name in run.names() if name.startswith(beginnings)]
    if not found:
        raise MissingDataError(f"the run has no case {' or '.join(beginnings)}")
    return found


@dataclass(frozen=True)
class Join:
    """A join that was completed; times are virtual s since the case began."""

    node: int
    begin_s: float
    end_s: float
    active: int
    """Members of the cluster before."""
    took_s: Mapping[str, float]
    """The length of each phase."""
    rpcs: Mapping[str, int]
    """RPCs of each phase, as the joiner counted them."""

    def start_s(self, phase: str) -> float:
        """When a phase began."""
        earlier = PHASES[: PHASES.index(phase)]
        return self.begin_s + sum(self.took_s[name] for name in earlier)

    @property
    def after_discovery_s(self) -> float:
        """The length of all phases but the first."""
        return self.end_s - self.start_s("lock")


def joins(run: StackObservations, case: str) -> list[Join]:
    """The joins of a case that were completed, in the order of their beginnings.

    Raises:
        MissingDataError: there is none.
    """
    found = []
    for _, mine in run.events(case, "join").groupby(["node", "attempt"]):
        times = dict(zip(mine["phase"].astype("str"), mine["t_s"], strict=True))
        if "done" not in times:
            continue
        took_s = dict(zip(mine["phase"].astype("str"), mine["took_s"], strict=True))
        rpcs = dict(zip(mine["phase"].astype("str"), mine["rpcs"], strict=True))
        found.append(
            Join(
                node=int(mine["node"].iloc[0]),
                begin_s=float(times["begin"]),
                end_s=float(times["done"]),
                active=_active_before(run, case, float(times["begin"])),
                took_s={phase: float(took_s[phase]) for phase in PHASES},
                rpcs={phase: int(rpcs[phase]) for phase in PHASES},
            )
        )
    if not found:
        raise MissingDataError(f"no join was completed in case {case}")
    return sorted(found, key=lambda join: join.begin_s)


def _active_before(run: StackObservations, case: str, t_s: float) -> int:
    """Members of the newest view at a time."""
    views = run.events(case, "view")
    views = views[views["t_s"] < t_s]
    if views.empty:
        return 0
    newest = views[views["id"] == views["id"].max()]
    return len(newest["members"].iloc[0])


def serial_rpcs(
    run: StackObservations, case: str, start_s: float, end_s: float, methods: Sequence[str] = ()
) -> int:
    """RPCs of joining that were begun in an interval, by the datagrams that began them.

    Probes are left out, which go out all at once, and what is sent again. ``methods`` are those
    that count, if not all do.
    """
    sent = run.messages(case)
    sent = sent[(sent["t_s"] >= start_s) & (sent["t_s"] <= end_s)]
    labels = sent["label"].astype("str")
    first = labels.str.startswith(_SERIAL) & ~labels.str.contains("answer|again|probe|working")
    if methods:
        first &= labels.isin([f"rpc {method}" for method in methods])
    return int(first.sum())
