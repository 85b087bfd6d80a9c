"""Global updates: order, counts, the five failures of thesis 7.8, and random crashes."""

from __future__ import annotations

from collections.abc import Callable, Collection
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mscs_gup_cluster import Cluster
from msgspec import to_builtins

from lab.stacks.mscs.gup import Gup
from lab.stacks.mscs.gup_locker import Locker
from lab.stacks.mscs.gup_member import DONE, STALE, Member
from lab.stacks.mscs.gup_order import Circle, Lock, Log, Update, Waiter
from lab.stacks.mscs.procedure import Steps


def update(number: int, sender: int = 1, sequence: int = 0) -> Update:
    return Update(f"{sender}.1.{number}", "note", None, sender, sequence)


def orders(cluster: Cluster) -> set[tuple[str, ...]]:
    """Return the different orders in which the survivors have applied updates."""
    return {tuple(its.applied) for its in cluster.alive()}


# --- plain state machines ---------------------------------------------------------------


def test_the_circle_begins_after_the_locker_and_wraps() -> None:
    circle = Circle({1, 3, 5, 8}, locker=3)
    assert circle.receivers() == [5, 8, 1]


@pytest.mark.parametrize(
    ("alive", "locker"),
    [({1, 3, 5}, 3), ({1, 5, 8}, 5), ({1, 8}, 8), ({1}, 1), (set(), 0), ({7}, 0)],
)
def test_the_next_node_of_the_list_follows_the_locker(alive: set[int], locker: int) -> None:
    circle = Circle({1, 3, 5, 8}, locker=3)
    circle.keep(alive)
    assert circle.locker == locker


def test_waiters_get_the_lock_in_turn_and_the_dead_are_forgotten() -> None:
    lock = Lock()
    for sender in (1, 2, 3):
        lock.wait(Waiter(update(1, sender), None, lambda now_s, answer: None))
    lock.wait(Waiter(update(1, 1), None, lambda now_s, answer: None))
    assert lock.waiting() == ["1.1.1", "2.1.1", "3.1.1"]
    lock.holder = update(9, 4)
    assert lock.next() is None
    assert not lock.release("1.1.1")
    assert lock.release("4.1.9")
    lock.keep({2, 3})
    waiter = lock.next()
    assert waiter is not None
    assert waiter.update.sender == 2


def test_the_log_tells_what_was_missed_as_long_as_it_is_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("lab.stacks.mscs.gup_order.LOG_LENGTH", 3)
    log = Log(sequence=10)
    for number in range(1, 6):
        log.append(update(number, sequence=10 + number))
    assert [missed.sequence for missed in log.since(12, "1.1.2") or []] == [13, 14, 15]
    assert log.since(15, "1.1.5") == []
    assert log.since(14, "2.1.9") is None
    assert log.since(11, "1.1.1") is None
    assert log.since(16, "1.1.6") is None
    assert log.find("1.1.1") is None


# --- without failures -------------------------------------------------------------------


@pytest.mark.parametrize("size", [2, 3, 8, 32])
def test_a_sender_makes_n_rpcs_in_the_order_of_the_thesis(size: int) -> None:
    cluster = Cluster(size)
    cluster.update(0.0, size, "a")
    assert cluster.run() == []
    calls = cluster.nodes[size].rpc.calls
    assert len(calls) == size
    assert calls[0] == ("gup lock", 1)
    assert calls[1:-1] == [("gup apply", node) for node in range(2, size)]
    assert calls[-1] == ("gup unlock", 1)
    assert orders(cluster) == {("a",)}


def test_the_locker_itself_needs_no_rpc_to_lock() -> None:
    cluster = Cluster(4)
    cluster.update(0.0, 1, "a")
    cluster.run()
    assert cluster.nodes[1].rpc.calls == [("gup apply", node) for node in (2, 3, 4)]


def test_the_sender_learns_what_its_own_application_returned() -> None:
    cluster = Cluster(3)
    for payload in "abc":
        cluster.update(0.0, 3, payload)
    cluster.run()
    results = cluster.nodes[3].results
    assert [results[payload].value for payload in "abc"] == [1, 2, 3]
    assert [results[payload].sequence for payload in "abc"] == [1, 2, 3]


def test_all_at_once_takes_as_many_rpcs_and_less_time() -> None:
    serial, concurrent = Cluster(16), Cluster(16, concurrent=True)
    took_s = []
    for cluster in (serial, concurrent):
        cluster.update(0.0, 16, "a")
        assert cluster.run() == []
        took_s.append(next(e.t_s for e in cluster.events if e.phase == "done"))
    assert len(serial.nodes[16].rpc.calls) == len(concurrent.nodes[16].rpc.calls) == 16
    assert took_s[1] < took_s[0] / 3


# --- the five failures ------------------------------------------------------------------


def until(cluster: Cluster, phase: str, node: int, at_most_s: float = 1.0) -> float:
    """Run the same cluster without failures, and return when a node told of a phase."""
    cluster.run(at_most_s)
    return next(e.t_s for e in cluster.events if e.phase == phase and e.node == node)


def crashed(size: int, sender: int, phase: str, at: int, *dead: int) -> Cluster:
    """Return what comes of an update whose nodes die right after a node told of a phase."""
    rehearsal = Cluster(size)
    rehearsal.update(0.0, sender, "a")
    when_s = until(rehearsal, phase, at)
    cluster = Cluster(size)
    cluster.update(0.0, sender, "a")
    for node in dead:
        cluster.crash(when_s + 1e-6, node)
    assert cluster.run() == []
    return cluster


def test_case_1_the_sender_fails_and_the_locker_completes() -> None:
    cluster = crashed(5, 4, "applied", 2, 4)
    assert orders(cluster) == {("a",)}
    assert cluster.nodes[1].gup.locker.lock.holder is None


def test_case_2_a_receiver_fails_and_the_sender_goes_on_without_it() -> None:
    cluster = crashed(5, 4, "applied", 2, 3)
    assert orders(cluster) == {("a",)}
    assert cluster.nodes[4].results["a"].ok


def test_case_3_the_locker_fails_and_the_next_node_takes_its_place() -> None:
    cluster = crashed(5, 4, "applied", 1, 1)
    assert orders(cluster) == {("a",)}
    assert {its.gup.member.circle.locker for its in cluster.alive()} == {2}
    assert cluster.nodes[4].results["a"].ok


def test_case_4_sender_and_locker_fail_and_the_new_locker_has_the_update() -> None:
    cluster = crashed(5, 4, "applied", 2, 1, 4)
    assert orders(cluster) == {("a",)}


def test_case_5_all_that_have_the_update_fail_and_it_never_happened() -> None:
    cluster = crashed(5, 4, "applied", 1, 1, 4)
    assert orders(cluster) == {()}
    cluster.update(cluster.now_s, 5, "b")
    assert cluster.run(120.0) == []
    assert orders(cluster) == {("b",)}
    assert cluster.nodes[5].results["b"].sequence == 1


def test_a_waiter_dies_in_the_queue_and_the_others_go_on() -> None:
    cluster = Cluster(5)
    for sender in (2, 3, 4):
        cluster.update(0.0, sender, f"from {sender}")
    cluster.crash(0.012, 3)
    assert cluster.run() == []
    assert len(orders(cluster)) == 1
    assert all(cluster.nodes[node].results[f"from {node}"].ok for node in (2, 4))


# --- a newcomer -------------------------------------------------------------------------


def test_a_newcomer_has_all_that_was_applied_before_and_after_it_entered() -> None:
    cluster = Cluster(4)
    for number in range(40):
        cluster.update(number * 0.01, 1 + number % 4, f"u{number}")
    cluster.join(0.2, 5, sponsor=2)
    cluster.update(1.0, 5, "mine")
    assert cluster.run() == []
    assert len(orders(cluster)) == 1
    assert len(cluster.nodes[5].applied) == 41


def test_what_was_sent_before_a_view_is_refused_after_it() -> None:
    cluster = Cluster(3)
    node, answers = cluster.nodes[3], []
    node.gup.install(0.0, 2, {2, 3})
    for epoch in (1, 2):
        arguments = {"cluster": "1.1", "epoch": epoch, "update": to_builtins(update(1, 2, 1))}
        node.rpc.handlers["gup apply"](
            0.0, 2, arguments, lambda now_s, answer: answers.append(answer["state"])
        )
    assert answers == [STALE, DONE]


# --- random crashes ---------------------------------------------------------------------


def at_random(seed: int, *, concurrent: bool) -> Cluster:
    """Return a cluster that lived through random updates, crashes and a newcomer."""
    draw = Random(seed)  # noqa: S311 - repeatable, not secret
    size = draw.randint(2, 7)
    cluster = Cluster(size, seed, concurrent=concurrent, slow=draw.choice([0.0, 0.05, 0.2]))
    for number in range(draw.randint(1, 12)):
        cluster.update(draw.uniform(0.0, 1.0), draw.randint(1, size), f"u{number}")
    at_s = 0.0
    for node in draw.sample(range(1, size + 1), draw.randint(0, size - 1)):
        at_s += draw.choice([0.0, 0.01, 0.05, 0.3, 1.1, 1.3])
        cluster.crash(at_s, node, draw.uniform(0.3, 1.5))
    if draw.random() < 0.5:
        cluster.join(draw.uniform(0.0, 1.5), size + draw.randint(1, 2), draw.randint(1, size))
    return cluster


@settings(max_examples=150, deadline=None)
@given(seed=st.integers(0, 2**32), concurrent=st.booleans())
def test_survivors_agree_whatever_crashes(seed: int, concurrent: bool) -> None:
    cluster = at_random(seed, concurrent=concurrent)
    assert cluster.run() == []
    assert len(orders(cluster)) <= 1
    for its in cluster.alive():
        assert its.gup.locker.lock.holder is None
        assert its.gup.state()["own"] == []


# --- the checkers can fail --------------------------------------------------------------


def hostile(seed: int, *, concurrent: bool) -> Cluster:
    """Return a cluster whose locker dies in the middle of updates, and perhaps a sender with it."""
    draw = Random(seed)  # noqa: S311 - repeatable, not secret
    cluster = Cluster(5, seed, concurrent=concurrent, slow=0.3)
    for number in range(8):
        cluster.update(draw.uniform(0.0, 0.01), draw.randint(2, 5), f"u{number}")
    at_s = draw.uniform(0.0, 0.2)
    cluster.crash(at_s, 1, 0.1)
    if draw.random() < 0.5:
        cluster.crash(at_s, 5, 0.1)
    return cluster


def entering(seed: int, *, concurrent: bool) -> Cluster:
    """Return a cluster whose locker dies, perhaps with a sender, while the node after it enters."""
    draw = Random(seed)  # noqa: S311 - repeatable, not secret
    cluster = Cluster(5, seed, concurrent=concurrent, slow=0.2, without=2)
    for number in range(20):
        cluster.update(draw.uniform(0.0, 0.4), draw.choice([3, 5, 5]), f"u{number}")
    join_s = draw.uniform(0.0, 0.1)
    cluster.join(join_s, 2, draw.choice([1, 1, 3]))
    for number in range(3):
        cluster.update(draw.uniform(0.2, 0.8), 2, f"mine{number}")
    at_s = join_s + draw.choice([draw.uniform(0.0, 0.3), draw.uniform(0.0, 0.01)])
    cluster.crash(at_s, 1, 0.1)
    if draw.random() < 0.5:
        cluster.crash(at_s, 5, 0.1)
    return cluster


def found(case: Callable[..., Cluster], seeds: int, *, concurrent: bool = False) -> set[str]:
    """Return which checkers find something in the first random case in which any does."""
    for seed in range(seeds):
        violations = case(seed, concurrent=concurrent).run()
        if violations:
            return {violation.checker for violation in violations}
    return set()


def test_hostile_cases_are_survived() -> None:
    for case in (hostile, entering):
        assert not found(case, 150)
        assert not found(case, 150, concurrent=True)


def test_without_completion_updates_get_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    def do_nothing(self: Locker) -> Steps[None]:
        return None
        yield

    monkeypatch.setattr(Locker, "_complete", do_nothing)
    assert found(at_random, 400)


def test_without_the_lock_updates_collide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Lock, "next", lambda self: self._queue.popleft() if self._queue else None)
    assert "gup-one-at-a-time" in found(at_random, 400)


def test_a_receiver_that_says_yes_and_does_nothing_is_caught(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    take_in = Member.take_in

    def idle(self: Member, now_s: float, update: Update) -> bool:
        return self.node == 3 or take_in(self, now_s, update)

    monkeypatch.setattr(Member, "take_in", idle)
    cluster = Cluster(4)
    cluster.update(0.0, 2, "a")
    assert {violation.checker for violation in cluster.run()} == {"gup-all-or-none"}


def test_all_at_once_the_new_locker_must_ask_everybody(monkeypatch: pytest.MonkeyPatch) -> None:
    def believe_itself(self: Member) -> Steps[bool]:
        return True
        yield

    monkeypatch.setattr(Member, "ask_last", believe_itself)
    assert found(hostile, 400, concurrent=True)


def test_the_next_locker_must_be_the_first_receiver(monkeypatch: pytest.MonkeyPatch) -> None:
    def keep(self: Circle, alive: Collection[int]) -> None:
        self.members &= set(alive)
        if self.locker not in self.members:
            self.locker = max(self.members, default=0)

    monkeypatch.setattr(Circle, "keep", keep)
    assert found(hostile, 400)


def test_a_newcomer_must_give_up_when_the_locker_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Gup, "_entering", False)
    assert found(entering, 400)


def test_a_newcomer_must_not_keep_what_never_happened(monkeypatch: pytest.MonkeyPatch) -> None:
    def without_looking(self: Log, sequence: int, update_id: str) -> list[Update]:
        return [kept for kept in self._kept if kept.sequence > sequence]

    monkeypatch.setattr(Log, "since", without_looking)
    assert found(entering, 400)
