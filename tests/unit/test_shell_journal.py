"""Journals: cut off anywhere they are readable up to there; a replay finds the first difference."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from lab.cli.app import app
from lab.errors import LabError
from lab.shell import replay as replay_module
from lab.shell.journal import (
    STATE_EVERY,
    Entered,
    Header,
    Journal,
    Left,
    read_journal,
    state_digest,
)
from lab.shell.replay import Replayed, replay
from lab.stacks import core

from world_toy import ToyCore, ToyStack  # isort: skip

OPTIONS = {"nodes": 3}
INPUTS = st.lists(
    st.one_of(
        st.builds(core.TimerDue, st.sampled_from(core.LEVELS)),
        st.builds(
            lambda source, facts: core.Received(source, 0, "fact", str(facts).encode(), "2.1.7"),
            st.integers(2, 3),
            st.lists(st.integers(1, 5), max_size=3),
        ),
        st.builds(
            lambda number, fact: core.Request(number, "say", {"fact": fact}),
            st.integers(1, 9),
            st.integers(1, 5),
        ),
    ),
    max_size=20,
)


def write(path: Path, inputs: list[core.Input], *, clean: bool = True, **more: Any) -> ToyCore:
    """Write the journal of a node as its shell does; a clean end is optional."""
    node = ToyCore(1, {**OPTIONS, **more}, seed=9)
    journal = Journal(path, Header("toy", 1, 1, {**OPTIONS, **more}, seed=9))
    for at, item in enumerate([core.Start(1, {}), *inputs]):
        journal.entered(float(at), item)
        node.handle(float(at), item)
        journal.left(node, node.take_outputs())
    if clean:
        journal.close(node)
    else:
        journal.flush()
    return node


@settings(max_examples=30, deadline=None)
@given(INPUTS)
def test_replay_of_an_honest_journal_finds_nothing(inputs: list[core.Input]) -> None:
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "1.1.journal"
        write(path, inputs)
        outcome = replay(path, ToyStack())
    assert outcome.difference is None
    assert outcome.whole
    assert outcome.inputs == len(inputs) + 1
    assert sum(outcome.by_kind.values()) == outcome.inputs


@settings(max_examples=60, deadline=None)
@given(INPUTS, st.data())
def test_journal_cut_off_anywhere_replays_up_to_there(
    inputs: list[core.Input], data: st.DataObject
) -> None:
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "1.1.journal"
        write(path, inputs)
        whole = list(read_journal(path))
        content = path.read_bytes()
        length = data.draw(st.integers(0, len(content) - 1))
        path.write_bytes(content[:length])
        try:
            cut = list(read_journal(path))
        except LabError:
            assert length < int.from_bytes(content[:4], "big") + 4  # not even the header is left
            return
        assert cut == whole[: len(cut)]
        outcome = replay(path, ToyStack())
    assert outcome.difference is None
    assert not outcome.whole
    assert outcome.inputs == sum(isinstance(record, Entered) for record in cut)


def say(fact: int) -> core.Request:
    return core.Request(fact, "say", {"fact": fact})


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    return tmp_path / "1.1.journal"


class ChangedStack(ToyStack):
    """The toy, whose code has been changed since."""

    def make(self, node: int, options: dict[str, Any], seed: int) -> core.Core:
        return ToyCore(node, {**options, "bug": "twice"}, seed)


def twice(path: Path) -> None:
    told = core.Received(2, 0, "fact", b"[4]", "2.1.1")
    write(path, [say(1), told, say(2), told, say(3)])


def test_changed_code_is_found_at_the_first_input_that_it_shows_in(journal: Path) -> None:
    twice(journal)
    difference = replay(journal, ChangedStack()).difference
    assert difference is not None
    assert (difference.input, difference.t_s) == (5, 4.0)
    assert difference.outputs[0]["kind"] == "learned"
    assert [entered["item"]["type"] for entered in difference.before] == [
        "Start", "Request", "Received", "Request",
    ]  # fmt: skip


def test_another_state_is_a_difference(journal: Path) -> None:
    class OtherState(ToyStack):
        def make(self, node: int, options: dict[str, Any], seed: int) -> core.Core:
            made = ToyCore(node, options, seed)
            made.beats = {2: 1}
            return made

    write(journal, [])
    difference = replay(journal, OtherState()).difference
    assert difference is not None
    assert difference.what == "the core's state is another one"


def test_failure_of_the_core_is_replayed(journal: Path) -> None:
    with pytest.raises(ValueError, match="thirteen"):
        write(journal, [say(1), say(13), say(2)], clean=False, bug="raise")
    # What was collected before the failure is written when the shell ends.
    node = ToyCore(1, {**OPTIONS, "bug": "raise"}, seed=9)
    written = Journal(journal, Header("toy", 1, 1, {**OPTIONS, "bug": "raise"}, seed=9))
    written.entered(0.0, core.Start(1, {}))
    node.handle(0.0, core.Start(1, {}))
    written.left(node, node.take_outputs())
    written.entered(1.0, say(13))
    written.close(None)
    outcome = replay(journal, ToyStack())
    assert outcome.difference is None
    assert outcome.failed == "ValueError: thirteen"


def test_failure_that_the_node_did_not_have_is_a_difference(journal: Path) -> None:
    class Failing(ToyStack):
        def make(self, node: int, options: dict[str, Any], seed: int) -> core.Core:
            return ToyCore(node, {**options, "bug": "raise"}, seed)

    write(journal, [say(13), say(2)])
    difference = replay(journal, Failing()).difference
    assert difference is not None
    assert difference.input == 2
    assert "failed" in difference.what


def test_digest_of_a_state_does_not_depend_on_orders() -> None:
    class Fixed(ToyCore):
        def __init__(self, state: dict[str, Any]) -> None:
            self.fixed = state

        def state(self) -> dict[str, Any]:
            return self.fixed

    one = Fixed({"a": {1: {"x", "y"}, 2: [3]}, "b": None})
    same = Fixed({"b": None, "a": {2: [3], 1: {"y", "x"}}})
    assert state_digest(one) == state_digest(same)
    assert state_digest(one) != state_digest(Fixed({"a": {1: {"x"}, 2: [3]}, "b": None}))


def test_state_is_compared_now_and_then(journal: Path) -> None:
    write(journal, [core.TimerDue("kernel")] * (STATE_EVERY + 5), clean=False)
    kinds = [type(record).__name__ for record in read_journal(journal)]
    assert kinds.count("StateSeen") == 1
    assert replay(journal, ToyStack()).difference is None


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"", "has no header"),
        (b"\0\0\0\1\xc1", "damaged at byte 0"),
        (b"\0\0\0\x0e\x82\xa4type\xa4Left\xa6digest", "has no header|damaged"),
    ],
)
def test_what_is_no_journal_is_told(journal: Path, content: bytes, complaint: str) -> None:
    journal.write_bytes(content)
    with pytest.raises(LabError, match=complaint):
        replay(journal, ToyStack())
    with pytest.raises(LabError, match="cannot be read"):
        replay(journal.with_name("missing"), ToyStack())


def test_journal_without_its_header_is_told(journal: Path) -> None:
    import msgspec

    body = msgspec.msgpack.encode(Left(b"12345678"))
    journal.write_bytes(len(body).to_bytes(4, "big") + body)
    with pytest.raises(LabError, match="header is not at its beginning"):
        replay(journal, ToyStack())


def test_command_prints_the_difference_and_fails(
    journal: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    twice(journal)
    monkeypatch.setattr(replay_module, "find_stack", lambda name: ToyStack())
    good = CliRunner().invoke(app, ["replay", str(journal)])
    assert good.exit_code == 0, good.output
    assert "same outputs, same state" in good.stdout
    monkeypatch.setattr(replay_module, "find_stack", lambda name: ChangedStack())
    bad = CliRunner().invoke(app, ["replay", str(journal)])
    assert bad.exit_code == 1
    assert "input 5 at 4.000000 s: the core put out something else" in bad.stdout
    told = CliRunner().invoke(app, ["replay", str(journal), "--json"])
    assert '"difference": {' in told.stdout
    assert set(Replayed.__struct_fields__) >= {"difference", "state", "whole"}
