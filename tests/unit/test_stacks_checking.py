"""Checkers see events in order of time, of their kinds only, and tell of one violation each."""

from __future__ import annotations

from lab.stacks.checking import Running, check
from lab.stacks.events import Event


class Descending:
    """Some number never grows."""

    name = "descending"
    kinds = frozenset({"number"})

    def __init__(self) -> None:
        self.last = 100
        self.fed: list[Event] = []

    def feed(self, event: Event) -> str | None:
        self.fed.append(event)
        last, self.last = self.last, event.fields["value"]
        return f"{last} to {self.last}" if self.last > last else None

    def finish(self, now_s: float) -> str | None:
        return None if self.fed else f"no number in {now_s} s"


def number(t_s: float, value: int) -> Event:
    return Event(t_s, 1, "number", fields={"value": value})


def test_sound_events_pass() -> None:
    assert not check([Descending], [number(1.0, 3), number(2.0, 3), number(3.0, 1)])


def test_violation_has_time_and_reason_and_only_the_first_is_told() -> None:
    found = check([Descending], [number(1.0, 3), number(2.0, 4), number(3.0, 5)])
    assert [(v.checker, v.t_s, v.reason) for v in found] == [("descending", 2.0, "3 to 4")]


def test_events_are_ordered_by_time() -> None:
    assert not check([Descending], [number(2.0, 1), number(1.0, 3)])


def test_what_is_missing_is_told_at_the_end() -> None:
    found = check([Descending], [Event(7.0, 1, "other")])
    assert [(v.t_s, v.reason) for v in found] == [(7.0, "no number in 7.0 s")]


def test_each_check_has_checkers_of_its_own() -> None:
    assert not check([Descending, Descending], [number(1.0, 3)])
    assert not check([Descending], [number(1.0, 50)])


def test_running_follows_starts_halts_and_faults() -> None:
    running = Running()
    for node in (1, 2, 3, 4):
        running.feed(Event(0.0, node, "started"))
    running.feed(Event(1.0, 2, "halted"))
    assert running.nodes == {1, 3, 4}
    running.feed(Event(2.0, 0, "fault", "pause", fields={"nodes": [1]}))
    running.feed(Event(2.0, 0, "fault", "kill", fields={"nodes": [1, 2]}))
    assert running.nodes == {3, 4}
    running.feed(Event(3.0, 2, "started"))
    running.feed(Event(4.0, 0, "fault", "wipe", fields={"nodes": []}))
    assert running.nodes == set()
