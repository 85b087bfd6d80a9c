"""The invariants of membership can break: each is shown a bug that it catches.

The bugs are seeded into the stack for the time of a test, and run in the simulated world.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from mscs_world import cut, fault, run_preset

from lab.stacks.checking import check
from lab.stacks.events import Event
from lab.stacks.mscs.context import Context
from lab.stacks.mscs.membership import Membership
from lab.stacks.mscs.membership_invariants import (
    MEMBERSHIP_CHECKERS,
    AllAdmitted,
    HaltedIsSilent,
    OneMembership,
    SurvivorsAgree,
)
from lab.stacks.mscs.regroup import engine
from lab.stacks.mscs.regroup.engine import Regroup
from lab.stacks.mscs.regroup.masks import bit, lowest
from lab.stacks.mscs.regroup.rules import Survival
from lab.stacks.mscs.regroup.state import Phase, Run
from lab.stacks.plan import Action
from lab.world.world import CaseResult

SPLIT = cut(10.0, {1, 2}, {3, 4, 5})


def broken(result: CaseResult) -> set[str]:
    return {violation.checker for violation in result.violations}


# --- seeded bugs --------------------------------------------------------------------------------


def everybody_survives(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "survival_of", lambda *_: Survival.YES)


def half_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tie-breaker is forgotten."""

    def survives(group: int, origin: Any, joining: Any) -> Survival:
        enough = 2 * group.bit_count() >= len(origin.members)
        return Survival.YES if enough else Survival.NO

    monkeypatch.setattr(engine, "survival_of", survives)


def quorum_is_not_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        Membership,
        "ask_quorum",
        lambda self, now_s, attempt: self.regroup.quorum(now_s, attempt, owned=True),
    )


def clean_up_does_not_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """Phase 5 begins as soon as this node itself is through phase 4."""
    whole = Regroup._clean_up_1

    def clean_up(self: Regroup, now_s: float, run: Run) -> bool:
        for node in range(1, 6):
            run.note(node, Phase.CLEANUP_1)
        return whole(self, now_s, run)

    monkeypatch.setattr(Regroup, "_clean_up_1", clean_up)


def everybody_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each node takes itself for the tie-breaker, and leaves out another one."""
    whole = Regroup._close

    def close(self: Regroup, now_s: float, run: Run) -> bool:
        run.tie_breaker = self._ctx.node
        run.group &= ~bit(lowest(run.group & ~self._bit))
        run.heard[Phase.CLOSING - 1] |= run.group
        return whole(self, now_s, run)

    monkeypatch.setattr(Regroup, "_close", close)


def losers_do_not_halt(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Regroup, "_halt", lambda self, why: None)


BUGS: list[tuple[Callable[[pytest.MonkeyPatch], None], int, tuple[Action, ...], str]] = [
    (everybody_survives, 5, (SPLIT,), "one partition survives"),
    (half_is_enough, 4, (cut(10.0, {1, 2}, {3, 4}),), "one partition survives"),
    (quorum_is_not_asked_for, 2, (cut(10.0, {1}, {2}),), "one partition survives"),
    (losers_do_not_halt, 5, (SPLIT,), "survivors agree on the membership"),
    (clean_up_does_not_wait, 5, (fault(10.0, "kill", 2),), "clean-up has two phases"),
    (everybody_decides, 5, (fault(10.0, "kill", 2),), "a regroup has one decision"),
]


@pytest.mark.parametrize(("bug", "nodes", "actions", "checker"), BUGS)
def test_a_seeded_bug_is_caught(
    monkeypatch: pytest.MonkeyPatch,
    bug: Callable[[pytest.MonkeyPatch], None],
    nodes: int,
    actions: tuple[Action, ...],
    checker: str,
):
    assert not broken(run_preset(nodes, 100, *actions))
    bug(monkeypatch)
    assert checker in broken(run_preset(nodes, 100, *actions))


def test_nothing_leaves_a_node_that_has_halted():
    ctx = Context(1, None)  # type: ignore[arg-type]
    ctx.halt("over")
    ctx.send(2, 0, "rpc", b"", "rpc")
    ctx.emit("view")
    assert len(ctx.take_outputs()) == 1


# --- bugs of runtimes, and of what no core of this stack does: told as events --------------------


def view(t_s: float, node: int, number: int, *members: int, attempt: int = 0) -> Event:
    fields = {
        "id": number, "members": list(members), "cluster": "c", "attempt": attempt,
    }  # fmt: skip
    return Event(t_s, node, "view", fields=fields)


def started(*nodes: int) -> list[Event]:
    return [Event(0.0, node, "started") for node in nodes]


def test_a_halted_node_that_acts_is_told_of():
    halted = Event(1.0, 1, "halted")
    acts = Event(2.0, 1, "send", fields={"label": "heartbeat"})
    again = Event(2.0, 1, "send", incarnation=2, fields={"label": "heartbeat"})
    assert check([HaltedIsSilent], [halted, acts])
    assert not check([HaltedIsSilent], [halted, again])


def test_views_of_one_number_that_differ_are_told_of():
    assert check([OneMembership], [view(1.0, 1, 2, 1, 2), view(2.0, 2, 2, 1, 3)])
    assert check([OneMembership], [view(1.0, 1, 3, 1, 2), view(2.0, 1, 2, 1)])
    assert not check([OneMembership], [view(1.0, 1, 2, 1, 2), view(2.0, 2, 2, 1, 2)])


@pytest.mark.parametrize("checker", [AllAdmitted, SurvivorsAgree])
def test_a_member_that_was_left_behind_is_told_of(checker: Any):
    events = [*started(1, 2), view(1.0, 1, 1, 1, 2), view(1.0, 2, 1, 1, 2), view(2.0, 1, 2, 1)]
    late = Event(100.0, 0, "end")
    assert check([checker], [*events, late])
    both = [*started(1, 2), view(1.0, 1, 1, 1, 2), view(1.0, 2, 1, 1, 2)]
    assert not check([checker], [*both, late])


def test_a_node_that_runs_outside_of_the_cluster_is_told_of():
    events = [*started(1, 2), view(1.0, 1, 1, 1)]
    assert check([AllAdmitted], events)


def test_all_of_them_hold_in_a_quiet_cluster():
    assert not run_preset(4, 100, checkers=(*MEMBERSHIP_CHECKERS, AllAdmitted)).violations
