"""Global updates: order, counts, the five failures of thesis 7.8, and random crashes."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lab.stacks.mscs import gup_member
from lab.stacks.mscs.gup import Gup
from lab.stacks.mscs.gup_locker import Locker
from lab.stacks.mscs.gup_member import Member
from lab.stacks.mscs.gup_order import Circle, Lock, Log, Update, Waiter
from mscs_gup_cluster import Cluster


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


def broken(seeds: int = 400, *, concurrent: bool = False) -> set[str]:
    """Return which checkers found something in random cases."""
    return {
        violation.checker
        for seed in range(seeds)
        for violation in at_random(seed, concurrent=concurrent).run()
    }


def test_without_completion_updates_get_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    def do_nothing(self: Locker):
        return None
        yield

    monkeypatch.setattr(Locker, "_complete", do_nothing)
    assert broken() >= {"gup-one-at-a-time"}


def test_without_epochs_outdated_updates_get_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Member, "knows", lambda self, arguments: self.within)
    assert broken()


def test_without_the_lock_updates_collide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        Lock, "next", lambda self: self._queue.popleft() if self._queue else None
    )
    assert broken(40) >= {"gup-one-at-a-time"}


def test_all_at_once_without_asking_everybody(monkeypatch: pytest.MonkeyPatch) -> None:
    def believes_itself(self: Member):
        return True
        yield

    monkeypatch.setattr(gup_member.Member, "ask_last", believes_itself)
    assert broken(concurrent=True)


def test_a_newcomer_that_does_not_give_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Gup, "_entering", False)
    assert broken(2000)
