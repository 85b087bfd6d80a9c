"""The replicated database: equal replicas, updates that rest on versions, checkpoints and logs."""

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from lab.stacks.mscs.database import ABSENT, VOLATILE, Database, Snapshot, Update, replay

KEYS = st.sampled_from(["group/a", "group/b", "node/1", f"{VOLATILE}group/a"])
UPDATES = st.builds(
    Update,
    expect=st.dictionaries(KEYS, st.integers(0, 12), max_size=2),
    put=st.dictionaries(KEYS, st.integers(0, 3), max_size=3),
    delete=st.lists(KEYS, max_size=2).map(tuple),
)


def test_an_update_changes_all_or_nothing():
    database = Database()
    assert database.apply(Update(put={"a": 1, "b": 1}))
    outdated = Update(expect={"a": 1, "b": ABSENT}, put={"a": 2}, delete=("b",))
    assert not database.apply(outdated)
    assert (database.get("a"), database.get("b"), database.version) == (1, 1, 2)
    assert database.apply(Update(expect={"a": 1, "c": ABSENT}, put={"a": 2}, delete=("b",)))
    assert (database.get("a"), database.key_version("a"), database.get("b")) == (2, 3, None)


@settings(max_examples=50)
@given(st.lists(UPDATES, max_size=12), st.integers(0, 12))
def test_replicas_that_took_the_same_updates_are_equal_also_by_way_of_a_snapshot(
    updates: list[Update], joins_at: int
):
    first, joiner = Database(), Database()
    for number, update in enumerate(updates):
        if number == joins_at:
            data = msgspec.json.encode(first.snapshot())
            joiner.restore(msgspec.json.decode(data, type=Snapshot))
        made = first.apply(update)
        if number >= joins_at:
            assert joiner.apply(update) == made
    if joins_at < len(updates):
        assert joiner.digest() == first.digest()


@settings(max_examples=50)
@given(st.lists(UPDATES, max_size=12), st.integers(0, 12))
def test_a_checkpoint_and_the_log_since_give_what_lasts(updates: list[Update], checkpoint_at: int):
    database = Database()
    checkpoint, log = database.snapshot(lasting=True), []
    for number, update in enumerate(updates):
        if number == checkpoint_at:
            checkpoint, log = database.snapshot(lasting=True), []
        if database.apply(update) and update.lasts:
            log.append((database.version, update))
    recovered = replay(checkpoint, log)
    assert recovered.entries == database.snapshot(lasting=True).entries
