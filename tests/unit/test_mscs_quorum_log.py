"""Checkpoint and log on the quorum volume: what was decided last is found by whoever comes next."""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from lab.stacks.mscs.database import VOLATILE, Database, Update
from lab.stacks.mscs.quorum_log import CHECKPOINT_EVERY, QuorumLog

from mscs_desk import Agenda, Desk, Volume  # isort: skip


class Keeper:
    """A node that owns the volume, its database and its log."""

    def __init__(self, agenda: Agenda, volume: Volume, node: int = 1) -> None:
        self.desk = Desk(agenda, volume, node)
        self.database = Database()
        self.log = QuorumLog(self.desk, self.database)
        volume.holder = node

    def change(self, **values: Any):
        update = Update(put={key.replace("_", "/"): value for key, value in values.items()})
        self.database.apply(update)
        self.log.append(self.desk.now_s, update)


def set_up():
    agenda = Agenda()
    return agenda, Volume(agenda)


def recover(agenda: Agenda, volume: Volume):
    told = []
    keeper = Keeper(agenda, volume, 9)
    keeper.log.recover(agenda.now_s, lambda at_s, snapshot: told.append(snapshot))
    agenda.run_until(agenda.now_s + 5)
    return told[0]


def test_a_new_volume_holds_an_empty_database():
    agenda, volume = set_up()
    recovered = recover(agenda, volume)
    assert (recovered.version, recovered.entries) == (0, {})


def test_nothing_is_recovered_from_a_volume_that_cannot_be_read():
    agenda, volume = set_up()
    volume.cut.add(9)
    assert recover(agenda, volume) is None


def test_what_is_durable_is_told_when_it_is():
    agenda, volume = set_up()
    keeper = Keeper(agenda, volume)
    keeper.log.open(0.0)
    agenda.run_until(1)
    keeper.change(a=1)
    told = []
    keeper.log.when_durable(1.0, 1, lambda at_s, durable: told.append((at_s, durable)))
    assert told == []
    agenda.run_until(2)
    assert told == [(1.005, True)]
    keeper.change(a=2)
    keeper.log.when_durable(2.0, 2, lambda at_s, durable: told.append((at_s, durable)))
    keeper.log.close(2.0)
    assert told[1:] == [(2.0, False)]


def test_checkpoints_replace_the_logs_before_them():
    agenda, volume = set_up()
    keeper = Keeper(agenda, volume)
    keeper.log.open(0.0)
    for number in range(3 * CHECKPOINT_EVERY + 5):
        agenda.run_until(agenda.now_s + 1)
        keeper.change(a=number)
    agenda.run_until(agenda.now_s + 1)
    assert len(volume.keys) == 1 + 5
    assert recover(agenda, volume).entries == keeper.database.snapshot().entries


def test_a_log_left_behind_is_not_mixed_with_a_newer_checkpoint():
    agenda, volume = set_up()
    old = Keeper(agenda, volume)
    old.log.open(0.0)
    agenda.run_until(1)
    old.change(a=1)
    left = None
    agenda.run_until(2)
    left = dict(volume.keys)
    new = Keeper(agenda, volume, 2)
    new.log.open(2.0)
    agenda.run_until(3)
    volume.keys.update({key: data for key, data in left.items() if key.startswith("log/")})
    assert recover(agenda, volume).entries == {}


def test_a_volume_that_fails_for_a_while_gets_a_new_checkpoint():
    agenda, volume = set_up()
    keeper = Keeper(agenda, volume)
    keeper.log.open(0.0)
    agenda.run_until(1)
    volume.cut.add(1)
    keeper.change(a=1)
    agenda.run_until(1.5)
    volume.cut.clear()
    keeper.change(b=1)
    agenda.run_until(5)
    assert keeper.log.durable == 2
    assert set(recover(agenda, volume).entries) == {"a", "b"}


STEPS = st.one_of(
    st.tuples(st.just("change"), st.sampled_from(["a", "b", "c", f"{VOLATILE}d"])),
    st.tuples(st.just("wait"), st.sampled_from([0.001, 0.006, 2.0])),
    st.tuples(st.sampled_from(["cut", "heal"]), st.none()),
)


@settings(max_examples=100, deadline=None)
@given(st.lists(STEPS, max_size=30))
def test_what_was_told_to_be_durable_is_recovered(steps: Any):
    agenda, volume = set_up()
    keeper = Keeper(agenda, volume)
    keeper.log.open(0.0)
    history, durable = {0: {}}, [0]
    for number, (what, value) in enumerate(steps):
        match what:
            case "change":
                keeper.change(**{value: number})
                version = keeper.database.version
                entries = keeper.database.snapshot(lasting=True).entries
                history[version] = {key: entry.value for key, entry in entries.items()}
                keeper.log.when_durable(
                    agenda.now_s,
                    version,
                    lambda at_s, ok, version=version: durable.append(version if ok else 0),
                )
            case "wait":
                agenda.run_until(agenda.now_s + value)
            case "cut":
                volume.cut.add(1)
            case "heal":
                volume.cut.clear()
    promised = max(durable)
    volume.cut.clear()
    found = recover(agenda, volume)
    values = {key: entry.value for key, entry in found.entries.items()}
    assert values in [history[version] for version in history if version >= promised]
