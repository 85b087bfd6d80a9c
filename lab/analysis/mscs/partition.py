"""Measurements of thesis 7.7.2, phases 2 and 3: who survives a partition, and who is pruned.

What each case should come to follows from its log of faults: whom they left in contact with whom.
What it came to are the views and the halts of the nodes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import networkx as nx
import pandas as pd

from lab.analysis.mscs.courses import last_views
from lab.analysis.observations import MissingDataError
from lab.analysis.stacks.observations import StackMeasures, StackObservations
from lab.claims.judge import Measurement

MEASURES = StackMeasures()

Pair = tuple[int, int]


@dataclass(frozen=True)
class Outcome:
    """A case in which links were cut, and what became of it."""

    case: str
    nodes: frozenset[int]
    severed: frozenset[Pair]
    """Ordered pairs: what the first sends, the second does not hear, on no network."""
    reaches_quorum: frozenset[int]
    halted: frozenset[int]
    views: dict[int, tuple[int, ...]]
    """The members of the last view of each node that did not halt."""
    tie_breakers: dict[int, int]
    """The tie-breaker of that view."""

    @property
    def contact(self) -> nx.Graph[int]:
        """Who hears whom in both directions."""
        graph: nx.Graph[int] = nx.Graph()
        graph.add_nodes_from(self.nodes)
        graph.add_edges_from(
            (a, b)
            for a in self.nodes
            for b in self.nodes
            if a < b and not {(a, b), (b, a)} & self.severed
        )
        return graph

    @property
    def parts(self) -> list[set[int]]:
        """The parts that hear nothing of each other, largest first."""
        graph: nx.Graph[int] = nx.Graph()
        graph.add_nodes_from(self.nodes)
        graph.add_edges_from(
            (a, b) for a in self.nodes for b in self.nodes if a != b and (a, b) not in self.severed
        )
        return sorted(map(set, nx.connected_components(graph)), key=len, reverse=True)

    @property
    def surviving(self) -> frozenset[int]:
        """The nodes that did not halt."""
        return self.nodes - self.halted

    @property
    def one_view(self) -> bool:
        """Whether the nodes that did not halt, and they alone, are members of one view."""
        return all(set(members) == self.surviving for members in self.views.values())


def outcome(run: StackObservations, case: str) -> Outcome:
    """Read a case: up to the moment at which faults were healed, or to its end."""
    faults = run.events(case, "fault")
    healed = faults.loc[faults["phase"] == "heal", "t_s"]
    until_s = float(healed.min()) if len(healed) else float("inf")
    nodes = frozenset(range(1, run.planned[case].nodes + 1))
    severed: dict[Pair, set[int]] = {}
    cut_off: set[int] = set()
    columns = (
        [faults[name] for name in ("phase", "nodes", "peers", "network")] if len(faults) else []
    )
    for phase, named, peers, network in zip(*columns, strict=True):
        if phase == "quorum-cut":
            cut_off |= set(named) or set(nodes)
        if phase in ("cut", "one-way-cut"):
            every = set(range(len(run.planned[case].plan.networks)))
            over = every if pd.isna(network) else {int(network)}
            pairs = _pairs(set(named) or set(nodes), set(peers) or set(nodes))
            for pair in pairs if phase == "one-way-cut" else [*pairs, *(p[::-1] for p in pairs)]:
                severed.setdefault(pair, set()).update(over)
    networks = len(run.planned[case].plan.networks)
    events = run.of_case("events", case)
    halted = events[(events["kind"] == "halted") & (events["t_s"] < until_s)]
    gone = frozenset(int(node) for node in halted["node"])
    return Outcome(
        case,
        nodes,
        frozenset(pair for pair, over in severed.items() if len(over) == networks),
        nodes - cut_off,
        gone,
        *_last(run, case, until_s, nodes - gone),
    )


def _pairs(nodes: Iterable[int], peers: Iterable[int]) -> list[Pair]:
    others = list(peers)
    return [(node, peer) for node in nodes for peer in others if node != peer]


def _last(
    run: StackObservations, case: str, until_s: float, nodes: frozenset[int]
) -> tuple[dict[int, tuple[int, ...]], dict[int, int]]:
    views = run.events(case, "view")
    views = views[views["t_s"] < until_s].drop_duplicates("node", keep="last")
    views = views[views["node"].isin(nodes)].set_index("node")
    members = {int(str(node)): tuple(found) for node, found in views["members"].items()}
    return members, {int(str(node)): int(found) for node, found in views["tie_breaker"].items()}


def _outcomes(run: StackObservations) -> list[Outcome]:
    return [outcome(run, str(case)) for case in run.chosen().index]


def _holds(
    claim: str,
    run: StackObservations,
    concerns: Callable[[Outcome], bool],
    kept: Callable[[Outcome], bool],
) -> Measurement:
    """Judge a rule by all cases that it is about."""
    cases = [found for found in _outcomes(run) if concerns(found)]
    if not cases:
        raise MissingDataError("no case of the run is about this")
    wrong = [found for found in cases if not kept(found)]
    told = "; ".join(
        f"{found.case}: {_count(found.surviving)} of {len(found.nodes)} went on" for found in cases
    )
    against = f" Against the rule: {', '.join(found.case for found in wrong)}." if wrong else ""
    return Measurement(claim, holds=not wrong, detail=f"{told}.{against}")


def _count(nodes: frozenset[int]) -> str:
    return str(len(nodes)) if nodes else "none"


def _whole_survives(part: set[int]) -> Callable[[Outcome], bool]:
    return lambda found: found.surviving == part and found.one_view


def _splits(found: Outcome) -> bool:
    """Whether it falls into parts, all of whose nodes hear each other."""
    full = all(
        (a, b) not in found.severed for part in found.parts for a in part for b in part if a != b
    )
    return len(found.parts) > 1 and full


@MEASURES.of("mscs-rg-majority")
def majority(run: StackObservations) -> Measurement:
    """A part of more than half goes on, whole and alone."""
    return _holds(
        "mscs-rg-majority",
        run,
        lambda found: _splits(found) and 2 * len(found.parts[0]) > len(found.nodes),
        lambda found: _whole_survives(found.parts[0])(found),
    )


@MEASURES.of("mscs-rg-half")
def half(run: StackObservations) -> Measurement:
    """Of two halves the one with the tie-breaker (the first node, in a preset cluster) goes on."""
    return _holds(
        "mscs-rg-half",
        run,
        lambda found: (
            _splits(found)
            and 2 * len(found.parts[0]) == len(found.nodes)
            and len(found.parts[0]) >= 2
        ),
        lambda found: (
            found.surviving in [frozenset(part) for part in found.parts]
            and _first_tie_breaker(run, found.case) in found.surviving
            and found.one_view
        ),
    )


def _first_tie_breaker(run: StackObservations, case: str) -> int:
    return int(run.events(case, "view")["tie_breaker"].iloc[0])


@MEASURES.of("mscs-rg-quorum")
def quorum(run: StackObservations) -> Measurement:
    """Of two nodes apart, one goes on if either can own the quorum resource, and else none."""
    return _holds(
        "mscs-rg-quorum",
        run,
        lambda found: _splits(found) and len(found.nodes) == 2,
        lambda found: (
            len(found.surviving) == min(1, len(found.reaches_quorum))
            and found.surviving <= found.reaches_quorum
            and found.one_view
        ),
    )


@MEASURES.of("mscs-rg-losers-halt")
def losers_halt(run: StackObservations) -> Measurement:
    """Wherever the cluster fell apart, whoever goes on is in one part, and in one view."""
    return _holds(
        "mscs-rg-losers-halt",
        run,
        _splits,
        lambda found: (
            any(found.surviving <= part for part in found.parts)
            and found.one_view
            and (
                2 * len(found.parts[0]) >= len(found.nodes)
                or len(found.nodes) == 2
                or not found.surviving
            )
        ),
    )


@MEASURES.of("mscs-rg-prune")
def prune(run: StackObservations) -> Measurement:
    """Where single links are cut, those that go on all hear each other; the others halt."""
    return _holds(
        "mscs-rg-prune",
        run,
        lambda found: bool(found.severed) and not _splits(found),
        lambda found: (
            0 < len(found.halted) < len(found.nodes) / 2
            and found.one_view
            and not any({(a, b), (b, a)} & found.severed for a, b in _links(found.surviving))
            and set(found.tie_breakers.values()) <= found.surviving
        ),
    )


def _links(nodes: Iterable[int]) -> list[Pair]:
    ordered = sorted(nodes)
    return [(a, b) for a in ordered for b in ordered if a < b]


@MEASURES.of("mscs-membership-agreement", "mscs-partition")
def agreement(run: StackObservations) -> Measurement:
    """No two nodes that went on end in different views; the healed ones are members again."""
    wrong = [found.case for found in _outcomes(run) if not found.one_view]
    rejoined, expected = 0, 0
    for case in (str(name) for name in run.chosen().index):
        restarted = run.events(case, "fault", "restart")
        back = {int(node) for nodes in restarted.get("nodes", ()) for node in nodes}
        if back:
            expected += len(back)
            views = last_views(run, case).values()
            rejoined += sum(all(node in members for _, members in views) for node in back)
    detail = (
        f"Split views in: {', '.join(wrong) or 'no case'}. Of {expected} nodes that were started "
        f"again {rejoined} are members in every last view."
    )
    return Measurement(
        "mscs-membership-agreement", holds=not wrong and rejoined == expected, detail=detail
    )
